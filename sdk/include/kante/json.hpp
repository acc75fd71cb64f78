// kante/json.hpp - a small JSON value for modules, which may link nothing but the C and C++
// libraries.
//
//   json::Value body = json::parse(input.body());            // throws Failure: "JSON at byte 12:
//   …" if (const json::Value* t = body.find("/machine/temperature")) use(t->number()); std::string
//   text = json::Value{{"alert", true}, {"value", 31.5}}.dump();
//
// Strict RFC 8259: no comments, no trailing commas, no NaN, UTF-8 without overlong forms or lone
// surrogates, no U+0000 in names, no name twice in an object.  Bounded by Limits, so hostile text
// costs bounded memory and stack.  A number without fraction and exponent that fits is kept as a
// 64-bit integer, any other as a double.
#pragma once

#include <kante/message.h>
#include <kante/failure.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

KANTE_SDK_BEGIN
namespace json {

struct Limits {
  std::size_t bytes_max = 1u << 20;   // The largest body of a message.
  std::size_t depth_max = 64;         // Nested arrays and objects.
  std::size_t values_max = 1u << 17;  // Of all levels together: 2 MiB and their texts.
};

struct ParseError {
  std::size_t offset = 0;  // Byte in the text.
  std::string text;
};

class Object;
class Value;
using Member = std::pair<std::string, Value>;
using Array = std::vector<Value>;

// 16 bytes; copies are deep, a value that was moved from is null.
class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool value) : type_(Type::kBool) { data_.flag = value; }
  template <typename T,
            std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, int> = 0>
  Value(T value) {
    if (std::in_range<std::int64_t>(value)) {
      type_ = Type::kInteger;
      data_.integer = static_cast<std::int64_t>(value);
    } else {
      type_ = Type::kNumber;
      data_.number = static_cast<double>(value);
    }
  }
  Value(double value) : type_(Type::kNumber) { data_.number = value; }
  Value(std::string value);
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}
  Value(Array value);
  Value(Object value);
  Value(std::initializer_list<Member> members);

  Value(const Value& other);
  Value(Value&& other) noexcept
      : type_(std::exchange(other.type_, Type::kNull)), data_(std::exchange(other.data_, Data())) {}
  Value& operator=(Value other) noexcept {
    std::swap(type_, other.type_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Value();

  bool isNull() const { return type_ == Type::kNull; }
  bool isBool() const { return type_ == Type::kBool; }
  bool isInteger() const { return type_ == Type::kInteger; }
  bool isNumber() const { return isInteger() || type_ == Type::kNumber; }
  bool isString() const { return type_ == Type::kString; }
  bool isArray() const { return type_ == Type::kArray; }
  bool isObject() const { return type_ == Type::kObject; }
  const char* typeName() const {
    static constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "a number",
                                             "a string", "an array",  "an object"};
    return kNames[static_cast<std::size_t>(type_)];
  }

  // Null, or no value, when it is of another type.
  std::optional<bool> boolean() const {
    return isBool() ? std::optional(data_.flag) : std::nullopt;
  }
  std::optional<std::int64_t> integer() const {
    return isInteger() ? std::optional(data_.integer) : std::nullopt;
  }
  std::optional<double> number() const {
    if (isInteger()) return static_cast<double>(data_.integer);
    return type_ == Type::kNumber ? std::optional(data_.number) : std::nullopt;
  }
  const std::string* string() const { return isString() ? data_.string : nullptr; }
  const Array* array() const { return isArray() ? data_.array : nullptr; }
  Array* array() { return isArray() ? data_.array : nullptr; }
  const Object* object() const { return isObject() ? data_.object : nullptr; }
  Object* object() { return isObject() ? data_.object : nullptr; }

  // The member of an object; null for every other value.
  const Value* get(std::string_view name) const;
  // path: a JSON pointer ("/machine/temperature", "" is the value itself) or names with dots
  // between them
  // ("machine.temperature").  Array elements by their index.  Null when there is nothing.
  const Value* find(std::string_view path) const;
  // Turns null into an object; throws Failure for any other type.
  Value& operator[](std::string_view name);

  std::string dump() const {
    std::string out;
    dumpTo(out);
    return out;
  }
  // Compact.  A double that is no number (NaN, infinity) becomes null, which JSON has instead.
  void dumpTo(std::string& out) const;

  // Integers and doubles of the same value are equal, the order of members does not count.
  friend bool operator==(const Value& a, const Value& b);

 private:
  enum class Type : std::uint8_t { kNull, kBool, kInteger, kNumber, kString, kArray, kObject };
  union Data {
    bool flag;
    std::int64_t integer = 0;
    double number;
    std::string* string;
    Array* array;
    Object* object;
  };
  const Value* step(std::string_view name) const;

  Type type_ = Type::kNull;
  Data data_;  // Owns what it points to.
};

// Members in the order of their insertion.  Small by nature: lookup walks them.
class Object {
 public:
  Object() = default;
  Object(std::initializer_list<Member> members) {
    for (const Member& member : members) set(member.first, member.second);
  }

  std::size_t size() const { return members_.size(); }
  bool empty() const { return members_.empty(); }
  auto begin() const { return members_.begin(); }
  auto end() const { return members_.end(); }
  auto begin() { return members_.begin(); }
  auto end() { return members_.end(); }

