#include "host/support/secret_form.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "host/support/secret_name.h"

namespace kante {
namespace {

constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kKeyBytesMin = 40;
constexpr std::size_t kTicketBytesMin = 8;  // After "Bearer ".
constexpr auto kNone = std::string_view::npos;

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isLower(char c) { return c >= 'a' && c <= 'z'; }
bool isUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool isAlnum(char c) { return isDigit(c) || isLower(c) || isUpper(c); }
bool isNamePart(char c) { return isAlnum(c) || c == '_' || c == '-' || c == '.'; }
bool isBase64(char c) { return isAlnum(c) || c == '+' || c == '/' || c == '-' || c == '_'; }
bool isRunPart(char c) { return isBase64(c) || c == '.'; }
bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool endsAddress(char c) {
  return isSpace(c) || c == '"' || c == '\'' || c == '<' || c == '>' || c == '\\';
}
bool endsValue(char c) {
  return isSpace(c) || c == '"' || c == '\'' || c == ',' || c == ';' || c == '&' || c == '}' ||
         c == ']' || c == ')' || c == '\\';
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::vector<std::string_view> run() {
    while (at_ < text_.size()) {
      if (!privateKey() && !address() && !ticket() && !word()) ++at_;
    }
    return std::move(found_);
  }

 private:
  bool here(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  char charAt(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }
  template <typename Condition>
  std::size_t skip(std::size_t at, Condition condition) const {
    while (at < text_.size() && condition(text_[at])) ++at;
    return at;
  }
  // Goes on after it.
  bool take(std::size_t begin, std::size_t end) {
    if (end > begin) found_.push_back(text_.substr(begin, end - begin));
    at_ = std::max(end, at_ + 1);
    return true;
  }

  bool privateKey() {
    if (!here("-----BEGIN ")) return false;
    const std::size_t head = text_.find("-----", at_ + 11);
    if (head == kNone || text_.substr(at_, head - at_).find("PRIVATE KEY") == kNone) return false;
    const std::size_t tail = text_.find("-----END ", head);
    const std::size_t end = tail == kNone ? kNone : text_.find("-----", tail + 9);
    if (end != kNone) return take(at_, end + 5);
    return take(at_, std::min(text_.find('"', at_), text_.size()));
  }

  // Only what is after "://" of it: the rest may be anything.  Nothing inside is one again: what
  // comes before its last "@" is taken as user info, and all of its query.
  bool address() {
    if (!here("://") || at_ < address_end_) return false;
    const std::size_t begin = at_ + 3;
    address_end_ = skip(begin, [](char c) { return !endsAddress(c); });
    const std::string_view whole = text_.substr(begin, address_end_ - begin);
    const std::size_t query = std::min(whole.find('?'), whole.size());
    const std::size_t user = whole.substr(0, query).rfind('@');
    if (user != kNone) take(begin, begin + user);  // Which moves at_ to its end.
    if (query + 1 < whole.size()) return take(begin + query + 1, address_end_);
    at_ = std::max(at_, begin);
    return true;
  }

  bool ticket() {
    if (at_ > 0 && isAlnum(text_[at_ - 1])) return false;
    for (const std::string_view scheme :
         {"Bearer ", "bearer ", "Basic ", "SharedAccessSignature "}) {
      if (!here(scheme)) continue;
      const std::size_t begin = at_ + scheme.size();
      const std::size_t end = skip(begin, [](char c) { return !endsAddress(c); });
      if (end - begin >= kTicketBytesMin) return take(begin, end);
    }
    if (!here("eyJ") || at_ < run_end_) return false;
    const std::size_t end = skip(at_, [](char c) { return isBase64(c) || c == '.'; });
    if (text_.substr(at_, end - at_).find('.') == kNone) return false;
    return take(at_, end);
  }

  // A whole name or number from its beginning, and what it is set to.
  bool word() {
    const std::size_t end = at_ < run_end_ ? run_end_ : skip(at_, isRunPart);
    if (end == at_) return false;
    const bool whole = at_ >= run_end_;  // Not the rest of one that was looked at.
    run_end_ = end;
    if (whole && isKey(end)) return take(at_, skip(end, [](char c) { return c == '='; }));
    const std::size_t name_end = skip(at_, isNamePart);
    if (name_end > at_ && setting(name_end)) return true;
    at_ = std::max(name_end, at_ + 1);
    return true;
  }

  bool isKey(std::size_t end) const {
    const std::string_view run = text_.substr(at_, end - at_);
    if (run.size() < kKeyBytesMin || run.find('.') != kNone) return false;
    const auto has = [run](auto condition) {
      return std::any_of(run.begin(), run.end(), condition);
    };
    if (!has(isLower) || !has(isUpper) || !has(isDigit)) return false;
    return charAt(end) == '=' || run.find('+') != kNone || run.find_first_of("/_-") == kNone;
  }

  bool setting(std::size_t name_end) {
    if (name_end - at_ > kNameBytesMax) return false;
    const std::string_view name = text_.substr(at_, name_end - at_);
    std::size_t at = skip(name_end, [](char c) { return c == '\\'; });
    const bool quoted_name = charAt(at) == '"' || charAt(at) == '\'';
    if (quoted_name) ++at;
    at = skip(at, [](char c) { return c == ' '; });
    const char sign = charAt(at);
    if (sign != '=' && sign != ':') return false;
    const bool prose = sign == ':' && !quoted_name;
    if (!namesSecret(name, prose ? NameIn::kProse : NameIn::kStructure)) return false;
    at = skip(at + 1, [](char c) { return c == ' '; });
    const std::size_t escapes = skip(at, [](char c) { return c == '\\'; }) - at;
    at += escapes;
    const char quote = charAt(at);
    if (quote == '{' || quote == '[') return false;  // What is in it has names of its own.
    if (quote != '"' && quote != '\'') {
      const std::size_t end = skip(at, [](char c) { return !endsValue(c); });
      const std::string_view plain = text_.substr(at, end - at);
      if (plain == "true" || plain == "false" || plain == "null") return false;
      return take(at, end);
    }
    return take(at + 1, quotedEnd(at + 1, quote, escapes));
  }

  // Where the quote comes that has as many backslashes as the one that began it.
  std::size_t quotedEnd(std::size_t at, char quote, std::size_t escapes) const {
    std::size_t slashes = 0;
    for (; at < text_.size(); ++at) {
      if (text_[at] == quote && slashes <= escapes) return at - slashes;
      slashes = text_[at] == '\\' ? slashes + 1 : 0;
      if (text_[at] == '\n') return at;
    }
    return at;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t address_end_ = 0;  // Of the last address.
  std::size_t run_end_ = 0;      // Of the last run of base64.
  std::vector<std::string_view> found_;
};

}  // namespace

std::vector<std::string_view> secretsIn(std::string_view text) { return Scanner(text).run(); }

}  // namespace kante
