// What the filters must answer to which call, on every architecture.
//
// Written by hand from what the sandbox promises, not from the rules: the two must agree.
#pragma once

#include <linux/sched.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <optional>
#include <vector>

namespace kante::cases {

inline constexpr std::uint32_t kPid = 4711;  // Of the asking process.
// What an argument that is an int does not see.
inline constexpr std::uint64_t kHigh = std::uint64_t{1} << 32;
inline constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW, kTrap = SECCOMP_RET_TRAP,
                               kKill = SECCOMP_RET_KILL_PROCESS;
constexpr std::uint32_t refused(int error) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
}

// One call with the answers of filter 1 and filter 2, and where files were granted if they differ.
struct Case {
  const char* call;
  std::vector<std::uint64_t> args;
  std::uint32_t loading, running;
  std::optional<std::uint32_t> loading_files = {}, running_files = {};
};

inline constexpr std::uint64_t kRead = 1, kWrite = 2, kExec = 4, kAnonymous = 0x22, kPrivate = 2;
inline constexpr std::uint64_t kThread = 0x3d0f00;

inline const std::vector<Case> kCases = {
    // The runner's loop.
    {"futex", {0, 0}, kAllow, kAllow},
    {"futex", {0, 129}, kAllow, kAllow},
    {"futex", {0, 6}, refused(ENOSYS), refused(ENOSYS)},
    {"futex", {0, 128 | 13}, refused(ENOSYS), refused(ENOSYS)},
    {"futex", {0, kHigh | 256 | 11}, refused(ENOSYS), refused(ENOSYS)},
    {"sched_yield", {}, kAllow, kAllow},
    {"clock_gettime", {1}, kAllow, kAllow},
    {"write", {6}, kAllow, kAllow},
    {"sendmsg", {3, 0, 0x4000}, kTrap, kTrap},
    {"recvmsg", {3, 0, 0x40}, kAllow, kAllow},
    {"recvmsg", {3, 0, 1}, kTrap, kTrap},
    {"sendmsg", {3, 0, 0x4001}, kTrap, kTrap},
    {"nanosleep", {}, kAllow, kAllow},
    // Memory.
    {"mmap", {0, 4096, kRead | kWrite, kAnonymous}, kAllow, kAllow},
    {"mmap", {0, 4096, kRead | kWrite, kPrivate, 3}, kAllow, kAllow},
    {"mmap", {0, 4096, kRead | kExec, kPrivate, 7}, kAllow, kTrap},
    {"mmap", {0, 4096, kRead | kWrite | kExec, kPrivate, 7}, kTrap, kTrap},
    {"mmap", {0, 4096, kRead | kExec, kAnonymous}, kTrap, kTrap},
    {"mmap", {0, 4096, kHigh | kExec, kAnonymous}, kTrap, kTrap},
    {"mmap", {0, 4096, kRead | kExec, kHigh | kAnonymous}, kTrap, kTrap},
    {"mmap2", {0, 4096, kRead | kExec, kPrivate, 7}, kAllow, kTrap},
    {"mmap2", {0, 4096, kRead | kExec, kAnonymous}, kTrap, kTrap},
    {"mprotect", {0, 4096, kRead}, kAllow, kAllow},
    {"mprotect", {0, 4096, kRead | kExec}, kTrap, kTrap},
    {"mprotect", {0, 4096, kHigh | kExec}, kTrap, kTrap},
    {"pkey_mprotect", {0, 4096, kRead}, kTrap, kTrap},
    {"memfd_create", {}, kTrap, kTrap},
    {"shmat", {}, kTrap, kTrap},
    {"remap_file_pages", {}, kTrap, kTrap},
    {"userfaultfd", {}, kTrap, kTrap},
    // Threads, processes, signals.
    {"clone", {kThread}, kAllow, kAllow},
    {"clone", {kThread | 0x400000}, kAllow, kAllow},
    {"clone", {kHigh | kThread}, kAllow, kAllow},  // The kernel takes the lower half.
    {"clone", {SIGCHLD}, kTrap, kTrap},
    {"clone", {kThread | CLONE_NEWUSER}, kTrap, kTrap},
    {"clone", {kThread & ~std::uint64_t{CLONE_THREAD}}, kTrap, kTrap},
    {"clone", {CLONE_VM | CLONE_VFORK | SIGCHLD}, refused(EPERM), refused(EPERM)},
    {"clone3", {}, refused(ENOSYS), refused(ENOSYS)},
    {"fork", {}, kTrap, kTrap},
    {"vfork", {}, kTrap, kTrap},
    {"execve", {}, kTrap, kTrap},
    {"execveat", {}, kTrap, kTrap},
    {"tgkill", {kPid, 99, 6}, kAllow, kAllow},
    {"tgkill", {kPid + 1, 99, 6}, kTrap, kTrap},
    {"tgkill", {0}, kTrap, kTrap},
    {"tgkill", {0xffffffff}, kTrap, kTrap},
    {"kill", {kPid, 9}, kTrap, kTrap},
    {"tkill", {kPid, 9}, kTrap, kTrap},
    {"rt_sigqueueinfo", {kPid, 9}, kTrap, kTrap},
    {"pidfd_open", {1}, kTrap, kTrap},
    {"pidfd_send_signal", {}, kTrap, kTrap},
    {"rt_sigaction", {11}, kAllow, kAllow},
    {"rt_sigaction", {31}, kTrap, kTrap},
    {"rt_sigaction", {kHigh | 31}, kTrap, kTrap},
    {"prctl", {15}, refused(EPERM), refused(EPERM)},
    {"prctl", {kHigh | 15}, refused(EPERM), refused(EPERM)},
    {"prctl", {4, 1}, kTrap, kTrap},
    {"arch_prctl", {}, kTrap, kTrap},
    {"setpriority", {}, kTrap, kTrap},
    {"sched_setscheduler", {}, kTrap, kTrap},
    {"prlimit64", {0, 7}, refused(EPERM), refused(EPERM)},
    {"prlimit64", {1, 7}, kTrap, kTrap},
    {"setrlimit", {}, kTrap, kTrap},
    // The filters themselves.
    {"seccomp", {1, 1}, kAllow, kTrap},
    {"seccomp", {1, 8}, kTrap, kTrap},
    {"seccomp", {1, 9}, kTrap, kTrap},
    {"seccomp", {1, 0}, kTrap, kTrap},
    {"seccomp", {0, 0}, kTrap, kTrap},
    {"seccomp", {kHigh | 1, kHigh | 1}, kAllow, kTrap},
    // Descriptors.
    {"ioctl", {0, 0x5412}, refused(ENOTTY), refused(ENOTTY)},
    {"ioctl", {0, kHigh | 0x5412}, refused(ENOTTY), refused(ENOTTY)},
    {"ioctl", {6, 0x5421}, refused(ENOTTY), refused(ENOTTY)},
    {"fcntl", {6, 3}, kAllow, kAllow},
    {"fcntl", {6, 4, 04000}, kAllow, kAllow},
    {"fcntl", {6, 4, 0104002}, kAllow, kAllow},
    {"fcntl", {6, 4, 04000 | 020000}, kTrap, kTrap},
    {"fcntl", {6, 4, 04000 | 040000}, kTrap, kTrap},
    {"fcntl", {6, 4, 02000}, kTrap, kTrap},
    {"fcntl", {6, 4, 0}, kTrap, kTrap},
    {"fcntl", {6, 4, kHigh | 0}, kTrap, kTrap},
    {"fcntl", {6, 0, 9}, kTrap, kTrap},
    {"fcntl", {6, 1030, 9}, kTrap, kTrap},
    {"fcntl", {6, 1033, 9}, kTrap, kTrap},
    {"fcntl", {6, 6}, kTrap, kTrap, kAllow, kAllow},
    {"fcntl64", {6, 4, 0}, kTrap, kTrap},
    {"dup", {3}, kTrap, kTrap},
    {"dup2", {3, 9}, kTrap, kTrap},
    {"dup3", {3, 9}, kTrap, kTrap},
    {"close_range", {0, 99}, kTrap, kTrap},
    {"pidfd_getfd", {}, kTrap, kTrap},
    // Files.
    {"openat", {0xffffff9c, 0, 02000000}, kAllow, refused(ENOENT), kAllow, kAllow},
    {"openat", {0xffffff9c, 0, 1}, refused(EACCES), refused(ENOENT), kAllow, kAllow},
    {"openat", {0xffffff9c, 0, kHigh | 2}, refused(EACCES), refused(ENOENT), kAllow, kAllow},
    {"openat", {0xffffff9c, 0, 0100}, refused(EACCES), refused(ENOENT), kAllow, kAllow},
    {"openat", {0xffffff9c, 0, 020000000}, refused(EACCES), refused(ENOENT), kAllow, kAllow},
    {"openat2", {}, kTrap, kTrap},
    {"newfstatat", {}, kAllow, refused(ENOENT), kAllow, kAllow},
    {"access", {}, refused(ENOENT), refused(ENOENT), kAllow, kAllow},
    {"readlink", {}, refused(ENOENT), refused(ENOENT)},
    {"pread64", {7}, kAllow, kTrap, kAllow, kAllow},
    {"pwrite64", {7}, kTrap, kTrap, kAllow, kAllow},
    {"lseek", {7}, kAllow, refused(ESPIPE), kAllow, kAllow},
    {"unlinkat", {}, kTrap, kTrap, kAllow, kAllow},
    {"linkat", {}, kTrap, kTrap},
    {"symlinkat", {}, kTrap, kTrap},
    {"mknodat", {}, kTrap, kTrap},
    {"fchmodat", {}, kTrap, kTrap},
    {"chdir", {}, kTrap, kTrap},
    {"open_by_handle_at", {}, kTrap, kTrap},
    {"name_to_handle_at", {}, kTrap, kTrap},
    {"truncate", {}, kTrap, kTrap},
    // Sockets, IPC, kernel doors.
    {"socket", {2, 1}, kTrap, kTrap},
    {"socketpair", {}, kTrap, kTrap},
    {"connect", {}, kTrap, kTrap},
    {"bind", {}, kTrap, kTrap},
    {"sendto", {}, kTrap, kTrap},
    {"setsockopt", {}, kTrap, kTrap},
    {"shmget", {}, kTrap, kTrap},
    {"msgget", {}, kTrap, kTrap},
    {"mq_open", {}, kTrap, kTrap},
    {"unshare", {}, kTrap, kTrap},
    {"setns", {}, kTrap, kTrap},
    {"mount", {}, kTrap, kTrap},
    {"umount2", {}, kTrap, kTrap},
    {"pivot_root", {}, kTrap, kTrap},
    {"chroot", {}, kTrap, kTrap},
    {"fsopen", {}, kTrap, kTrap},
    {"move_mount", {}, kTrap, kTrap},
    {"mount_setattr", {}, kTrap, kTrap},
    {"ptrace", {}, kTrap, kTrap},
    {"process_vm_readv", {}, kTrap, kTrap},
    {"process_vm_writev", {}, kTrap, kTrap},
    {"bpf", {}, kTrap, kTrap},
    {"perf_event_open", {}, kTrap, kTrap},
    {"io_uring_setup", {}, kTrap, kTrap},
    {"keyctl", {}, kTrap, kTrap},
    {"add_key", {}, kTrap, kTrap},
    {"personality", {}, kTrap, kTrap},
    {"setuid", {}, kTrap, kTrap},
    {"setgroups", {}, kTrap, kTrap},
    {"capset", {}, kTrap, kTrap},
    {"modify_ldt", {}, kTrap, kTrap},
    {"init_module", {}, kTrap, kTrap},
    {"reboot", {}, kTrap, kTrap},
    {"clock_settime", {}, kTrap, kTrap},
    // What libc tries.
    {"sysinfo", {}, refused(EPERM), refused(EPERM)},
    {"mseal", {}, refused(ENOSYS), refused(ENOSYS)},
    {"riscv_hwprobe", {}, refused(ENOSYS), refused(ENOSYS)},
    {"uname", {}, refused(EPERM), refused(EPERM)},
    {"sched_getaffinity", {}, refused(EPERM), refused(EPERM)},
    {"getrandom", {}, kAllow, kAllow},
};

}  // namespace kante::cases
