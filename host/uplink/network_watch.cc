#include "host/uplink/network_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

namespace kante {

void NetworkWatch::open() {
  socket_ =
      FileDescriptor(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups =
      RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (socket_ &&
      ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    socket_.reset();
  }
}

bool NetworkWatch::takeChange() {
  bool changed = false;
  alignas(nlmsghdr) char buffer[8192];
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {  // More happened than it kept.
      changed = true;
      continue;
    }
    if (got <= 0) return changed;
    auto left = static_cast<int>(got);
    for (const auto* one = reinterpret_cast<const nlmsghdr*>(buffer); NLMSG_OK(one, left);
         one = NLMSG_NEXT(one, left)) {
      switch (one->nlmsg_type) {
        case RTM_NEWADDR:
        case RTM_DELADDR:
        case RTM_NEWROUTE: changed = true; break;
        default: break;
      }
    }
  }
}

bool ownAddressIsThere(int socket_fd) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (::getsockname(socket_fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return false;
  if (own.ss_family == AF_INET) {
    reinterpret_cast<sockaddr_in*>(&own)->sin_port = 0;
  } else if (own.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&own)->sin6_port = 0;
  } else {
    return true;
  }
  const FileDescriptor probe(::socket(own.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return !probe || ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&own), size) == 0 ||
         errno != EADDRNOTAVAIL;
}

}  // namespace kante
