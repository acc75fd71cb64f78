// Reads the fields of a packet one after the other; what is not there makes all that follows fail.
#pragma once

#include <cstdint>
#include <string_view>

namespace kante::mqtt {

// Well-formed UTF-8 without U+0000 and surrogates (MQTT 5.0, 1.5.4).
bool isUtf8(std::string_view text);

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  std::uint8_t byte() {
    if (!has(1)) return 0;
    const auto value = static_cast<std::uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  std::uint16_t u16() {
    if (!has(2)) return 0;
    const auto value = static_cast<std::uint16_t>(at(0) << 8 | at(1));
    rest_.remove_prefix(2);
    return value;
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
  // A variable byte integer in its shortest form.
  std::uint32_t variable() {
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      const std::uint8_t one = byte();
      value |= static_cast<std::uint32_t>(one & 0x7f) << shift;
      if ((one & 0x80) != 0) continue;
      if (one == 0 && shift > 0) ok_ = false;
      return ok_ ? value : 0;
    }
    ok_ = false;
    return 0;
  }
  std::string_view bytes(std::size_t size) {
    if (!has(size)) return {};
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }
  std::string_view binary() { return bytes(u16()); }
  std::string_view text() {
    const std::string_view value = binary();
    if (ok_ && !isUtf8(value)) ok_ = false;
    return ok_ ? value : std::string_view();
  }

 private:
  bool has(std::size_t size) {
    if (!ok_ || rest_.size() < size) ok_ = false;
    return ok_;
  }
  unsigned at(std::size_t i) const { return static_cast<std::uint8_t>(rest_[i]); }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace kante::mqtt
