#include "host/agent/iothub_condition.h"

#include <algorithm>
#include <string>

#include "host/base/encoding.h"

namespace kante {
namespace {

using Kind = TargetCondition::Kind;

struct Token {
  enum class Kind { kEnd, kWord, kText, kNumber, kSign };
  Kind kind = Kind::kEnd;
  std::string text;    // kText: without quotes.
  std::size_t at = 1;  // Character, from 1.
};

bool isWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || c == '-' || c == '.';
}

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<TargetCondition> parse() {
    KANTE_CHECK(step());
    const bool all = isSign("*");
    if (all) KANTE_CHECK(step());
    if (token_.kind == Token::Kind::kEnd) return TargetCondition();
    if (all) return wrong("nothing follows *");
    KANTE_TRY(condition, either(true));
    if (token_.kind != Token::Kind::kEnd) return wrong("expected AND, OR or the end");
    KANTE_CHECK(checkSize(condition));
    return condition;
  }

 private:
  Error wrong(const std::string& text, Errc code = Errc::kInvalid) const {
    return wrongAt(token_.at, text, code);
  }
  static Error wrongAt(std::size_t at, const std::string& text, Errc code = Errc::kInvalid) {
    return fail(code, "character " + std::to_string(at) + ": " + text);
  }

  // ---- tokens

