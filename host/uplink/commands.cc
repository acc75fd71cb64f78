#include "host/uplink/commands.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "host/base/log.h"
#include "host/hub/iothub/property_bag.h"
#include "host/store/key_value.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kArea[] = "uplink/desired";
constexpr char kVersion[] = "$version";

Result<json::object> parseObject(const std::string& text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return fail(Errc::kInvalid, "the payload is no JSON: " + error.message());
  if (!value.is_object()) return fail(Errc::kInvalid, "the payload is no JSON object");
  return std::move(value.get_object());
}

BrokerCommands::Outgoing reportedOf(const std::string& principal, const TwinSection& section) {
  return {"twin/" + encodeLevels(principal) + "/reported", withVersion(section), true, {}};
}

}  // namespace

std::vector<std::string> BrokerCommands::filters(From from) {
  std::vector<std::string> out = {"twin/+/+/desired", "twin/+/+/+/+/desired", "methods/gateway/+/+",
                                  "methods/+/+/+/+", "methods/+/+/+/+/+/+"};
  if (from == From::kGateway) out.insert(out.end(), {"twin/+/desired", "c2d/+/+/+"});
  return out;
}

Result<std::unique_ptr<BrokerCommands>> BrokerCommands::make(Host host) {
  std::unique_ptr<BrokerCommands> commands(new BrokerCommands(std::move(host)));
  KANTE_TRY(versions, commands->host_.store.scan(kArea));
  for (const auto& [principal, text] : versions) {
    std::uint64_t version = 0;
    std::from_chars(text.data(), text.data() + text.size(), version);
    commands->versions_[principal] = version;
  }
  commands->reported_ =
      commands->host_.twins.observeReported([self = commands.get()](const Twins::Change& change) {
        self->host_.publish({reportedOf(change.principal, change.section)});
      });
  return commands;
}

BrokerCommands::~BrokerCommands() = default;

void BrokerCommands::linkUp() {
  std::vector<Outgoing> all;
  for (const std::string& principal : host_.twins.principals()) {
    const TwinSection section = host_.twins.reported(principal);
    if (section.version != 0) all.push_back(reportedOf(principal, section));
  }
  host_.publish(std::move(all));
}

void BrokerCommands::arrived(const Incoming& incoming) {
  const Result<DownTopic> topic = parseDownTopic(incoming.topic);
  Status status;
  if (topic.has_error()) {
    status = topic.error();
  } else if (incoming.payload.size() > kPayloadBytesMax) {
    status = fail(Errc::kLimit, "the payload is longer than 256 KiB");
  } else if (topic->kind == DownTopic::Kind::kDesired) {
    status = desired(*topic, incoming.payload);
  } else if (incoming.retained) {
    status = fail(Errc::kInvalid, "a retained method call or message is an old one");
  } else if (topic->kind == DownTopic::Kind::kMethod) {
    status = method(*topic, incoming);
  } else {
    status = cloud(*topic, incoming);
  }
  if (!status.has_error()) return;
  host_.log.warn("uplink", "a command is not obeyed",
                 {{"topic", incoming.topic}, {"why", status.error().text}});
}

Status BrokerCommands::desired(const DownTopic& topic, const std::string& payload) {
  if (payload.empty()) return {};  // The retained message was removed; the twin stays as it is.
  KANTE_TRY(section, parseObject(payload));
  const json::value* said = section.if_contains(kVersion);
  boost::system::error_code error;
  const auto version = said != nullptr ? said->to_number<std::uint64_t>(error) : 0;
  if (said == nullptr || error || version == 0) {
    return fail(Errc::kInvalid, "desired properties need a $version above 0");
  }
  std::uint64_t& applied = versions_[topic.principal];
  // A gateway above says what is in force, in order; one that began anew counts from 1.
  const bool above = static_cast<bool>(host_.send_to);
  if (version == applied && !above) return {};  // Retained, and seen before the link was lost.
  if (version < applied && !above) {
    return fail(Errc::kConflict, "$version " + std::to_string(version) + " is older than the " +
                                     std::to_string(applied) + " that is applied");
  }
  section.erase(kVersion);
  const auto changed = host_.twins.replaceDesired(topic.principal, json::serialize(section));
  if (changed.has_error()) return changed.error();
  if (std::exchange(applied, version) == version) return {};
  std::vector<KeyValue::Write> writes;
  writes.push_back({kArea, topic.principal, std::to_string(version)});
  host_.store.apply(std::move(writes), [](const Status&) {});
  return {};
}

