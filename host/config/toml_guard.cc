#include "host/config/toml_guard.h"

#include <string>

namespace kante {
namespace {

// Skips the string that begins at `at`; the position after it.  A string of one line ends with the
// line, closed or not: the parser stops there too.
std::size_t skipString(std::string_view toml, std::size_t at, std::size_t& line) {
  const char quote = toml[at];
  const std::string_view triple = quote == '"' ? "\"\"\"" : "'''";
  const bool multi_line = toml.substr(at, 3) == triple;
  at += multi_line ? 3 : 1;
  while (at < toml.size()) {
    const char c = toml[at];
    if (c == '\n') {
      if (!multi_line) return at;
      ++line;
    }
    if (quote == '"' && c == '\\' && at + 1 < toml.size() && toml[at + 1] != '\n') {
      at += 2;
      continue;
    }
    if (c == quote && !multi_line) return at + 1;
    if (multi_line && toml.substr(at, 3) == triple) {
      at += 3;
      // Two more quotes may belong to the text itself.
      for (int extra = 0; extra < 2 && at < toml.size() && toml[at] == quote; ++extra) ++at;
      return at;
    }
    ++at;
  }
  return at;
}

Error tooDeep(std::size_t line, const char* what, std::size_t depth_max) {
  return fail(Errc::kLimit, "line " + std::to_string(line) + ": " + what + " more than " +
                                std::to_string(depth_max) + " levels");
}

}  // namespace

Status checkTomlDepth(std::string_view toml, std::size_t depth_max) {
  std::size_t depth = 0;
  std::size_t dots = 0;
  std::size_t line = 1;
  for (std::size_t at = 0; at < toml.size();) {
    const char c = toml[at];
    if (c == '"' || c == '\'') {
      at = skipString(toml, at, line);
      continue;
    }
    if (c == '#') {
      while (at < toml.size() && toml[at] != '\n') ++at;
      continue;
    }
    switch (c) {
      case '\n': ++line; [[fallthrough]];
      case '=':
      case ',': dots = 0; break;
      case '[':
      case '{':
        if (++depth > depth_max) return tooDeep(line, "arrays and tables are nested", depth_max);
        dots = 0;
        break;
      case ']':
      case '}':
        if (depth > 0) --depth;
        break;
      case '.':
        if (++dots >= depth_max) return tooDeep(line, "a dotted name has", depth_max);
        break;
      default: break;
    }
    ++at;
  }
  return {};
}

}  // namespace kante