  Status step() {
    while (next_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[next_]) != std::string::npos)
      ++next_;
    token_ = {Token::Kind::kEnd, {}, next_ + 1};
    if (next_ == text_.size()) return {};
    const char c = text_[next_];
    if (c == '\'' || c == '"') return stepText(c);
    const bool number = (c >= '0' && c <= '9') || c == '-';
    if (number || isWordCharacter(c)) {
      token_.kind = number ? Token::Kind::kNumber : Token::Kind::kWord;
      while (next_ < text_.size() && isWordCharacter(text_[next_])) token_.text += text_[next_++];
      return {};
    }
    token_.kind = Token::Kind::kSign;
    for (const char* sign : {"<>", "!=", "<=", ">="})
      if (text_.substr(next_).starts_with(sign)) token_.text = sign;
    if (token_.text.empty()) token_.text = c;
    next_ += token_.text.size();
    return {};
  }

  Status stepText(char quote) {
    token_.kind = Token::Kind::kText;
    for (++next_; next_ < text_.size(); ++next_) {
      const char c = text_[next_];
      const bool twice = c == quote && next_ + 1 < text_.size() && text_[next_ + 1] == quote;
      if (c == quote && !twice) {
        ++next_;
        return {};
      }
      if (twice || (c == '\\' && next_ + 1 < text_.size())) ++next_;
      token_.text += text_[next_];
    }
    return wrong("a text without its end");
  }

  bool isSign(std::string_view sign) const {
    return token_.kind == Token::Kind::kSign && token_.text == sign;
  }
  bool isWord(std::string_view word) const {
    return token_.kind == Token::Kind::kWord && lowered(token_.text) == word;
  }

  // ---- grammar; `holds` false: the negation is read, so that NOT reaches the comparisons.

  Result<TargetCondition> either(bool holds) {
    if (++depth_ > kTargetDepthMax) return wrong("is nested too deep", Errc::kLimit);
    TargetCondition out{holds ? Kind::kAny : Kind::kAll, {}, {}};
    for (;;) {
      KANTE_TRY(one, both(holds));
      out.of.push_back(std::move(one));
      if (!isWord("or")) break;
      KANTE_CHECK(step());
    }
    --depth_;
    return simplest(std::move(out));
  }

  Result<TargetCondition> both(bool holds) {
    TargetCondition out{holds ? Kind::kAll : Kind::kAny, {}, {}};
    for (;;) {
      KANTE_TRY(one, single(holds));
      out.of.push_back(std::move(one));
      if (!isWord("and")) break;
      KANTE_CHECK(step());
    }
    return simplest(std::move(out));
  }

  static TargetCondition simplest(TargetCondition list) {
    if (list.of.size() != 1) return list;
    TargetCondition one = std::move(list.of.front());
    return one;
  }

  Result<TargetCondition> single(bool holds) {
    while (isWord("not")) {
      holds = !holds;
      KANTE_CHECK(step());
    }
    if (isSign("(")) {
      KANTE_CHECK(step());
      KANTE_TRY(inner, either(holds));
      KANTE_CHECK(expect(")"));
      return inner;
    }
    if (token_.kind != Token::Kind::kWord)
      return wrong("expected tags.NAME, deviceId, NOT or \"(\"");
    const Token subject = token_;
    KANTE_CHECK(step());
    if (isSign("(")) return function(subject, holds);
    KANTE_CHECK(checkSubject(subject));
    return comparison(subject, holds);
  }

  Status expect(std::string_view sign) {
    if (!isSign(sign)) return wrong("expected \"" + std::string(sign) + "\"");
    return step();
  }

  static bool isDeviceId(const Token& subject) { return lowered(subject.text) == "deviceid"; }

  static std::string keyOf(const Token& subject) { return subject.text.substr(5); }

  static Status checkSubject(const Token& subject) {
    if (isDeviceId(subject)) return {};
    if (!lowered(subject.text).starts_with("tags."))
      return wrongAt(subject.at,
                     "\"" + subject.text +
                         "\" is nothing that a layer may ask for; there are tags.NAME and deviceId",
                     Errc::kUnsupported);
    if (!isName(keyOf(subject)))
      return wrongAt(subject.at, "no gateway has a tag \"" + keyOf(subject) +
                                     "\": 1 to 64 of A-Z a-z 0-9 . _ -");
    return {};
  }

  Result<TargetCondition> function(const Token& name, bool holds) {
    if (lowered(name.text) != "is_defined")
      return wrongAt(name.at, "\"" + name.text + "\": there is no function but is_defined",
                     Errc::kUnsupported);
    KANTE_CHECK(expect("("));
    const Token subject = token_;
    if (subject.kind != Token::Kind::kWord) return wrong("expected tags.NAME");
    KANTE_CHECK(checkSubject(subject));
    KANTE_CHECK(step());
    KANTE_CHECK(expect(")"));
    if (isDeviceId(subject)) return given(TargetCondition(), holds);
    return given(tagCondition(keyOf(subject)), holds);
  }

  static TargetCondition given(TargetCondition condition, bool holds) {
    return holds ? std::move(condition) : notCondition(std::move(condition));
  }

  Result<TargetCondition> comparison(const Token& subject, bool holds) {
    if (isWord("not")) {
      holds = !holds;
      KANTE_CHECK(step());
      if (!isWord("in")) return wrong("expected IN");
    }
    if (isWord("in") || isWord("nin")) {
      const bool in = isWord("in");
      KANTE_CHECK(step());
      return among(subject, holds == in);
    }
    const bool differs = isSign("<>") || isSign("!=");
    if (!differs && !isSign("=")) {
      if (token_.kind == Token::Kind::kSign &&
          std::string_view("<=>=").find(token_.text) != std::string_view::npos)
        return wrong("\"" + token_.text + "\": tags are texts, which are equal or not",
                     Errc::kUnsupported);
      return wrong("expected =, <>, IN or NIN");
    }
    KANTE_CHECK(step());
    KANTE_TRY(value, literal(subject));
    return about(subject, std::move(value), holds != differs);
  }

  Result<TargetCondition> among(const Token& subject, bool holds) {
    KANTE_CHECK(expect("["));
    TargetCondition any{Kind::kAny, {}, {}};
    for (;;) {
      KANTE_TRY(value, literal(subject));
      any.of.push_back(std::move(value));
      if (!isSign(",")) break;
      KANTE_CHECK(step());
    }
    KANTE_CHECK(expect("]"));
    return about(subject, simplest(std::move(any)), holds);
  }

  // A tag that is not there is not another one either.
  static TargetCondition about(const Token& subject, TargetCondition equal, bool holds) {
    if (holds) return equal;
    TargetCondition differs = notCondition(std::move(equal));
    if (isDeviceId(subject)) return differs;
    TargetCondition both;
    both.of.push_back(tagCondition(keyOf(subject)));
    both.of.push_back(std::move(differs));
    return both;
  }

  // That the subject is what stands here.
  Result<TargetCondition> literal(const Token& subject) {
    const Token value = token_;
    const bool truth = isWord("true") || isWord("false");
    if (isWord("null") || isWord("undefined"))
      return wrong("a tag is a text; is_defined(" + subject.text + ") asks whether it is there",
                   Errc::kUnsupported);
    if (value.kind != Token::Kind::kText && value.kind != Token::Kind::kNumber && !truth)
      return wrong("expected a text in quotes, a number, true or false");
    KANTE_CHECK(step());
    if (isDeviceId(subject)) {
      if (!isName(value.text))
        return wrongAt(value.at, "no gateway has the id \"" + value.text + "\"");
      return gatewayCondition(value.text);
    }
    std::string tag = keyOf(subject) + "=" + (truth ? lowered(value.text) : value.text);
    if (tag.size() > kDocumentNameBytesMax || tag.find('\0') != std::string::npos)
      return wrongAt(value.at, "no gateway has a tag with such a value");
    return tagCondition(std::move(tag));
  }

  std::string_view text_;
  std::size_t next_ = 0;
  std::size_t depth_ = 0;
  Token token_;
};

}  // namespace

Result<TargetCondition> parseIotHubCondition(std::string_view text) {
  if (text.size() > kIotHubConditionBytesMax)
    return fail(Errc::kLimit, "a condition has at most 4096 bytes");
  return Parser(text).parse();
}

}  // namespace kante
