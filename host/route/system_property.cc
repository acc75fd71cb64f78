#include "host/route/system_property.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "host/route/lexer.h"

namespace kante::route_detail {
namespace {

using P = SystemProperty;

constexpr std::array<std::pair<std::string_view, P>, 14> kOfTheHost{{
    {"messageId", P::kMessageId},
    {"contentType", P::kContentType},
    {"contentEncoding", P::kContentEncoding},
    {"connectionDeviceId", P::kConnectionDeviceId},
    {"connectionModuleId", P::kConnectionModuleId},
    {"outputName", P::kOutputName},
    {"enqueuedTime", P::kEnqueuedTime},
    {"creationTime", P::kCreationTime},
    {"absolute-expiry-time", P::kExpiryTime},
    {"edgeMessageId", P::kEdgeMessageId},
    {"edgeHubOriginInterface", P::kOriginInterface},
    {"messageType", P::kMessageType},
    {"rpSenderDeviceId", P::kSenderDeviceId},
    {"rpSenderModuleId", P::kSenderModuleId},
}};

constexpr std::array<std::string_view, 24> kNames{"messageId",
                                                  "contentType",
                                                  "contentEncoding",
                                                  "connectionDeviceId",
                                                  "connectionModuleId",
                                                  "outputName",
                                                  "enqueuedTime",
                                                  "creationTime",
                                                  "absolute-expiry-time",
                                                  "edgeMessageId",
                                                  "edgeHubOriginInterface",
                                                  "messageType",
                                                  "rpSenderDeviceId",
                                                  "rpSenderModuleId",
                                                  "userId",
                                                  "cid",
                                                  "to",
                                                  "inputName",
                                                  "messageSchema",
                                                  "operation",
                                                  "iothub-interface-id",
                                                  "dt-subject",
                                                  "modelId",
                                                  "ack"};

constexpr std::string_view kNothing;

std::string_view orNothing(std::string_view text) { return text.empty() ? kNothing : text; }

std::string_view hexadecimal(MessageId id, std::array<char, 32>& out) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < 16; ++i) {
    out[15 - i] = kDigits[(id.high >> (4 * i)) & 15];
    out[31 - i] = kDigits[(id.low >> (4 * i)) & 15];
  }
  return {out.data(), out.size()};
}

bool isTwinChange(const Source& source) {
  return sameIgnoringCase(std::string_view(source.path).substr(0, 24), "/twinChangeNotifications");
}

// A time that the author may say as text, else the field.
std::string_view timeOf(std::string_view said, std::int64_t ns, std::array<char, 32>& out) {
  if (said.data() != nullptr) return said;
  return ns == 0 ? kNothing : isoTime(ns, out);
}

}  // namespace

SystemProperty findSystemProperty(std::string_view name) {
  for (const auto& [known, property] : kOfTheHost) {
    if (sameIgnoringCase(known, name)) return property;
  }
  return P::kFromAuthor;
}

std::span<const std::string_view> systemPropertyNames() { return kNames; }

std::string_view isoTime(std::int64_t ns, std::array<char, 32>& out) {
  using namespace std::chrono;
  const sys_time<milliseconds> time = floor<milliseconds>(sys_time<nanoseconds>(nanoseconds(ns)));
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  const int size = std::snprintf(
      out.data(), out.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {out.data(), static_cast<std::size_t>(size)};
}

std::string_view readSystemProperty(SystemProperty property, std::string_view name,
                                    const RouteInput& input, SystemText& text) {
  const MessageView& message = input.message;
  const Source& source = *input.source;
  switch (property) {
    case P::kMessageId: {
      const std::string_view said = message.systemProperty("messageId");
      return said.data() != nullptr ? said : hexadecimal(message.id(), text.message_id);
    }
    case P::kEdgeMessageId: return hexadecimal(message.id(), text.edge_message_id);
    case P::kContentType: return orNothing(message.contentType());
    case P::kContentEncoding: return orNothing(message.contentEncoding());
    case P::kConnectionDeviceId: return orNothing(source.connection_device_id);
    case P::kConnectionModuleId: return orNothing(source.connection_module_id);
    case P::kOutputName: return orNothing(source.output);
    case P::kEnqueuedTime: return timeOf(kNothing, input.arrived_ns, text.arrived);
    case P::kCreationTime:
      return timeOf(message.systemProperty("creationTime"), message.createdNs(), text.created);
    case P::kExpiryTime: return timeOf(kNothing, message.expiryNs(), text.expiry);
    case P::kOriginInterface:
      return source.principal.starts_with("device/") || source.principal.starts_with("gateway/")
                 ? "downstream"
                 : "internal";
    case P::kMessageType:
    case P::kSenderDeviceId:
    case P::kSenderModuleId: return isTwinChange(source) ? message.systemProperty(name) : kNothing;
    case P::kFromAuthor: return message.systemProperty(name);
  }
  return kNothing;
}

}  // namespace kante::route_detail
