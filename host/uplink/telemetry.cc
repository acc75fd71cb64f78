#include "host/uplink/telemetry.h"

#include <utility>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/hub/iothub/property_bag.h"

namespace kante {
namespace {

constexpr std::size_t kMqttStringMax = 65'535;

// Brokers may close a connection over control characters in a string (MQTT 5, 1.5.4), and do.
bool speakable(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return false;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0)
      return false;
    // U+FDD0 to U+FDEF and U+xFFFE, U+xFFFF are no characters.
    if (byte == 0xef && i + 2 < text.size()) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      const auto third = static_cast<unsigned char>(text[i + 2]);
      if ((second == 0xb7 && third >= 0x90 && third <= 0xaf) || (second == 0xbf && third >= 0xbe))
        return false;
    }
    if (byte >= 0xf0 && i + 3 < text.size()) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      const auto third = static_cast<unsigned char>(text[i + 2]);
      const auto fourth = static_cast<unsigned char>(text[i + 3]);
      if ((second & 0x0f) == 0x0f && third == 0xbf && fourth >= 0xbe) return false;
    }
  }
  return true;
}

}  // namespace

std::uint64_t wireBytes(const Publication& publication) {
  std::uint64_t bytes = 16 + publication.topic.size() + publication.payload.size();
  if (!publication.content_type.empty()) bytes += 3 + publication.content_type.size();
  for (const auto& [name, value] : publication.properties) bytes += 5 + name.size() + value.size();
  return bytes;
}

std::string_view TelemetryWriter::keep(std::string text) {
  return kept_.emplace_back(std::move(text));
}

void TelemetryWriter::add(std::string_view name, std::string_view value) {
  if (form_ == TelemetryForm::kMqtt5 && (!speakable(name) || !speakable(value))) {
    if (!encoded_names_.empty()) encoded_names_ += '&';
    encoded_names_ += percentEncode(name);
    name = keep(percentEncode(name));
    value = keep(percentEncode(value));
  }
  if (name.size() > kMqttStringMax || value.size() > kMqttStringMax) too_long_ = true;
  publication_.properties.emplace_back(name, value);
}

void TelemetryWriter::addOwn(const MessageView& message) {
  for (std::uint32_t i = 0; i < message.propertyCount(); ++i) {
    const auto [name, value] = message.property(i);
    add(name, value);
  }
}

void TelemetryWriter::addSystem(const MessageView& message) {
  for (std::uint32_t i = 0; i < message.systemPropertyCount(); ++i) {
    const auto [name, value] = message.systemProperty(i);
    if (const std::string_view wire = hub::wireName(name); !wire.empty()) add(wire, value);
  }
  if (!message.contentEncoding().empty()) add("$.ce", message.contentEncoding());
  if (message.createdNs() != 0) add("$.ctime", keep(formatUtc(message.createdNs())));
}

// What MQTT 5 says by properties of its own goes into the bag by IoT Hub's names.
void TelemetryWriter::toBag(std::int64_t expiry_ns) {
  if (!publication_.content_type.empty()) add("$.ct", publication_.content_type);
  if (expiry_ns != 0) add("$.exp", keep(formatUtc(expiry_ns)));
  char separator = '/';
  for (const auto& [name, value] : publication_.properties) {
    publication_.topic += separator;
    publication_.topic += percentEncode(name);
    publication_.topic += '=';
    publication_.topic += percentEncode(value);
    separator = '&';
  }
  publication_.properties.clear();
  publication_.content_type = {};
  publication_.expiry_s = 0;
}

void TelemetryWriter::begin(const TakenMessage& first) {
  publication_ = Publication();
  kept_.clear();
  kept_.reserve(2 * (KANTE_PROPERTIES_MAX + KANTE_SYSTEM_PROPERTIES_MAX) + 20);
  encoded_names_.clear();
  too_long_ = false;
  publication_.topic = topic_.fill(first.record.source.telemetry_name);
}

void TelemetryWriter::addNumber(std::uint64_t number, std::uint64_t dropped) {
  add("kante-gateway", gateway_);
  add("kante-epoch", epoch_);
  add("kante-seq", keep(std::to_string(number)));
  add("kante-dropped", keep(std::to_string(dropped)));
}

// Whose message it is, when it came from a gateway below.
void TelemetryWriter::addOrigin(const RecordView& record) {
  if (record.origin_number != 0) {
    add("kante-origin-gateway", record.source.origin_gateway);
    add("kante-origin-epoch", record.source.origin_epoch);
    add("kante-origin-seq", keep(std::to_string(record.origin_number)));
  }
  if (hops_ == Hops::kSaid) add("kante-hops", keep(std::to_string(record.hops)));
}

Result<Publication> TelemetryWriter::finish(WallTime worth, std::int64_t expiry_ns) {
  if (worth == WallTime::kUntrusted) add("kante-time", "untrusted");
  if (!encoded_names_.empty()) add("kante-encoded", keep(encoded_names_));
  metered_ = publication_.payload.size();
  if (!publication_.content_type.empty()) metered_ += 4 + publication_.content_type.size();
  for (const auto& [name, value] : publication_.properties) metered_ += name.size() + value.size();
  if (form_ == TelemetryForm::kMqtt311) toBag(expiry_ns);
  if (too_long_ || publication_.topic.size() > kTopicBytesMax) {
    return fail(Errc::kLimit, "a property or the topic is longer than MQTT's 65535 bytes");
  }
  return publication_;
}

Result<Publication> TelemetryWriter::write(const TakenMessage& taken, WallTime worth) {
  const MessageView& message = taken.record.message;
  begin(taken);
  publication_.payload = message.body();
  // In a bag every character has a form.
  if (form_ == TelemetryForm::kMqtt311 || speakable(message.contentType()))
    publication_.content_type = message.contentType();
  if (message.expiryNs() != 0) {
    // What was left when it arrived, less what it waited: no step of the wall clock shortens it.
    const std::int64_t left_s =
        (message.expiryNs() - taken.record.arrived_ns - taken.waited_ns) / 1'000'000'000;
    publication_.expiry_s = static_cast<std::uint32_t>(left_s < 1            ? 1
                                                       : left_s > 0x7fffffff ? 0x7fffffff
                                                                             : left_s);
  }
  addOwn(message);
  addSystem(message);
  addNumber(taken.number, taken.dropped);
  addOrigin(taken.record);
  add("kante-id", keep(formatId(message.id())));
  const auto [trace_high, trace_low] = message.trace();
  if ((trace_high | trace_low) != 0) add("kante-trace", keep(formatId({trace_high, trace_low})));
  return finish(worth, message.expiryNs());
}

Result<Publication> TelemetryWriter::writePack(std::span<const TakenMessage> messages,
                                               std::string_view payload, WallTime worth) {
  begin(messages.front());
  publication_.payload = payload;
  publication_.content_type = "application/json";
  addNumber(messages.front().number, messages.back().dropped);
  add("kante-count", keep(std::to_string(messages.size())));
  return finish(worth, 0);
}

Publication TelemetryWriter::compressed(Publication publication, std::string_view payload) {
  metered_ = metered_ - publication.payload.size() + payload.size() + 21;
  publication.payload = payload;
  if (form_ == TelemetryForm::kMqtt311) {
    publication.topic += "&kante-compression=zstd";
  } else {
    publication.properties.emplace_back("kante-compression", "zstd");
  }
  return publication;
}

}  // namespace kante
