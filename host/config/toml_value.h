// A TOML document as plain values with their lines; the only door to the TOML parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/result.h"

namespace kante {

struct TomlValue {
  enum class Kind { kBoolean, kInteger, kFloat, kText, kTime, kArray, kTable };

  Kind kind = Kind::kTable;
  std::uint32_t line = 0;  // From 1; 0: of the document itself.
  bool boolean = false;
  std::int64_t integer = 0;
  std::string text;
  std::vector<TomlValue> elements;
  std::vector<std::pair<std::string, TomlValue>> members;  // In the order of their lines.

  const TomlValue* find(std::string_view name) const;
};

const char* name(TomlValue::Kind kind);  // "a text", "a whole number", …

// The document as a table.  Errors begin with "FILE:LINE: ".
Result<TomlValue> parseToml(std::string_view text, const std::string& file, std::size_t depth_max);

}  // namespace kante
