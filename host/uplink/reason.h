// What an MQTT 5 reason code of a PUBACK means for the message.
#pragma once

#include <cstdint>
#include <string>

namespace kante {

enum class Verdict {
  kDone,   // The broker has it.
  kNever,  // The broker will not take this message, ever.
  kLater,  // The broker does not take messages now, or not from us: nothing is given up for that.
};
Verdict judge(std::uint8_t reason_code);

// "Not authorized (0x87)"
std::string reasonText(std::uint8_t reason_code);

}  // namespace kante
