// Numbers of the file formats here, whatever the processor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kante {

// The caller knows that the bytes are there.
inline std::uint64_t readLittle(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;)
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

inline void appendLittle(std::string& out, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace kante
