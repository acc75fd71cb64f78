// Cuts the text of a route into tokens, on demand.
//
// As in IoT Edge the longest match wins, so `a+b` and `5-3` are identifiers; `||`, `!=` and quotes
// are an exception (docs/deviations.md).  Linear: each character is looked at a bounded number of
// times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "host/route/error.h"

namespace kante::route_detail {

enum class TokenKind : std::uint8_t {
  kEnd,
  // Keywords, in any letter case.
  kSelect,
  kFrom,
  kWhere,
  kInto,
  kAnd,
  kOr,
  kNot,
  // Literals, in lower case.
  kTrue,
  kFalse,
  kNull,
  kUndefined,
  kNumber,
  kText,
  kName,
  kSystemName,  // $name, with the dollar sign.
  kOpen,
  kClose,
  kOpenBrace,
  kCloseBrace,
  kComma,
  kSlash,
  kStar,
  kPlus,
  kMinus,
  kConcat,
  kPercent,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kCoalesce,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::size_t begin = 0;  // Bytes.
  std::size_t end = 0;
  double number = 0;   // kNumber
  std::string string;  // kText: without quotes and escapes.
};

class Lexer {
 public:
  // text: UTF-8 (else next() fails where it is not), borrowed.
  explicit Lexer(std::string_view text) : text_(text) {}

  RouteResult<Token> next();
  // Where a source begins: "/*" is the path that matches everything, unless reading it as a comment
  // that closes leaves a source behind it.
  RouteResult<Token> nextOfSource();
  // In a source, behind a slash: the characters of one segment ("*" or identifier characters,
  // keywords and numbers included), or an empty token.
  Token segment();
  // Whether the next character, white space not skipped, is c.
  bool at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool skipAt(char c);

  std::string_view text() const { return text_; }
  std::string_view textOf(const Token& token) const {
    return text_.substr(token.begin, token.end - token.begin);
  }
  RouteError errorAt(std::size_t byte, std::string text) const;

 private:
  void skipSpace();
  RouteResult<Token> string(char quote);
  RouteResult<Token> word();
  RouteResult<Token> punctuation();
  RouteResult<std::string> escape(std::size_t& at) const;

  std::string_view text_;
  std::size_t at_ = 0;
};

bool isNameCharacter(char c);
char lowerAscii(char c);
std::string lowerAscii(std::string_view text);
bool sameIgnoringCase(std::string_view a, std::string_view b);
std::size_t charactersIn(std::string_view text);  // Code points of valid UTF-8.

}  // namespace kante::route_detail
