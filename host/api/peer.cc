#include "host/api/peer.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

namespace kante {
namespace {

constexpr std::size_t kAccountBytes = 16 * 1024;
constexpr std::size_t kGroupBytes = 256 * 1024;  // With the names of its members.
constexpr std::size_t kGroupsMax = 65536;        // NGROUPS_MAX of Linux.

// The supplementary groups that the peer had when it connected.
bool inPeerGroups(int socket_fd, gid_t group) {
  std::vector<gid_t> groups(64);
  for (;;) {
    auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0) {
      groups.resize(bytes / sizeof(gid_t));
      return std::find(groups.begin(), groups.end(), group) != groups.end();
    }
    if (errno != ERANGE || groups.size() >= kGroupsMax) return false;
    groups.resize(kGroupsMax);
  }
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// The local files first: asking the name services loads them into this process, and may ask a
// network.
std::string userName(uid_t uid) {
  std::array<char, kAccountBytes> buffer;
  passwd entry{};
  passwd* found = nullptr;
  const File local(std::fopen("/etc/passwd", "re"), std::fclose);
  while (local && ::fgetpwent_r(local.get(), &entry, buffer.data(), buffer.size(), &found) == 0) {
    if (entry.pw_uid == uid) return entry.pw_name;
  }
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? std::string(found->pw_name) : std::to_string(uid);
}

}  // namespace

gid_t findGroup(const std::string& group, NameServices ask) {
  if (group.empty()) return static_cast<gid_t>(-1);
  std::vector<char> buffer(kGroupBytes);
  ::group entry{};
  ::group* found = nullptr;
  const File local(std::fopen("/etc/group", "re"), std::fclose);
  while (local && ::fgetgrent_r(local.get(), &entry, buffer.data(), buffer.size(), &found) == 0) {
    if (group == entry.gr_name) return entry.gr_gid;
  }
  if (ask == NameServices::kNo) return static_cast<gid_t>(-1);
  ::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->gr_gid : static_cast<gid_t>(-1);
}

Result<std::string> operatorOf(int socket_fd, gid_t group) {
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
    return failErrno("API socket: cannot learn who connected");
  }
  const bool has_group = group != static_cast<gid_t>(-1);
  const bool allowed = peer.uid == 0 || peer.uid == ::geteuid() ||
                       (has_group && (peer.gid == group || inPeerGroups(socket_fd, group)));
  const std::string user = userName(peer.uid);
  if (!allowed) {
    return fail(Errc::kDenied, "User " + user +
                                   " may not use this host; root, the host's own user and members "
                                   "of the group in [api] group may");
  }
  return "operator/" + user;
}

}  // namespace kante
