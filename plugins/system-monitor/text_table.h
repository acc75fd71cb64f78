// Lines and columns of the texts in /proc.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

// Calls line(columns) for each line; columns are separated by blanks.
template <typename Line>
void forEachLine(std::string_view text, Line&& line) {
  std::vector<std::string_view> columns;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    columns.clear();
    for (;;) {
      const std::size_t begin = rest.find_first_not_of(" \t");
      if (begin == std::string_view::npos) break;
      rest.remove_prefix(begin);
      const std::size_t stop = std::min(rest.find_first_of(" \t"), rest.size());
      columns.push_back(rest.substr(0, stop));
      rest.remove_prefix(stop);
    }
    if (!columns.empty()) line(columns);
  }
}

template <typename Number>
std::optional<Number> parseNumber(std::string_view text) {
  Number value{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}
