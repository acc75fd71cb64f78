// A route's durable end, on a queue of the store.
#pragma once

#include <memory>

#include "host/placement/durable_sink.h"
#include "host/placement/store_door.h"

namespace kante {

// The queue outlives it.
class StoreSink final : public DurableSink {
 public:
  StoreSink(std::shared_ptr<StoreDoor> door, DurableQueue& queue)
      : door_(std::move(door)), queue_(queue) {}

  // Never kBusy: what finds the store behind is held at the door.
  Offer offer(const MessageRef& message, const Hop& hop, std::uint8_t priority, std::uint32_t ttl_s,
              Committed committed) override;
  bool hasRoom() const override { return door_->hasRoom(); }
  void onRoom(std::function<void()> waker) override { door_->onRoom(std::move(waker)); }

 private:
  // One answer to one emit with a token; ends itself.
  class Ticket;
  const std::shared_ptr<StoreDoor> door_;  // Shared with every other sink of this store.
  DurableQueue& queue_;
};

}  // namespace kante
