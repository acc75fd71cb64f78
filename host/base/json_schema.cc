#include "host/base/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/regex.hpp>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "host/base/encoding.h"

namespace kante {

namespace json = boost::json;

namespace {

enum Type : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,
  kString = 16,
  kArray = 32,
  kObject = 64
};
constexpr std::pair<const char*, unsigned> kTypes[] = {
    {"null", kNull},       {"boolean", kBoolean},
    {"integer", kInteger}, {"number", kNumber | kInteger},
    {"string", kString},   {"array", kArray},
    {"object", kObject}};
constexpr unsigned kAnyType = 127;

const std::vector<std::string> kKeywords = {"type",
                                            "enum",
                                            "const",
                                            "properties",
                                            "required",
                                            "additionalProperties",
                                            "items",
                                            "minItems",
                                            "maxItems",
                                            "minimum",
                                            "maximum",
                                            "exclusiveMinimum",
                                            "exclusiveMaximum",
                                            "minLength",
                                            "maxLength",
                                            "pattern",
                                            "default",
                                            "title",
                                            "description",
                                            "examples",
                                            "format",
                                            "$schema",
                                            "$id",
                                            "$comment"};

unsigned typeOf(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return kNull;
    case json::kind::bool_: return kBoolean;
    case json::kind::int64:
    case json::kind::uint64: return kInteger;
    case json::kind::double_: {
      const double number = value.get_double();
      return std::floor(number) == number ? kInteger
                                          : kNumber;  // 1.0 is an integer to JSON Schema.
    }
    case json::kind::string: return kString;
    case json::kind::array: return kArray;
    case json::kind::object: return kObject;
  }
  return 0;
}

std::string typeNames(unsigned types) {
  if (types == kNumber)
    return "a fraction";  // Only ever a value's: the type "number" includes integers.
  std::string text;
  for (const auto& [word, bits] : kTypes) {
    if (bits == kInteger && (types & kNumber) != 0) continue;
    if ((types & bits) == bits) text += (text.empty() ? "" : " or ") + std::string(word);
  }
  return text;
}

std::string pointerTo(const std::string& at, std::string_view member) {
  std::string text = at + "/";
  for (const char c : member) {
    if (c == '~')
      text += "~0";
    else if (c == '/')
      text += "~1";
    else
      text += c;
  }
  return text;
}

Error wrong(const std::string& at, const std::string& text) {
  return fail(Errc::kInvalid, (at.empty() ? "/" : at) + ": " + text);
}

