#include "host/mqtt/write.h"

namespace kante::mqtt {
namespace {

void appendByte(std::string& out, unsigned value) { out += static_cast<char>(value); }
void appendU16(std::string& out, unsigned value) {
  appendByte(out, value >> 8 & 0xff);
  appendByte(out, value & 0xff);
}
bool fits(std::string_view text) { return text.size() <= kTextBytesMax; }
void appendText(std::string& out, std::string_view text) {
  appendU16(out, static_cast<unsigned>(text.size()));
  out += text;
}
std::size_t variableBytes(std::size_t value) {
  return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}
void appendHead(std::string& out, PacketType type, unsigned flags, std::size_t body_bytes) {
  appendByte(out, static_cast<unsigned>(type) << 4 | flags);
  appendVariable(out, static_cast<std::uint32_t>(body_bytes));
}
std::size_t propertiesBytes(Version version, const PropertyWriter& properties) {
  if (version != Version::k5) return 0;
  return variableBytes(properties.bytes().size()) + properties.bytes().size();
}
void appendProperties(std::string& out, Version version, const PropertyWriter& properties) {
  if (version != Version::k5) return;
  appendVariable(out, static_cast<std::uint32_t>(properties.bytes().size()));
  out += properties.bytes();
}

std::size_t publishBody(Version version, const PublishHead& head,
                        const PropertyWriter& properties) {
  return 2 + head.topic.size() + (head.qos == Qos::k0 ? 0 : 2) +
         propertiesBytes(version, properties) + head.payload_bytes;
}

// 3.1.1 has no properties that could be too long.
bool canSay(Version version, const PropertyWriter& properties, std::size_t body_bytes) {
  return (version != Version::k5 || properties.fits()) && body_bytes <= kPacketBodyMax;
}

}  // namespace

void appendVariable(std::string& out, std::uint32_t value) {
  for (; value >= 128; value >>= 7) appendByte(out, (value & 0x7f) | 0x80);
  appendByte(out, value);
}

void PropertyWriter::byte(PropertyId id, std::uint8_t value) {
  appendByte(bytes_, static_cast<unsigned>(id));
  appendByte(bytes_, value);
}
void PropertyWriter::u16(PropertyId id, std::uint16_t value) {
  appendByte(bytes_, static_cast<unsigned>(id));
  appendU16(bytes_, value);
}
void PropertyWriter::u32(PropertyId id, std::uint32_t value) {
  u16(id, static_cast<std::uint16_t>(value >> 16));
  appendU16(bytes_, value & 0xffff);
}
void PropertyWriter::variable(PropertyId id, std::uint32_t value) {
  appendByte(bytes_, static_cast<unsigned>(id));
  appendVariable(bytes_, value);
}
void PropertyWriter::text(PropertyId id, std::string_view value) {
  if (!mqtt::fits(value)) {
    fits_ = false;
    return;
  }
  appendByte(bytes_, static_cast<unsigned>(id));
  appendText(bytes_, value);
}
void PropertyWriter::user(std::string_view name, std::string_view value) {
  if (!mqtt::fits(name) || !mqtt::fits(value)) {
    fits_ = false;
    return;
  }
  text(PropertyId::kUserProperty, name);
  appendText(bytes_, value);
}

bool writeConnack(std::string& out, Version version, bool session_present, Reason reason,
                  const PropertyWriter& properties) {
  const std::size_t body = 2 + propertiesBytes(version, properties);
  if (!canSay(version, properties, body)) return false;
  appendHead(out, PacketType::kConnack, 0, body);
  // [MQTT-3.2.2-6] no session with a refusal.
  appendByte(out, session_present && reason == Reason::kSuccess ? 1 : 0);
  appendByte(out, version == Version::k5 ? static_cast<unsigned>(reason) : returnCode311(reason));
  appendProperties(out, version, properties);
  return true;
}

bool writePublishHead(std::string& out, Version version, const PublishHead& head,
                      const PropertyWriter& properties) {
  const unsigned flags =
      (head.dup ? 8u : 0u) | static_cast<unsigned>(head.qos) << 1 | (head.retain ? 1u : 0u);
  const std::size_t body = publishBody(version, head, properties);
  if (!fits(head.topic) || !canSay(version, properties, body)) return false;
  appendHead(out, PacketType::kPublish, flags, body);
  appendText(out, head.topic);
  if (head.qos != Qos::k0) appendU16(out, head.packet_id);
  appendProperties(out, version, properties);
  return true;
}

std::size_t publishBytes(Version version, const PublishHead& head,
                         const PropertyWriter& properties) {
  const std::size_t body = publishBody(version, head, properties);
  return 1 + variableBytes(body) + body;
}

bool writeAck(std::string& out, Version version, PacketType type, std::uint16_t packet_id,
              Reason reason, std::string_view reason_text) {
  const unsigned flags = type == PacketType::kPubrel ? 2 : 0;
  const bool bare = version == Version::k311 || (reason == Reason::kSuccess && reason_text.empty());
  PropertyWriter properties;
  if (!reason_text.empty()) properties.text(PropertyId::kReasonString, reason_text);
  std::size_t body = 2;
  if (!bare) body += 1 + (reason_text.empty() ? 0 : propertiesBytes(version, properties));
  if (!bare && !canSay(version, properties, body)) return false;
  appendHead(out, type, flags, body);
  appendU16(out, packet_id);
  if (bare) return true;
  appendByte(out, static_cast<unsigned>(reason));
  if (!reason_text.empty()) appendProperties(out, version, properties);
  return true;
}

void writeSubscribed(std::string& out, Version version, PacketType type, std::uint16_t packet_id,
                     std::span<const Reason> reasons) {
  const bool with_reasons = version == Version::k5 || type == PacketType::kSuback;
  const std::size_t properties = version == Version::k5 ? 1 : 0;
  appendHead(out, type, 0, 2 + properties + (with_reasons ? reasons.size() : 0));
  appendU16(out, packet_id);
  if (version == Version::k5) appendByte(out, 0);
  if (!with_reasons) return;
  for (const Reason reason : reasons) {
    const auto code = static_cast<unsigned>(reason);
    appendByte(out, version == Version::k311 && code > 2 ? 0x80 : code);
  }
}

void writePingresp(std::string& out) { appendHead(out, PacketType::kPingresp, 0, 0); }

bool writeDisconnect(std::string& out, Version version, Reason reason,
                     const PropertyWriter& properties) {
  if (version == Version::k311) return true;
  const bool bare = properties.bytes().empty();
  const std::size_t body = 1 + (bare ? 0 : propertiesBytes(version, properties));
  if (!canSay(version, properties, body)) return false;
  appendHead(out, PacketType::kDisconnect, 0, body);
  appendByte(out, static_cast<unsigned>(reason));
  if (!bare) appendProperties(out, version, properties);
  return true;
}

bool writeAuth(std::string& out, Reason reason, const PropertyWriter& properties) {
  const std::size_t body = 1 + propertiesBytes(Version::k5, properties);
  if (!canSay(Version::k5, properties, body)) return false;
  appendHead(out, PacketType::kAuth, 0, body);
  appendByte(out, static_cast<unsigned>(reason));
  appendProperties(out, Version::k5, properties);
  return true;
}

}  // namespace kante::mqtt
