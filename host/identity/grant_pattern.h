// What a grant is for: a topic filter, or a principal (with the name of its method), with "{id}"
// and
// "{module}" for the caller's own.  Compiled once, shared by all who have the grant, and asked with
// the caller at hand.
//
// A placeholder is never filled by an id that contains "+", "#" or "/", nor, at the beginning of a
// filter, by one that begins with "$": an id must not become a wildcard or lead into $SYS.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

// Who asks; borrowed for the call.
struct Caller {
  std::string_view id;
  std::string_view module = {};
};

class GrantPattern {
 public:
  static constexpr std::size_t kBytesMax = 1024;
  // kTopic: MQTT's filters.  kPrincipal: "*" is any one part, alone it is everything.
  enum class Syntax { kTopic, kPrincipal };

  // kInvalid says what is wrong: no filter, an unknown placeholder, two of them in one level.
  static Result<GrantPattern> parse(Syntax syntax, std::string_view text);

  const std::string& text() const { return text_; }
  // What begins whatever matches, up to the first part that is not the same for everybody.
  std::string_view literal() const { return std::string_view(text_).substr(0, literal_); }
  // Whether the topic (or principal) is one of the pattern's; `last` is one more part, whatever it
  // contains: the name of a method.  Allocates nothing.
  bool matches(std::string_view path, const Caller& caller, std::string_view last = {}) const;
  // Whether every topic that the filter matches is one of the pattern's.
  bool covers(std::string_view filter, const Caller& caller) const;

 private:
  enum class Kind : std::uint8_t { kText, kId, kModule, kOne, kRest };
  struct Level {
    Kind kind;
    std::uint16_t before, before_size;  // In text_: what stands before the placeholder, or all.
    std::uint16_t after, after_size;
  };
  Result<Level> parseLevel(std::size_t at, std::size_t size) const;
  bool equals(const Level& level, std::string_view text, const Caller& caller) const;
  bool excluded(std::string_view path, std::string_view last) const;
  std::size_t literalSize() const;

  Syntax syntax_ = Syntax::kTopic;
  std::string text_;
  std::vector<Level> levels_;
  std::size_t literal_ = 0;  // Bytes.
};

}  // namespace kante
