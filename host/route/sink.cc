#include "host/route/sink.h"

#include "host/base/encoding.h"
#include "host/route/lexer.h"
#include "host/route/source_pattern.h"
#include "host/route/system_property.h"

namespace kante {

Result<TopicTemplate> TopicTemplate::parse(std::string_view text) {
  if (text.empty()) return fail(Errc::kInvalid, "a topic is not empty");
  if (text.size() > kTopicBytesMax) {
    return fail(Errc::kLimit, "a topic has at most " + std::to_string(kTopicBytesMax) + " bytes");
  }
  if (text.front() == '$')
    return fail(Errc::kInvalid, "topics that begin with $ are the host's own");
  if (!isUtf8(text) || text.find('\0') != std::string_view::npos) {
    return fail(Errc::kInvalid, "a topic is UTF-8 without U+0000");
  }
  TopicTemplate topic;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t brace = text.find_first_of("{}+#", at);
    if (brace > at) topic.parts_.push_back({Part::kText, std::string(text.substr(at, brace - at))});
    if (brace == std::string_view::npos) break;
    if (text[brace] == '+' || text[brace] == '#') {
      return fail(Errc::kInvalid, "a route sends to one topic: + and # are for sources");
    }
    const std::size_t close = text.find('}', brace);
    std::string_view name =
        text.substr(brace + 1, close == std::string_view::npos ? 0 : close - brace - 1);
    if (text[brace] == '}' || close == std::string_view::npos || name.empty() || name == "$" ||
        name.find_first_of("{/") != std::string_view::npos) {
      return fail(Errc::kInvalid, "a placeholder is written {property} or {$systemProperty}");
    }
    if (route_detail::sameIgnoringCase(name.substr(0, 5), "$body")) {
      return fail(Errc::kUnsupported, "a topic cannot be made from the body, only from properties");
    }
    const bool system = name.front() == '$';
    if (system) name.remove_prefix(1);
    topic.parts_.push_back({system ? Part::kSystem : Part::kProperty, std::string(name)});
    at = close + 1;
  }
  return topic;
}

bool TopicTemplate::fill(const RouteInput& input, std::string& topic) const {
  topic.clear();
  route_detail::SystemText text;
  for (const Part& part : parts_) {
    if (part.kind == Part::kText) {
      topic += part.text;
      continue;
    }
    const std::string_view value =
        part.kind == Part::kProperty
            ? input.message.property(part.text)
            : route_detail::readSystemProperty(route_detail::findSystemProperty(part.text),
                                               part.text, input, text);
    if (value.empty() ||
        value.find_first_of(std::string_view("+#/\0", 4)) != std::string_view::npos) {
      return false;
    }
    topic += value;
  }
  return topic.size() <= kTopicBytesMax && topic.front() != '$';
}

std::string TopicTemplate::filter() const {
  std::string filter;
  std::string level;
  bool variable = false;
  const auto finish = [&] {
    filter += variable ? "+" : level;
    level.clear();
    variable = false;
  };
  for (const Part& part : parts_) {
    if (part.kind != Part::kText) {
      variable = true;
      continue;
    }
    for (const char c : part.text) {
      if (c != '/') {
        level.push_back(c);
        continue;
      }
      finish();
      filter.push_back('/');
    }
  }
  finish();
  return filter;
}

}  // namespace kante
