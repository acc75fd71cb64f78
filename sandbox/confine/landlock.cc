#include "sandbox/confine/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sandbox/confine/confine.h"

namespace kante {

namespace {

// By value, because the headers of the reference system know the second ABI only.  The numbers of
// the calls are the same on every architecture.
constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;
constexpr unsigned kVersion = 1, kPathBeneath = 1;

constexpr std::uint64_t kExecute = 1, kWriteFile = 2, kReadFile = 4, kReadDir = 8;
constexpr std::uint64_t kRemoveDir = 1u << 4, kRemoveFile = 1u << 5, kMakeDir = 1u << 7,
                        kMakeReg = 1u << 8;
constexpr std::uint64_t kRefer = 1u << 13, kTruncate = 1u << 14, kIoctlDev = 1u << 15,
                        kResolveUnix = 1u << 16;
constexpr std::uint64_t kFirstAbi = (1u << 13) - 1;
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;

struct RulesetAttr {
  std::uint64_t files;
  std::uint64_t tcp;
  std::uint64_t scopes;
};

struct [[gnu::packed]] PathBeneathAttr {
  std::uint64_t allowed;
  std::int32_t parent;
};

std::size_t attrSize(int abi) {
  if (abi >= 6) return sizeof(RulesetAttr);
  return abi >= 4 ? offsetof(RulesetAttr, scopes) : offsetof(RulesetAttr, tcp);
}

std::string failed(const std::string& what) { return what + ": " + std::strerror(errno); }

// A descriptor that closes itself; host/base is not for runners.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

std::string addGrant(int ruleset, std::uint64_t handled, const LandlockGrant& grant) {
  const Descriptor place(::open(grant.path.c_str(), O_PATH | O_CLOEXEC));
  if (place.get() < 0) {
    if (errno == ENOENT) return {};
    return failed("cannot grant `" + grant.path + "`");
  }
  std::uint64_t allowed = kReadFile | kReadDir;
  if (grant.to == LandlockGrant::To::kLoad) allowed |= kExecute;
  if (grant.to == LandlockGrant::To::kReadAndWrite)
    allowed |= kWriteFile | kRemoveDir | kRemoveFile | kMakeDir | kMakeReg | kRefer | kTruncate;
  struct stat status {};
  if (::fstat(place.get(), &status) != 0) return failed("cannot look at `" + grant.path + "`");
  if (!S_ISDIR(status.st_mode)) allowed &= kOfFiles;
  const PathBeneathAttr rule{allowed & handled, place.get()};
  if (::syscall(kAddRule, ruleset, kPathBeneath, &rule, 0) != 0)
    return failed("Landlock refuses the rule for `" + grant.path + "`");
  return {};
}

}  // namespace

int probeLandlock() {
  const long abi = ::syscall(kCreateRuleset, nullptr, 0, kVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

LandlockRights landlockRights(int abi) {
  LandlockRights rights;
  if (abi < 1) return rights;
  rights.files = kFirstAbi;
  if (abi >= 2) rights.files |= kRefer;
  if (abi >= 3) rights.files |= kTruncate;
  if (abi >= 4) rights.tcp = 3;  // Bind and connect.
  if (abi >= 5) rights.files |= kIoctlDev;
  if (abi >= 6) rights.scopes = 3;  // Abstract sockets and signals.
  if (abi >= 9) rights.files |= kResolveUnix;
  return rights;
}

std::string restrictToLandlock(int abi, const std::vector<LandlockGrant>& grants) {
  abi = std::min(abi, kLandlockKnown);
  const LandlockRights rights = landlockRights(abi);
  const RulesetAttr attr{rights.files, rights.tcp, rights.scopes};
  const Descriptor ruleset(static_cast<int>(::syscall(kCreateRuleset, &attr, attrSize(abi), 0)));
  if (ruleset.get() < 0) return failed("Landlock refuses its ruleset");
  for (const LandlockGrant& grant : grants) {
    std::string error = addGrant(ruleset.get(), rights.files, grant);
    if (!error.empty()) return error;
  }
  if (::syscall(kRestrictSelf, ruleset.get(), 0) != 0)
    return failed("Landlock refuses to restrict");
  return {};
}

}  // namespace kante
