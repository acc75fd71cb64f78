#include "host/hub/iothub/device_message.h"

#include <vector>

namespace kante::hub {

Error reservedName(std::string_view name) {
  return fail(Errc::kDenied, "property \"" + std::string(name) +
                                 "\": names that begin with $ or kante- are the host's own");
}

Result<MessageRef> messageOf(const DeviceMessage& said, std::string_view body, Stamp& stamp) {
  std::size_t bytes = body.size() + said.content_type.size() + said.content_encoding.size();
  const auto listOf = [&bytes](const std::vector<DeviceMessage::Property>& from) {
    std::vector<kante_property> out;
    for (const auto& [name, value] : from) {
      bytes += name.size() + value.size();
      out.push_back({toStr(name), toStr(value)});
    }
    return out;
  };
  const std::vector<kante_property> properties = listOf(said.properties);
  const std::vector<kante_property> system = listOf(said.system);
  if (bytes > DeviceMessage::kBytesMax)
    return fail(Errc::kLimit, "a message has at most " + std::to_string(DeviceMessage::kBytesMax) +
                                  " bytes, with its properties");
  for (const auto& [name, value] : said.properties)
    if (kante_name_reserved(toStr(name)) != 0) return reservedName(name);
  kante_message message{};
  message.id_high = stamp.id_high;
  message.id_low = ++stamp.id_low;
  message.created_ns = said.created_ns != 0 ? said.created_ns : stamp.now_ns;
  message.expiry_ns = said.expiry_ns;
  message.content_type = toStr(said.content_type);
  message.content_encoding = toStr(said.content_encoding);
  message.properties = properties.data();
  message.property_count = static_cast<std::uint32_t>(properties.size());
  message.system = system.data();
  message.system_count = static_cast<std::uint32_t>(system.size());
  message.body = toStr(body);
  return buildMessage(message);
}

}  // namespace kante::hub
