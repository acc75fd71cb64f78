#include "host/route/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "host/route/transcode.h"

namespace kante::route_detail {
namespace {

constexpr std::string_view kNotInNames = "()<>@,;:\\\"/[]?={} \t\r\n";

constexpr std::array<std::pair<std::string_view, TokenKind>, 7> kKeywords{{
    {"select", TokenKind::kSelect},
    {"from", TokenKind::kFrom},
    {"where", TokenKind::kWhere},
    {"into", TokenKind::kInto},
    {"and", TokenKind::kAnd},
    {"or", TokenKind::kOr},
    {"not", TokenKind::kNot},
}};

constexpr std::array<std::pair<std::string_view, TokenKind>, 9> kWords{{
    {"true", TokenKind::kTrue},
    {"false", TokenKind::kFalse},
    {"null", TokenKind::kNull},
    {"undefined", TokenKind::kUndefined},
    {"*", TokenKind::kStar},
    {"+", TokenKind::kPlus},
    {"-", TokenKind::kMinus},
    {"||", TokenKind::kConcat},
    {"%", TokenKind::kPercent},
}};

bool isDigit(char c) { return c >= '0' && c <= '9'; }

bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int hexDigit(char c) {
  if (isDigit(c)) return c - '0';
  const char low = lowerAscii(c);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

std::size_t digits(std::string_view word, std::size_t at) {
  std::size_t n = 0;
  while (at + n < word.size() && isDigit(word[at + n])) ++n;
  return n;
}

// -?digits, -?digits*.digits[exponent] or -?digits exponent; the whole word.
bool isDecimal(std::string_view word) {
  std::size_t at = word.starts_with('-') ? 1 : 0;
  const std::size_t whole = digits(word, at);
  at += whole;
  if (at < word.size() && word[at] == '.') {
    const std::size_t fraction = digits(word, at + 1);
    if (fraction == 0) return false;
    at += 1 + fraction;
  } else if (whole == 0) {
    return false;
  }
  if (at < word.size() && lowerAscii(word[at]) == 'e') {
    ++at;
    if (at < word.size() && (word[at] == '+' || word[at] == '-')) ++at;
    const std::size_t exponent = digits(word, at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == word.size();
}

bool parseNumber(std::string_view word, double& number) {
  if (word.size() > 2 && word[0] == '0' && lowerAscii(word[1]) == 'x') {
    number = 0;
    for (const char c : word.substr(2)) {
      if (hexDigit(c) < 0) return false;
      number = number * 16 + hexDigit(c);
    }
    return true;
  }
  if (!isDecimal(word)) return false;
  const auto read = std::from_chars(word.data(), word.data() + word.size(), number);
  if (read.ec == std::errc::result_out_of_range) {
    // from_chars leaves the value alone; strtod's answer would be infinity or zero.
    const bool small =
        word.find("e-") != std::string_view::npos || word.find("E-") != std::string_view::npos;
    number = small ? 0 : std::numeric_limits<double>::infinity();
    if (word[0] == '-') number = -number;
  }
  return true;
}

bool readHex4(std::string_view text, std::size_t at, std::uint32_t& unit) {
  if (text.size() - at < 4) return false;
  unit = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const int digit = hexDigit(text[i]);
    if (digit < 0) return false;
    unit = unit * 16 + static_cast<std::uint32_t>(digit);
  }
  return true;
}

}  // namespace

bool isNameCharacter(char c) { return kNotInNames.find(c) == std::string_view::npos; }

char lowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowerAscii(std::string_view text) {
  std::string low(text);
  for (char& c : low) c = lowerAscii(c);
  return low;
}

bool sameIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lowerAscii(x) == lowerAscii(y); });
}

std::size_t charactersIn(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0u) != 0x80u ? 1u : 0u;
  return count;
}

RouteError Lexer::errorAt(std::size_t byte, std::string text) const {
  return RouteError{std::move(text), charactersIn(text_.substr(0, byte))};
}

bool Lexer::skipAt(char c) {
  if (!at(c)) return false;
  ++at_;
  return true;
}

// Over white space and closed comments; a "/*" that nothing closes is a slash and a star, as is
// "/*/".
void Lexer::skipSpace() {
  while (at_ < text_.size()) {
    if (isSpace(text_[at_])) {
      ++at_;
      continue;
    }
    const std::string_view rest = text_.substr(at_);
    if (!rest.starts_with("/*") || rest.starts_with("/*/")) return;
    const std::size_t close = text_.find("*/", at_ + 2);
    if (close == std::string_view::npos) return;
    at_ = close + 2;
  }
}

Token Lexer::segment() {
  Token token{TokenKind::kName, at_, at_, 0, {}};
  while (at_ < text_.size() && isNameCharacter(text_[at_])) ++at_;
  token.end = at_;
  return token;
}

