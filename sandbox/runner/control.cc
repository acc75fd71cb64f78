#include "sandbox/runner/control.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace kante {

// write and recvmsg by name: the filters allow no call that could send to another peer.
bool Control::sendBytes(const void* bytes, std::size_t size) const {
  ssize_t n = 0;
  do {
    n = ::write(fd_, bytes, size);
  } while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(size);
}

bool Control::receiveBytes(void* bytes, std::size_t size) const {
  iovec place{bytes, size};
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  ssize_t n = 0;
  do {
    n = ::recvmsg(fd_, &message, 0);
  } while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(size) && (message.msg_flags & MSG_TRUNC) == 0;
}

}  // namespace kante
