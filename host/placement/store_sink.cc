#include "host/placement/store_sink.h"

namespace kante {

class StoreSink::Ticket final : public CommitSink {
 public:
  explicit Ticket(Committed committed) : committed_(std::move(committed)) {}
  void onCommitted(std::span<const Done> done) override {
    const std::unique_ptr<Ticket> self(this);
    committed_(!done.empty() && done[0].result == CommitResult::kCommitted);
  }

 private:
  Committed committed_;
};

DurableSink::Offer StoreSink::offer(const MessageRef& message, const Hop& hop,
                                    std::uint8_t priority, std::uint32_t ttl_s,
                                    Committed committed) {
  Entry entry{message, hop, priority, std::int64_t{ttl_s} * 1'000'000'000};
  std::unique_ptr<Ticket> ticket;
  if (committed) ticket = std::make_unique<Ticket>(std::move(committed));
  if (!door_->offer(queue_, entry, ticket.get())) return Offer::kFull;
  (void)ticket.release();
  return Offer::kTaken;
}

}  // namespace kante
