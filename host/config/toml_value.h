// A TOML document as plain values with their lines; the only door to the TOML parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

struct TomlMember;

struct TomlValue {
  enum class Kind { kBoolean, kInteger, kFloat, kText, kTime, kArray, kTable };

  Kind kind = Kind::kTable;
  std::uint32_t line = 0;  // From 1; 0: of the document itself.
  bool boolean = false;
  std::int64_t integer = 0;
  std::string text;
  std::vector<TomlValue> elements;
  std::vector<TomlMember> members;  // In the order of their lines.

  const TomlValue* find(std::string_view name) const;
};

struct TomlMember {
  std::string name;
  TomlValue value;
};

const char* name(TomlValue::Kind kind);  // "a text", "a whole number", …

// The document as a table.  Errors begin with "FILE:LINE: ".
Result<TomlValue> parseToml(std::string_view text, const std::string& file, std::size_t depth_max);

}  // namespace kante
