#include "sandbox/runner/waker.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace kante {

void Waker::block(std::uint32_t seen, std::int64_t timeout_ns) {
  if (isKicked()) return;
  const timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  ::syscall(SYS_futex, &wakes_, FUTEX_WAIT, seen, timeout_ns < 0 ? nullptr : &timeout, nullptr, 0);
}

void Waker::kick() {
  if (kicked_.exchange(true, std::memory_order_seq_cst)) return;
  wakes_.fetch_add(1, std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst))
    ::syscall(SYS_futex, &wakes_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace kante
