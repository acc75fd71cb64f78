// A new process in new namespaces, where it can be in its control group from its first instruction
// on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "sandbox/launcher/fd.h"

namespace kante::launcher {

// As fork(): 0 in the child, -1 with errno set.  `group` is a directory of version 2, or -1; where
// clone3 may not be called, as in many containers, it is set to -1, and the child has to enter by
// itself.
pid_t cloneProcess(std::uint64_t namespaces, int& group, Fd& pidfd);

// Says in the new user namespace of `pid` who is who; `inner` alone is known there, as `outer`.
// Empty, or what went wrong.
enum class Groups { kMayBeDropped, kStay };  // kStay: an ordinary user may map itself only so.
std::string mapIds(pid_t pid, uid_t inner, uid_t outer, Groups groups);

}  // namespace kante::launcher
