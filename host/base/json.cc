#include "host/base/json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <unordered_set>
#include <vector>

namespace kante {
namespace {

namespace json = boost::json;

// Sees a document once without building it, for what the tree would hide: members named twice, and
// the exact value of numbers with a fraction (the parser's own is off by a digit now and then, so
// that a text would read back as another value).
class TextReader {
 public:
  // Names of the interface that basic_parser asks for.
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using Code = json::error_code;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) {
    open_.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Code&) {
    open_.pop_back();
    return true;
  }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(std::size_t, Code&) { return true; }
  bool on_key_part(json::string_view part, std::size_t, Code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, Code& error) {
    key_.append(part.data(), part.size());
    if (!open_.back().insert(key_).second) {
      found_ = true;
      error = json::error::syntax;
      return false;
    }
    key_.clear();
    return true;
  }
  bool on_string_part(json::string_view, std::size_t, Code&) { return true; }
  bool on_string(json::string_view, std::size_t, Code&) { return true; }
  bool on_number_part(json::string_view part, Code&) {
    number_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t, json::string_view, Code&) {
    number_.clear();
    return true;
  }
  bool on_uint64(std::uint64_t, json::string_view, Code&) {
    number_.clear();
    return true;
  }
  bool on_double(double number, json::string_view part, Code& error) {
    number_.append(part.data(), part.size());
    const char* const end = number_.data() + number_.size();
    double exact = 0;
    const auto [used, code] = std::from_chars(number_.data(), end, exact);
    // What is too small for any but zero stays as the parser has it.
    if (code == std::errc() && used == end) number = exact;
    number_.clear();
    if (!std::isfinite(number)) {  // 1e999: no JSON text can say it again.
      error = json::error::exponent_overflow;
      return false;
    }
    doubles_.push_back(number);
    return true;
  }
  bool on_bool(bool, Code&) { return true; }
  bool on_null(Code&) { return true; }
  bool on_comment_part(json::string_view, Code&) { return true; }
  bool on_comment(json::string_view, Code&) { return true; }

  bool found() const { return found_; }
  const std::string& key() const { return key_; }
  const std::vector<double>& doubles() const { return doubles_; }  // In the order of the text.

 private:
  std::vector<std::unordered_set<std::string>> open_;
  std::string key_;
  std::string number_;
  std::vector<double> doubles_;
  bool found_ = false;
};

// Puts the doubles in the order of the text, which is the order of the tree.
void setDoubles(json::value& value, const double*& next) {
  if (value.is_double()) {
    value.get_double() = *next++;
  } else if (auto* array = value.if_array()) {
    for (json::value& element : *array) setDoubles(element, next);
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) setDoubles(member.value(), next);
  }
}

std::size_t countDoubles(const json::value& value) {
  if (value.is_double()) return 1;
  std::size_t count = 0;
  if (const auto* array = value.if_array()) {
    for (const json::value& element : *array) count += countDoubles(element);
  } else if (const auto* object = value.if_object()) {
    for (const auto& member : *object) count += countDoubles(member.value());
  }
  return count;
}

std::string place(std::string_view text, std::size_t at) {
  at = std::min(at, text.size());
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return "line " + std::to_string(line) + ", column " + std::to_string(at - line_start + 1);
}

void writeString(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += kHex[(c >> 4) & 0xf];
          out += kHex[c & 0xf];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

template <typename Number>
void writeNumber(Number number, std::string& out) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  out.append(buffer, end);
}

void write(const json::value& value, MemberOrder order, std::string& out);

void write(const json::object& object, MemberOrder order, std::string& out) {
  std::vector<const json::key_value_pair*> members;
  members.reserve(object.size());
  for (const auto& member : object) members.push_back(&member);
  if (order == MemberOrder::kSorted) {
    std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
      return std::string_view(a->key()) < std::string_view(b->key());
    });
  }
  out += '{';
  for (const auto* member : members) {
    if (member != members.front()) out += ',';
    writeString(member->key(), out);
    out += ':';
    write(member->value(), order, out);
  }
  out += '}';
}

void write(const json::value& value, MemberOrder order, std::string& out) {
  switch (value.kind()) {
    case json::kind::null: out += "null"; break;
    case json::kind::bool_: out += value.get_bool() ? "true" : "false"; break;
    case json::kind::int64: writeNumber(value.get_int64(), out); break;
    case json::kind::uint64: writeNumber(value.get_uint64(), out); break;
    case json::kind::double_: {
      const std::size_t start = out.size();
      writeNumber(value.get_double(), out);
      // Stays a number with a fraction when it is read again.
      if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
      break;
    }
    case json::kind::string: writeString(value.get_string(), out); break;
    case json::kind::array: {
      out += '[';
      bool first = true;
      for (const auto& element : value.get_array()) {
        if (!first) out += ',';
        first = false;
        write(element, order, out);
      }
      out += ']';
      break;
    }
    case json::kind::object: write(value.get_object(), order, out); break;
  }
}

}  // namespace

Result<json::value> parseJson(std::string_view text, const JsonBounds& bounds) {
  if (text.size() > bounds.bytes_max)
    return fail(Errc::kLimit, "the JSON text has " + std::to_string(text.size()) +
                                  " bytes; the limit is " + std::to_string(bounds.bytes_max));
  try {
    json::parse_options options;
    options.max_depth = bounds.depth_max;
    json::basic_parser<TextReader> reader(options);
    json::error_code error;
    const std::size_t used = reader.write_some(false, text.data(), text.size(), error);
    if (!error && used < text.size()) error = json::error::extra_data;
    if (error == json::error::too_deep)
      return fail(Errc::kInvalid, place(text, used) +
                                      ": objects and arrays are nested deeper than " +
                                      std::to_string(bounds.depth_max) + " levels");
    if (reader.handler().found())
      return fail(Errc::kInvalid, place(text, used) + ": the member \"" + reader.handler().key() +
                                      "\" is there twice in one object");
    if (error) return fail(Errc::kInvalid, place(text, used) + ": not JSON: " + error.message());
    json::value value = json::parse(text, {}, options);
    const std::vector<double>& doubles = reader.handler().doubles();
    if (!doubles.empty() && countDoubles(value) == doubles.size()) {
      const double* next = doubles.data();
      setDoubles(value, next);
    }
    return value;
  } catch (const std::exception& e) {
    return fail(Errc::kInvalid, std::string("not JSON: ") + e.what());
  }
}

Result<json::object> parseJsonObject(std::string_view text, const JsonBounds& bounds) {
  KANTE_TRY(value, parseJson(text, bounds));
  if (!value.is_object())
    return fail(Errc::kInvalid, std::string("expected a JSON object, not ") + jsonKindName(value));
  return std::move(value.get_object());
}

std::string writeJson(const json::value& value, MemberOrder order) {
  std::string out;
  write(value, order, out);
  return out;
}

std::string writeJson(const json::object& object, MemberOrder order) {
  std::string out;
  write(object, order, out);
  return out;
}

std::string jsonPointer(std::string_view parent, std::string_view token) {
  std::string out(parent);
  out += '/';
  for (const char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string jsonPointer(std::string_view parent, std::size_t index) {
  return std::string(parent) + '/' + std::to_string(index);
}

const char* jsonKindName(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "true or false";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_: return "a number";
    case json::kind::string: return "a string";
    case json::kind::array: return "an array";
    case json::kind::object: return "an object";
  }
  return "nothing";
}

}  // namespace kante
