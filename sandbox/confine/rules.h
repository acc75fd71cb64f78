// The filters: every system call that a runner may make, when, and why.
//
// Read it from top to bottom; what is not here traps: the call fails with EPERM and its number and
// address stand in the runner's page.  kErrno refuses without a report what libc tries on its own
// and can do without.  A rule without a reason does not pass the tests.
#pragma once

#include <cerrno>
#include <iterator>

#include "sandbox/confine/filter.h"

namespace kante {

namespace rules {

// Written as numbers, because they are those of all four architectures, not of this one.
inline constexpr std::uint32_t kProtWrite = 2, kProtExec = 4, kMapAnonymous = 0x20;
inline constexpr std::uint32_t kWritingFlags = 03 | 0100 | 01000 | 020000000;  // O_ACCMODE, CREAT …
inline constexpr std::uint32_t kGetFd = 1, kSetFd = 2, kGetFl = 3, kSetFl = 4, kNonBlock = 04000;
// What F_GETFL says of a descriptor without doing harm: how it was opened, O_APPEND, O_LARGEFILE.
inline constexpr std::uint32_t kHarmlessFlags = 03 | 02000 | 0100000 | 0400000;
inline constexpr std::uint32_t kSetLock = 6, kSetLockWait = 7;
inline constexpr std::uint32_t kOutOfBand = 1;
inline constexpr std::uint32_t kSigSys = 31;
// What glibc and musl start a thread with: VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|
// CHILD_CLEARTID; musl also sets DETACHED, which means nothing.
inline constexpr std::uint32_t kThreadFlags = 0x3d0f00, kDetached = 0x400000, kVfork = 0x4000;
// The commands of futex about priority inheritance, less FUTEX_PRIVATE and FUTEX_CLOCK_REALTIME.
inline constexpr std::uint32_t kFutexCommand = 0x7f;
inline constexpr std::uint32_t kSetModeFilter = 1, kTsync = 1;
inline constexpr std::uint32_t kSetName = 15, kGetName = 16, kSetVma = 0x53564d41;

constexpr Rule allow(std::string_view call, std::string_view reason) {
  return {call, Stage::kBoth, Action::kAllow, 0, {}, reason};
}
constexpr Rule allowIf(std::string_view call, When when, std::string_view reason) {
  return {call, Stage::kBoth, Action::kAllow, 0, {when}, reason};
}
constexpr Rule loading(std::string_view call, When when, When also, std::string_view reason) {
  return {call, Stage::kLoading, Action::kAllow, 0, {when, also}, reason};
}
constexpr Rule refuse(std::string_view call, int error, std::string_view reason) {
  return {call, Stage::kBoth, Action::kErrno, error, {}, reason};
}
constexpr Rule refuseIf(std::string_view call, When when, int error, std::string_view reason) {
  return {call, Stage::kBoth, Action::kErrno, error, {when}, reason};
}
constexpr Rule trapIf(std::string_view call, When when, std::string_view reason) {
  return {call, Stage::kBoth, Action::kTrap, 0, {when}, reason};
}
constexpr Rule files(std::string_view call, std::string_view reason) {
  return {call, Stage::kBoth, Action::kAllow, 0, {}, reason, Files::kGranted};
}

}  // namespace rules

// clang-format off
inline constexpr Rule kRules[] = {
    // ---- the runner's loop, and any thread that waits ----
    rules::allow("sched_yield", "the spin before a sleep"),
    rules::refuseIf("futex", bits(1, rules::kFutexCommand, 6), ENOSYS, "LOCK_PI: priority inheritance had too many holes"),
    rules::refuseIf("futex", bits(1, rules::kFutexCommand, 7), ENOSYS, "UNLOCK_PI, as LOCK_PI"),
    rules::refuseIf("futex", bits(1, rules::kFutexCommand, 8), ENOSYS, "TRYLOCK_PI, as LOCK_PI"),
    rules::refuseIf("futex", bits(1, rules::kFutexCommand, 11), ENOSYS, "WAIT_REQUEUE_PI, as LOCK_PI"),
    rules::refuseIf("futex", bits(1, rules::kFutexCommand, 12), ENOSYS, "CMP_REQUEUE_PI, as LOCK_PI"),
    rules::refuseIf("futex", bits(1, rules::kFutexCommand, 13), ENOSYS, "LOCK_PI2, as LOCK_PI"),
    rules::allow("futex", "sleep and wake: the runner's loop, mutexes, condition variables"),
    rules::refuseIf("futex_time64", bits(1, rules::kFutexCommand, 6), ENOSYS, "LOCK_PI, as futex"),
    rules::refuseIf("futex_time64", bits(1, rules::kFutexCommand, 7), ENOSYS, "UNLOCK_PI, as futex"),
    rules::refuseIf("futex_time64", bits(1, rules::kFutexCommand, 8), ENOSYS, "TRYLOCK_PI, as futex"),
    rules::refuseIf("futex_time64", bits(1, rules::kFutexCommand, 11), ENOSYS, "WAIT_REQUEUE_PI, as futex"),
    rules::refuseIf("futex_time64", bits(1, rules::kFutexCommand, 12), ENOSYS, "CMP_REQUEUE_PI, as futex"),
    rules::refuseIf("futex_time64", bits(1, rules::kFutexCommand, 13), ENOSYS, "LOCK_PI2, as futex"),
    rules::allow("futex_time64", "futex where time has 64 bits and words have 32"),
    rules::allow("write", "rings the doorbell; text to the log pipe; granted descriptors"),
    rules::allow("clock_gettime", "time, where the vDSO cannot tell it"),
    rules::allow("clock_gettime64", "as clock_gettime"),
    rules::allow("gettimeofday", "as clock_gettime"),
    rules::allow("time", "as clock_gettime"),
    rules::allow("clock_getres", "as clock_gettime"),
    rules::allow("clock_getres_time64", "as clock_gettime"),
    rules::allow("clock_nanosleep", "threads of a module sleep"),
    rules::allow("clock_nanosleep_time64", "as clock_nanosleep"),
    rules::allow("nanosleep", "as clock_nanosleep"),
    rules::allow("restart_syscall", "the kernel makes it after a signal ended a sleep"),

    // ---- descriptors that are there already ----
    rules::allow("read", "granted descriptors, eventfd"),
    rules::allow("readv", "as read"),
    rules::allow("writev", "as write; iostream"),
    rules::allowIf("recvmsg", bits(2, rules::kOutOfBand, 0), "the control socket; out-of-band data of UNIX sockets had holes"),
    rules::allow("close", "gives something up"),
    rules::allow("fstat", "streams ask for the size of a block"),
    rules::allow("fstat64", "as fstat"),
    rules::allow("epoll_create1", "threads of a module wait for granted descriptors"),
    rules::allow("epoll_ctl", "as epoll_create1"),
    rules::allow("epoll_wait", "as epoll_create1"),
    rules::allow("epoll_pwait", "as epoll_create1"),
    rules::allow("eventfd2", "wakes such a thread"),
    rules::allow("poll", "waits for granted descriptors, or sleeps"),
    rules::allow("ppoll", "as poll"),
    rules::allow("ppoll_time64", "as poll"),
    rules::allow("select", "as poll"),
    rules::allow("_newselect", "as poll"),
    rules::allow("pselect6", "as poll"),
    rules::allow("pselect6_time64", "as poll"),
    rules::allow("pause", "as poll"),
    rules::allowIf("fcntl", equals(1, rules::kGetFd), "asks only"),
    rules::allowIf("fcntl", equals(1, rules::kSetFd), "only about exec, which is refused"),
    rules::allowIf("fcntl", equals(1, rules::kGetFl), "asks only"),
    {"fcntl", Stage::kBoth, Action::kAllow, 0, {equals(1, rules::kSetFl), bits(2, ~rules::kHarmlessFlags, rules::kNonBlock)},
     "flags are shared with the host: without O_NONBLOCK its writes would block; no signals, no packets"},
    {"fcntl", Stage::kBoth, Action::kAllow, 0, {equals(1, rules::kSetLock)}, "locks of granted files", Files::kGranted},
    {"fcntl", Stage::kBoth, Action::kAllow, 0, {equals(1, rules::kSetLockWait)}, "locks of granted files", Files::kGranted},
    rules::allowIf("fcntl64", equals(1, rules::kGetFd), "as fcntl"),
    rules::allowIf("fcntl64", equals(1, rules::kSetFd), "as fcntl"),
    rules::allowIf("fcntl64", equals(1, rules::kGetFl), "as fcntl"),
    {"fcntl64", Stage::kBoth, Action::kAllow, 0, {equals(1, rules::kSetFl), bits(2, ~rules::kHarmlessFlags, rules::kNonBlock)},
     "as fcntl"},
    rules::refuse("ioctl", ENOTTY, "libc asks whether a stream is a terminal; no other has a use here"),

    // ---- memory ----
    rules::allow("madvise", "malloc gives memory back"),
    rules::allow("munmap", "malloc, ends of threads"),
    rules::allow("brk", "malloc"),
    rules::allow("mremap", "realloc of large blocks"),
    rules::allowIf("mmap", bits(2, rules::kProtExec, 0), "malloc, stacks of threads"),
    rules::loading("mmap", bits(2, rules::kProtWrite | rules::kProtExec, rules::kProtExec),
                   bits(3, rules::kMapAnonymous, 0), "the text of the module and its libraries"),
    rules::allowIf("mmap2", bits(2, rules::kProtExec, 0), "as mmap"),
    rules::loading("mmap2", bits(2, rules::kProtWrite | rules::kProtExec, rules::kProtExec),
                   bits(3, rules::kMapAnonymous, 0), "as mmap"),
    rules::allowIf("mprotect", bits(2, rules::kProtExec, 0), "guard pages; relocated data becomes read-only"),

    // ---- threads and signals ----
    rules::allowIf("clone", bits(0, ~rules::kDetached, rules::kThreadFlags), "a thread, as libc makes them, and nothing else"),
    rules::refuseIf("clone", bits(0, rules::kVfork, rules::kVfork), EPERM,
                    "system() and posix_spawn() block SIGSYS around it: a trap would kill them"),
    rules::refuse("clone3", ENOSYS, "its flags are behind a pointer; libc falls back to clone"),
    rules::allow("set_robust_list", "libc, in each new thread"),
    rules::allow("rseq", "libc, in each new thread"),
    rules::allow("gettid", "libc, raise()"),
    rules::allow("getpid", "libc, raise()"),
    rules::allow("getuid", "cannot fail; tells that we are nobody"),
    rules::allow("geteuid", "as getuid"),
    rules::allow("getgid", "as getuid"),
    rules::allow("getegid", "as getuid"),
    rules::allow("getuid32", "as getuid"),
    rules::allow("geteuid32", "as getuid"),
    rules::allow("getgid32", "as getuid"),
    rules::allow("getegid32", "as getuid"),
    rules::allowIf("tgkill", ownPid(0), "abort() and raise(), to the own threads alone"),
    rules::trapIf("rt_sigaction", equals(0, rules::kSigSys), "the handler that reports stays"),
    rules::allow("rt_sigaction", "abort(); a module may handle its own faults"),
    rules::allow("rt_sigprocmask", "libc, around the start of a thread"),
    rules::allow("rt_sigreturn", "the end of a handler"),
    rules::allow("sigreturn", "as rt_sigreturn"),
    rules::allow("sigaltstack", "handlers of a stack that overflowed"),
    rules::allow("exit", "the end of a thread"),
    rules::allow("exit_group", "the end"),

    // ---- what libc tries and can do without ----
    rules::allow("getrandom", "std::random_device, hash seeds"),
    rules::refuse("sysinfo", EPERM, "qsort() asks how much memory there is"),
    rules::refuse("uname", EPERM, "tells about the machine"),
    rules::refuse("sched_getaffinity", EPERM, "hardware_concurrency(): tells about the machine"),
    rules::refuse("getcpu", ENOSYS, "tells about the machine"),
    rules::refuse("mseal", ENOSYS, "newer libcs seal what they loaded"),
    rules::refuse("riscv_hwprobe", ENOSYS, "libc chooses its copies of functions by it"),
    rules::refuse("membarrier", ENOSYS, "libraries fall back to fences"),
    rules::refuseIf("prlimit64", equals(0, 0), EPERM, "getrlimit(): limits are the launcher's"),
    rules::refuse("getrlimit", EPERM, "as prlimit64"),
    rules::refuse("ugetrlimit", EPERM, "as prlimit64"),
    rules::refuse("timerfd_create", ENOSYS, "waits have deadlines of their own"),
    rules::refuseIf("prctl", equals(0, rules::kSetName), EPERM, "names of threads are not for a module to choose"),
    rules::refuseIf("prctl", equals(0, rules::kGetName), EPERM, "as PR_SET_NAME"),
    rules::refuseIf("prctl", equals(0, rules::kSetVma), EINVAL, "malloc of newer libcs names its memory"),

    // ---- files ----
    {"lseek", Stage::kLoading, Action::kAllow, 0, {}, "dlopen"},
    rules::files("lseek", "granted files"),
    rules::refuse("lseek", ESPIPE, "streams ask whether they can seek"),
    {"_llseek", Stage::kLoading, Action::kAllow, 0, {}, "dlopen"},
    rules::files("_llseek", "granted files"),
    rules::refuse("_llseek", ESPIPE, "as lseek"),
    {"pread64", Stage::kLoading, Action::kAllow, 0, {}, "dlopen"},
    rules::files("pread64", "granted files"),
    rules::files("openat", "granted files, within Landlock and what is mounted"),
    rules::loading("openat", bits(2, rules::kWritingFlags, 0), {}, "dlopen, to read alone"),
    {"openat", Stage::kLoading, Action::kErrno, EACCES, {}, "nothing may be written"},
    rules::refuse("openat", ENOENT, "localtime(), locales: there are no files"),
    rules::files("open", "as openat"),
    rules::refuse("open", ENOENT, "as openat"),
    rules::files("newfstatat", "granted files"),
    {"newfstatat", Stage::kLoading, Action::kAllow, 0, {}, "dlopen"},
    rules::refuse("newfstatat", ENOENT, "as openat; fstat() of libc is this call too, and streams live with no answer"),
    rules::files("fstatat64", "granted files"),
    {"fstatat64", Stage::kLoading, Action::kAllow, 0, {}, "dlopen"},
    rules::refuse("fstatat64", ENOENT, "as newfstatat"),
    rules::files("statx", "granted files"),
    {"statx", Stage::kLoading, Action::kAllow, 0, {}, "dlopen where words have 32 bits"},
    rules::refuse("statx", ENOENT, "as newfstatat"),
    rules::files("stat", "granted files"),
    rules::refuse("stat", ENOENT, "as newfstatat"),
    rules::files("lstat", "granted files"),
    rules::refuse("lstat", ENOENT, "as newfstatat"),
    rules::files("stat64", "granted files"),
    rules::refuse("stat64", ENOENT, "as newfstatat"),
    rules::files("lstat64", "granted files"),
    rules::refuse("lstat64", ENOENT, "as newfstatat"),
    rules::files("access", "granted files"),
    rules::refuse("access", ENOENT, "as openat"),
    rules::files("faccessat", "granted files"),
    rules::refuse("faccessat", ENOENT, "as openat"),
    rules::files("faccessat2", "granted files"),
    rules::refuse("faccessat2", ENOENT, "as openat"),
    rules::refuse("readlink", ENOENT, "as openat"),
    rules::refuse("readlinkat", ENOENT, "as openat"),
    rules::files("pwrite64", "granted files"),
    rules::files("ftruncate", "granted files"),
    rules::files("ftruncate64", "granted files"),
    rules::files("fsync", "granted files"),
    rules::files("fdatasync", "granted files"),
    rules::files("getdents64", "granted directories"),
    rules::files("unlink", "granted directories"),
    rules::files("unlinkat", "granted directories"),
    rules::files("rename", "granted directories"),
    rules::files("renameat", "granted directories"),
    rules::files("renameat2", "granted directories"),
    rules::files("mkdir", "granted directories"),
    rules::files("mkdirat", "granted directories"),
    rules::files("rmdir", "granted directories"),

    // ---- the second filter itself ----
    rules::loading("seccomp", equals(0, rules::kSetModeFilter), equals(1, rules::kTsync),
                   "exactly what installs a further filter on all threads: no listener, no log"),
};
// clang-format on

inline constexpr std::size_t kRuleCount = std::size(kRules);

}  // namespace kante
