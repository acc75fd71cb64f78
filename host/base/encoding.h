// Text forms of bytes: hexadecimal, base64, percent-encoding, UTF-8; and the digests that name
// things.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
std::string toHex(std::string_view bytes);  // lower case
std::string toHex(const Sha256& digest);
Result<std::string> fromHex(std::string_view text);

std::string toBase64(std::string_view bytes);
Result<std::string> fromBase64(std::string_view text);  // padded, no white space

// Everything outside A-Za-z0-9-._~ (RFC 3986 unreserved) as %XX, so a space is %20.
std::string percentEncode(std::string_view text);
Result<std::string> percentDecode(std::string_view text);

bool isUtf8(std::string_view text);  // Well-formed, U+0000 allowed.

// [A-Za-z0-9][A-Za-z0-9._-]{0,63}: gateway ids, module names, secrets.
bool isName(std::string_view text);

// bytes from the kernel's generator; aborts if there is none.
std::string randomBytes(std::size_t count);

// The known name with the smallest edit distance, or empty if nothing is near (distance > 3).
template <typename Names>
std::string nearest(std::string_view wrong, const Names& known);
std::size_t editDistance(std::string_view a, std::string_view b);

template <typename Names>
std::string nearest(std::string_view wrong, const Names& known) {
  std::string best;
  std::size_t distance = 4;
  for (const auto& candidate : known) {
    const std::size_t d = editDistance(wrong, candidate);
    if (d < distance) {
      distance = d;
      best = candidate;
    }
  }
  return best;
}

}  // namespace kante
