#include "sandbox/launcher/child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "sandbox/launcher/fd.h"
#include "sandbox/launcher/rlimits.h"
#include "sandbox/launcher/root.h"
#include "sandbox/launcher/steps.h"
#include "sandbox/wire/shared_pages.h"

namespace kante::launcher {
namespace {

constexpr const char* kSpaces[6] = {"user", "mnt", "pid", "net", "ipc", "uts"};  // As in Spawned.
constexpr int kHighFds = 200;             // Above whatever a runner is given.
constexpr const char* kOomScore = "500";  // Before the host, if memory is short.

// A copy of what the launcher has open would keep it open once the launcher is gone: the host would
// not hear of that, nor would this process or another one that is on its way.
void keepOnly(const ChildPlan& plan, Steps& steps) {
  std::vector<int> kept = plan.descriptors;
  kept.push_back(plan.sync_fd);
  if (plan.runner_fd >= 0) kept.push_back(plan.runner_fd);
  if (plan.group != nullptr) {
    for (const int fd : plan.group->descriptors()) kept.push_back(fd);
  }
  std::sort(kept.begin(), kept.end());
  steps.at("closing what is the launcher's");
  int next = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd > next) steps.must(::syscall(SYS_close_range, next, fd - 1, 0) == 0, "close_range");
    next = std::max(next, fd + 1);
  }
  steps.must(::syscall(SYS_close_range, next, ~0U, 0) == 0, "close_range");
}

// Also where the launcher was gone before it could be watched: only it has the other end.
void waitForGo(const ChildPlan& plan) {
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::recv(plan.sync_fd, &byte, 1, 0);
  } while (got < 0 && errno == EINTR);
  if (got != 1) ::_exit(127);  // The launcher is gone, or has changed its mind.
}

// Nothing of how the launcher was started is passed on.
void beOrdinary(Steps& steps) {
  steps.at("a session of its own");
  steps.must(::setsid() >= 0);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);  // Two may not change.
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(077);
  steps.must(::chdir("/") == 0, "no folder held");
  // Only a preference: some systems let nobody say it.
  (void)writeSmallFile(AT_FDCWD, "/proc/self/oom_score_adj", kOomScore);
}

// The same number for user and group; no other groups, where that can be said.
void takeId(const ChildPlan& plan, uid_t id, Steps& steps) {
  steps.at("taking its own user and group");
  if (plan.is_root) steps.must(::setgroups(0, nullptr) == 0, "setgroups");
  steps.must(::setresgid(id, id, id) == 0, "setresgid");
  steps.must(::setresuid(id, id, id) == 0, "setresuid");
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // Or its files in /proc are not its own; undone by exec.
}

void mapSelf(int proc_fd, Steps& steps) {
  const std::string map = std::to_string(kInnerId) + " " + std::to_string(kInnerId) + " 1";
  steps.must(writeSmallFile(proc_fd, "self/setgroups", "deny"), "setgroups");
  steps.must(writeSmallFile(proc_fd, "self/gid_map", map), "gid_map");
  steps.must(writeSmallFile(proc_fd, "self/uid_map", map), "uid_map");
}

// A second user namespace, in which nobody may make a third, and that owns none of the others.
void forbidNamespaces(int proc_fd, Steps& steps) {
  steps.at("forbidding more user namespaces");
  steps.must(writeSmallFile(proc_fd, "sys/user/max_user_namespaces", "1"), "max_user_namespaces");
  steps.must(::unshare(CLONE_NEWUSER) == 0, "unshare");
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  mapSelf(proc_fd, steps);
  if (::unshare(CLONE_NEWUSER) == 0) steps.failWith("more user namespaces can be made still");
}

// The bounding set and the securebits need a capability, so they go first.
void dropCapabilities(Steps& steps) {
  steps.at("dropping capabilities");
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  const bool may = ::prctl(PR_CAPBSET_DROP, 0, 0, 0, 0) == 0;  // Else it has none to pass on.
  for (int number = 1; may && ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number)
    steps.must(::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0);
  constexpr unsigned long kLocked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                    SECBIT_NO_CAP_AMBIENT_RAISE |
                                    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (may) steps.must(::prctl(PR_SET_SECUREBITS, kLocked, 0, 0, 0) == 0, "securebits");
}

void dropRest(Steps& steps) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  steps.must(::syscall(SYS_capset, &header, none) == 0, "capset");
  steps.must(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
}

