#include "host/uplink/pack.h"

#include <zstd.h>

#include <boost/json.hpp>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/hub/iothub/property_bag.h"
#include "host/uplink/telemetry.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr int kLevel = 3;
// Less is not worth a property that says so.
constexpr std::size_t kCompressBytesMin = 64;

bool saysJson(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  return type == "application/json" || type.ends_with("+json");
}

// The receiver gets the very bytes of the author: JSON as it stands, a text as one, else base64.
void addBody(const MessageView& message, std::string& out) {
  const std::string_view body = message.body();
  if (saysJson(message.contentType()) && !parseJson(body, {body.size(), 64}).has_error()) {
    out += ",\"body\":";
    out += body;
  } else if (isUtf8(body)) {
    out += ",\"body_text\":" + json::serialize(json::string_view(body.data(), body.size()));
  } else {
    out += ",\"body_base64\":\"" + toBase64(body) + "\"";
  }
}

}  // namespace

std::string packEntry(const TakenMessage& taken) {
  const MessageView& message = taken.record.message;
  json::object head{{"seq", taken.number}, {"id", formatId(message.id())}};
  if (message.createdNs() != 0) head["created"] = formatUtc(message.createdNs());
  if (message.expiryNs() != 0) head["expires"] = formatUtc(message.expiryNs());
  if (!message.contentType().empty()) head["content_type"] = std::string(message.contentType());
  if (!message.contentEncoding().empty())
    head["content_encoding"] = std::string(message.contentEncoding());
  if (taken.record.origin_number != 0)
    head["origin"] = json::object{{"gateway", std::string(taken.record.source.origin_gateway)},
                                  {"epoch", std::string(taken.record.source.origin_epoch)},
                                  {"seq", taken.record.origin_number}};
  const auto [trace_high, trace_low] = message.trace();
  if ((trace_high | trace_low) != 0) head["trace"] = formatId({trace_high, trace_low});
  json::object properties;
  for (std::uint32_t i = 0; i < message.propertyCount(); ++i) {
    const auto [name, value] = message.property(i);
    properties.emplace(json::string_view(name.data(), name.size()),
                       json::string_view(value.data(), value.size()));
  }
  for (std::uint32_t i = 0; i < message.systemPropertyCount(); ++i) {
    const auto [name, value] = message.systemProperty(i);
    if (const std::string_view wire = hub::wireName(name); !wire.empty())
      properties.emplace(json::string_view(wire.data(), wire.size()),
                         json::string_view(value.data(), value.size()));
  }
  if (!properties.empty()) head["properties"] = std::move(properties);
  std::string entry = json::serialize(head);
  entry.pop_back();
  addBody(message, entry);
  entry += '}';
  return entry;
}

std::size_t packLength(std::span<const TakenMessage> messages, const PackRules& rules,
                       std::string& payload) {
  payload = "[";
  std::size_t length = 0;
  for (; length < messages.size(); ++length) {
    const TakenMessage& message = messages[length];
    if (length > 0 &&
        (message.number != messages[length - 1].number + 1 ||
         message.record.source.telemetry_name != messages[0].record.source.telemetry_name)) {
      break;
    }
    const std::string entry = packEntry(message);
    if (length > 0 && kPackFrameBytes + payload.size() + 1 + entry.size() > rules.bytes_max) break;
    if (length > 0) payload += ',';
    payload += entry;
  }
  payload += ']';
  return length;
}

bool compressZstd(std::string_view bytes, std::string& out) {
  out.clear();
  if (bytes.size() < kCompressBytesMin) return false;
  out.resize(ZSTD_compressBound(bytes.size()));
  const std::size_t size =
      ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kLevel);
  // What says so takes its bytes, too.
  constexpr std::size_t kSaying = sizeof("kante-compression") + sizeof("zstd");
  if (ZSTD_isError(size) != 0 || size + kSaying >= bytes.size()) {
    out.clear();
    return false;
  }
  out.resize(size);
  return true;
}

}  // namespace kante
