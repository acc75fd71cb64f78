// How the loop of a runner sleeps, and how the module's own threads wake it.
//
// The loop blocks in a futex on HostPage::wakes, which only the host can write.  A thread of this
// process wakes that same futex (a wake needs no write access), and repeats it until the kernel
// says that somebody was there to be woken or the loop says that it is up: between the loop's last
// look and its sleep there is a moment in which a single wake would be lost.
#pragma once

#include <atomic>
#include <cstdint>

#include "sandbox/wire/shared_pages.h"

namespace kante {

class Waker {
 public:
  explicit Waker(const HostPage& page) : wakes_(page.wakes) {}

  // The loop, before it looks at everything for the last time.
  void fallAsleep() {
    asleep_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  std::uint32_t seen() const { return wakes_.load(std::memory_order_acquire); }
  bool isKicked() const { return kicked_.load(std::memory_order_acquire); }
  // Until there was a wake after `seen`, or for so long; less than 0: without a bound, which is
  // the quickest.  A signal may end it.
  void block(std::uint32_t seen, std::int64_t timeout_ns);
  void wakeUp() {
    asleep_.store(false, std::memory_order_relaxed);
    kicked_.store(false, std::memory_order_relaxed);
  }

  // Any thread: the loop shall look at everything once more.
  void kick();

 private:
  const std::atomic<std::uint32_t>& wakes_;
  std::atomic<bool> asleep_{false};
  std::atomic<bool> kicked_{false};
};

}  // namespace kante
