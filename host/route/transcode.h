// UTF-16 and UTF-32 bodies to UTF-8; little endian unless a byte order mark says otherwise.
#pragma once

#include <string>
#include <string_view>

namespace kante::route_detail {

// False when the bytes are no such text.
bool fromUtf16(std::string_view bytes, std::string& out);
bool fromUtf32(std::string_view bytes, std::string& out);
// Appends a code point that is no surrogate.
void appendUtf8(std::string& out, char32_t point);

}  // namespace kante::route_detail
