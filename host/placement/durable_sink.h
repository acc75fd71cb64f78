// A queue on disk as the end of a route.
#pragma once

#include <cstdint>
#include <functional>

#include "host/message/hop.h"
#include "host/message/message.h"

namespace kante {

class DurableSink {
 public:
  virtual ~DurableSink() = default;

  enum class Offer {
    kTaken,  // It will be committed, then `committed` is called.
    kBusy,   // The store is behind; a blocking sender waits for onRoom().
    kFull,   // The queue is at its limit and its policy refuses.
  };
  // Any thread; does not wait.  ttl_s 0: never expires.  `committed` may be empty; it is called
  // once, on whatever thread, with whether the message is on disk.
  using Committed = std::function<void(bool on_disk)>;
  virtual Offer offer(const MessageRef& message, const Hop& hop, std::uint8_t priority,
                      std::uint32_t ttl_s, Committed committed) = 0;
  virtual bool hasRoom() const = 0;
  // Called once, on whatever thread, when hasRoom() may be true again; at once if it is.
  virtual void onRoom(std::function<void()> waker) = 0;
};

}  // namespace kante