std::size_t codePoints(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string shown(const json::value& value) {
  std::string text = json::serialize(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

struct JsonSchema::Node {
  unsigned types = kAnyType;
  std::optional<std::vector<json::value>> allowed;  // enum, or const as an enum of one.
  std::map<std::string, std::shared_ptr<const Node>, std::less<>> properties;
  std::vector<std::string> required;
  bool closed = false;                     // additionalProperties: false
  std::shared_ptr<const Node> additional;  // additionalProperties: {…}
  std::shared_ptr<const Node> items;
  std::optional<double> minimum, maximum, above, below;
  std::optional<std::size_t> length_min, length_max, items_min, items_max;
  std::optional<boost::regex> pattern;
  std::string pattern_text;
  std::optional<json::value> fallback;  // default

  Status check(const json::value& value, const std::string& at) const;
  Status checkNumber(const json::value& value, const std::string& at) const;
  Status checkString(const json::string& text, const std::string& at) const;
  Status checkArray(const json::array& array, const std::string& at) const;
  Status checkObject(const json::object& object, const std::string& at) const;
  void fill(json::value& value) const;
};

// Turns a schema into nodes; counts them so that a schema cannot grow without bound.
struct JsonSchema::Compiler {
  std::size_t nodes = 0;

  Result<std::shared_ptr<const Node>> compile(const json::value& schema, const std::string& at,
                                              std::size_t depth);
  Status keyword(Node& node, std::string_view key, const json::value& value, const std::string& at,
                 std::size_t depth);
  Status types(Node& node, const json::value& value, const std::string& at);
  Status properties(Node& node, const json::value& value, const std::string& at, std::size_t depth);
  Status pattern(Node& node, const json::value& value, const std::string& at);
};

namespace {

Result<double> numberIn(const json::value& value, const std::string& at) {
  boost::system::error_code none;
  const double number = value.to_number<double>(none);
  if (none || !value.is_number()) return wrong(at, "must be a number");
  return number;
}

Result<std::size_t> countIn(const json::value& value, const std::string& at) {
  boost::system::error_code none;
  const auto count = value.to_number<std::uint32_t>(none);
  if (none) return wrong(at, "must be a whole number from 0");
  return std::size_t{count};
}

}  // namespace

Result<std::shared_ptr<const JsonSchema::Node>> JsonSchema::Compiler::compile(
    const json::value& schema, const std::string& at, std::size_t depth) {
  if (depth > kDepthMax) return fail(Errc::kLimit, at + ": schemas nest at most 16 deep");
  if (++nodes > kNodesMax) return fail(Errc::kLimit, at + ": a schema has at most 4096 parts");
  if (!schema.is_object()) return wrong(at, "a schema must be an object");
  auto node = std::make_shared<Node>();
  for (const auto& [key, value] : schema.get_object()) {
    KANTE_CHECK(keyword(*node, key, value, pointerTo(at, key), depth));
  }
  if (node->fallback) {
    const Status fits = node->check(*node->fallback, {});
    if (fits.has_error())
      return wrong(pointerTo(at, "default"), "does not fit its own schema: " + fits.error().text);
  }
  return std::shared_ptr<const Node>(std::move(node));
}

Status JsonSchema::Compiler::keyword(Node& node, std::string_view key, const json::value& value,
                                     const std::string& at, std::size_t depth) {
  const auto number = [&](std::optional<double>& into) -> Status {
    KANTE_TRY(parsed, numberIn(value, at));
    into = parsed;
    return {};
  };
  const auto count = [&](std::optional<std::size_t>& into) -> Status {
    KANTE_TRY(parsed, countIn(value, at));
    into = parsed;
    return {};
  };
  const auto schema = [&](std::shared_ptr<const Node>& into) -> Status {
    KANTE_TRY(compiled, compile(value, at, depth + 1));
    into = std::move(compiled);
    return {};
  };
  if (key == "type") return types(node, value, at);
  if (key == "properties" || key == "required") return properties(node, value, at, depth);
  if (key == "minimum") return number(node.minimum);
  if (key == "maximum") return number(node.maximum);
  if (key == "exclusiveMinimum") return number(node.above);
  if (key == "exclusiveMaximum") return number(node.below);
  if (key == "minLength") return count(node.length_min);
  if (key == "maxLength") return count(node.length_max);
  if (key == "minItems") return count(node.items_min);
  if (key == "maxItems") return count(node.items_max);
  if (key == "items") return schema(node.items);
  if (key == "pattern") return pattern(node, value, at);
  if (key == "additionalProperties") {
    if (!value.is_bool()) return schema(node.additional);
    node.closed = !value.get_bool();
    return {};
  }
  if (key == "enum") {
    if (!value.is_array() || value.get_array().empty())
      return wrong(at, "must be an array of values");
    node.allowed.emplace(value.get_array().begin(), value.get_array().end());
  } else if (key == "const") {
    node.allowed.emplace(1, value);
  } else if (key == "default") {
    node.fallback = value;
  } else if (std::find(kKeywords.begin(), kKeywords.end(), key) == kKeywords.end()) {
    const std::string near = nearest(key, kKeywords);
    return wrong(
        at, "unknown schema keyword" + (near.empty() ? "" : ", did you mean \"" + near + "\"?"));
  }
  return {};
}

Status JsonSchema::Compiler::types(Node& node, const json::value& value, const std::string& at) {
  node.types = 0;
  const auto add = [&](const json::value& word) -> Status {
    for (const auto& [known, bits] : kTypes) {
      if (word.is_string() && word.get_string() == known) {
        node.types |= bits;
        return {};
      }
    }
    return wrong(at, "must be null, boolean, integer, number, string, array or object");
  };
  if (!value.is_array()) return add(value);
  for (const json::value& word : value.get_array()) KANTE_CHECK(add(word));
  return node.types != 0 ? Status{} : wrong(at, "must name at least one type");
}

Status JsonSchema::Compiler::properties(Node& node, const json::value& value, const std::string& at,
                                        std::size_t depth) {
  if (at.ends_with("/properties")) {
    if (!value.is_object()) return wrong(at, "must be an object of schemas");
    for (const auto& [name, schema] : value.get_object()) {
      KANTE_TRY(compiled, compile(schema, pointerTo(at, name), depth + 1));
      node.properties.emplace(std::string(name), std::move(compiled));
    }
    return {};
  }
  if (!value.is_array()) return wrong(at, "must be an array of names");
  for (const json::value& name : value.get_array()) {
    if (!name.is_string()) return wrong(at, "must be an array of names");
    node.required.emplace_back(name.get_string());
  }
  return {};
}

Status JsonSchema::Compiler::pattern(Node& node, const json::value& value, const std::string& at) {
  if (!value.is_string()) return wrong(at, "must be a string");
  node.pattern_text = std::string(value.get_string());
  if (node.pattern_text.size() > kPatternBytesMax)
    return fail(Errc::kLimit, at + ": longer than 256 bytes");
  try {
    node.pattern.emplace(node.pattern_text, boost::regex::ECMAScript);
  } catch (const std::exception& bad) {
    return wrong(at, std::string("not a regular expression: ") + bad.what());
  }
  return {};
}

Status JsonSchema::Node::check(const json::value& value, const std::string& at) const {
  const unsigned type = typeOf(value);
  if ((types & type) == 0) {
    return wrong(at, fmt::format("must be {}, is {}", typeNames(types), typeNames(type)));
  }
  if (allowed && std::find(allowed->begin(), allowed->end(), value) == allowed->end()) {
    std::string list;
    for (const json::value& one : *allowed) list += (list.empty() ? "" : ", ") + shown(one);
    return wrong(at, fmt::format("{} is not one of {}", shown(value), list));
  }
  if (value.is_number()) return checkNumber(value, at);
  if (value.is_string()) return checkString(value.get_string(), at);
  if (value.is_array()) return checkArray(value.get_array(), at);
  if (value.is_object()) return checkObject(value.get_object(), at);
  return {};
}

Status JsonSchema::Node::checkNumber(const json::value& value, const std::string& at) const {
  boost::system::error_code none;
  const double number = value.to_number<double>(none);
  if (minimum && number < *minimum)
    return wrong(at, fmt::format("{} is less than {}", shown(value), *minimum));
  if (maximum && number > *maximum)
    return wrong(at, fmt::format("{} is more than {}", shown(value), *maximum));
  if (above && number <= *above)
    return wrong(at, fmt::format("{} is not more than {}", shown(value), *above));
  if (below && number >= *below)
    return wrong(at, fmt::format("{} is not less than {}", shown(value), *below));
  return {};
}

Status JsonSchema::Node::checkString(const json::string& text, const std::string& at) const {
  const std::size_t length = codePoints(text);
  if (length_min && length < *length_min)
    return wrong(at, fmt::format("shorter than {} characters", *length_min));
  if (length_max && length > *length_max)
    return wrong(at, fmt::format("longer than {} characters", *length_max));
  if (!pattern) return {};
  if (text.size() > kPatternSubjectBytesMax)
    return wrong(at, "too long to be held against a pattern");
  try {
    if (!boost::regex_search(text.begin(), text.end(), *pattern)) {
      return wrong(at, fmt::format("does not match the pattern {}", pattern_text));
    }
  } catch (const std::exception&) {  // Boost.Regex stops patterns that backtrack without end.
    return wrong(at, fmt::format("the pattern {} takes too long on this text", pattern_text));
  }
  return {};
}

Status JsonSchema::Node::checkArray(const json::array& array, const std::string& at) const {
  if (items_min && array.size() < *items_min)
    return wrong(at, fmt::format("has fewer than {} items", *items_min));
  if (items_max && array.size() > *items_max)
    return wrong(at, fmt::format("has more than {} items", *items_max));
  if (!items) return {};
  for (std::size_t i = 0; i < array.size(); ++i) {
    KANTE_CHECK(items->check(array[i], at + "/" + std::to_string(i)));
  }
  return {};
}

Status JsonSchema::Node::checkObject(const json::object& object, const std::string& at) const {
  for (const std::string& name : required) {
    if (!object.contains(name)) return wrong(pointerTo(at, name), "is missing");
  }
  for (const auto& [name, value] : object) {
    const std::string here = pointerTo(at, name);
    const auto known = properties.find(std::string_view(name));
    if (known != properties.end()) {
      KANTE_CHECK(known->second->check(value, here));
    } else if (additional) {
      KANTE_CHECK(additional->check(value, here));
    } else if (closed) {
      std::vector<std::string> names;
      for (const auto& [property, schema] : properties) names.push_back(property);
      const std::string near = nearest(name, names);
      return wrong(here,
                   "unknown member" + (near.empty() ? "" : ", did you mean \"" + near + "\"?"));
    }
  }
  return {};
}

void JsonSchema::Node::fill(json::value& value) const {
  if (value.is_array() && items) {
    for (json::value& item : value.get_array()) items->fill(item);
  }
  if (!value.is_object()) return;
  json::object& object = value.get_object();
  for (const auto& [name, schema] : properties) {
    if (!object.contains(name) && schema->fallback) object.emplace(name, *schema->fallback);
    if (json::value* member = object.if_contains(name)) schema->fill(*member);
  }
}

Result<JsonSchema> JsonSchema::compile(const json::value& schema) {
  Compiler compiler;
  KANTE_TRY(root, compiler.compile(schema, {}, 0));
  return JsonSchema(std::move(root));
}

Status JsonSchema::validate(const json::value& value) const { return root_->check(value, {}); }

json::value JsonSchema::withDefaults(const json::value& value) const {
  json::value filled = value;
  root_->fill(filled);
  return filled;
}

}  // namespace kante
