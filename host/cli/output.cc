#include "host/cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace kante::cli {

namespace {
bool takesColour(int fd) {
  const char* off = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (off == nullptr || *off == '\0') && ::isatty(fd) == 1 &&
         (term == nullptr || std::string_view(term) != "dumb");
}
}  // namespace

bool coloured() {
  static const bool answer = takesColour(STDOUT_FILENO);
  return answer;
}

bool colouredErrors() {
  static const bool answer = takesColour(STDERR_FILENO);
  return answer;
}

std::string paint(Colour colour, std::string_view text) {
  static constexpr std::array kCodes = {"0", "1", "2", "31", "32", "33", "36"};
  if (!coloured() || colour == Colour::kPlain) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(colour)], text);
}

std::size_t width(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = std::min(text.find('m', i), text.size());
      continue;
    }
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) ++count;
  }
  return count;
}

std::string cut(std::string_view text, std::size_t characters) {
  if (width(text) <= characters) return std::string(text);
  if (characters == 0) return {};
  std::size_t at = 0;
  for (std::size_t shown = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
    if (shown++ == characters - 1) break;
  }
  return std::string(text.substr(0, at)) + "…";
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text(std::size_t indent) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = width(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, width(row[i]));
    widths.push_back(widest);
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells, Colour colour) {
    std::string text(indent, ' ');
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string fill(widths[i] - width(cells[i]), ' ');
      const std::string cell = colour == Colour::kPlain ? cells[i] : paint(colour, cells[i]);
      text += columns_[i].align == Align::kRight ? fill + cell : cell + fill;
      if (i + 1 < cells.size()) text += "  ";
    }
    while (text.ends_with(' ')) text.pop_back();
    out += text + '\n';
  };
  std::vector<std::string> titles;
  for (const auto& column : columns_) titles.push_back(column.title);
  line(titles, Colour::kDim);
  for (const auto& row : rows_) line(row, Colour::kPlain);
  return out;
}

namespace {
// Three figures: 1.23, 12.3, 123.
std::string figures(double value) {
  return fmt::format("{:.{}f}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}
}  // namespace

std::string formatBytes(double bytes) {
  static constexpr std::array kUnits = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{:.0f} B", bytes);
  std::size_t unit = 0;
  for (bytes /= 1000; bytes >= 999.5 && unit + 1 < kUnits.size(); bytes /= 1000) ++unit;
  return figures(bytes) + " " + kUnits[unit];
}

std::string formatCount(double count) {
  static constexpr std::array kUnits = {"k", "M", "G", "T"};
  if (count < 999.5) {
    const bool whole = count == std::floor(count) || count >= 99.5;
    return whole ? fmt::format("{:.0f}", count) : fmt::format("{:.1f}", count);
  }
  std::size_t unit = 0;
  for (count /= 1000; count >= 999.5 && unit + 1 < kUnits.size(); count /= 1000) ++unit;
  return figures(count) + kUnits[unit];
}

std::string formatSeconds(double seconds) {
  if (seconds <= 0) return "0";
  if (seconds < 999.5e-9) return fmt::format("{:.0f} ns", seconds * 1e9);
  if (seconds < 999.5e-6) return figures(seconds * 1e6) + " µs";
  if (seconds < 0.9995) return figures(seconds * 1e3) + " ms";
  return figures(seconds) + " s";
}

std::string formatAge(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::max(0.0, seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min", whole / 60);
  if (whole < 86'400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / 86'400, whole % 86'400 / 3600);
}

}  // namespace kante::cli
