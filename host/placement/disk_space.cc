#include "host/placement/disk_space.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "host/base/fd.h"

namespace kante {
namespace {

// Those of this machine that have no block device of their own.
constexpr std::array<std::string_view, 7> kLocalTypes{"bcachefs", "btrfs", "overlay", "ramfs",
                                                      "tmpfs",    "ubifs", "zfs"};

// The type of a mount, by its number in mountinfo; empty: not found.
std::string typeOfMount(std::uint64_t id) {
  constexpr std::size_t kBytesMax = 4u << 20;
  const auto text = readFile("/proc/self/mountinfo", kBytesMax);
  if (!text) return {};
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    if (line.substr(0, line.find(' ')) != std::to_string(id)) continue;
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) return {};
    const std::size_t from = dash + 3;
    return line.substr(from, line.find(' ', from) - from);
  }
  return {};
}

// Asks nobody but the kernel's own memory.
bool isLocal(int fd) {
  struct statx found {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &found) != 0) return false;
  if (found.stx_dev_major != 0) return true;
  if ((found.stx_mask & STATX_MNT_ID) == 0) return false;
  const std::string type = typeOfMount(found.stx_mnt_id);
  return std::find(kLocalTypes.begin(), kLocalTypes.end(), type) != kLocalTypes.end();
}

}  // namespace

Result<DiskSpace> diskSpace(int fd, const std::string& path) {
  if (!isLocal(fd))
    return fail(Errc::kDenied, path + " is on no disk of this machine: its space is not asked for");
  struct statvfs space {};
  if (::fstatvfs(fd, &space) != 0) return failErrno(path);
  const std::uint64_t block = space.f_frsize;
  return DiskSpace{space.f_blocks * block, space.f_bfree * block, space.f_bavail * block};
}

}  // namespace kante
