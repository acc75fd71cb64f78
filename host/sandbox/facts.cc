#include "host/sandbox/facts.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>

#include <charconv>
#include <optional>

namespace kante {

namespace {

constexpr const char* kNamespaceNames[] = {"user", "mnt", "pid", "net", "ipc", "uts"};
constexpr std::size_t kStatusBytesMax = 64u << 10;

std::optional<std::uint64_t> field(const std::string& status, std::string_view name, int base) {
  const std::string key = "\n" + std::string(name) + ":\t";
  const std::size_t at = status.find(key);
  if (at == std::string::npos) return std::nullopt;
  std::uint64_t value = 0;
  const char* begin = status.data() + at + key.size();
  const auto [end, error] = std::from_chars(begin, status.data() + status.size(), value, base);
  if (error != std::errc() || end == begin) return std::nullopt;
  return value;
}

Status lacks(const std::string& what) {
  return fail(Errc::kState, "its runner is not confined as promised: " + what);
}

}  // namespace

Result<SeenRunner> lookAtRunner(const FileDescriptor& pidfd, int pid,
                                const Namespaces& namespaces) {
  KANTE_TRY(status, readFile("/proc/" + std::to_string(pid) + "/status", kStatusBytesMax));
  // It has not ended meanwhile, so the number was its own.
  pollfd ended{pidfd.get(), POLLIN, 0};
  if (::poll(&ended, 1, 0) != 0) return fail(Errc::kState, "it has ended");
  SeenRunner seen;
  const auto no_new_privs = field(status, "NoNewPrivs", 10);
  const auto seccomp = field(status, "Seccomp", 10);
  if (!no_new_privs || !seccomp)
    return fail(Errc::kIo, "/proc/PID/status does not tell NoNewPrivs and Seccomp");
  seen.no_new_privs = static_cast<std::uint32_t>(*no_new_privs);
  seen.seccomp_mode = static_cast<std::uint32_t>(*seccomp);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    const auto capabilities = field(status, set, 16);
    if (!capabilities)
      return fail(Errc::kIo, fmt::format("/proc/PID/status does not tell {}", set));
    seen.capabilities |= *capabilities;
  }
  seen.namespaces = namespaces;
  return seen;
}

Result<Namespaces> ownNamespaces() {
  Namespaces own{};
  for (std::size_t i = 0; i < own.size(); ++i) {
    struct stat found {};
    const std::string path = std::string("/proc/self/ns/") + kNamespaceNames[i];
    if (::stat(path.c_str(), &found) != 0) return failErrno(path);
    own[i] = found.st_ino;
  }
  return own;
}

Status checkFacts(std::uint32_t tier, const Facts& facts, const SeenRunner& seen,
                  const Namespaces& own) {
  if (seen.no_new_privs != 1 || facts.no_new_privs != 1) return lacks("it may gain privileges");
  if (seen.seccomp_mode != 2 || facts.seccomp_mode != 2) return lacks("it has no filter");
  // Who may not drop the bounding set keeps it, in the host's own user namespace; without the right
  // to gain privileges it is nothing.
  const std::uint64_t has = seen.capabilities | (hasNamespaces(tier) ? facts.capabilities : 0);
  if (has != 0) return lacks(fmt::format("it has the capabilities {:#x}", has));
  if (facts.dumpable != 0) return lacks("it is dumpable");
  if (hasLandlock(tier) && facts.landlock_abi == 0) return lacks("it is without Landlock");
  for (std::size_t i = 0; hasNamespaces(tier) && i < own.size(); ++i) {
    if (seen.namespaces[i] == 0 || seen.namespaces[i] == own[i])
      return lacks(fmt::format("it shares the host's {} namespace", kNamespaceNames[i]));
  }
  if (facts.tried == 0 || facts.refused != facts.tried) {
    return lacks(fmt::format("{} of {} forbidden acts that it tried were possible",
                             facts.tried - facts.refused, facts.tried));
  }
  return {};
}

}  // namespace kante
