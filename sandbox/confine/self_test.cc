#include "sandbox/confine/self_test.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sandbox/confine/report.h"

namespace kante {

namespace {

constexpr std::size_t kPage = 4096;
constexpr long kExecutable = PROT_READ | PROT_EXEC;

long fork() {
  const long child = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) ::_exit(0);
  return child;
}

long makeExecutable() {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const long answer = ::syscall(SYS_mprotect, page, kPage, kExecutable);
  const int error = errno;
  ::munmap(page, kPage);
  errno = error;
  return answer;
}

// By the filter: the arguments are such that without it the kernel would do it or answer otherwise.
struct Act {
  const char* name;
  long (*attempt)();
};
constexpr Act kTrapped[] = {
    {"open a socket", [] { return ::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
    {"open a UNIX socket", [] { return ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
    {"execute a program", [] { return ::syscall(SYS_execve, nullptr, nullptr, nullptr); }},
    {"fork", fork},
    {"be traced", [] { return ::syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }},
    {"make a namespace", [] { return ::syscall(SYS_unshare, CLONE_NEWUSER); }},
    {"make a memory file", [] { return ::syscall(SYS_memfd_create, "", 0); }},
    {"be dumpable", [] { return ::syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }},
    {"listen to its own filter",
     [] {
       return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                        nullptr);
     }},
    {"signal another process", [] { return ::syscall(SYS_kill, 1, 0); }},
    {"make memory that can be executed",
     [] {
#if defined(SYS_mmap2)
       return ::syscall(SYS_mmap2, 0, kPage, kExecutable, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
       return ::syscall(SYS_mmap, 0, kPage, kExecutable, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#endif
     }},
    {"make its memory executable", makeExecutable},
};

// By Landlock, or because it is not there.
struct Path {
  const char* path;
  int flags;
};
constexpr Path kAbsent[] = {{"/etc/passwd", O_RDONLY}, {"/proc/self/mem", O_RDONLY}};

}  // namespace

std::string tryForbiddenActs(Facts& facts) {
  std::string error;
  for (const Act& act : kTrapped) {
    const std::uint32_t before = reportedViolations();
    const long answer = act.attempt();
    const bool refused = answer < 0 && errno == EPERM && reportedViolations() == before + 1;
    ++facts.tried;
    facts.refused += refused ? 1 : 0;
    if (!refused && error.empty()) error = std::string("can still ") + act.name;
  }
  for (const Path& each : kAbsent) {
    const int fd = ::open(each.path, each.flags | O_CLOEXEC);
    ++facts.tried;
    facts.refused += fd < 0 ? 1 : 0;
    if (fd >= 0 && error.empty()) error = std::string("can still open `") + each.path + "`";
    if (fd >= 0) ::close(fd);
  }
  forgetViolations();
  return error;
}

}  // namespace kante
