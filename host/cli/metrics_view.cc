#include "host/cli/metrics_view.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace kante::cli {
namespace {

// `key="value",…}` with its escapes; moves `line` behind it.
bool readLabels(std::string_view& line, std::map<std::string, std::string>& out) {
  while (!line.empty() && line.front() != '}') {
    const std::size_t equals = line.find("=\"");
    if (equals == std::string_view::npos) return false;
    const std::string key(line.substr(0, equals));
    line.remove_prefix(equals + 2);
    std::string value;
    while (!line.empty() && line.front() != '"') {
      if (line.front() == '\\' && line.size() > 1) {
        line.remove_prefix(1);
        value += line.front() == 'n' ? '\n' : line.front();
      } else {
        value += line.front();
      }
      line.remove_prefix(1);
    }
    if (line.empty()) return false;
    line.remove_prefix(1);
    if (line.starts_with(',')) line.remove_prefix(1);
    out[key] = value;
  }
  if (line.empty()) return false;
  line.remove_prefix(1);
  return true;
}

std::optional<Series> readSeries(std::string_view line) {
  if (line.empty() || line.front() == '#') return std::nullopt;
  Series out;
  const std::size_t end = line.find_first_of("{ ");
  if (end == std::string_view::npos) return std::nullopt;
  out.name = std::string(line.substr(0, end));
  const bool labels = line[end] == '{';
  line.remove_prefix(end + 1);
  if (labels && !readLabels(line, out.labels)) return std::nullopt;
  out.value = std::strtod(std::string(line).c_str(), nullptr);
  return out;
}

}  // namespace

std::vector<Series> parseMetrics(std::string_view text) {
  std::vector<Series> out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (auto series = readSeries(line)) out.push_back(std::move(*series));
  }
  return out;
}

}  // namespace kante::cli
