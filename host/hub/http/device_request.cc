#include "host/hub/http/device_request.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <numeric>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/hub/iothub/iso_time.h"

namespace kante::hub {
namespace {

namespace json = boost::json;
using Action = DeviceRoute::Action;

constexpr std::string_view kAppPrefix = "iothub-app-";

// Fields of a message that have a place in it, and those that are system properties.
struct Named {
  std::string_view field;
  std::string DeviceMessage::*member;
};
constexpr Named kMembers[] = {{"iothub-contenttype", &DeviceMessage::content_type},
                              {"iothub-contentencoding", &DeviceMessage::content_encoding},
                              {"iothub-outputname", &DeviceMessage::output}};
struct System {
  std::string_view field;
  std::string_view name;
};
constexpr System kSystem[] = {{"iothub-messageid", "messageId"},
                              {"iothub-correlationid", "cid"},
                              {"iothub-userid", "userId"},
                              {"iothub-to", "to"},
                              {"iothub-message-schema", "messageSchema"},
                              {"iothub-interface-id", "iothub-interface-id"},
                              {"iothub-operation", "operation"},
                              {"iothub-ack", "ack"},
                              {"dt-subject", "dt-subject"}};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

Status addTime(std::string_view name, const std::string& value, std::int64_t& out) {
  const auto at = parseIsoTime(value);
  if (!at)
    return fail(Errc::kInvalid, std::string(name) + ": \"" + value + "\" is no time of ISO 8601");
  out = *at;
  return {};
}

// One field of a request, or one property of a batch.
Status addField(std::string_view name, const std::string& value, DeviceMessage& out) {
  if (name.size() > kAppPrefix.size() && same(name.substr(0, kAppPrefix.size()), kAppPrefix)) {
    out.properties.emplace_back(name.substr(kAppPrefix.size()), value);
    return {};
  }
  if (same(name, "iothub-expiry")) return addTime(name, value, out.expiry_ns);
  if (same(name, "iothub-creationtimeutc")) return addTime(name, value, out.created_ns);
  for (const Named& one : kMembers)
    if (same(name, one.field)) out.*one.member = value;
  for (const System& one : kSystem)
    if (same(name, one.field)) out.system.emplace_back(one.name, value);
  return {};
}

// SDKs say in "to" where the request goes; a message for nobody else needs none.
void dropOwnAddress(std::string_view path, DeviceMessage& message) {
  std::erase_if(message.system, [&](const DeviceMessage::Property& one) {
    return one.first == "to" && one.second == path;
  });
}

Status checkSize(const DeviceMessage& message) {
  const auto add = [](std::size_t sum, const DeviceMessage::Property& one) {
    return sum + one.first.size() + one.second.size();
  };
  std::size_t size = message.body.size();
  size = std::accumulate(message.properties.begin(), message.properties.end(), size, add);
  size = std::accumulate(message.system.begin(), message.system.end(), size, add);
  if (size <= DeviceMessage::kBytesMax) return {};
  return fail(Errc::kLimit, "a message has at most 262144 bytes with its properties");
}

Result<DeviceMessage> messageOf(const json::value& element) {
  const auto* const object = element.if_object();
  const auto* const body = object == nullptr ? nullptr : object->if_contains("body");
  if (body == nullptr || !body->is_string())
    return fail(Errc::kInvalid, "a message of a batch is an object with a text as \"body\"");
  DeviceMessage out;
  out.body = body->get_string();
  const auto* const encoded = object->if_contains("base64Encoded");
  if (encoded == nullptr || !encoded->is_bool() || encoded->get_bool()) {
    KANTE_TRY(bytes, fromBase64(out.body));
    out.body = std::move(bytes);
  }
  const auto* const properties = object->if_contains("properties");
  if (properties == nullptr) return out;
  if (!properties->is_object())
    return fail(Errc::kInvalid, "\"properties\" of a message is an object");
  for (const auto& [name, value] : properties->get_object()) {
    if (!value.is_string())
      return fail(Errc::kInvalid, "property " + std::string(name) + " is no text");
    KANTE_CHECK(addField(name, std::string(value.get_string()), out));
  }
  return out;
}

Result<std::vector<DeviceMessage>> batchOf(const WebRequest& request, std::size_t batch_max) {
  KANTE_TRY(batch, parseJson(request.body, {WebRequestReader::kBodyBytesMax, 4}));
  if (!batch.is_array() || batch.get_array().empty())
    return fail(Errc::kInvalid, "a batch is an array of messages");
  if (batch.get_array().size() > batch_max)
    return fail(Errc::kLimit, "a batch has at most " + std::to_string(batch_max) + " messages");
  std::vector<DeviceMessage> out;
  for (const json::value& element : batch.get_array()) {
    KANTE_TRY(message, messageOf(element));
    dropOwnAddress(request.path(), message);
    KANTE_CHECK(checkSize(message));
    out.push_back(std::move(message));
  }
  return out;
}

// A field of an answer: what would end it, or what is no ASCII, is percent-encoded.
std::string fieldValue(std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  return plain ? std::string(text) : percentEncode(text);
}

std::optional<std::vector<std::string>> segmentsOf(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const auto end = path.find('/');
    auto segment = percentDecode(path.substr(0, end));
    if (!segment || segment->empty() || segment->find('/') != std::string::npos)
      return std::nullopt;
    out.push_back(std::move(*segment));
    if (end == std::string_view::npos) break;
    path.remove_prefix(end);
  }
  return out;
}

bool matches(const std::vector<std::string>& segments, std::string_view pattern) {
  std::size_t at = 0;
  while (!pattern.empty()) {
    const auto end = pattern.find(' ');
    const std::string_view word = pattern.substr(0, end);
    if (at == segments.size() || (word != "*" && word != segments[at])) return false;
    ++at;
    pattern.remove_prefix(end == std::string_view::npos ? pattern.size() : end + 1);
  }
  return at == segments.size();
}

struct Pattern {
  const char* method;
  const char* path;
  Action action;
  bool of_module;
};
constexpr Pattern kPatterns[] = {
    {"POST", "devices * messages events", Action::kSend, false},
    {"POST", "devices * modules * messages events", Action::kSend, true},
    {"GET", "devices * messages devicebound", Action::kReceive, false},
    {"DELETE", "devices * messages devicebound *", Action::kComplete, false},
    {"POST", "devices * messages devicebound * abandon", Action::kAbandon, false},
    {"POST", "twins * methods", Action::kInvoke, false},
    {"POST", "twins * modules * methods", Action::kInvoke, true}};

bool hasQuery(const WebRequest& request, std::string_view name) {
  std::string_view rest = request.query();
  while (!rest.empty()) {
    const auto end = rest.find('&');
    const std::string_view one = rest.substr(0, end);
    if (one.substr(0, one.find('=')) == name) return true;
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return false;
}

}  // namespace

std::string DeviceRoute::principal() const {
  return "device/" + device + (module.empty() ? "" : "/module/" + module);
}
std::string DeviceRoute::resource() const {
  const std::string own = "devices/" + device + (module.empty() ? "" : "/modules/" + module);
  if (action == Action::kInvoke) return own;
  return own + (action == Action::kSend ? "/messages/events" : "/messages/devicebound");
}

std::optional<DeviceRoute> routeOf(const WebRequest& request, RouteFault& fault) {
  fault = {404, "NotFound", "There is no such path"};
  const auto segments = segmentsOf(request.path());
  if (!segments) return std::nullopt;
  for (const Pattern& pattern : kPatterns) {
    if (!matches(*segments, pattern.path)) continue;
    if (request.method != pattern.method) {
      fault = {405, "MethodNotAllowed", std::string("This path takes ") + pattern.method};
      continue;
    }
    DeviceRoute out;
    out.action = pattern.action;
    out.device = (*segments)[1];
    if (pattern.of_module) out.module = (*segments)[3];
    const bool settles = pattern.action == Action::kComplete || pattern.action == Action::kAbandon;
    if (settles) out.lock_token = (*segments)[4];
    if (pattern.action == Action::kComplete && hasQuery(request, "reject"))
      out.action = Action::kReject;
    if (pattern.action != Action::kInvoke && !hasQuery(request, "api-version")) {
      fault = {400, "InvalidProtocolVersion", "api-version is missing in the query"};
      return std::nullopt;
    }
    return out;
  }
  return std::nullopt;
}

Result<std::vector<DeviceMessage>> messagesOf(const WebRequest& request, std::size_t batch_max) {
  const std::string* const type = request.field("content-type");
  if (type != nullptr &&
      same(type->substr(0, type->find(';')), "application/vnd.microsoft.iothub.json"))
    return batchOf(request, batch_max);
  DeviceMessage message;
  message.body = request.body;
  for (const auto& [name, value] : request.fields) KANTE_CHECK(addField(name, value, message));
  dropOwnAddress(request.path(), message);
  KANTE_CHECK(checkSize(message));
  std::vector<DeviceMessage> out;
  out.push_back(std::move(message));
  return out;
}

Result<MethodRequest> callOf(const WebRequest& request) {
  KANTE_TRY(body, parseJsonObject(request.body, {WebRequestReader::kBodyBytesMax, 32}));
  const auto seconds = [&](const char* name, std::int64_t least,
                           std::chrono::milliseconds& out) -> Status {
    const auto* const value = body.if_contains(name);
    if (value == nullptr || value->is_null()) return {};
    const std::int64_t said = value->is_int64() ? value->get_int64() : -1;
    if (said < least || said > 300)
      return fail(Errc::kInvalid, std::string(name) + " is a whole number from " +
                                      std::to_string(least) + " to 300");
    out = std::chrono::seconds(said);
    return {};
  };
  MethodRequest out;
  const auto* const name = body.if_contains("methodName");
  if (name == nullptr || !name->is_string() || name->get_string().empty())
    return fail(Errc::kInvalid, "methodName is missing");
  out.name = name->get_string();
  if (const auto* payload = body.if_contains("payload")) out.payload = writeJson(*payload);
  KANTE_CHECK(seconds("responseTimeoutInSeconds", 5, out.timeout));
  KANTE_CHECK(seconds("connectTimeoutInSeconds", 0, out.connect_timeout));
  return out;
}

WebResponse answerOf(const DeviceApi::CloudMessage& cloud) {
  const MessageView message = cloud.message.view();
  WebResponse out;
  out.body = message.body();
  out.content_type = message.contentType().empty() ? "application/octet-stream"
                                                   : fieldValue(message.contentType());
  const auto add = [&](std::string_view name, std::string_view value) {
    out.fields.emplace_back(name, fieldValue(value));
  };
  add("ETag", "\"" + cloud.lock_token + "\"");
  add("iothub-deliverycount", std::to_string(cloud.delivered));
  add("iothub-enqueuedtime", formatUtc(cloud.enqueued_ns));
  if (message.expiryNs() != 0) add("iothub-expiry", formatUtc(message.expiryNs()));
  if (!message.contentType().empty()) add("iothub-contenttype", message.contentType());
  if (!message.contentEncoding().empty()) add("iothub-contentencoding", message.contentEncoding());
  for (const System& one : kSystem) {
    const std::string_view value = message.systemProperty(one.name);
    if (value.data() != nullptr) add(one.field, value);
  }
  for (std::uint32_t i = 0; i < message.propertyCount(); ++i) {
    const auto [name, value] = message.property(i);
    add(std::string(kAppPrefix) + percentEncode(name), value);
  }
  return out;
}

}  // namespace kante::hub
