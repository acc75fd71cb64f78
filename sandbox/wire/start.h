// What host and runner tell each other over the control socket (SEQPACKET, one struct a message)
// before the rings take over.
//
//   runner  Hello      it runs, confined by what the launcher gave it, before any module code
//   host    Start      what to confine itself to, and which module
//   runner  Facts      confined for good; what it found about itself.  Or Refused.
//   host    Load       after comparing the facts with what it sees from outside
//   runner  Loaded     the library is in (its constructors have run) and speaks our ABI.  Or
//   Refused.
//
// From then on frames.h; the socket stays open so that either end sees the other's, and for the
// descriptors that the module asks for.
#pragma once

#include <cstdint>

namespace kante {

enum class StartKind : std::uint32_t {
  kHello = 1,
  kStart,
  kFacts,
  kLoad,
  kLoaded,
  kRefused,
  kDescriptor
};

struct Hello {
  StartKind kind = StartKind::kHello;
  std::uint32_t wire_version = 0;
  std::int32_t pid = 0;  // As it sees itself: 1 in a namespace of its own.
  std::uint32_t reserved = 0;
};

struct Start {
  StartKind kind = StartKind::kStart;
  std::uint32_t tier = 0;  // 3, 2 or 1; what must hold.
  std::uint32_t ring_bytes = 0;
  std::uint32_t data_dir = 0;  // 1: /data is there and may be written.
  char module_id[256] = {};    // The manifest's.
  char module_path[64] = {};   // "/mod/HASH.so", or "/proc/self/fd/7" in tier 2.
};

struct Facts {
  StartKind kind = StartKind::kFacts;
  std::uint32_t landlock_abi = 0;  // 0: none.
  std::uint32_t no_new_privs = 0;
  std::uint32_t seccomp_mode = 0;  // 2 after the first filter.
  std::uint32_t dumpable = 0;
  std::uint32_t mdwe = 0;
  std::uint32_t refused = 0;  // Of the self-test's forbidden acts …
  std::uint32_t tried = 0;    // … how many were tried.
  // Effective, permitted, inheritable and ambient, or-ed; and bounding, unless in tier 2 the
  // process came without the right to empty it (not root: no_new_privs lets it gain nothing).
  std::uint64_t capabilities = 0;
};

// Later, beside a descriptor that the host opened for the module: whose request this answers.
struct PassedDescriptor {
  StartKind kind = StartKind::kDescriptor;
  std::uint32_t reserved = 0;
  std::uint64_t token = 0;
};

struct Load {
  StartKind kind = StartKind::kLoad;
  std::uint32_t reserved = 0;
};

struct Loaded {
  StartKind kind = StartKind::kLoaded;
  std::uint32_t inputs = 0;  // Lengths of the lists in `names`, inputs first.
  std::uint32_t outputs = 0;
  std::uint32_t has_filter2 = 0;  // 1, or the host ends it.
  char version[64] = {};
  char names[32768] = {};  // NUL after each.
};

struct Refused {
  StartKind kind = StartKind::kRefused;
  std::uint32_t reserved = 0;
  char text[1024] = {};  // NUL-terminated.
};

// How a runner ends by itself; anything else is its module's.
inline constexpr int kRunnerExitRefused = 3;   // It said why over the control socket.
inline constexpr int kRunnerExitBroken = 4;    // The host broke the rules of the ring.
inline constexpr int kRunnerExitHostGone = 5;  // The control socket is closed.

}  // namespace kante
