// Builds packets byte by byte for tests.
#pragma once

#include <string>
#include <string_view>

#include "host/mqtt/parse.h"

namespace kante::mqtt {

inline std::string text(std::string_view value) {
  return std::string{static_cast<char>(value.size() >> 8), static_cast<char>(value.size() & 0xff)} +
         std::string(value);
}
// With its fixed header; bodies below 128 bytes.
inline std::string packet(unsigned first, const std::string& body) {
  return std::string{static_cast<char>(first), static_cast<char>(body.size())} + body;
}
// Properties below 128 bytes, with their length.
inline std::string properties(const std::string& bytes) {
  return std::string(1, static_cast<char>(bytes.size())) + bytes;
}
inline std::string bytesOf(std::initializer_list<unsigned> values) {
  std::string out;
  for (const unsigned value : values) out += static_cast<char>(value);
  return out;
}

inline Frame frameFrom(std::string_view bytes) {
  Frame frame;
  Fault fault;
  return frameOf(bytes, 1 << 20, frame, fault) == Framing::kPacket ? frame : Frame{};
}

}  // namespace kante::mqtt
