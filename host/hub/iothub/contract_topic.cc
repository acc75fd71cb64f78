#include "host/hub/iothub/contract_topic.h"

#include <charconv>

#include "host/base/encoding.h"
#include "host/hub/gateways/gateway_topic.h"
#include "host/mqtt/topic.h"

namespace kante::hub {
namespace {

using Kind = ContractTopic::Kind;

constexpr std::string_view kOwn = "$iothub/";
constexpr std::string_view kGet = "twin/GET/";
constexpr std::string_view kReport = "twin/PATCH/properties/reported/";
constexpr std::string_view kAnswer = "methods/res/";

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::string_view level(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view out = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return out;
}

// "?$rid=RID[&$version=…]"; false: no query.
bool readQuery(std::string_view query, std::string_view& rid) {
  if (!take(query, "?")) return false;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (take(pair, "$rid=")) rid = pair;
  }
  return true;
}

ContractTopic ownTopic(std::string_view rest) {
  ContractTopic out;
  out.kind = Kind::kUnknown;
  Kind kind = Kind::kUnknown;
  if (take(rest, kGet)) {
    kind = Kind::kTwinGet;
  } else if (take(rest, kReport)) {
    kind = Kind::kReported;
  } else if (take(rest, kAnswer)) {
    kind = Kind::kMethodAnswer;
    const std::string_view status = level(rest);
    const auto read = std::from_chars(status.data(), status.data() + status.size(), out.status);
    if (status.empty() || read.ec != std::errc() || read.ptr != status.data() + status.size())
      return out;
  }
  if (kind != Kind::kUnknown && readQuery(rest, out.rid)) out.kind = kind;
  return out;
}

bool overlaps(std::string_view filter, std::string_view topic) {
  return mqtt::matches(filter, topic);
}

}  // namespace

ContractTopic parseContractTopic(std::string_view topic) {
  ContractTopic out;
  std::string_view rest = topic;
  if (take(rest, kOwn)) return ownTopic(rest);
  if (!take(rest, "devices/")) return out;
  out.device = level(rest);
  if (take(rest, "modules/")) {
    out.module = level(rest);
    if (out.module.empty()) return {};
  }
  if (out.device.empty() || level(rest) != "messages" || level(rest) != "events") return {};
  out.bag = level(rest);
  out.kind = Kind::kEvents;
  const std::size_t behind =
      out.bag.empty() ? topic.size() : static_cast<std::size_t>(out.bag.data() - topic.data());
  out.address = topic.substr(0, behind);
  while (out.address.ends_with('/')) out.address.remove_suffix(1);
  return out;
}

std::uint8_t interestsOf(std::string_view filter) {
  std::uint8_t out = 0;
  if (filter.starts_with(kOwn)) {
    if (overlaps(filter, "$iothub/twin/res/200/?$rid=1")) out |= kTwinAnswers;
    if (overlaps(filter, "$iothub/twin/PATCH/properties/desired/?$version=1"))
      out |= kDesiredPatches;
    if (overlaps(filter, "$iothub/methods/POST/x/?$rid=1")) out |= kMethodCalls;
  } else if (filter.starts_with("devices/") && filter.ends_with("/#")) {
    std::string_view rest = filter.substr(8);
    (void)level(rest);
    if (rest == "#" || rest == "messages/#" || rest == "messages/devicebound/#")
      out |= kCloudMessages;
  } else {
    out = gatewayInterestsOf(filter);
  }
  return out;
}

std::pair<std::string, std::string> deviceAndModule(std::string_view principal,
                                                    std::string_view gateway_id) {
  if (principal.starts_with("module/"))
    return {std::string(gateway_id), std::string(principal.substr(7))};
  if (!principal.starts_with("device/") && !principal.starts_with("gateway/")) return {};
  principal.remove_prefix(principal.find('/') + 1);
  const auto slash = principal.find("/module/");
  if (slash == std::string_view::npos) return {std::string(principal), {}};
  return {std::string(principal.substr(0, slash)), std::string(principal.substr(slash + 8))};
}

std::string twinAnswerTopic(int status, std::string_view rid) {
  return "$iothub/twin/res/" + std::to_string(status) + "/?$rid=" + std::string(rid);
}

std::string desiredPatchTopic(std::uint64_t version) {
  return "$iothub/twin/PATCH/properties/desired/?$version=" + std::to_string(version);
}

std::string methodTopic(std::string_view method, std::string_view rid) {
  const bool plain = method.find_first_of("/+#?%") == std::string_view::npos;
  return "$iothub/methods/POST/" + (plain ? std::string(method) : percentEncode(method)) +
         "/?$rid=" + std::string(rid);
}

std::string deviceboundTopic(std::string_view device) {
  return "devices/" + std::string(device) + "/messages/devicebound/";
}

std::string inputTopic(std::string_view device, std::string_view module, std::string_view input) {
  return "devices/" + std::string(device) + "/modules/" + std::string(module) + "/inputs/" +
         std::string(input) + "/";
}

}  // namespace kante::hub
