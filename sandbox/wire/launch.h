// What a host asks of the launcher over their SEQPACKET socket, and what it hears.
//
// The launcher is the first process of a gateway (the keeper), has one thread, no keys and no
// network, and is the parent of the host and of all runners.  One struct a message; descriptors
// travel beside it (SCM_RIGHTS), in the order that the struct says.  A host that dies takes its
// runners with it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kante {

// Raised with every change of a struct below or of what it means.  Probe and NotUnderstood alone
// stay as they are in all versions, so that a host and a launcher of two releases can say so.
inline constexpr std::uint32_t kLaunchVersion = 3;
inline constexpr std::uint32_t kLaunchPidsDefault = 64;

// Where the sealed bytes of the module come from in the runner: its own tmpfs, or descriptor 7.
#if defined(KANTE_SANITIZED)
inline constexpr bool kLaunchPrivateRoot = false;  // A sanitizer needs the files of this machine.
#else
inline constexpr bool kLaunchPrivateRoot = true;
#endif
constexpr bool moduleIsFile(std::uint32_t tier) { return kLaunchPrivateRoot && tier != 2; }

enum class LaunchKind : std::uint32_t {
  kProbe = 1,  // host: what can you do?  A life begins: runners of the one before are ended.
  kCan,        // launcher: Can
  kSpawn,  // host: Spawn, with descriptors: control socket, host's file (read-only), runner's file,
           // doorbell, log pipe (its write end), module bytes
  kSpawned,        // launcher: Spawned, with the pidfd
  kKill,           // host: Kill
  kExited,         // launcher: Exited, once a runner that was Spawned, or that could not be
  kNotUnderstood,  // launcher: NotUnderstood, to what is no message of its version
};

struct Probe {
  LaunchKind kind = LaunchKind::kProbe;
  std::uint32_t version = kLaunchVersion;
};

struct NotUnderstood {
  LaunchKind kind = LaunchKind::kNotUnderstood;
  std::uint32_t version = kLaunchVersion;  // The launcher's.
  std::uint32_t of = 0;                    // The kind that came …
  std::uint32_t bytes = 0;                 // … and how long it was.
};

enum class LimitKind : std::uint32_t { kRlimit = 1, kCgroup1 = 2, kCgroup2 = 3 };

struct Can {
  LaunchKind kind = LaunchKind::kCan;
  std::uint32_t tier = 0;  // The best it can give; 0: none, sandboxed modules are refused.
  LimitKind limits = LimitKind::kRlimit;
  std::uint32_t landlock_abi = 0;
  std::uint32_t namespaces = 0;  // 1: all of user, mount, pid, net, ipc, uts.
  std::uint32_t seccomp = 0;
  char better[1024] = {};  // What to change for a better tier or better limits; empty: nothing.
};

struct Spawn {
  LaunchKind kind = LaunchKind::kSpawn;
  std::uint32_t id = 0;            // The host's, unique in its life.
  std::uint32_t tier = 0;          // Exactly this; never less.
  std::uint32_t memory_mb = 0;     // 0: no limit.
  std::uint32_t cpu_percent = 0;   // Of one core; 0: no limit.
  std::uint32_t pids_max = 0;      // Threads and processes; 0: kLaunchPidsDefault.
  std::uint32_t data_mb = 0;       // Size of /data; 0: none.
  std::uint32_t writes_files = 0;  // 1: it may be handed files that it makes longer.
  char name[64] = {};         // The module's name in the deployment, for cgroup and process title.
  char module_file[64] = {};  // "HASH.so": its name below /mod.
};

struct Spawned {
  LaunchKind kind = LaunchKind::kSpawned;
  std::uint32_t id = 0;
  std::int32_t pid = 0;  // As the launcher sees it.
  LimitKind limits = LimitKind::kRlimit;
  std::uint64_t namespaces[6] = {};  // Inodes: user, mnt, pid, net, ipc, uts; 0: the host's own.
};

struct Kill {
  LaunchKind kind = LaunchKind::kKill;
  std::uint32_t id = 0;
};

struct Exited {
  LaunchKind kind = LaunchKind::kExited;
  std::uint32_t id = 0;
  std::int32_t exit_code = 0;  // Where it ended by itself …
  std::int32_t signal = 0;     // … or by this signal; both 0: it was never started, see text.
  std::uint32_t out_of_memory = 0;  // Kills that its cgroup counted.
  std::uint32_t asked = 0;          // 1: after Kill.
  std::uint32_t pids_refused = 0;   // Forks that pids.max refused.
  std::uint32_t reserved = 0;
  std::uint64_t cpu_us = 0;       // Used, user and system.
  std::uint64_t memory_peak = 0;  // Bytes; 0: not known.
  char text[512] = {};            // Why it could not be started.
};

}  // namespace kante