// Again and last, because a change of ids clears it.
void dieWithLauncher(Steps& steps) {
  steps.at("ending with the launcher");
  steps.must(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
  char byte = 0;
  if (::recv(steps.reportFd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) ::_exit(127);
}

int high(int fd, const Steps& steps) {
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, kHighFds);
  steps.must(moved >= 0);
  return moved;
}

void place(int from, int to, const Steps& steps) { steps.must(::dup2(from, to) == to); }

// Exactly those of shared_pages.h; what it needs until execve goes with it.  Returns the runner.
int arrange(const ChildPlan& plan, Steps& steps) {
  steps.at("arranging descriptors");
  std::vector<int> given;
  for (const int fd : plan.descriptors) given.push_back(high(fd, steps));
  steps.moveReport(high(steps.reportFd(), steps));
  const int runner = high(plan.runner_fd, steps);
  place(given[4], kRunnerOutFd, steps);
  place(given[4], kRunnerErrFd, steps);
  place(given[0], kRunnerControlFd, steps);
  place(given[1], kRunnerHostFileFd, steps);
  place(given[2], kRunnerRunnerFileFd, steps);
  place(given[3], kRunnerDoorbellFd, steps);
  if (moduleIsFile(plan.order.tier)) {
    ::close(kRunnerModuleFd);
  } else {
    place(given[5], kRunnerModuleFd, steps);
  }
  // From kHighFds on all of them close at execve.
  steps.must(::syscall(SYS_close_range, kRunnerFdsEnd, kHighFds - 1, 0) == 0, "close_range");
  steps.must(::syscall(SYS_close_range, kHighFds, ~0U, CLOSE_RANGE_CLOEXEC) == 0, "close_range");
  return runner;
}

void nameSpaces(int proc_fd, std::uint64_t (&out)[6], Steps& steps) {
  for (int n = 0; n < 6; ++n) {
    struct stat space {};
    const std::string path = std::string("self/ns/") + kSpaces[n];
    steps.must(::fstatat(proc_fd, path.c_str(), &space, 0) == 0, path);
    out[n] = space.st_ino;
  }
}

[[noreturn]] void execute(const ChildPlan& plan, int runner_fd, Steps& steps) {
  steps.at("execve of kante-runner");
  std::string name = "kante-runner";
  std::string module = plan.order.name;
  std::vector<char*> arguments = {name.data(), module.data(), nullptr};
  std::string library_path = std::string("LD_LIBRARY_PATH=") + Libraries::kFolder;
  std::vector<char*> environment;
  if (plan.namespaces()) environment.push_back(library_path.data());
#if defined(KANTE_SANITIZED)
  for (char** each = environ; *each != nullptr; ++each) {
    if (std::string(*each).find("SAN_OPTIONS=") != std::string::npos) environment.push_back(*each);
  }
#endif
  environment.push_back(nullptr);
  ::execveat(runner_fd, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
  steps.fail("");
}

}  // namespace

std::uint64_t cloneFlags(const ChildPlan& plan) {
  if (!plan.namespaces()) return 0;
  return CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
}

void becomeRunner(const ChildPlan& plan) {
  Steps steps(plan.sync_fd);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  keepOnly(plan, steps);
  waitForGo(plan);
  if (plan.group != nullptr) {
    const std::string failed = plan.group->enter();
    if (!failed.empty()) steps.failWith("entering its control group: " + failed);
  }
  beOrdinary(steps);
  // Here, because the new root has no /dev.
  steps.at("opening /dev/null");
  const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  steps.must(null_fd >= 0);
  steps.must(::dup2(null_fd, kRunnerNullFd) == kRunnerNullFd);
  std::uint64_t spaces[6] = {};
  if (plan.namespaces()) {
    takeId(plan, kInnerId, steps);
    steps.at("a cgroup namespace");
    steps.must(::unshare(CLONE_NEWCGROUP) == 0);
    steps.must(::sethostname("kante", 5) == 0, "its name");
    const bool has_module = !plan.descriptors.empty();
    const Fd proc = enterRoot({plan.libraries, has_module ? plan.descriptors[5] : -1,
                               plan.order.module_file, plan.order.data_mb},
                              steps);
    forbidNamespaces(proc.get(), steps);
    nameSpaces(proc.get(), spaces, steps);
    dropCapabilities(steps);
  } else {
    dropCapabilities(steps);
    if (plan.is_root) takeId(plan, plan.id, steps);
  }
  dropRest(steps);
  if (plan.descriptors.empty()) {
    steps.ready(spaces);
    ::_exit(0);
  }
  const int runner = arrange(plan, steps);
  setLimits(plan, steps);
  dieWithLauncher(steps);
  steps.ready(spaces);
  execute(plan, runner, steps);
}

}  // namespace kante::launcher
