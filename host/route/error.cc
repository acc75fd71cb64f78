#include "host/route/error.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace kante {

void throw_exception_from_error(const RouteError& error, const boost::source_location&) {
  throw std::runtime_error(error.text);
}

std::string pointAt(std::string_view route, const RouteError& error) {
  constexpr std::size_t kColumnsMax = 76;
  constexpr std::size_t kBefore = 50;
  std::vector<std::string> characters;
  for (const char c : route) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0u) == 0x80u && !characters.empty()) {
      characters.back().push_back(c);
    } else {
      characters.emplace_back(1, byte < 0x20 || byte == 0x7f ? ' ' : c);
    }
  }
  const std::size_t position = std::min(error.position, characters.size());
  const std::size_t first =
      characters.size() > kColumnsMax && position > kBefore ? position - kBefore : 0;
  const std::size_t last = std::min(characters.size(), first + kColumnsMax);
  std::string line = first > 0 ? "…" : "";
  for (std::size_t i = first; i < last; ++i) line += characters[i];
  if (last < characters.size()) line += "…";
  return line + "\n" + std::string(position - first + (first > 0 ? 1 : 0), ' ') + "^";
}

}  // namespace kante
