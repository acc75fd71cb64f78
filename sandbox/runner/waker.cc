#include "sandbox/runner/waker.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace kante {

static_assert(sizeof(timespec) == 16, "a futex reads seconds and nanoseconds of 64 bits");

void Waker::block(std::uint32_t seen, std::int64_t timeout_ns) {
  const std::int64_t wait_ns = timeout_ns < 0 ? INT64_MAX : timeout_ns;
  timeout_.seconds = wait_ns / 1'000'000'000;
  timeout_.nanoseconds = wait_ns % 1'000'000'000;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (isKicked() || interrupted_.load(std::memory_order_relaxed)) return;
  ::syscall(SYS_futex, &wakes_, FUTEX_WAIT, seen, &timeout_, nullptr, 0);
}

void Waker::kick() {
  if (kicked_.exchange(true, std::memory_order_seq_cst)) return;
  while (asleep_.load(std::memory_order_seq_cst)) {
    if (::syscall(SYS_futex, &wakes_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0) > 0) return;
    ::sched_yield();
  }
}

void Waker::interrupt() {
  interrupted_.store(true, std::memory_order_relaxed);
  timeout_.seconds = 0;
  timeout_.nanoseconds = 0;
}

}  // namespace kante
