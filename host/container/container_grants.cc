#include "host/container/container_grants.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "host/base/encoding.h"
#include "host/base/json.h"

namespace kante {
namespace {

constexpr char kForms[] =
    "expected \"privileged\", \"bind:/PATH\", \"bind:/PATH:ro\", \"cap:NAME\", "
    "\"device:/dev/NAME\", "
    "\"network:host\", or \"pid:\", \"ipc:\", \"uts:\", \"userns:\" or \"cgroupns:\" with a "
    "namespace";

Status checkGrant(const std::string& grant) {
  const auto wrong = [&grant](const std::string& why) {
    return fail(Errc::kInvalid, "\"" + grant + "\": " + why);
  };
  if (grant == "privileged") return {};
  const std::size_t colon = grant.find(':');
  const std::string kind = grant.substr(0, colon);
  const auto known =
      std::find(std::begin(ContainerGrants::kKinds), std::end(ContainerGrants::kKinds), kind);
  if (colon == std::string::npos || known == std::end(ContainerGrants::kKinds))
    return wrong(kForms);
  std::string value = grant.substr(colon + 1);
  if (value.empty()) return wrong(kForms);
  if (kind == "bind" && value.ends_with(":ro")) value.resize(value.size() - 3);
  if ((kind == "bind" || kind == "device") && !isPlainPath(value))
    return wrong("a path is absolute and has no \".\", \"..\" and no empty parts");
  const bool is_capability = std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (kind == "cap" && (!is_capability || value.starts_with("CAP_")))
    return wrong("a capability is written in capitals, without CAP_: \"cap:NET_ADMIN\"");
  return {};
}

}  // namespace

bool isPlainPath(const std::string& path) {
  if (path == "/") return true;
  if (!path.starts_with('/') || path.find(':') != std::string::npos) return false;
  for (std::size_t from = 1; from <= path.size();) {
    const std::size_t end = std::min(path.find('/', from), path.size());
    const std::string_view part = std::string_view(path).substr(from, end - from);
    if (part.empty() || part == "." || part == "..") return false;
    from = end + 1;
  }
  return true;
}

Result<ContainerGrants> ContainerGrants::parse(const std::vector<std::string>& grants,
                                               const std::string& pointer) {
  ContainerGrants out;
  out.pointer_ = pointer;
  if (grants.size() > kGrantsMax)
    return fail(Errc::kLimit, pointer + ": at most " + std::to_string(kGrantsMax) + " grants");
  for (std::size_t i = 0; i < grants.size(); ++i) {
    const Status checked = checkGrant(grants[i]);
    if (!checked) return within(jsonPointer(pointer, i), checked.error());
    out.grants_.insert(grants[i]);
  }
  return out;
}

}  // namespace kante
