// The two sealed memory files between a host and one runner: who writes what, where.
//
// One file per writer.  The host's file is read-only in the runner, the runner's is read-only in
// the host, so each index lives in memory that only its owner can write.  Each file is one page of
// counters followed by a ring of records (ring.h) that goes towards the other side.  One word alone
// is written by both, RunnerPage::wakes: nobody decides anything by it.
//
// Sleeping and waking.  A side that finds nothing to do stores its sleep word, makes a full fence,
// looks at everything again, and only then blocks.  A side that published an index makes a full
// fence and then loads the other's sleep word.  (Release and acquire are not enough, on x86
// either.) The sleep word is epoch << 3 | what it wants, 0 while awake; whoever rings
// remembers the epoch that it rang for, so there is one doorbell a sleep.  The runner blocks in a
// futex on RunnerPage::wakes; the host blocks in epoll on an eventfd that the runner writes and
// nobody reads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace kante {

inline constexpr std::uint32_t kWireVersion = 3;       // Host and runner are shipped together.
inline constexpr std::size_t kSharedPageBytes = 8192;  // In front of each ring.
inline constexpr std::uint32_t kRingBytesDefault = 256u << 10;
inline constexpr std::uint32_t kRingBytesMin = 64u << 10;
inline constexpr std::uint32_t kRingBytesMax = 4u << 20;
inline constexpr std::uint32_t kWireOutputsMax = 512;  // Of a sandboxed module.

inline constexpr std::uint64_t kWantsData = 1;
inline constexpr std::uint64_t kWantsSpace = 2;   // Half of its own ring.
inline constexpr std::uint64_t kWantsCredit = 4;  // The runner: half of the credit of an output.
inline constexpr int kWantsBits = 3;              // Below the epoch.

// The part that both pages begin with.  Positions are bytes since the beginning, multiples of 8.
struct RingEnd {
  alignas(64) std::atomic<std::uint64_t> head{0};  // Published by this side as producer.
  alignas(64) std::atomic<std::uint64_t> tail{0};  // Taken by this side as consumer of the other's.
  alignas(64) std::atomic<std::uint64_t> sleep{0};  // This side's sleep word.
};

// Written by the host.
struct HostPage {
  RingEnd end;
  // By output: how many of its emits the host has routed, all told, modulo 2^32.  The difference to
  // what was emitted is the output's use of its credit.  Begins at -kOutputCredit, so that a module
  // is told KANTE_E_AGAIN until its routes are there; then rises by kOutputCredit.  Where an output
  // has half of its credit or more after that, a runner that wants credit is woken.
  alignas(64) std::atomic<std::uint32_t> routed[kWireOutputsMax]{};
};
static_assert(sizeof(HostPage) <= kSharedPageBytes);

// Written by the runner.  The host believes none of it beyond what the comments say is checked.
struct RunnerPage {
  RingEnd end;
  // What the runner's loop waits on; raised by whoever wakes it, the host too, which has a mapping
  // of its own for that.  It is here because a futex in memory that its waiter may not write costs
  // the kernel two tries to find it.
  alignas(64) std::atomic<std::uint32_t> wakes{0};
  // Inputs that the module has handled, all told; never above what was sent, never back.  Raised
  // before the head that shows what they led to, and wakes a host that wants space.
  alignas(64) std::atomic<std::uint64_t> handled{0};
  // Odd while a callback runs; counts callbacks.  Stuck at one odd value is how a hang is seen.
  alignas(64) std::atomic<std::uint64_t> sequence{0};
  std::atomic<std::uint32_t> event{0};  // KANTE_EVENT_*, 0: create or destroy, of that callback.
  // Reported by the handler of SIGSYS: a call that the filters refused.  Hearsay, for people only.
  std::atomic<std::uint32_t> violations{0};    // How often, all told.
  std::atomic<std::uint32_t> syscall{0};       // The last one's number …
  std::atomic<std::uint32_t> architecture{0};  // … AUDIT_ARCH_* …
  std::atomic<std::uint64_t> address{0};       // … and from where it was called.
  // Of a deadly signal: SIGSEGV and so on, with the faulting address; then the process dies of it.
  std::atomic<std::uint32_t> signal{0};
  std::atomic<std::uint64_t> fault_address{0};
  // How the adaptive wait went: spins that found something, spins in vain, sleeps, doorbells rung.
  std::atomic<std::uint64_t> spins_won{0};
  std::atomic<std::uint64_t> spins_lost{0};
  std::atomic<std::uint64_t> sleeps{0};
  std::atomic<std::uint64_t> doorbells{0};
};
static_assert(sizeof(RunnerPage) <= kSharedPageBytes);

// Descriptors that a runner is started with, and no other: exactly these numbers.  Both files are
// mapped at once and closed by confine(), before any module code runs.
inline constexpr int kRunnerNullFd = 0;
inline constexpr int kRunnerOutFd = 1;  // The log pipe, as is 2.
inline constexpr int kRunnerErrFd = 2;
inline constexpr int kRunnerControlFd = 3;   // SEQPACKET socket to the host: start.h
inline constexpr int kRunnerHostFileFd = 4;  // Opened read-only.
inline constexpr int kRunnerRunnerFileFd = 5;
inline constexpr int kRunnerDoorbellFd = 6;  // eventfd that wakes the host's shard.
inline constexpr int kRunnerModuleFd =
    7;  // The sealed bytes of the module, where no tmpfs holds them (tier 2).
inline constexpr int kRunnerFdsEnd = 8;  // From here on none is open.

}  // namespace kante
