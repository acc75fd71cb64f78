#include "sandbox/runner/host_watch.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sandbox/wire/start.h"

namespace kante {

namespace {

int s_control = -1;

// It also comes for what the host sends there, which is taken when a frame says so.
void onSignal(int) {
  const int before = errno;
  if (isHostGone(s_control)) ::_exit(kRunnerExitHostGone);
  errno = before;
}

}  // namespace

bool isHostGone(int control_fd) {
  char byte = 0;
  iovec place{&byte, 1};
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  const ssize_t n = ::recvmsg(control_fd, &message, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

bool endWithHost(int control_fd) {
  s_control = control_fd;
  struct sigaction action {};
  // Without SA_RESTART, as ThreadSanitizer runs a handler only once the sleep has ended.
  action.sa_handler = onSignal;
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(SIGIO, &action, nullptr) != 0) return false;
  const f_owner_ex owner{F_OWNER_TID, static_cast<pid_t>(::syscall(SYS_gettid))};
  const int flags = ::fcntl(control_fd, F_GETFL);
  return flags >= 0 && ::fcntl(control_fd, F_SETOWN_EX, &owner) == 0 &&
         ::fcntl(control_fd, F_SETFL, flags | O_ASYNC) == 0;
}

}  // namespace kante
