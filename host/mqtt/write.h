// Packets as a server says them: appended to the bytes that leave.
//
// A PUBLISH is written as its head alone; the payload goes out from where it is.
// What no packet can say, a text above kTextBytesMax or a packet above kPacketBodyMax, is not
// written at all: the writer appends nothing and answers false.
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
  // Also binary data.  One that is too long is left out, and fits() says so for the packet.
  void text(PropertyId id, std::string_view value);
  void user(std::string_view name, std::string_view value);
  // Properties as they were read.
  void raw(std::string_view bytes) { bytes_ += bytes; }

  const std::string& bytes() const { return bytes_; }
  bool fits() const { return fits_; }
  void clear() {
    bytes_.clear();
    fits_ = true;
  }

 private:
  std::string bytes_;
  bool fits_ = true;
};

void appendVariable(std::string& out, std::uint32_t value);

// 3.1.1: reason by returnCode311(), no properties.
[[nodiscard]] bool writeConnack(std::string& out, Version version, bool session_present,
                                Reason reason, const PropertyWriter& properties);

struct PublishHead {
  std::string_view topic;
  Qos qos = Qos::k0;
  bool retain = false;
  bool dup = false;
  std::uint16_t packet_id = 0;
  std::size_t payload_bytes = 0;
};
// Everything but the payload, which follows.
[[nodiscard]] bool writePublishHead(std::string& out, Version version, const PublishHead& head,
                                    const PropertyWriter& properties);
// Of the whole packet with its payload.
std::size_t publishBytes(Version version, const PublishHead& head,
                         const PropertyWriter& properties);

// PUBACK, PUBREC, PUBREL, PUBCOMP.
[[nodiscard]] bool writeAck(std::string& out, Version version, PacketType type,
                            std::uint16_t packet_id, Reason reason,
                            std::string_view reason_text = {});
// SUBACK and UNSUBACK; UNSUBACK of 3.1.1 has no reasons, and a refusal in SUBACK of 3.1.1 is 0x80.
void writeSubscribed(std::string& out, Version version, PacketType type, std::uint16_t packet_id,
                     std::span<const Reason> reasons);
void writePingresp(std::string& out);
// Nothing with 3.1.1, whose server just closes.
[[nodiscard]] bool writeDisconnect(std::string& out, Version version, Reason reason,
                                   const PropertyWriter& properties);
[[nodiscard]] bool writeAuth(std::string& out, Reason reason, const PropertyWriter& properties);

}  // namespace kante::mqtt
