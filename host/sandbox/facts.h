// Whether a runner has every layer that its tier promises: what it says of itself, held against
// what the kernel says of it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "sandbox/wire/start.h"

namespace kante {

inline constexpr std::uint32_t kTierFull = 3;
inline constexpr std::uint32_t kTierNoNamespaces = 2;
inline constexpr std::uint32_t kTierNoLandlock = 1;

constexpr bool hasNamespaces(std::uint32_t tier) {
  return tier == kTierFull || tier == kTierNoLandlock;
}
constexpr bool hasLandlock(std::uint32_t tier) {
  return tier == kTierFull || tier == kTierNoNamespaces;
}

// A runner from outside.
struct SeenRunner {
  std::uint32_t no_new_privs = 0;
  std::uint32_t seccomp_mode = 0;
  std::uint64_t capabilities = 0;             // Effective, permitted, inheritable and ambient.
  std::array<std::uint64_t, 6> namespaces{};  // user, mnt, pid, net, ipc, uts
};
using Namespaces = std::array<std::uint64_t, 6>;

// Reads /proc/PID/status of the process behind the pidfd, which is still that one afterwards.
// namespaces: as the launcher noted them before exec, because a process that is not dumpable shows
// them to nobody.
Result<SeenRunner> lookAtRunner(const FileDescriptor& pidfd, int pid, const Namespaces& namespaces);
Result<Namespaces> ownNamespaces();

// Names the layer that is missing.
Status checkFacts(std::uint32_t tier, const Facts& facts, const SeenRunner& seen,
                  const Namespaces& own);

}  // namespace kante
