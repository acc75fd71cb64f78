#include "sandbox/confine/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace kante {

namespace {

constexpr unsigned kNobody = 65534;
constexpr unsigned long kCapabilities = 64;  // More than any kernel has.
constexpr int kSetMdwe = 65;                 // PR_SET_MDWE, since 6.3; older headers lack it.
constexpr unsigned long kRefuseExecGain = 1;

std::string failed(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

struct Sets {
  std::uint64_t effective = 0, permitted = 0, inheritable = 0;
};

bool readSets(Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  sets.effective = data[0].effective | static_cast<std::uint64_t>(data[1].effective) << 32;
  sets.permitted = data[0].permitted | static_cast<std::uint64_t>(data[1].permitted) << 32;
  sets.inheritable = data[0].inheritable | static_cast<std::uint64_t>(data[1].inheritable) << 32;
  return true;
}

std::uint64_t boundingSet() {
  std::uint64_t set = 0;
  for (unsigned long each = 0; each < kCapabilities; ++each)
    if (::prctl(PR_CAPBSET_READ, each, 0, 0, 0) == 1) set |= std::uint64_t{1} << each;
  return set;
}

std::uint64_t ambientSet() {
  std::uint64_t set = 0;
  for (unsigned long each = 0; each < kCapabilities; ++each)
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, each, 0, 0) == 1)
      set |= std::uint64_t{1} << each;
  return set;
}

std::string dropIds() {
  if (::geteuid() != 0 && ::getuid() != 0) return {};
  // A namespace whose groups are fixed says EPERM: it has only those that the launcher gave it.
  if (::setgroups(0, nullptr) != 0 && errno != EPERM) return failed("setgroups");
  if (::setresgid(kNobody, kNobody, kNobody) != 0 && errno != EINVAL) return failed("setresgid");
  // EINVAL: the id is not mapped, which is so only in a namespace of users below the first one.
  if (::setresuid(kNobody, kNobody, kNobody) != 0 && errno != EINVAL) return failed("setresuid");
  return {};
}

std::string emptySets(const Start& start, Facts& facts) {
  Sets sets;
  if (!readSets(sets)) return failed("capget");
  const bool may_bound = (sets.effective >> CAP_SETPCAP & 1) != 0;
  if (may_bound) {
    for (unsigned long each = 0; each < kCapabilities; ++each)
      if (::prctl(PR_CAPBSET_READ, each, 0, 0, 0) == 1 &&
          ::prctl(PR_CAPBSET_DROP, each, 0, 0, 0) != 0)
        return failed("the bounding set of capabilities");
    constexpr unsigned long kLocked = SECURE_ALL_BITS | SECURE_ALL_LOCKS;
    if (::prctl(PR_SET_SECUREBITS,
                kLocked & ~static_cast<unsigned long>(issecure_mask(SECURE_KEEP_CAPS)), 0, 0,
                0) != 0)
      return failed("securebits");
  }
  std::string error = dropIds();
  if (!error.empty()) return error;
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return failed("the ambient set of capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return failed("capset");
  if (!readSets(sets)) return failed("capget");
  facts.capabilities = sets.effective | sets.permitted | sets.inheritable | ambientSet() |
                       (may_bound || start.tier != 2 ? boundingSet() : 0);
  if (facts.capabilities != 0) return "capabilities are left after they were dropped";
  return {};
}

// Answers of kernels and processors that have no such switch are fine: there is nothing to switch.
void forceMitigations() {
  for (const int what : {PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH})
    ::prctl(PR_SET_SPECULATION_CTRL, what, PR_SPEC_FORCE_DISABLE, 0, 0);
}

}  // namespace

std::string dropPrivileges(const Start& start, Facts& facts) {
  const pid_t parent = ::getppid();
  std::string error = emptySets(start, facts);
  if (!error.empty()) return error;
  // Again: the kernel forgets it at every change of ids.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return failed("PR_SET_PDEATHSIG");
  if (::getppid() != parent) return "the launcher is gone";
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed("PR_SET_DUMPABLE");
  facts.dumpable = static_cast<std::uint32_t>(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  if (facts.dumpable != 0) return "the process can still be dumped";
  forceMitigations();
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("PR_SET_NO_NEW_PRIVS");
  facts.no_new_privs = static_cast<std::uint32_t>(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  facts.mdwe = ::prctl(kSetMdwe, kRefuseExecGain, 0, 0, 0) == 0 ? 1 : 0;
  return {};
}

}  // namespace kante
