#include "host/route/source_pattern.h"

#include <algorithm>
#include <utility>

#include "host/base/encoding.h"
#include "host/route/lexer.h"

namespace kante {
namespace {

using route_detail::sameIgnoringCase;

// The levels or segments of a text one after the other; "a//b" has an empty one.
class Levels {
 public:
  explicit Levels(std::string_view text) : rest_(text) {}
  bool done() const { return done_; }
  std::string_view next() {
    const std::size_t slash = rest_.find('/');
    const std::string_view level = rest_.substr(0, slash);
    done_ = slash == std::string_view::npos;
    rest_ = done_ ? std::string_view() : rest_.substr(slash + 1);
    return level;
  }

 private:
  std::string_view rest_;
  bool done_ = false;
};

Status checkFilter(std::string_view filter) {
  if (filter.empty()) return fail(Errc::kInvalid, "an MQTT filter is not empty");
  if (filter.size() > kTopicBytesMax) {
    return fail(Errc::kLimit,
                "an MQTT filter has at most " + std::to_string(kTopicBytesMax) + " bytes");
  }
  if (!isUtf8(filter) || filter.find('\0') != std::string_view::npos) {
    return fail(Errc::kInvalid, "an MQTT filter is UTF-8 without U+0000");
  }
  std::size_t levels = 0;
  for (Levels rest(filter); !rest.done();) {
    const std::string_view level = rest.next();
    if (++levels > kTopicLevelsMax) {
      return fail(Errc::kLimit,
                  "an MQTT filter has at most " + std::to_string(kTopicLevelsMax) + " levels");
    }
    if (level == "#" && !rest.done())
      return fail(Errc::kInvalid, "# stands at the end of an MQTT filter only");
    if (level.size() > 1 && level.find_first_of("+#") != std::string_view::npos) {
      return fail(Errc::kInvalid, "+ and # stand for a whole level of an MQTT filter");
    }
  }
  return {};
}

}  // namespace

SourcePattern SourcePattern::path(std::vector<std::string> segments) {
  SourcePattern pattern;
  pattern.segments_ = std::move(segments);
  if (!pattern.segments_.empty() && pattern.segments_.back() == "*") pattern.segments_.pop_back();
  return pattern;
}

Result<SourcePattern> SourcePattern::topic(std::string filter) {
  KANTE_CHECK(checkFilter(filter));
  SourcePattern pattern;
  pattern.kind_ = Kind::kTopic;
  pattern.filter_ = std::move(filter);
  return pattern;
}

bool SourcePattern::matchesPath(std::string_view path) const {
  if (kind_ != Kind::kPath || !path.starts_with('/')) return false;
  Levels rest(path.substr(1));
  for (const std::string& segment : segments_) {
    if (rest.done()) return false;
    const std::string_view level = rest.next();
    if (level.empty() || (segment != "*" && !sameIgnoringCase(segment, level))) return false;
  }
  return true;
}

bool SourcePattern::matchesTopic(std::string_view topic) const {
  if (kind_ != Kind::kTopic || topic.empty()) return false;
  // MQTT 4.7.2: a wildcard at the front matches no topic of the server's own.
  if (topic.front() == '$' && (filter_.front() == '+' || filter_.front() == '#')) return false;
  Levels filter(filter_);
  for (Levels rest(topic); !rest.done();) {
    if (filter.done()) return false;
    const std::string_view want = filter.next();
    if (want == "#") return true;
    const std::string_view level = rest.next();
    if (want != "+" && want != level) return false;
  }
  // "a/#" matches "a" too.
  return filter.done() || (filter.next() == "#");
}

bool SourcePattern::overlapsFilter(std::string_view filter) const {
  if (kind_ != Kind::kTopic || filter.empty()) return false;
  Levels mine(filter_);
  Levels other(filter);
  while (!mine.done() && !other.done()) {
    const std::string_view a = mine.next();
    const std::string_view b = other.next();
    if (a == "#" || b == "#") return true;
    if (a != "+" && b != "+" && a != b) return false;
  }
  if (mine.done() && other.done()) return true;
  return (mine.done() ? other : mine).next() == "#";
}

std::string SourcePattern::text() const {
  if (kind_ == Kind::kTopic) return "MqttTopic(\"" + filter_ + "\")";
  std::string text;
  for (const std::string& segment : segments_) text += "/" + segment;
  return text + "/*";
}

}  // namespace kante
