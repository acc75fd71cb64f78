// What this machine allows, found out by doing it, and what to change where it does not.
#include <fcntl.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "sandbox/launcher/clone.h"
#include "sandbox/launcher/service.h"
#include "sandbox/launcher/steps.h"

namespace kante::launcher {
namespace {

constexpr long kLandlockCreateRuleset = 444;  // Same number on every architecture.
constexpr unsigned kLandlockVersion = 1;
constexpr time_t kTrialSecondsMax = 5;

std::uint32_t landlockVersion() {
  const long version = ::syscall(kLandlockCreateRuleset, nullptr, 0, kLandlockVersion);
  return version > 0 ? static_cast<std::uint32_t>(version) : 0;
}

bool hasSeccomp() {
  for (std::uint32_t action : {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO}) {
    if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) return false;
  }
  return true;
}

// The usual reasons, each with its switch.
std::string adviceForNamespaces(const std::string& failed) {
  const auto isSetTo = [](const char* file, const char* value) {
    return readSmallFile(AT_FDCWD, file).rfind(value, 0) == 0;
  };
  std::string advice;
  if (isSetTo("/proc/sys/user/max_user_namespaces", "0\n")) {
    advice = "set sysctl user.max_user_namespaces=10000";
  } else if (isSetTo("/proc/sys/kernel/unprivileged_userns_clone", "0")) {
    advice = "set sysctl kernel.unprivileged_userns_clone=1, or start kante as root";
  } else if (isSetTo("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")) {
    advice = "set sysctl kernel.apparmor_restrict_unprivileged_userns=0, or start kante as root";
  } else if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) > 0) {
    advice = "let the container's seccomp profile allow namespaces and mounts";
  } else {
    advice = "let this user make user namespaces and mounts in them";
  }
  return "no namespaces (" + failed + "): " + advice;
}

// What was only needed for the start need not stay mapped; a few pages come back.
int dropPages(dl_phdr_info* info, std::size_t, void*) {
  for (int n = 0; n < info->dlpi_phnum; ++n) {
    const ElfW(Phdr)& part = info->dlpi_phdr[n];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_W) != 0) continue;
    const std::uintptr_t page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t begin = (info->dlpi_addr + part.p_vaddr) / page * page;
    const std::uintptr_t end = info->dlpi_addr + part.p_vaddr + part.p_memsz;
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

void addSentence(std::string& to, const std::string& sentence) {
  if (sentence.empty()) return;
  to += (to.empty() ? "" : "; ") + sentence;
}

}  // namespace

void Service::enterGroups() {
  if (cgroups_) return;
  cgroups_ = std::make_unique<Cgroups>(role_);
  cgroups_->removeLeftovers();
}

void Service::leaveGroups() {
  if (cgroups_) cgroups_->leave();
}

// Libraries are found again where one of them has gone, as it does with an update of the system.
std::string Service::prepare() {
  enterGroups();
  if (!runner_) return "kante-runner does not lie beside kante-launcher; install it there";
  return areThere(libraries_) ? std::string() : findLibraries(runner_.get(), libraries_);
}

// A child that does all that a runner does before it executes.  Empty, or what failed.
std::string Service::trial(ChildPlan plan) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return errnoText("socketpair", errno);
  const Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const timeval patience{kTrialSecondsMax, 0};
  ::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  plan.sync_fd = theirs.get();
  Fd pidfd;
  int no_group = -1;
  const pid_t child = cloneProcess(cloneFlags(plan), no_group, pidfd);
  if (child < 0) return errnoText("clone", errno);
  if (child == 0) becomeRunner(plan);
  theirs.reset();
  const Groups groups = plan.is_root ? Groups::kMayBeDropped : Groups::kStay;
  std::string failed;
  if (plan.namespaces()) failed = mapIds(child, kInnerId, plan.id, groups);
  ChildReport report;
  if (!failed.empty()) {
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  } else if (::send(ours.get(), "", 1, MSG_NOSIGNAL) != 1 ||
             ::recv(ours.get(), &report, sizeof report, 0) != sizeof report) {
    failed = "a trial ended";
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  } else if (report.failed != 0) {
    report.text[sizeof report.text - 1] = '\0';
    failed = report.text;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return failed;
}

const Can& Service::can() {
  if (knows_) return can_;
  can_ = Can();
  learn();
  knows_ = true;
  ::dl_iterate_phdr(dropPages, nullptr);
  return can_;
}

void Service::learn() {
  std::string better;
  const std::string unprepared = prepare();
  can_.limits = cgroups_->kind();
  can_.landlock_abi = landlockVersion();
  can_.seccomp = hasSeccomp() ? 1 : 0;
  std::string failed = unprepared;
  if (unprepared.empty()) {
    ChildPlan plan;
    plan.order.tier = 3;
    plan.libraries = &libraries_;
    plan.id = ids_.of(0);
    plan.is_root = ids_.mayTakeAny();
    failed = trial(std::move(plan));
  }
  can_.namespaces = failed.empty() ? 1 : 0;
  if (unprepared.empty() && can_.seccomp != 0) {
    const bool landlock = can_.landlock_abi != 0;
    can_.tier = can_.namespaces != 0 ? (landlock ? 3 : 1) : (landlock ? 2 : 0);
  }
  if (!unprepared.empty()) {
    better = unprepared;
  } else {
    if (can_.seccomp == 0)
      addSentence(better, "no filters: use a kernel with CONFIG_SECCOMP_FILTER");
    if (can_.landlock_abi == 0)
      addSentence(better,
                  "no Landlock: add landlock to the lsm= kernel parameter (kernel 5.13 or later)");
    if (!failed.empty()) addSentence(better, adviceForNamespaces(failed));
    if (!cgroups_->missing().empty())
      addSentence(better, "no control groups: " + cgroups_->missing());
  }
  can_.better[better.copy(can_.better, sizeof can_.better - 1)] = '\0';
}

}  // namespace kante::launcher
