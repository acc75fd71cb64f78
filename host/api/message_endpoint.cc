// /v1/messages/PRINCIPAL: a cloud-to-device message, from here.
#include <boost/json/value.hpp>

#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/hub/device_api.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyBytesMax = 512 * 1024;  // 256 KiB in base64, and properties.
constexpr JsonBounds kBounds{kBodyBytesMax, 4};
constexpr std::int64_t kTtlMaxS = 7 * 86'400;

Result<std::string> textOf(const json::object& from, const char* member) {
  const json::value* value = from.if_contains(member);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return fail(Errc::kInvalid, std::string("/") + member + ": a text");
  return std::string(value->get_string());
}

Status readProperties(const json::object& from, hub::DeviceMessage& out) {
  const json::value* properties = from.if_contains("properties");
  if (properties == nullptr) return {};
  if (!properties->is_object()) return fail(Errc::kInvalid, "/properties: an object of texts");
  for (const auto& one : properties->get_object()) {
    if (!one.value().is_string())
      return fail(Errc::kInvalid, jsonPointer("/properties", one.key()) + ": a text");
    out.properties.emplace_back(one.key(), std::string(one.value().get_string()));
  }
  return {};
}

Result<hub::DeviceMessage> parseMessage(const std::string& text) {
  KANTE_TRY(from, parseJsonObject(text, kBounds));
  for (const auto& one : from) {
    const std::string_view name = one.key();
    if (name != "body" && name != "body_base64" && name != "content_type" && name != "message_id" &&
        name != "properties" && name != "ttl_s")
      return fail(Errc::kInvalid, jsonPointer("", name) +
                                      ": unknown; body, body_base64, content_type, message_id, "
                                      "properties and ttl_s are known");
  }
  hub::DeviceMessage out;
  KANTE_TRY(body, textOf(from, "body"));
  KANTE_TRY(base64, textOf(from, "body_base64"));
  KANTE_TRY(content_type, textOf(from, "content_type"));
  KANTE_TRY(message_id, textOf(from, "message_id"));
  KANTE_CHECK(readProperties(from, out));
  out.body = std::move(body);
  out.content_type = std::move(content_type);
  if (!base64.empty()) {
    auto bytes = fromBase64(base64);
    if (!bytes || !out.body.empty())
      return fail(Errc::kInvalid, "/body_base64: base64, and instead of body");
    out.body = std::move(*bytes);
  }
  if (!message_id.empty()) out.system.emplace_back("messageId", std::move(message_id));
  if (const json::value* ttl = from.if_contains("ttl_s")) {
    json::error_code error;
    const auto seconds = ttl->to_number<std::int64_t>(error);
    if (error || seconds < 1 || seconds > kTtlMaxS)
      return fail(Errc::kInvalid, "/ttl_s: a number from 1 to " + std::to_string(kTtlMaxS));
    out.expiry_ns = SystemClock().wallNs() + seconds * 1'000'000'000;
  }
  return out;
}

}  // namespace

void addMessageEndpoint(Router& router, hub::DeviceApi* api,
                        std::function<bool(const std::string& principal)> registered) {
  router.add(HttpMethod::kPost, "/v1/messages/{principal...}", Audience::kOperators,
             BodyRule::text(kBodyBytesMax), [api, registered](const ExchangePtr& exchange) {
               const std::string principal = exchange->request().param("principal");
               if (api == nullptr)
                 return exchange->respond(errorReply(
                     fail(Errc::kUnsupported,
                          "this gateway serves no devices: set [hub.mqtt] listen or tls_listen")));
               if (!registered(principal))
                 return exchange->respond(errorReply(fail(
                     Errc::kNotFound, "there is no device " + principal + "; kante device list")));
               auto message = parseMessage(exchange->request().body);
               if (!message) return exchange->respond(errorReply(message.error()));
               api->sendTo(principal, std::move(*message), [exchange](const Status& status) {
                 if (!status) return exchange->respond(errorReply(status.error()));
                 HttpResponse response;
                 response.status = 202;
                 response.body = "{}\n";
                 exchange->respond(std::move(response));
               });
             });
}

}  // namespace kante
