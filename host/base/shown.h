// Texts that others wrote, as they may be quoted: in an error, in a log line, on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kante {

// With U+FFFD for each byte that is part of no UTF-8 character.
std::string wellFormed(std::string_view text);

// Well formed, with '?' for control characters; what is longer than bytes_max is cut behind a
// character and ends in "…".
inline constexpr std::size_t kShownBytesMax = 256;
std::string shown(std::string_view text, std::size_t bytes_max = kShownBytesMax);

}  // namespace kante
