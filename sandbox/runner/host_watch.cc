#include "sandbox/runner/host_watch.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

namespace kante {

namespace {

std::atomic<Waker*> watched{nullptr};

void onSignal(int) {
  Waker* waker = watched.load(std::memory_order_relaxed);
  if (waker != nullptr) waker->interrupt();
}

}  // namespace

bool listenToEnd(int control_fd) {
  struct sigaction action {};
  action.sa_handler = onSignal;  // Without SA_RESTART: the futex has to return.
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(SIGIO, &action, nullptr) != 0) return false;
  const f_owner_ex owner{F_OWNER_TID, static_cast<pid_t>(::syscall(SYS_gettid))};
  const int flags = ::fcntl(control_fd, F_GETFL);
  return flags >= 0 && ::fcntl(control_fd, F_SETOWN_EX, &owner) == 0 &&
         ::fcntl(control_fd, F_SETFL, flags | O_ASYNC) == 0;
}

void watchHost(Waker& waker) { watched.store(&waker); }

}  // namespace kante
