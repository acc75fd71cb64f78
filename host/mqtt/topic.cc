#include "host/mqtt/topic.h"

#include <algorithm>

namespace kante::mqtt {
namespace {

constexpr std::string_view kShare = "$share/";

// The first level, which is cut off; `more` says whether another follows.
std::string_view cutLevel(std::string_view& text, bool& more) {
  const std::size_t end = text.find('/');
  const std::string_view level = text.substr(0, end);
  more = end != std::string_view::npos;
  text.remove_prefix(more ? end + 1 : text.size());
  return level;
}

}  // namespace

bool isTopicName(std::string_view topic) {
  return !topic.empty() && topic.find_first_of("+#") == std::string_view::npos;
}

bool isTopicFilter(std::string_view filter) {
  if (filter.empty()) return false;
  for (bool more = true; more;) {
    const std::string_view level = cutLevel(filter, more);
    if (level == "#") return !more;
    if (level != "+" && level.find_first_of("+#") != std::string_view::npos) return false;
  }
  return true;
}

bool isShared(std::string_view filter) { return filter.starts_with(kShare); }

std::optional<SharedFilter> sharedFilter(std::string_view filter) {
  filter.remove_prefix(kShare.size());
  const std::size_t end = filter.find('/');
  if (end == 0 || end == std::string_view::npos) return std::nullopt;
  const SharedFilter shared{filter.substr(0, end), filter.substr(end + 1)};
  if (shared.group.find_first_of("+#") != std::string_view::npos) return std::nullopt;
  if (!isTopicFilter(shared.filter)) return std::nullopt;
  return shared;
}

bool matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  bool more_filter = true, more_topic = true;
  while (more_filter && more_topic) {
    const std::string_view wanted = cutLevel(filter, more_filter);
    if (wanted == "#") return true;
    const std::string_view level = cutLevel(topic, more_topic);
    if (wanted != "+" && wanted != level) return false;
  }
  if (more_topic) return false;
  return !more_filter || filter == "#";  // "sport/#" matches "sport" too.
}

}  // namespace kante::mqtt
