// What a WebSocket client sends.
#pragma once

#include <string>

namespace kante::hub {

inline constexpr unsigned kFinal = 0x80;

inline std::string clientFrame(unsigned first, const std::string& payload,
                               const std::string& mask = "\x01\x02\x03\x7f") {
  std::string out(1, static_cast<char>(first));
  const std::size_t size = payload.size();
  const auto byte = [&](std::size_t value) { out += static_cast<char>(value & 255); };
  if (size < 126) {
    byte(0x80 | size);
  } else if (size <= 0xffff) {
    byte(0x80 | 126);
    byte(size >> 8);
    byte(size);
  } else {
    byte(0x80 | 127);
    for (int i = 7; i >= 0; --i) byte(size >> (8 * i));
  }
  out += mask;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(payload[i] ^ mask[i % 4]);
  return out;
}

}  // namespace kante::hub
