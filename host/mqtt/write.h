// Packets as a server says them: appended to the bytes that leave.
//
// A PUBLISH is written as its head alone; the payload goes out from where it is.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "host/mqtt/packet.h"

namespace kante::mqtt {

// Appends the properties of one packet; each as it was given, none twice.
class PropertyWriter {
 public:
  void byte(PropertyId id, std::uint8_t value);
  void u16(PropertyId id, std::uint16_t value);
  void u32(PropertyId id, std::uint32_t value);
  void variable(PropertyId id, std::uint32_t value);
  void text(PropertyId id, std::string_view value);  // Also binary data.
  void user(std::string_view name, std::string_view value);
  // Properties as they were read.
  void raw(std::string_view bytes) { bytes_ += bytes; }

  const std::string& bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

void appendVariable(std::string& out, std::uint32_t value);

// 3.1.1: reason by returnCode311(), no properties.
void writeConnack(std::string& out, Version version, bool session_present, Reason reason,
                  const PropertyWriter& properties);

struct PublishHead {
  std::string_view topic;
  Qos qos = Qos::k0;
  bool retain = false;
  bool dup = false;
  std::uint16_t packet_id = 0;
  std::size_t payload_bytes = 0;
};
// Everything but the payload, which follows.
void writePublishHead(std::string& out, Version version, const PublishHead& head,
                      const PropertyWriter& properties);
// Of the whole packet with its payload.
std::size_t publishBytes(Version version, const PublishHead& head,
                         const PropertyWriter& properties);

// PUBACK, PUBREC, PUBREL, PUBCOMP.
void writeAck(std::string& out, Version version, PacketType type, std::uint16_t packet_id,
              Reason reason, std::string_view reason_text = {});
// SUBACK and UNSUBACK; UNSUBACK of 3.1.1 has no reasons, and a refusal in SUBACK of 3.1.1 is 0x80.
void writeSubscribed(std::string& out, Version version, PacketType type, std::uint16_t packet_id,
                     std::span<const Reason> reasons);
void writePingresp(std::string& out);
// Nothing with 3.1.1, whose server just closes.
void writeDisconnect(std::string& out, Version version, Reason reason,
                     const PropertyWriter& properties);
void writeAuth(std::string& out, Reason reason, const PropertyWriter& properties);

}  // namespace kante::mqtt
