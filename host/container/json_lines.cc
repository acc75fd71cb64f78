#include "host/container/json_lines.h"

#include <algorithm>
#include <utility>

namespace kante {

Status JsonLines::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    if (rest_.size() + end > kLineBytesMax)
      return fail(Errc::kLimit, "a line of the engine is longer than " +
                                    std::to_string(kLineBytesMax) + " bytes");
    rest_ += bytes.substr(0, end);
    if (end == bytes.size()) break;
    KANTE_CHECK(finish());
    bytes.remove_prefix(end + 1);
  }
  return {};
}

Status JsonLines::finish() {
  const std::string line = std::exchange(rest_, {});
  if (line.find_first_not_of(" \r") == std::string::npos) return {};
  return on_line_(line);
}

}  // namespace kante
