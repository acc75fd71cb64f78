#include "host/route/letter_case.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace kante::route_detail {
namespace {

// Letters [upper_first, upper_last] whose lower case is `distance` above.  With distance 1 upper
// and lower alternate, beginning with an upper one.
struct Range {
  std::uint16_t upper_first;
  std::uint16_t upper_last;
  std::uint16_t distance;
};

constexpr std::array<Range, 16> kRanges{{
    {0x00c0, 0x00d6, 32},
    {0x00d8, 0x00de, 32},
    {0x0100, 0x012e, 1},
    {0x0132, 0x0136, 1},
    {0x0139, 0x0147, 1},
    {0x014a, 0x0176, 1},
    {0x0179, 0x017d, 1},
    {0x0386, 0x0386, 38},
    {0x0388, 0x038a, 37},
    {0x0391, 0x03a1, 32},
    {0x03a3, 0x03ab, 32},
    {0x0400, 0x040f, 80},
    {0x0410, 0x042f, 32},
    {0x0460, 0x0480, 1},
    {0x048a, 0x04be, 1},
    {0x04d0, 0x052e, 1},
}};

std::uint32_t otherCase(LetterCase to, std::uint32_t point) {
  for (const Range& range : kRanges) {
    const std::uint32_t step = range.distance == 1 ? 2 : 1;
    const std::uint32_t shift = to == LetterCase::kLower ? 0 : range.distance;
    const std::uint32_t first = range.upper_first + shift;
    if (point < first || point > range.upper_last + shift || (point - first) % step != 0) continue;
    return to == LetterCase::kLower ? point + range.distance : point - range.distance;
  }
  return point;
}

}  // namespace

void changeCase(LetterCase to, std::string_view text, char* out) {
  const char first = to == LetterCase::kLower ? 'A' : 'a';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    out[i] = c >= first && c < first + 26 ? static_cast<char>(c ^ 0x20) : c;
    if ((byte & 0xe0u) != 0xc0u || i + 1 == text.size()) continue;
    const std::uint32_t point =
        ((byte & 0x1fu) << 6) | (static_cast<unsigned char>(text[i + 1]) & 0x3fu);
    const std::uint32_t changed = otherCase(to, point);
    out[i] = static_cast<char>(0xc0u | (changed >> 6));
    out[i + 1] = static_cast<char>(0x80u | (changed & 0x3fu));
    ++i;
  }
}

}  // namespace kante::route_detail
