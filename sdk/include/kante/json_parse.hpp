// kante/json_parse.hpp - the reader of kante/json.hpp (include that one) and the merge patch of RFC
// 7396.
#pragma once

#include <kante/json.hpp>

KANTE_SDK_BEGIN
namespace json {

// One pass, recursive descent, at most Limits::depth_max frames deep.
class Parser {
 public:
  Parser(std::string_view text, const Limits& limits) : text_(text), limits_(limits) {}

  bool document(Value& out) {
    if (text_.size() > limits_.bytes_max) {
      return refuse("more than " + std::to_string(limits_.bytes_max) + " bytes");
    }
    skipSpace();
    if (!value(out, 0)) return false;
    skipSpace();
    return at_ == text_.size() || refuse("text after the value");
  }
  ParseError takeError() { return std::move(error_); }

 private:
  bool refuse(std::string text) {
    error_ = {at_, std::move(text)};
    return false;
  }
  bool more() const { return at_ < text_.size(); }
  char peek() const { return text_[at_]; }
  void skipSpace() {
    while (more() && (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t')) ++at_;
  }
  // Takes c if it comes next, spaces around it too.
  bool take(char c) {
    skipSpace();
    if (!more() || peek() != c) return false;
    ++at_;
    skipSpace();
    return true;
  }

  bool value(Value& out, std::size_t depth) {
    if (!more()) return refuse("the text ends where a value should stand");
    if (++values_ > limits_.values_max) {
      return refuse("more than " + std::to_string(limits_.values_max) + " values");
    }
    switch (peek()) {
      case '{': return object(out, depth);
      case '[': return array(out, depth);
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out = Value(std::move(text));
        return true;
      }
      case 't': return literal("true", Value(true), out);
      case 'f': return literal("false", Value(false), out);
      case 'n': return literal("null", Value(), out);
      default: return number(out);
    }
  }

  bool literal(std::string_view word, Value meaning, Value& out) {
    if (text_.substr(at_, word.size()) != word) return refuse("a value should stand here");
    at_ += word.size();
    out = std::move(meaning);
    return true;
  }

  bool object(Value& out, std::size_t depth) {
    if (depth == limits_.depth_max) {
      return refuse("nested deeper than " + std::to_string(limits_.depth_max));
    }
    Object object;
    ++at_;
    skipSpace();
    if (take('}')) return finish(out, std::move(object));
    do {
      std::string name;
      if (!more() || peek() != '"') return refuse("a member name in quotes should stand here");
      if (!string(name)) return false;
      if (name.find('\0') != std::string::npos) return refuse("a member name with U+0000");
      if (!take(':')) return refuse("a colon should stand here");
      Member& member = object.members_.emplace_back(std::move(name), Value());
      if (!value(member.second, depth + 1)) return false;
    } while (take(','));
    if (!closes('}')) return refuse("a comma or } should stand here");
    if (const std::string* twice = repeated(object))
      return refuse("the name \"" + *twice + "\" twice");
    return finish(out, std::move(object));
  }

  bool array(Value& out, std::size_t depth) {
    if (depth == limits_.depth_max) {
      return refuse("nested deeper than " + std::to_string(limits_.depth_max));
    }
    Array elements;
    ++at_;
    skipSpace();
    if (closes(']')) return finish(out, std::move(elements));
    do {
      if (!value(elements.emplace_back(), depth + 1)) return false;
    } while (take(','));
    if (!closes(']')) return refuse("a comma or ] should stand here");
    return finish(out, std::move(elements));
  }

  bool closes(char c) {
    if (!more() || peek() != c) return false;
    ++at_;
    return true;
  }

  template <typename T>
  static bool finish(Value& out, T value) {
    out = Value(std::move(value));
    return true;
  }

  // Sorted rather than compared pair by pair: a hostile object of 100,000 names must stay cheap.
  static const std::string* repeated(const Object& object) {
    std::vector<const std::string*> names;
    names.reserve(object.size());
    for (const Member& member : object) names.push_back(&member.first);
    std::sort(names.begin(), names.end(), [](auto* a, auto* b) { return *a < *b; });
    const auto twice =
        std::adjacent_find(names.begin(), names.end(), [](auto* a, auto* b) { return *a == *b; });
    return twice == names.end() ? nullptr : *twice;
  }

  bool string(std::string& out) {
    const std::size_t begin = at_++;
    for (;;) {
      const std::size_t run = at_;
      while (more() && peek() != '"' && peek() != '\\' &&
             static_cast<unsigned char>(peek()) >= 0x20)
        ++at_;
      out.append(text_.substr(run, at_ - run));
      if (!more()) return refuse("a string without its end");
      if (peek() == '"') break;
      if (peek() != '\\') return refuse("a control character in a string");
      if (!escape(out)) return false;
    }
    ++at_;
    // Escapes only ever add valid UTF-8 (and U+0000, which is legal JSON), so the raw text decides.
    if (!kante_text_valid(text_.data() + begin, at_ - begin)) {
      at_ = begin;
      return refuse("a string that is no UTF-8");
    }
    return true;
  }

  bool escape(std::string& out) {
    ++at_;
    if (!more()) return refuse("a string without its end");
    static constexpr std::string_view kFrom = "\"\\/bfnrt";
    static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    const char c = text_[at_++];
    if (const std::size_t i = kFrom.find(c); i != std::string_view::npos) {
      out += kTo[i];
      return true;
    }
    if (c != 'u') return refuse("an escape that JSON does not know");
    std::uint32_t point = 0;
    if (!hex4(point)) return false;
    if (point >= 0xdc00 && point <= 0xdfff) return refuse("half of a surrogate pair");
    if (point >= 0xd800 && point <= 0xdbff) {
      std::uint32_t low = 0;
      if (text_.substr(at_, 2) != "\\u") return refuse("half of a surrogate pair");
      at_ += 2;
      if (!hex4(low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return refuse("half of a surrogate pair");
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    appendUtf8(point, out);
    return true;
  }

  bool hex4(std::uint32_t& out) {
    const std::string_view digits = text_.substr(at_, 4);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    if (digits.size() != 4 || parsed.ec != std::errc() || parsed.ptr != digits.data() + 4) {
      return refuse("four hexadecimal digits should follow \\u");
    }
    at_ += 4;
    return true;
  }

  static void appendUtf8(std::uint32_t point, std::string& out) {
    const auto tail = [&](unsigned shift) {
      out += static_cast<char>(0x80 | ((point >> shift) & 0x3f));
    };
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xc0 | (point >> 6));
      tail(0);
    } else if (point < 0x10000) {
      out += static_cast<char>(0xe0 | (point >> 12));
      tail(6), tail(0);
    } else {
      out += static_cast<char>(0xf0 | (point >> 18));
      tail(12), tail(6), tail(0);
    }
  }

  bool digits() {
    const std::size_t begin = at_;
    while (more() && peek() >= '0' && peek() <= '9') ++at_;
    return at_ != begin;
  }

  bool number(Value& out) {
    const std::size_t begin = at_;
    const auto wrong = [&](const char* text) {
      at_ = begin;
      return refuse(text);
    };
    bool is_integer = true;
    if (peek() == '-') ++at_;
    const std::size_t first = at_;
    if (!digits()) return wrong("a value should stand here");
    if (text_[first] == '0' && at_ - first > 1) return wrong("a number with a leading zero");
    if (more() && peek() == '.') {
      is_integer = false;
      ++at_;
      if (!digits()) return wrong("a digit should follow the point of a number");
    }
    if (more() && (peek() == 'e' || peek() == 'E')) {
      is_integer = false;
      ++at_;
      if (more() && (peek() == '+' || peek() == '-')) ++at_;
      if (!digits()) return wrong("a digit should follow the exponent of a number");
    }
    const char* from = text_.data() + begin;
    const char* to = text_.data() + at_;
    std::int64_t integer = 0;
    if (is_integer && std::from_chars(from, to, integer).ec == std::errc()) {
      out = Value(integer);
      return true;
    }
    double real = 0;
    const auto parsed = std::from_chars(from, to, real);
    // Too small rounds to zero; too large has no value at all.
    if (parsed.ec == std::errc::result_out_of_range && isHuge({from, to})) {
      return wrong("a number beyond the range of a double");
    }
    out = Value(parsed.ec == std::errc() ? real : 0.0);
    return true;
  }

  // For a number that from_chars called out of range: too large (else too small), by the decimal
  // exponent of its first digit that counts.
  static bool isHuge(std::string_view text) {
    std::int64_t exponent = 0;
    if (const std::size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
      std::string_view digits = text.substr(e + 1);
      if (digits.front() == '+') digits.remove_prefix(1);
      const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
      if (parsed.ec != std::errc()) return digits.front() != '-';
      text = text.substr(0, e);
    }
    bool after_point = false;
    bool counts = false;
    for (const char c : text) {
      if (c == '.') after_point = true;
      if (c < '0' || c > '9') continue;
      counts = counts || c != '0';
      if (counts && !after_point && exponent < std::numeric_limits<std::int64_t>::max()) ++exponent;
      if (!counts && after_point && exponent > std::numeric_limits<std::int64_t>::min()) --exponent;
    }
    return exponent > 0;
  }

  std::string_view text_;
  const Limits& limits_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  ParseError error_;
};

inline std::optional<Value> tryParse(std::string_view text, ParseError* error = nullptr,
                                     const Limits& limits = {}) {
  Parser parser(text, limits);
  Value value;
  if (parser.document(value)) return value;
  if (error != nullptr) *error = parser.takeError();
  return std::nullopt;
}

// Throws Failure (KANTE_E_INVALID) that names the byte.
inline Value parse(std::string_view text, const Limits& limits = {}) {
  ParseError error;
  std::optional<Value> value = tryParse(text, &error, limits);
  if (!value) throw Failure("JSON at byte " + std::to_string(error.offset) + ": " + error.text);
  return std::move(*value);
}

// RFC 7396: members of patch replace those of target, null removes, objects merge.
inline void mergePatch(Value& target, const Value& patch) {
  const Object* changes = patch.object();
  if (changes == nullptr) {
    target = patch;
    return;
  }
  if (!target.isObject()) target = Object();
  for (const Member& change : *changes) {
    if (change.second.isNull()) {
      target.object()->erase(change.first);
    } else {
      mergePatch((*target.object())[change.first], change.second);
    }
  }
}

}  // namespace json
KANTE_SDK_END
