// The parser asserts things that a file can make untrue ("\uD800"); what it lets through then is
// checked below.  No other file includes it, so nothing else is compiled without assertions.
#define NDEBUG
#include "host/config/toml_value.h"

#include <algorithm>
#include <sstream>
#include <toml.hpp>

#include "host/base/encoding.h"
#include "host/config/toml_guard.h"

namespace kante {
namespace {

std::string place(const std::string& file, std::uint_least32_t line) {
  return line == 0 ? file + ": " : file + ":" + std::to_string(line) + ": ";
}

// "[error] toml::parse_key_value_pair: missing value after key-value separator '='\n --> …" without
// what speaks of the parser.
std::string firstSentence(const std::string& what) {
  std::string text = what.substr(0, what.find('\n'));
  for (const char* prefix : {"[error] ", "toml::"})
    if (text.starts_with(prefix)) text.erase(0, std::string_view(prefix).size());
  const auto colon = text.find(": ");
  if (colon != std::string::npos && text.find(' ') > colon) text.erase(0, colon + 2);
  return text;
}

class Converter {
 public:
  explicit Converter(const std::string& file) : file_(file) {}

  Result<TomlValue> convert(const toml::value& from) const {
    TomlValue to;
    to.line = static_cast<std::uint32_t>(from.location().line());
    switch (from.type()) {
      case toml::value_t::boolean:
        to.kind = TomlValue::Kind::kBoolean;
        to.boolean = from.as_boolean();
        break;
      case toml::value_t::integer:
        to.kind = TomlValue::Kind::kInteger;
        to.integer = from.as_integer();
        break;
      case toml::value_t::floating: to.kind = TomlValue::Kind::kFloat; break;
      case toml::value_t::string:
        to.kind = TomlValue::Kind::kText;
        to.text = from.as_string().str;
        if (!isUtf8(to.text) || to.text.find('\0') != std::string::npos)
          return fail(Errc::kInvalid,
                      place(file_, to.line) + "a text is not UTF-8 or holds U+0000");
        break;
      case toml::value_t::array: return convertArray(from, std::move(to));
      case toml::value_t::table: return convertTable(from, std::move(to));
      default: to.kind = TomlValue::Kind::kTime; break;
    }
    return to;
  }

 private:
  Result<TomlValue> convertArray(const toml::value& from, TomlValue to) const {
    to.kind = TomlValue::Kind::kArray;
    for (const auto& element : from.as_array()) {
      KANTE_TRY(value, convert(element));
      to.elements.push_back(std::move(value));
    }
    return to;
  }

  Result<TomlValue> convertTable(const toml::value& from, TomlValue to) const {
    to.kind = TomlValue::Kind::kTable;
    for (const auto& [member, value] : from.as_table()) {
      KANTE_TRY(converted, convert(value));
      to.members.push_back({member, std::move(converted)});
    }
    std::sort(to.members.begin(), to.members.end(), [](const auto& a, const auto& b) {
      return std::tie(a.value.line, a.name) < std::tie(b.value.line, b.name);
    });
    return to;
  }

  const std::string& file_;
};

}  // namespace

const TomlValue* TomlValue::find(std::string_view wanted) const {
  for (const auto& [member, value] : members)
    if (member == wanted) return &value;
  return nullptr;
}

const char* name(TomlValue::Kind kind) {
  switch (kind) {
    case TomlValue::Kind::kBoolean: return "true or false";
    case TomlValue::Kind::kInteger: return "a whole number";
    case TomlValue::Kind::kFloat: return "a number with a fraction";
    case TomlValue::Kind::kText: return "a text in quotes";
    case TomlValue::Kind::kTime: return "a date or time";
    case TomlValue::Kind::kArray: return "a list";
    case TomlValue::Kind::kTable: return "a section";
  }
  return "nothing";
}

Result<TomlValue> parseToml(std::string_view text, const std::string& file, std::size_t depth_max) {
  if (!isUtf8(text)) return fail(Errc::kInvalid, file + ": not UTF-8");
  if (Status bounded = checkTomlDepth(text, depth_max); !bounded)
    return within(file, bounded.error());
  try {
    std::istringstream stream{std::string(text)};
    const toml::value document = toml::parse(stream, file);
    return Converter(file).convert(document);
  } catch (const toml::exception& e) {
    return fail(Errc::kInvalid, place(file, e.location().line()) + firstSentence(e.what()));
  } catch (const std::exception& e) {
    return fail(Errc::kInvalid, file + ": " + firstSentence(e.what()));
  }
}

}  // namespace kante
