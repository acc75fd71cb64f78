#include "sandbox/launcher/rlimits.h"

#include <sys/resource.h>

#include <algorithm>

#include "sandbox/wire/shared_pages.h"

namespace kante::launcher {
namespace {

constexpr rlim_t kMegabyte = 1 << 20;
constexpr rlim_t kFilesSpare = 64;
constexpr rlim_t kLockedBytes = 64 * 1024;
constexpr rlim_t kStackBytes = 8 * kMegabyte;
// Without a group every thread's stack counts as data.
constexpr rlim_t kStackBytesAlone = 2 * kMegabyte;
constexpr rlim_t kDataSpare = 16 * kMegabyte;  // Libraries, rings, the runner itself.
// Address space costs nothing by itself, but shared anonymous maps are no data, so something has
// to hold them where no group does.  malloc reserves 64 MiB a thread that it does not use.
constexpr rlim_t kAddressSpare = 256 * kMegabyte;
constexpr rlim_t kAddressSpareInGroup = 4096 * kMegabyte;
// Where it shares its user with others these are counted too.  That bounds what a bomb takes from
// the machine, not what it may have itself.
constexpr rlim_t kOthersOfUser = 4096;

void set(__rlimit_resource what, rlim_t value, const char* name, const Steps& steps) {
  rlimit now{};
  steps.must(::getrlimit(what, &now) == 0, name);
  const rlim_t bounded = std::min(value, now.rlim_max);
  const rlimit wanted{bounded, bounded};
  steps.must(::setrlimit(what, &wanted) == 0, name);
}

}  // namespace

void setLimits(const ChildPlan& plan, Steps& steps) {
  steps.at("setting limits");
  const Spawn& order = plan.order;
  const bool in_group = plan.limits != LimitKind::kRlimit;
#if !defined(KANTE_SANITIZED)
  const rlim_t memory = order.memory_mb * kMegabyte;
  if (memory != 0) {
    set(RLIMIT_AS, memory + (in_group ? kAddressSpareInGroup : kAddressSpare), "AS", steps);
    if (!in_group) set(RLIMIT_DATA, memory + kDataSpare, "DATA", steps);
  }
#endif
  set(RLIMIT_STACK, in_group ? kStackBytes : kStackBytesAlone, "STACK", steps);
  set(RLIMIT_NOFILE, kRunnerFdsEnd + kFilesSpare, "NOFILE", steps);
  const bool shares_user = !plan.namespaces() && !plan.is_root;
  // A group counts what it refuses, so it comes first.
  const rlim_t spare = shares_user ? kOthersOfUser : in_group ? 1 : 0;
  set(RLIMIT_NPROC, order.pids_max + spare, "NPROC", steps);
  // /data has a size of its own; what it is handed to write is as long as whoever granted it lets.
  const rlim_t file_size = order.writes_files != 0 ? RLIM_INFINITY : order.data_mb * kMegabyte;
#if !defined(__SANITIZE_THREAD__)  // It lays its shadow into a file.
  set(RLIMIT_FSIZE, file_size, "FSIZE", steps);
#else
  (void)file_size;
#endif
  set(RLIMIT_CORE, 0, "CORE", steps);
  set(RLIMIT_MEMLOCK, kLockedBytes, "MEMLOCK", steps);
  set(RLIMIT_NICE, 0, "NICE", steps);
  set(RLIMIT_RTPRIO, 0, "RTPRIO", steps);
}

}  // namespace kante::launcher
