#include "host/placement/client_message.h"

#include <algorithm>
#include <vector>

#include "host/hub/iothub/device_message.h"
#include "host/mqtt/write.h"

namespace kante {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

Result<MessageRef> stamped(kante_message& message, Stamp& stamp) {
  message.id_high = stamp.id_high;
  message.id_low = ++stamp.id_low;
  if (message.created_ns == 0) message.created_ns = stamp.now_ns;
  return buildMessage(message);
}

}  // namespace

Result<MessageRef> messageOf(const mqtt::Publish& publish, Stamp& stamp) {
  std::vector<kante_property> properties;
  std::string_view refused;
  publish.properties.forEachUserProperty([&](std::string_view name, std::string_view value) {
    if (kante_name_reserved(toStr(name)) != 0) refused = name;
    properties.push_back({toStr(name), toStr(value)});
  });
  if (!refused.empty()) return hub::reservedName(refused);
  const kante_property topic{toStr("topic"), toStr(publish.topic)};
  kante_message message{};
  message.content_type = toStr(publish.properties.content_type.value_or(""));
  message.properties = properties.data();
  message.property_count = static_cast<std::uint32_t>(properties.size());
  message.system = &topic;
  message.system_count = 1;
  message.body = toStr(publish.payload);
  if (publish.properties.message_expiry_s)
    message.expiry_ns = stamp.now_ns + *publish.properties.message_expiry_s * kSecond;
  return stamped(message, stamp);
}

hub::PublicationRef publicationOf(const MessageRef& message, std::string_view topic,
                                  std::uint32_t ttl_s, std::int64_t wall_ns, std::int64_t boot_ns) {
  const MessageView view = message.view();
  mqtt::PropertyWriter writer;
  if (!view.contentType().empty()) writer.text(mqtt::PropertyId::kContentType, view.contentType());
  for (std::uint32_t i = 0; i < view.propertyCount(); ++i) {
    const auto [name, value] = view.property(i);
    writer.user(name, value);
  }
  mqtt::Properties properties;
  properties.bytes = writer.bytes();
  std::int64_t left_ns = ttl_s == 0 ? INT64_MAX : ttl_s * kSecond;
  if (view.expiryNs() != 0) left_ns = std::min(left_ns, view.expiryNs() - wall_ns);
  if (left_ns != INT64_MAX)
    properties.message_expiry_s =
        static_cast<std::uint32_t>(std::clamp<std::int64_t>(left_ns / kSecond, 0, UINT32_MAX));
  hub::Publication::Parts parts;
  parts.topic = topic;
  parts.qos = mqtt::Qos::k1;
  parts.now_ns = boot_ns;
  parts.properties = &properties;
  parts.message = message;
  return hub::Publication::make(parts);
}

}  // namespace kante
