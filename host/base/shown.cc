#include "host/base/shown.h"

#include "host/base/encoding.h"

namespace kante {
namespace {

constexpr std::size_t kCharacterBytesMax = 4;

// Of the UTF-8 character that the text begins with; 0: it begins with none.
std::size_t characterBytes(std::string_view text) {
  for (std::size_t n = 1; n <= kCharacterBytesMax && n <= text.size(); ++n)
    if (isUtf8(text.substr(0, n))) return n;
  return 0;
}

bool isControl(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  const bool c1 = first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
  return first < 0x20 || first == 0x7f || c1;
}

}  // namespace

std::string wellFormed(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t n = characterBytes(text);
    out += n == 0 ? "\xef\xbf\xbd" : text.substr(0, n);
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

std::string shown(std::string_view text, std::size_t bytes_max) {
  const std::string whole = wellFormed(text.substr(0, bytes_max + kCharacterBytesMax));
  std::string out;
  for (std::string_view rest = whole; !rest.empty();) {
    const std::size_t n = characterBytes(rest);
    if (out.size() + n > bytes_max) return out + "…";
    out += isControl(rest) ? "?" : rest.substr(0, n);
    rest.remove_prefix(n);
  }
  return out;
}

}  // namespace kante
