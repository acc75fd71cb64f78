// How the loop of a runner sleeps, and how the host and the module's own threads wake it.
//
// The loop blocks in a futex on RunnerPage::wakes.  Whoever wakes it raises that word first, so a
// wake between the loop's last look and its sleep keeps the sleep from beginning.
#pragma once

#include <atomic>
#include <cstdint>

#include "sandbox/wire/shared_pages.h"

namespace kante {

class Waker {
 public:
  explicit Waker(RunnerPage& page) : wakes_(page.wakes) {}

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
  std::atomic<std::uint32_t>& wakes_;
  std::atomic<bool> asleep_{false};
  std::atomic<bool> kicked_{false};
};

}  // namespace kante
