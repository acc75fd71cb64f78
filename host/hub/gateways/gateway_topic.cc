#include "host/hub/gateways/gateway_topic.h"

#include <vector>

#include "host/base/encoding.h"

namespace kante::hub {
namespace {

using Kind = GatewayTopic::Kind;

constexpr std::string_view kRoot = "kante/v1/";
constexpr std::size_t kNameBytesMax = 128;
constexpr std::string_view kItself = "gateway";

bool plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

std::string encode(std::string_view names, bool (*kept)(char)) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(names.size());
  for (const char c : names) {
    if (kept(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4];
    encoded += kDigits[byte & 15];
  }
  return encoded;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Result<std::vector<std::string>> decodeLevels(std::string_view text) {
  std::vector<std::string> out;
  for (bool more = true; more;) {
    const std::size_t slash = text.find('/');
    more = slash != std::string_view::npos;
    KANTE_TRY(name, percentDecode(text.substr(0, slash)));
    if (name.empty() || name.size() > kNameBytesMax || !isUtf8(name) ||
        name.find_first_of(std::string_view("/+#\0", 4)) != std::string::npos || out.size() == 8)
      return fail(Errc::kInvalid, "a name in the topic cannot be one");
    out.push_back(std::move(name));
    if (more) text.remove_prefix(slash + 1);
  }
  return out;
}

// How many of the levels name a principal; 0: none.
std::size_t principalLevels(const std::vector<std::string>& levels) {
  const std::size_t count = levels.size();
  if (count < 2) return 0;
  const bool has_module = count >= 4 && levels[2] == "module";
  if (levels[0] == "module") return 2;
  if (levels[0] == "device") return has_module ? 4 : 2;
  return levels[0] == "gateway" ? (has_module ? 4 : 2) : 0;
}

std::string join(const std::vector<std::string>& levels, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += (i > 0 ? "/" : "") + levels[i];
  return out;
}

}  // namespace

std::string encodeLevels(std::string_view names) {
  return encode(names, [](char c) { return plain(c) || c == '/'; });
}

std::string encodeLevel(std::string_view name) { return encode(name, plain); }

std::string gatewayTopic(std::string_view gateway, std::string_view rest) {
  return std::string(kRoot) + encodeLevels(gateway) + "/" + std::string(rest);
}

Result<std::string> decodePrincipal(std::string_view text) {
  KANTE_TRY(levels, decodeLevels(text));
  const std::size_t count =
      levels.size() == 1 && levels[0] == kItself ? 1 : principalLevels(levels);
  if (count == 0 || count != levels.size())
    return fail(Errc::kInvalid, "no such kind of principal");
  return join(levels, count);
}

GatewayTopic parseGatewayTopic(std::string_view topic, std::string_view gateway) {
  if (!take(topic, kRoot) || !take(topic, gateway) || !take(topic, "/")) return {};
  if (topic == "state") return {Kind::kState, {}};
  if (topic == "lost") return {Kind::kLost, {}};
  if (topic == "deployment/reported") return {Kind::kDeployment, {}};
  if (take(topic, "telemetry/") && !topic.empty()) return {Kind::kTelemetry, topic};
  const bool one_level = topic.find('/', topic.rfind("/response/") + 10) == std::string_view::npos;
  if (one_level && take(topic, "methods/response/") && !topic.empty())
    return {Kind::kMethod, topic};
  if (one_level && take(topic, "c2d/response/") && !topic.empty()) return {Kind::kCloud, topic};
  constexpr std::string_view kReported = "/reported";
  if (take(topic, "twin/") && topic.size() > kReported.size() && topic.ends_with(kReported)) {
    topic.remove_suffix(kReported.size());
    return {Kind::kReported, topic};
  }
  return {Kind::kUnknown, {}};
}

Result<SaidBy> saidBy(std::string_view source, std::string_view gateway) {
  KANTE_TRY(levels, decodeLevels(source));
  const std::size_t count = principalLevels(levels);
  SaidBy out;
  if (count == 0 || levels.size() > count + 1) {
    out.principal = "gateway/" + std::string(gateway);
    return out;
  }
  out.principal = nameAbove(join(levels, count), gateway);
  if (levels.size() > count) out.output = levels[count];
  return out;
}

std::string nameAbove(const std::string& principal, std::string_view gateway) {
  const std::string above = "gateway/" + std::string(gateway);
  if (principal == kItself) return above;
  return principal.starts_with("module/") ? above + "/" + principal : principal;
}

std::string nameBelow(const std::string& principal, std::string_view gateway) {
  const std::string own = "gateway/" + std::string(gateway);
  if (principal == own) return std::string(kItself);
  return principal.starts_with(own + "/") ? principal.substr(own.size() + 1) : principal;
}

bool isOf(std::string_view principal, std::string_view gateway) {
  return take(principal, "gateway/") && take(principal, gateway) &&
         (principal.empty() || principal.front() == '/');
}

std::string_view placeOf(std::string_view principal) {
  if (!principal.starts_with("device/") && !principal.starts_with("gateway/")) return {};
  const std::size_t id = principal.find('/') + 1;
  return principal.substr(0, principal.find('/', id));
}

std::uint8_t gatewayInterestsOf(std::string_view filter) {
  if (!take(filter, kRoot)) return 0;
  const std::size_t slash = filter.find('/');
  if (slash == std::string_view::npos) return 0;
  filter.remove_prefix(slash + 1);
  if (filter == "#") return kTwinsBelow | kMethodsBelow | kCloudBelow;
  if (filter.starts_with("twin/")) return kTwinsBelow;
  if (filter.starts_with("methods/")) return kMethodsBelow;
  return filter.starts_with("c2d/") ? kCloudBelow : 0;
}

}  // namespace kante::hub
