// What a new process does on its way to become a runner: from clone3 to execve of kante-runner.
// One thread, no keys of anybody, and every failure ends it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/launcher/cgroups.h"
#include "sandbox/launcher/libraries.h"
#include "sandbox/wire/launch.h"

namespace kante::launcher {

struct ChildPlan {
  Spawn order;
  // In the order that Spawn says; empty for a trial, which ends with 0 instead of execve.
  std::vector<int> descriptors;
  const Libraries* libraries = nullptr;
  int runner_fd = -1;
  int sync_fd = -1;      // SEQPACKET: one byte in means go on, a ChildReport goes out.
  uid_t id = 0;          // User and group that it is outside.
  bool is_root = false;  // The launcher is, and may take any id.
  LimitKind limits = LimitKind::kRlimit;
  const Group* group = nullptr;  // To enter; null: a trial, or it is in it.

  bool namespaces() const { return kLaunchPrivateRoot && order.tier != 2; }
};

// The id that a runner has within its namespaces.
inline constexpr uid_t kInnerId = 1000;

// Flags of clone3 for it.  The cgroup namespace follows once the process is in its group.
std::uint64_t cloneFlags(const ChildPlan& plan);

// Whatever else the launcher has open is closed first.
[[noreturn]] void becomeRunner(const ChildPlan& plan);

}  // namespace kante::launcher