Status BrokerCommands::method(const DownTopic& topic, const Incoming& incoming) {
  const std::string& id = topic.request_id;
  if (std::find(requests_.begin(), requests_.end(), id) != requests_.end()) return {};
  requests_.push_back(id);
  if (requests_.size() > kRequestsRemembered) requests_.pop_front();
  MethodRequest request;
  request.target = topic.principal;
  request.name = topic.method;
  if (!incoming.payload.empty()) request.payload = incoming.payload;
  if (incoming.timeout_ms != 0)
    request.timeout =
        std::min(std::chrono::milliseconds(incoming.timeout_ms), Methods::kTimeoutMax);
  request.caller = "uplink";
  host_.methods.invoke(std::move(request), [this, alive = std::weak_ptr<int>(alive_), id](
                                               int status, const std::string& answer) {
    if (!alive.expired()) respond(id, status, answer);
  });
  return {};
}

// The gateway above keeps it until it hears that it is kept here; what comes again meanwhile is
// known.
Status BrokerCommands::cloud(const DownTopic& topic, const Incoming& incoming) {
  if (!host_.send_to) return fail(Errc::kUnsupported, "only a gateway above sends to devices");
  const std::string& id = topic.request_id;
  if (storing_.contains(id)) return {};
  if (std::find(stored_.begin(), stored_.end(), id) != stored_.end())
    return cloudDone(id, {}), Status();
  hub::DeviceMessage message;
  KANTE_CHECK(hub::readBag(incoming.bag, message));
  if (storing_.size() >= kCloudWaitingMax)
    return cloudDone(id, fail(Errc::kLimit, "too many messages are on their way")), Status();
  message.body = incoming.payload;
  storing_.insert(id);
  host_.send_to(topic.principal, std::move(message),
                [this, alive = std::weak_ptr<int>(alive_), id](const Status& status) {
                  if (alive.expired()) return;
                  storing_.erase(id);
                  if (status) stored_.push_back(id);
                  if (stored_.size() > kCloudRemembered) stored_.pop_front();
                  cloudDone(id, status);
                });
  return {};
}

void BrokerCommands::cloudDone(const std::string& id, const Status& status) {
  int code = 200;
  if (!status) code = status.error().code == Errc::kNotFound ? kMethodNotFound : kMethodTooMany;
  const json::object answer{{"status", code}};
  host_.publish({{"c2d/response/" + encodeLevel(id), json::serialize(answer), false, {}}});
}

void BrokerCommands::respond(const std::string& request_id, int status,
                             const std::string& payload) {
  host_.publish(response(request_id, status, payload));
}

std::vector<BrokerCommands::Outgoing> BrokerCommands::response(const std::string& request_id,
                                                               int status,
                                                               const std::string& payload) {
  const std::string whole = "{\"status\":" + std::to_string(status) +
                            ",\"payload\":" + (payload.empty() ? "null" : payload) + "}";
  const std::string topic = "methods/response/" + encodeLevel(request_id);
  const std::size_t parts = (whole.size() + kPartBytes - 1) / kPartBytes;
  std::vector<Outgoing> outgoing;
  for (std::size_t i = 0; i < parts; ++i) {
    Outgoing& part = outgoing.emplace_back();
    part.topic = topic;
    part.payload = whole.substr(i * kPartBytes, kPartBytes);
    if (parts > 1) part.part = std::to_string(i + 1) + "/" + std::to_string(parts);
  }
  return outgoing;
}

}  // namespace kante
