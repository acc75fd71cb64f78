#include "host/hub/iothub/property_bag.h"

#include <array>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/hub/iothub/contract_topic.h"
#include "host/hub/iothub/iso_time.h"
#include "host/message/hop.h"

namespace kante::hub {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kWireNames{{
    {"messageId", "$.mid"},
    {"cid", "$.cid"},
    {"userId", "$.uid"},
    {"to", "$.to"},
    {"messageSchema", "$.schema"},
    {"dt-subject", "$.sub"},
    {"operation", "iothub-operation"},
    {"iothub-interface-id", "$.ifid"},
    {"ack", "ack"},
}};

Status setTime(std::string_view name, std::string_view value, std::int64_t& out) {
  const auto ns = parseIsoTime(value);
  if (!ns)
    return fail(Errc::kInvalid,
                "property " + std::string(name) + ": \"" + std::string(value) + "\" is no time");
  out = *ns;
  return {};
}

Status set(std::string name, std::string value, DeviceMessage& out) {
  if (name == "$.ct") return out.content_type = std::move(value), Status();
  if (name == "$.ce") return out.content_encoding = std::move(value), Status();
  if (name == "$.on") return out.output = std::move(value), Status();
  if (name == "$.exp") return setTime(name, value, out.expiry_ns);
  if (name == "$.ctime") return setTime(name, value, out.created_ns);
  if (const std::string_view internal = internalName(name); !internal.empty()) {
    out.system.emplace_back(internal, std::move(value));
  } else if (!name.starts_with('$')) {
    out.properties.emplace_back(std::move(name), std::move(value));
  }
  return {};
}

class BagWriter {
 public:
  explicit BagWriter(std::string& out) : out_(out), begin_(out.size()) {}
  void add(std::string_view name, std::string_view value) {
    if (value.empty() && name.starts_with('$')) return;
    if (out_.size() > begin_) out_ += '&';
    out_ += percentEncode(name);
    out_ += '=';
    out_ += percentEncode(value);
  }

 private:
  std::string& out_;
  const std::size_t begin_;
};

}  // namespace

std::string_view wireName(std::string_view internal_name) {
  for (const auto& [internal, wire] : kWireNames)
    if (internal_name == internal) return wire;
  return {};
}

std::string_view internalName(std::string_view wire_name) {
  for (const auto& [internal, wire] : kWireNames)
    if (wire_name == wire) return internal;
  return {};
}

Status readBag(std::string_view bag, DeviceMessage& out) {
  if (bag.starts_with('?')) bag.remove_prefix(1);
  while (!bag.empty()) {
    const std::size_t end = std::min(bag.find('&'), bag.size());
    const std::string_view pair = bag.substr(0, end);
    const bool more = end < bag.size();
    bag.remove_prefix(more ? end + 1 : end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view raw_value = pair.substr(std::min(equals + 1, pair.size()));
    auto name = percentDecode(pair.substr(0, equals));
    auto value = percentDecode(raw_value);
    if (equals == 0 || raw_value.find('=') != std::string_view::npos || !name || !value ||
        !isUtf8(*name) || !isUtf8(*value) || (more && bag.empty()))
      return fail(Errc::kInvalid,
                  "the property bag: \"" + std::string(pair) + "\" is no name=value, encoded");
    KANTE_CHECK(set(std::move(*name), std::move(*value), out));
  }
  return {};
}

void writeBag(const MessageView& message, const Source* from, std::string& out) {
  BagWriter writer(out);
  for (std::uint32_t i = 0; i < message.propertyCount(); ++i) {
    const auto [name, value] = message.property(i);
    writer.add(name, value);
  }
  for (std::uint32_t i = 0; i < message.systemPropertyCount(); ++i) {
    const auto [name, value] = message.systemProperty(i);
    if (const std::string_view wire = wireName(name); !wire.empty()) writer.add(wire, value);
  }
  writer.add("$.ct", message.contentType());
  writer.add("$.ce", message.contentEncoding());
  if (message.createdNs() != 0) writer.add("$.ctime", formatUtc(message.createdNs()));
  if (message.expiryNs() != 0) writer.add("$.exp", formatUtc(message.expiryNs()));
  if (from == nullptr) return;
  // Of a twin change its principal, not the hub that tells of it.
  const bool of_twin = from->path == kTwinChangePath;
  writer.add("$.cdid",
             of_twin ? message.systemProperty("rpSenderDeviceId") : from->connection_device_id);
  writer.add("$.cmid",
             of_twin ? message.systemProperty("rpSenderModuleId") : from->connection_module_id);
}

}  // namespace kante::hub
