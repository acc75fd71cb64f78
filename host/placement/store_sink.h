// A route's durable end, on a queue of the store.
#pragma once

#include <memory>

#include "host/placement/durable_sink.h"
#include "host/store/store.h"

namespace kante {

// Both outlive the sink, and the sink outlives every answer: it is kept until the store is closed.
class StoreSink final : public DurableSink {
 public:
  StoreSink(Store& store, DurableQueue& queue) : store_(store), queue_(queue) {}

  Offer offer(const MessageRef& message, const Hop& hop, std::uint8_t priority, std::uint32_t ttl_s,
              Committed committed) override;
  bool hasRoom() const override { return !busy_.load(std::memory_order_relaxed); }
  void onRoom(std::function<void()> waker) override;

 private:
  // One answer to one emit with a token; ends itself.
  class Ticket;
  Store& store_;
  DurableQueue& queue_;
  std::atomic<bool> busy_{false};  // The store's mailbox was full at the last offer.
};

}  // namespace kante
