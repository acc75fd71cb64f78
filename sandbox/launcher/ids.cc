#include "sandbox/launcher/ids.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "sandbox/launcher/fd.h"

namespace kante::launcher {
namespace {

// Between what systemd gives to containers and the end: nobody is registered there.
constexpr uid_t kFirst = 0x70000000;
constexpr std::uint32_t kRunners = 256;  // Of one launcher.
constexpr std::uint32_t kLaunchers = 0xFFD00;
constexpr std::uint64_t kCount = std::uint64_t{kRunners} * kLaunchers;
constexpr uid_t kNobody = 65534;

bool isMapped(const char* file, std::uint64_t first, std::uint64_t count) {
  for (const std::string& line : split(readSmallFile(AT_FDCWD, file), '\n')) {
    char* rest = nullptr;
    const std::uint64_t inner = std::strtoull(line.c_str(), &rest, 10);
    (void)std::strtoull(rest, &rest, 10);  // Who that is outside.
    const std::uint64_t length = std::strtoull(rest, nullptr, 10);
    if (first >= inner && first + count <= inner + length) return true;
  }
  return false;
}

bool hasCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct now[2]{};
  if (::syscall(SYS_capget, &header, now) != 0) return false;
  constexpr std::uint32_t kWanted = 1U << CAP_SETUID | 1U << CAP_SETGID;
  return (now[0].effective & kWanted) == kWanted;
}

bool isMappedForBoth(std::uint64_t first, std::uint64_t count) {
  return isMapped("/proc/self/uid_map", first, count) &&
         isMapped("/proc/self/gid_map", first, count);
}

}  // namespace

Ids Ids::ofThisProcess() {
  Ids out;
  out.has_range_ = isMappedForBoth(kFirst, kCount);
  out.may_take_any_ = hasCapabilities() && (out.has_range_ || isMappedForBoth(kNobody, 1));
  return out;
}

uid_t Ids::of(std::uint32_t slot) const {
  if (!may_take_any_) return ::geteuid();
  if (!has_range_) return kNobody;
  const auto launcher = static_cast<std::uint32_t>(::getpid()) % kLaunchers;
  return kFirst + launcher * kRunners + slot % kRunners;
}

}  // namespace kante::launcher
