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
  switch (queue_.offer(entry, ticket.get(), 0)) {
    case kante::Offer::kTaken: (void)ticket.release(); return Offer::kTaken;
    case kante::Offer::kFull: return Offer::kFull;
    case kante::Offer::kBusy: break;
  }
  busy_.store(true, std::memory_order_relaxed);
  return Offer::kBusy;
}

void StoreSink::onRoom(std::function<void()> waker) {
  store_.whenRoom([this, waker = std::move(waker)] {
    busy_.store(false, std::memory_order_relaxed);
    waker();
  });
}

}  // namespace kante
