#include "host/hub/gateways/child_message.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <vector>

#include "host/base/encoding.h"
#include "host/hub/iothub/iso_time.h"
#include "host/hub/iothub/property_bag.h"
#include "host/message/hop.h"

namespace kante::hub {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kEpochBytesMax = 64;
constexpr std::size_t kPropertiesMax = KANTE_PROPERTIES_MAX + KANTE_SYSTEM_PROPERTIES_MAX + 32;

Error wrong(std::string_view name, std::string_view value) {
  return fail(Errc::kInvalid, "property " + std::string(name) + " says \"" +
                                  std::string(value.substr(0, 64)) + "\", which no gateway does");
}

bool readNumber(std::string_view text, std::uint64_t& out, int base = 10) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

bool readId(std::string_view text, std::uint64_t& high, std::uint64_t& low) {
  return text.size() == 32 && readNumber(text.substr(0, 16), high, 16) &&
         readNumber(text.substr(16), low, 16);
}

bool isEpoch(std::string_view text) {
  return !text.empty() && text.size() <= kEpochBytesMax &&
         text.find_first_not_of("0123456789abcdefABCDEF-") == std::string_view::npos;
}

// All of one publication while they are read.
struct Reader {
  ChildMessage out;
  std::string gateway;
  kante_message message{};
  std::vector<kante_property> properties, system;
  std::deque<std::string> decoded;  // What the views point into.

  Status take(std::string_view name, std::string_view value);
  Status takeOwn(std::string_view name, std::string_view value);
};

Status Reader::takeOwn(std::string_view name, std::string_view value) {
  const auto number = [&](std::uint64_t& to) {
    return readNumber(value, to) && to != 0 && to <= kOriginNumberMax;
  };
  bool good = true;
  if (name == "kante-gateway") {
    gateway = value;
  } else if (name == "kante-epoch") {
    good = isEpoch(value);
    out.epoch = value;
  } else if (name == "kante-seq") {
    good = number(out.number);
  } else if (name == "kante-origin-gateway") {
    good = isName(value);
    out.origin_gateway = value;
  } else if (name == "kante-origin-epoch") {
    good = isEpoch(value);
    out.origin_epoch = value;
  } else if (name == "kante-origin-seq") {
    good = number(out.origin_number);
  } else if (name == "kante-hops") {
    std::uint64_t hops = 0;
    good = readNumber(value, hops) && hops > 0;
    out.hops = static_cast<std::uint8_t>(std::min<std::uint64_t>(hops, kHopsMax));
  } else if (name == "kante-id") {
    good = readId(value, message.id_high, message.id_low);
  } else if (name == "kante-trace") {
    good = readId(value, message.trace_high, message.trace_low);
  } else if (name == "kante-count" || name == "kante-compression") {
    return fail(Errc::kInvalid,
                "it is packed or compressed: leave pack and compress out of the "
                "[uplink] of a gateway below");
  }
  return good ? Status() : Status(wrong(name, value));
}

Status Reader::take(std::string_view name, std::string_view value) {
  if (name.starts_with("kante-")) return takeOwn(name, value);
  if (name == "$.ce") {
    message.content_encoding = toStr(value);
  } else if (name == "$.ctime") {
    const auto ns = parseIsoTime(value);
    if (!ns) return wrong(name, value);
    message.created_ns = *ns;
  } else if (const std::string_view internal = internalName(name); !internal.empty()) {
    system.push_back({toStr(internal), toStr(value)});
  } else if (!name.starts_with('$')) {
    properties.push_back({toStr(name), toStr(value)});
  }
  return {};
}

using Pair = std::pair<std::string_view, std::string_view>;

// Puts those that MQTT could not carry back as they were.
Status decode(std::vector<Pair>& all, std::deque<std::string>& memory) {
  const auto list = std::find_if(all.begin(), all.end(),
                                 [](const Pair& one) { return one.first == "kante-encoded"; });
  if (list == all.end()) return {};
  std::vector<std::string_view> names;
  for (std::string_view rest = list->second; !rest.empty();) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    names.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  for (Pair& one : all) {
    if (std::find(names.begin(), names.end(), one.first) == names.end()) continue;
    for (std::string_view* part : {&one.first, &one.second}) {
      auto text = percentDecode(*part);
      if (!text || !isUtf8(*text)) return wrong("kante-encoded", list->second);
      *part = memory.emplace_back(std::move(*text));
    }
    if (one.first.starts_with("kante-") || one.first.starts_with('$'))
      return wrong("kante-encoded", list->second);
  }
  return {};
}

}  // namespace

Result<ChildMessage> readChildMessage(const mqtt::Publish& publish, std::string_view gateway,
                                      Stamp& stamp) {
  std::vector<Pair> all;
  publish.properties.forEachUserProperty([&](std::string_view name, std::string_view value) {
    if (all.size() <= kPropertiesMax) all.emplace_back(name, value);
  });
  if (all.size() > kPropertiesMax) return fail(Errc::kInvalid, "it has too many properties");
  Reader reader;
  KANTE_CHECK(decode(all, reader.decoded));
  for (const auto& [name, value] : all) KANTE_CHECK(reader.take(name, value));
  ChildMessage& out = reader.out;
  if (reader.gateway != gateway || out.epoch.empty() || out.number == 0)
    return fail(Errc::kInvalid,
                "it has no kante-gateway, kante-epoch and kante-seq of " + std::string(gateway));
  if (out.origin_gateway.empty() != (out.origin_number == 0) ||
      out.origin_gateway.empty() != out.origin_epoch.empty())
    return fail(Errc::kInvalid, "it has a part of an origin");
  if (out.origin_number == 0) {
    out.origin_gateway = gateway;
    out.origin_epoch = out.epoch;
    out.origin_number = out.number;
  }
  kante_message& message = reader.message;
  if (message.id_high == 0 && message.id_low == 0) {
    message.id_high = stamp.id_high;
    message.id_low = ++stamp.id_low;
  }
  if (message.created_ns == 0) message.created_ns = stamp.now_ns;
  if (publish.properties.message_expiry_s)
    message.expiry_ns = stamp.now_ns + *publish.properties.message_expiry_s * kSecond;
  message.content_type = toStr(publish.properties.content_type.value_or(""));
  message.properties = reader.properties.data();
  message.property_count = static_cast<std::uint32_t>(reader.properties.size());
  message.system = reader.system.data();
  message.system_count = static_cast<std::uint32_t>(reader.system.size());
  message.body = toStr(publish.payload);
  KANTE_TRY(made, buildMessage(message));
  out.message = std::move(made);
  return std::move(out);
}

}  // namespace kante::hub