RouteResult<Token> Lexer::next() {
  skipSpace();
  if (at_ == text_.size()) return Token{TokenKind::kEnd, at_, at_, 0, {}};
  const char c = text_[at_];
  if (c == '\'' || c == '"') return string(c);
  return isNameCharacter(c) ? word() : punctuation();
}

RouteResult<Token> Lexer::nextOfSource() {
  while (at_ < text_.size() && isSpace(text_[at_])) ++at_;
  const std::size_t begin = at_;
  auto token = next();
  const bool source = token.has_value() && (token->kind == TokenKind::kSlash ||
                                            sameIgnoringCase(textOf(*token), "MqttTopic"));
  if (source || !text_.substr(begin).starts_with("/*")) return token;
  at_ = begin + 1;
  return Token{TokenKind::kSlash, begin, at_, 0, {}};
}

RouteResult<Token> Lexer::punctuation() {
  struct Sign {
    std::string_view text;
    TokenKind kind;
  };
  // Longer signs first.
  static constexpr std::array<Sign, 13> kSigns{{
      {"<=", TokenKind::kLessEqual},
      {"<>", TokenKind::kNotEqual},
      {">=", TokenKind::kGreaterEqual},
      {"??", TokenKind::kCoalesce},
      {"<", TokenKind::kLess},
      {">", TokenKind::kGreater},
      {"=", TokenKind::kEqual},
      {"(", TokenKind::kOpen},
      {")", TokenKind::kClose},
      {"{", TokenKind::kOpenBrace},
      {"}", TokenKind::kCloseBrace},
      {",", TokenKind::kComma},
      {"/", TokenKind::kSlash},
  }};
  for (const Sign& sign : kSigns) {
    if (!text_.substr(at_).starts_with(sign.text)) continue;
    const std::size_t begin = std::exchange(at_, at_ + sign.text.size());
    return Token{sign.kind, begin, at_, 0, {}};
  }
  return errorAt(at_, std::string("a route has no sign '") + text_[at_] + "' here");
}

RouteResult<Token> Lexer::word() {
  const std::size_t begin = at_;
  const bool system = text_[at_] == '$';
  if (text_.substr(at_).starts_with("||")) return Token{TokenKind::kConcat, begin, at_ += 2, 0, {}};
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (!isNameCharacter(c) && !(system && (c == '[' || c == ']'))) break;
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("||") || rest.starts_with("!=")) break;
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || rest.starts_with("\xc2\xa0")) {
      return errorAt(
          at_, "this is an invisible character (control or no-break space); write a plain space");
    }
    ++at_;
  }
  if (at_ == begin) return Token{TokenKind::kNotEqual, begin, at_ += 2, 0, {}};
  Token token{TokenKind::kName, begin, at_, 0, {}};
  const std::string_view word = textOf(token);
  for (const auto& [name, kind] : kKeywords) {
    if (sameIgnoringCase(word, name)) token.kind = kind;
  }
  for (const auto& [name, kind] : kWords) {
    if (word == name) token.kind = kind;
  }
  if (system && word.size() > 1) token.kind = TokenKind::kSystemName;
  if (parseNumber(word, token.number)) token.kind = TokenKind::kNumber;
  return token;
}

RouteResult<Token> Lexer::string(char quote) {
  Token token{TokenKind::kText, at_, at_, 0, {}};
  for (std::size_t at = at_ + 1; at < text_.size();) {
    if (text_[at] == quote) {
      at_ = at + 1;
      token.end = at_;
      return token;
    }
    if (text_[at] == '\\') {
      auto unescaped = escape(at);
      if (unescaped.has_error()) return unescaped.error();
      token.string += *unescaped;
    } else {
      token.string.push_back(text_[at++]);
    }
  }
  return errorAt(token.begin, std::string("the text that begins here has no closing ") + quote);
}

// at stands on a backslash; moves it behind the escape.
RouteResult<std::string> Lexer::escape(std::size_t& at) const {
  const std::size_t begin = at;
  const char kind = at + 1 < text_.size() ? text_[at + 1] : '\0';
  if (kind == '\'' || kind == '"' || kind == '\\') {
    at += 2;
    return std::string(1, kind);
  }
  std::uint32_t unit = 0;
  if (kind != 'u' || !readHex4(text_, at + 2, unit)) {
    return errorAt(begin, "an escape is \\' or \\\" or \\\\ or \\u and four hexadecimal digits");
  }
  at += 6;
  if (unit >= 0xd800 && unit < 0xdc00 && text_.substr(at).starts_with("\\u")) {
    std::uint32_t low = 0;
    if (readHex4(text_, at + 2, low) && low >= 0xdc00 && low < 0xe000) {
      at += 6;
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
  }
  if (unit == 0 || (unit >= 0xd800 && unit < 0xe000)) {
    return errorAt(begin, "this escape is no character (U+0000 or half a surrogate pair)");
  }
  std::string out;
  appendUtf8(out, unit);
  return out;
}

}  // namespace kante::route_detail
