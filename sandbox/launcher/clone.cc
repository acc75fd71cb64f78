#include "sandbox/launcher/clone.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace kante::launcher {

#if !defined(KANTE_SANITIZED)
namespace {

// All zero but the first: their order, which differs between machines, does not matter.
pid_t cloneOld(std::uint64_t namespaces, int* pidfd) {
  const std::uint64_t flags = namespaces | CLONE_PIDFD | SIGCHLD;
  return static_cast<pid_t>(::syscall(SYS_clone, flags, nullptr, pidfd, nullptr, nullptr));
}

}  // namespace
#endif

pid_t cloneProcess(std::uint64_t namespaces, int& group, Fd& pidfd) {
#if defined(KANTE_SANITIZED)
  (void)namespaces;
  group = -1;
  const pid_t child = ::fork();
  if (child > 0) pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  return child;
#else
  int out = -1;
  clone_args arguments{};
  arguments.flags = namespaces | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&out);
  arguments.exit_signal = SIGCHLD;
  if (group >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(group);
  }
  auto child = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (child < 0 && group >= 0 && (errno == E2BIG || errno == EINVAL)) {
    group = -1;  // Before, because the child has to know as well.
    arguments.flags &= ~std::uint64_t{CLONE_INTO_CGROUP};  // Linux 5.7.
    arguments.cgroup = 0;
    child = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, CLONE_ARGS_SIZE_VER0));
  }
  if (child < 0 && errno == ENOSYS) {
    group = -1;
    child = cloneOld(namespaces, &out);
  }
  if (child > 0) pidfd = Fd(out);
  return child;
#endif
}

std::string mapIds(pid_t pid, uid_t inner, uid_t outer, Groups groups) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/";
  const std::string map = std::to_string(inner) + " " + std::to_string(outer) + " 1";
  const bool stay = groups == Groups::kStay;
  for (const auto& [file, text] : {std::pair<std::string, std::string>{"setgroups", "deny"},
                                   {"gid_map", map},
                                   {"uid_map", map}}) {
    if (file == "setgroups" && !stay) continue;
    if (!writeSmallFile(AT_FDCWD, folder + file, text)) return errnoText(file, errno);
  }
  return {};
}

}  // namespace kante::launcher