  const Value* find(std::string_view name) const {
    for (const Member& member : members_) {
      if (member.first == name) return &member.second;
    }
    return nullptr;
  }
  Value* find(std::string_view name) {
    return const_cast<Value*>(static_cast<const Object*>(this)->find(name));
  }
  // Replaces or appends.
  Value& set(std::string_view name, Value value) { return (*this)[name] = std::move(value); }
  // False when there was none.
  bool erase(std::string_view name) {
    return std::erase_if(members_, [&](const Member& member) { return member.first == name; }) != 0;
  }
  // The member of that name, null and appended when there was none.
  Value& operator[](std::string_view name) {
    if (Value* member = find(name)) return *member;
    return members_.emplace_back(std::string(name), Value()).second;
  }
  friend bool operator==(const Object& a, const Object& b) {
    if (a.size() != b.size()) return false;
    return std::all_of(a.begin(), a.end(), [&](const Member& member) {
      const Value* other = b.find(member.first);
      return other != nullptr && *other == member.second;
    });
  }

 private:
  friend class Parser;
  std::vector<Member> members_;
};

// ---- Value
// ---------------------------------------------------------------------------------------

inline Value::Value(std::string value) : type_(Type::kString) {
  data_.string = new std::string(std::move(value));
}
inline Value::Value(Array value) : type_(Type::kArray) {
  data_.array = new Array(std::move(value));
}
inline Value::Value(Object value) : type_(Type::kObject) {
  data_.object = new Object(std::move(value));
}
inline Value::Value(std::initializer_list<Member> members) : Value(Object(members)) {}

inline Value::Value(const Value& other) {
  switch (other.type_) {
    case Type::kString: data_.string = new std::string(*other.data_.string); break;
    case Type::kArray: data_.array = new Array(*other.data_.array); break;
    case Type::kObject: data_.object = new Object(*other.data_.object); break;
    default: data_ = other.data_;
  }
  type_ = other.type_;
}

inline Value::~Value() {
  switch (type_) {
    case Type::kString: delete data_.string; break;
    case Type::kArray: delete data_.array; break;
    case Type::kObject: delete data_.object; break;
    default: break;
  }
}

inline bool operator==(const Value& a, const Value& b) {
  if (a.isNumber() && b.isNumber()) {
    return a.isInteger() && b.isInteger() ? a.integer() == b.integer() : a.number() == b.number();
  }
  if (a.type_ != b.type_) return false;
  switch (a.type_) {
    case Value::Type::kBool: return a.data_.flag == b.data_.flag;
    case Value::Type::kString: return *a.data_.string == *b.data_.string;
    case Value::Type::kArray: return *a.data_.array == *b.data_.array;
    case Value::Type::kObject: return *a.data_.object == *b.data_.object;
    default: return true;
  }
}

inline const Value* Value::get(std::string_view name) const {
  return isObject() ? data_.object->find(name) : nullptr;
}

inline Value& Value::operator[](std::string_view name) {
  if (isNull()) *this = Object();
  Object* members = object();
  if (members == nullptr)
    throw Failure(std::string("JSON: no member can be added to ") + typeName());
  return (*members)[name];
}

inline const Value* Value::step(std::string_view name) const {
  if (const Object* members = object()) return members->find(name);
  const Array* elements = array();
  std::size_t index = 0;
  if (elements == nullptr || name.empty() || (name.size() > 1 && name[0] == '0')) return nullptr;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), index);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) return nullptr;
  return index < elements->size() ? &(*elements)[index] : nullptr;
}

inline const Value* Value::find(std::string_view path) const {
  const Value* at = this;
  if (path.empty()) return at;
  const bool is_pointer = path.front() == '/';
  if (is_pointer) path.remove_prefix(1);
  std::string unescaped;
  for (;;) {
    const std::size_t end = path.find(is_pointer ? '/' : '.');
    std::string_view name = path.substr(0, end);
    if (is_pointer && name.find('~') != std::string_view::npos) {
      unescaped.clear();
      for (std::size_t i = 0; i < name.size(); ++i) {
        const bool escape = name[i] == '~' && i + 1 < name.size();
        if (escape) ++i;
        unescaped += !escape ? name[i] : name[i] == '1' ? '/' : name[i] == '0' ? '~' : name[i];
      }
      name = unescaped;
    }
    at = at->step(name);
    if (at == nullptr || end == std::string_view::npos) return at;
    path.remove_prefix(end + 1);
  }
}

// ---- writing
// -------------------------------------------------------------------------------------

inline void dumpString(std::string_view text, std::string& out) {
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
          out += kHex[static_cast<unsigned char>(c) >> 4];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

template <typename Number>
void dumpNumber(Number value, std::string& out) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, end);
}

inline void Value::dumpTo(std::string& out) const {
  switch (type_) {
    case Type::kNull: out += "null"; break;
    case Type::kBool: out += data_.flag ? "true" : "false"; break;
    case Type::kInteger: dumpNumber(data_.integer, out); break;
    case Type::kNumber:
      if (!std::isfinite(data_.number)) {
        out += "null";
      } else if (data_.number == 0 && std::signbit(data_.number)) {
        out += "-0.0";  // "-0" would come back as the integer 0.
      } else {
        dumpNumber(data_.number, out);
      }
      break;
    case Type::kString: dumpString(*data_.string, out); break;
    case Type::kArray: {
      const char* separator = "[";
      for (const Value& element : *data_.array) {
        out += std::exchange(separator, ",");
        element.dumpTo(out);
      }
      out += data_.array->empty() ? "[]" : "]";
      break;
    }
    case Type::kObject: {
      const char* separator = "{";
      for (const Member& member : *data_.object) {
        out += std::exchange(separator, ",");
        dumpString(member.first, out);
        out += ':';
        member.second.dumpTo(out);
      }
      out += data_.object->empty() ? "{}" : "}";
      break;
    }
  }
}

}  // namespace json
KANTE_SDK_END

#include <kante/json_parse.hpp>
