#include "sandbox/runner/descriptors.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/wire/start.h"

namespace kante {

Descriptors::~Descriptors() {
  for (const auto& [token, fd] : waiting_) ::close(fd);
}

int Descriptors::take(std::uint64_t token) {
  for (auto at = waiting_.find(token);; at = waiting_.find(token)) {
    if (at != waiting_.end()) {
      const int fd = at->second;
      waiting_.erase(at);
      return fd;
    }
    if (!receive()) return -1;
  }
}

// False when there is nothing more, or what is no descriptor.
bool Descriptors::receive() {
  PassedDescriptor said;
  iovec place{&said, sizeof said};
  alignas(cmsghdr) char beside[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = beside;
  message.msg_controllen = sizeof beside;
  ssize_t n = 0;
  do {
    n = ::recvmsg(control_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  int fd = -1;
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (n > 0 && head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
    std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
  if (fd < 0) return false;
  const bool right = n == static_cast<ssize_t>(sizeof said) &&
                     said.kind == StartKind::kDescriptor && waiting_.size() < kKeptMax;
  if (!right || !waiting_.emplace(said.token, fd).second) {
    ::close(fd);
    return right;
  }
  return true;
}

}  // namespace kante
