#include "host/identity/grant_pattern.h"

#include <algorithm>
#include <utility>

#include "host/base/encoding.h"
#include "host/mqtt/topic.h"

namespace kante {
namespace {

constexpr std::string_view kId = "{id}", kModule = "{module}";

// The parts of a path one by one, then `last` whole if there is one.
class Parts {
 public:
  Parts(std::string_view path, std::string_view last) : rest_(path), last_(last) {}
  bool next(std::string_view& part) {
    if (more_) {
      const std::size_t end = rest_.find('/');
      part = rest_.substr(0, end);
      more_ = end != std::string_view::npos;
      if (more_) rest_.remove_prefix(end + 1);
      return true;
    }
    part = std::exchange(last_, {});
    return !part.empty();
  }
  bool done() const { return !more_ && last_.empty(); }

 private:
  std::string_view rest_;
  std::string_view last_;
  bool more_ = true;
};

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

Status checkFilter(const std::string& text) {
  if (!mqtt::isTopicFilter(text) || text.find('\0') != std::string::npos)
    return fail(Errc::kInvalid, quoted(text) +
                                    " is no topic filter; + fills a level, # is the last, and "
                                    "neither stands beside other characters");
  if (mqtt::isShared(text))
    return fail(Errc::kInvalid, quoted(text) +
                                    ": grant the filter behind the group, it holds for shared "
                                    "subscriptions too");
  return {};
}

}  // namespace

Result<GrantPattern::Level> GrantPattern::parseLevel(std::size_t at, std::size_t size) const {
  const std::string_view level = std::string_view(text_).substr(at, size);
  const auto offset = [](std::size_t n) { return static_cast<std::uint16_t>(n); };
  const bool topic = syntax_ == Syntax::kTopic;
  if (topic && level == "#") return Level{Kind::kRest, 0, 0, 0, 0};
  if (level == (topic ? "+" : "*"))
    return Level{!topic && size == text_.size() ? Kind::kRest : Kind::kOne, 0, 0, 0, 0};
  if (!topic && (level.empty() || level.find('*') != std::string_view::npos))
    return fail(Errc::kInvalid, quoted(text_) + ": a part is a name, or * for any one");
  const auto open = level.find_first_of("{}");
  if (open == std::string_view::npos) return Level{Kind::kText, offset(at), offset(size), 0, 0};
  const bool id = level.substr(open).starts_with(kId);
  if (!id && !level.substr(open).starts_with(kModule))
    return fail(Errc::kInvalid,
                quoted(text_) + ": braces are for {id} and {module}, the caller's own");
  const std::size_t after = open + (id ? kId : kModule).size();
  if (level.find_first_of("{}", after) != std::string_view::npos)
    return fail(Errc::kInvalid, quoted(text_) + ": there is one placeholder between two slashes");
  return Level{id ? Kind::kId : Kind::kModule, offset(at), offset(open), offset(at + after),
               offset(size - after)};
}

Result<GrantPattern> GrantPattern::parse(Syntax syntax, std::string_view text) {
  if (text.size() > kBytesMax)
    return fail(Errc::kLimit, "a grant is for at most " + std::to_string(kBytesMax) + " bytes");
  if (text.empty() || !isUtf8(text))
    return fail(Errc::kInvalid, "a grant is for a topic filter or a principal, in UTF-8");
  GrantPattern pattern;
  pattern.syntax_ = syntax;
  pattern.text_ = text;
  if (syntax == Syntax::kTopic) KANTE_CHECK(checkFilter(pattern.text_));
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(text.find('/', at), text.size());
    KANTE_TRY(level, pattern.parseLevel(at, end - at));
    pattern.levels_.push_back(level);
    if (end == text.size()) break;
    at = end + 1;
  }
  pattern.levels_.shrink_to_fit();
  pattern.literal_ = pattern.literalSize();
  return pattern;
}

bool GrantPattern::equals(const Level& level, std::string_view text, const Caller& caller) const {
  const std::string_view all = text_;
  const std::string_view before = all.substr(level.before, level.before_size);
  if (level.kind == Kind::kText) return text == before;
  const std::string_view own = level.kind == Kind::kId ? caller.id : caller.module;
  const std::string_view after = all.substr(level.after, level.after_size);
  if (own.empty() || text.size() != before.size() + own.size() + after.size()) return false;
  if (!text.starts_with(before) || !text.ends_with(after)) return false;
  if (text.substr(before.size(), own.size()) != own) return false;
  if (own.find_first_of("+#/") != std::string_view::npos) return false;
  return level.before != 0 || !before.empty() || !own.starts_with('$');
}

std::size_t GrantPattern::literalSize() const {
  std::size_t end = 0;
  for (const Level& level : levels_) {
    if (level.kind == Kind::kOne || level.kind == Kind::kRest) break;
    end = std::size_t{level.before} + level.before_size;
    if (level.kind != Kind::kText) break;
  }
  return end;
}

// What most grants say to most topics, and at once.
bool GrantPattern::excluded(std::string_view path, std::string_view last) const {
  const std::string_view head = path.substr(0, literal_);
  if (head.size() < literal_ && last.empty()) return true;
  if (!literal().starts_with(head)) return true;
  // A wildcard at the first level stands for nothing that begins with "$" [MQTT-4.7.2-1].
  const Kind first = levels_.front().kind;
  return syntax_ == Syntax::kTopic && path.starts_with('$') &&
         (first == Kind::kOne || first == Kind::kRest);
}

bool GrantPattern::matches(std::string_view path, const Caller& caller,
                           std::string_view last) const {
  if (excluded(path, last)) return false;
  Parts parts(path, last);
  std::string_view part;
  for (const Level& level : levels_) {
    if (level.kind == Kind::kRest) return true;
    if (!parts.next(part)) return false;
    if (level.kind != Kind::kOne && !equals(level, part, caller)) return false;
  }
  return parts.done();
}

bool GrantPattern::covers(std::string_view filter, const Caller& caller) const {
  if (excluded(filter, {})) return false;
  Parts parts(filter, {});
  std::string_view part;
  for (const Level& level : levels_) {
    if (level.kind == Kind::kRest) return true;
    if (!parts.next(part) || part == "#") return false;
    if (level.kind == Kind::kOne) continue;
    if (!equals(level, part, caller)) return false;  // Nor is "+" a literal or anybody's id.
  }
  return parts.done();
}

}  // namespace kante
