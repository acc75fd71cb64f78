#include "sandbox/runner/control.h"

#include <sys/socket.h>

#include <cerrno>

namespace kante {

// sendmsg and recvmsg by name: the filters allow no other call on a socket.
bool Control::sendBytes(const void* bytes, std::size_t size) const {
  iovec place{const_cast<void*>(bytes), size};
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  ssize_t n = 0;
  do {
    n = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
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
