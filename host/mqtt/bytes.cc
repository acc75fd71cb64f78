#include "host/mqtt/bytes.h"

#include <cstring>

namespace kante::mqtt {
namespace {

// Bytes of the sequence that begins with this one; 0: none does.
int lengthOf(unsigned first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

// Beyond the first: the second's range is narrower for some, so that each character has one form.
bool isSecond(unsigned first, unsigned second) {
  switch (first) {
    case 0xe0: return second >= 0xa0 && second <= 0xbf;
    case 0xed: return second >= 0x80 && second <= 0x9f;  // No surrogates.
    case 0xf0: return second >= 0x90 && second <= 0xbf;
    case 0xf4: return second >= 0x80 && second <= 0x8f;
    default: return second >= 0x80 && second <= 0xbf;
  }
}

}  // namespace

bool isUtf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while (at < end) {
    if (end - at >= 8) {  // Eight bytes of ASCII, none of them zero, at once.
      std::uint64_t eight = 0;
      std::memcpy(&eight, at, 8);
      constexpr std::uint64_t kHigh = 0x8080808080808080, kOnes = 0x0101010101010101;
      if ((eight & kHigh) == 0 && ((eight - kOnes) & ~eight & kHigh) == 0) {
        at += 8;
        continue;
      }
    }
    if (*at == 0) return false;
    const int length = lengthOf(*at);
    if (length == 0 || end - at < length) return false;
    if (length > 1 && !isSecond(at[0], at[1])) return false;
    for (int i = 2; i < length; ++i)
      if ((at[i] & 0xc0) != 0x80) return false;
    at += length;
  }
  return true;
}

}  // namespace kante::mqtt
