#include "host/uplink/reason.h"

#include <fmt/format.h>
#include <mosquitto.h>

namespace kante {

Verdict judge(std::uint8_t reason_code) {
  if (reason_code < 0x80) return Verdict::kDone;
  switch (reason_code) {
    case 0x90:  // Topic name invalid.
    case 0x95:  // Packet too large.
    case 0x99:  // Payload format invalid.
      return Verdict::kNever;
    default: return Verdict::kLater;
  }
}

std::string reasonText(std::uint8_t reason_code) {
  return fmt::format("{} (0x{:02x})", mosquitto_reason_string(reason_code), reason_code);
}

}  // namespace kante
