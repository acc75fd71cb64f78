#include "host/hub/mqtt/socket_transport.h"

#include <sys/socket.h>

#include <cerrno>

namespace kante::hub {
namespace {

Transport::Moved moved(ssize_t count) {
  if (count > 0) return {Transport::Flow::kOk, static_cast<std::size_t>(count)};
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    return {Transport::Flow::kAgain, 0};
  return {Transport::Flow::kClosed, 0};
}

}  // namespace

Transport::Moved SocketTransport::read(std::span<char> into) {
  Moved out = moved(::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT));
  out.more = out.bytes == into.size();
  return out;
}

Transport::Moved SocketTransport::write(std::span<const iovec> parts) {
  if (parts.size() == 1)
    return moved(
        ::send(socket_.get(), parts[0].iov_base, parts[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL));
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  return moved(::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

void SocketTransport::shutDown() { (void)::shutdown(socket_.get(), SHUT_WR); }

}  // namespace kante::hub
