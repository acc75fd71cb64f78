// How commands speak to people: aligned columns, colour on a terminal, figures that fit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kante::cli {

enum class Colour { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };

// Whether stdout, or stderr, takes colour: a terminal, and NO_COLOR is not set.
bool coloured();
bool colouredErrors();
// The text in that colour if stdout takes it.
std::string paint(Colour colour, std::string_view text);
// Characters that a terminal shows: UTF-8 counted by character, escape sequences not at all.
std::size_t width(std::string_view text);
// Cut to that many characters, the last one "…" if anything went; must not hold escape sequences.
std::string cut(std::string_view text, std::size_t characters);
// Control characters made visible as spaces: what a module or a device wrote must not steer a
// terminal.
std::string printable(std::string_view text);

// Columns as wide as their widest cell, two spaces apart; no space at the end of a line.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  // Titles dim, then the rows; `indent` spaces before each line.
  std::string text(std::size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string formatBytes(double bytes);      // "512 B", "1.4 MB"
std::string formatCount(double count);      // "950", "12.3k", "4.56M"
std::string formatSeconds(double seconds);  // "340 ns", "1.2 ms", "3.4 s"
std::string formatAge(double seconds);      // "12 s", "3 min", "4 h 10 min", "12 d"

}  // namespace kante::cli
