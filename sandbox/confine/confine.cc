#include "sandbox/confine/confine.h"

#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "sandbox/confine/landlock.h"
#include "sandbox/confine/privileges.h"
#include "sandbox/confine/programs.h"
#include "sandbox/confine/self_test.h"

namespace kante {

namespace {

constexpr std::uint32_t kTierFull = 3, kTierNoLandlock = 1;
[[maybe_unused]] constexpr std::uint32_t kTierNoNamespaces = 2;

std::string closeMemoryFiles() {
  // Their mappings stay.  Open, a module could map what it wrote there as code.
  for (const int fd : {kRunnerHostFileFd, kRunnerRunnerFileFd})
    if (::close(fd) != 0 && errno != EBADF) return std::string("close: ") + std::strerror(errno);
  return {};
}

#if !defined(KANTE_SANITIZED)

Files filesOf(const Start& start) { return start.data_dir != 0 ? Files::kGranted : Files::kNone; }

int addLibrary(dl_phdr_info* info, std::size_t, void* grants) {
  if (info->dlpi_name != nullptr && info->dlpi_name[0] == '/')
    static_cast<std::vector<LandlockGrant>*>(grants)->push_back(
        {info->dlpi_name, LandlockGrant::To::kLoad});
  return 0;
}

// With a root of its own the runner may load from the directories that hold its libraries, which
// have nothing but what the launcher put there.  In the system's root only those files that it has
// loaded already: a module needs no others.
std::vector<LandlockGrant> grantsFor(const Start& start) {
  std::vector<LandlockGrant> grants;
  ::dl_iterate_phdr(addLibrary, &grants);
  if (start.tier != kTierNoNamespaces) {
    for (LandlockGrant& grant : grants) grant.path.resize(grant.path.rfind('/') + 1);
    grants.push_back({"/mod", LandlockGrant::To::kLoad});
  }
  if (start.data_dir != 0) grants.push_back({"/data", LandlockGrant::To::kReadAndWrite});
  return grants;
}

std::string checkModuleFile(const Start& start) {
  if (start.tier != kTierNoNamespaces) return {};
  constexpr int kNeeded = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  const int seals = ::fcntl(kRunnerModuleFd, F_GET_SEALS);
  if (seals < 0)
    return std::string("the module's bytes are in no memory file: ") + std::strerror(errno);
  if ((seals & kNeeded) != kNeeded) return "the module's bytes are not sealed";
  return {};
}

std::string restrictFiles(const Start& start, Facts& facts) {
  if (start.tier == kTierNoLandlock) return {};
  const int abi = probeLandlock();
  if (abi < 1)
    return "tier " + std::to_string(start.tier) + " needs Landlock, which this kernel has not";
  std::string error = restrictToLandlock(abi, grantsFor(start));
  if (error.empty()) facts.landlock_abi = static_cast<std::uint32_t>(abi);
  return error;
}

#endif

}  // namespace

std::string confine(const Start& start, Facts& facts) {
  facts = Facts{};
  if (start.tier < kTierNoLandlock || start.tier > kTierFull)
    return "there is no tier " + std::to_string(start.tier);
  std::string error = closeMemoryFiles();
  if (!error.empty()) return error;
#if defined(KANTE_SANITIZED)
  facts.landlock_abi = static_cast<std::uint32_t>(probeLandlock());
  return {};
#else
  error = checkModuleFile(start);
  if (error.empty()) error = dropPrivileges(start, facts);
  if (error.empty()) error = restrictFiles(start, facts);
  if (error.empty()) error = installFilter(Stage::kLoading, filesOf(start));
  if (!error.empty()) return error;
  facts.seccomp_mode = 2;  // Asking is refused from here on; the self-test shows it.
  return tryForbiddenActs(facts);
#endif
}

std::string afterLoad(const Start& start) {
#if defined(KANTE_SANITIZED)
  static_cast<void>(start);
  return {};
#else
  return installFilter(Stage::kRunning, filesOf(start));
#endif
}

}  // namespace kante
