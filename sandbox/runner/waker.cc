#include "sandbox/runner/waker.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace kante {

void Waker::block(std::uint32_t seen, std::int64_t timeout_ns) {
  if (isKicked()) return;
  const timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  ::syscall(SYS_futex, &wakes_, FUTEX_WAIT, seen, timeout_ns < 0 ? nullptr : &timeout, nullptr, 0);
}

void Waker::kick() {
  if (kicked_.exchange(true, std::memory_order_seq_cst)) return;
  while (asleep_.load(std::memory_order_seq_cst)) {
    if (::syscall(SYS_futex, &wakes_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0) > 0) return;
    ::sched_yield();
  }
}

}  // namespace kante
