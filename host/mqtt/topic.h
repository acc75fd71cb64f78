// Topic names and filters (MQTT 5.0, 4.7 and 4.8).
#pragma once

#include <optional>
#include <string_view>

namespace kante::mqtt {

// Well-formed UTF-8 is the caller's to check.
bool isTopicName(std::string_view topic);     // At least one character, no wildcard.
bool isTopicFilter(std::string_view filter);  // "+" and "#" fill a level, "#" is the last.

// "$share/GROUP/FILTER"
struct SharedFilter {
  std::string_view group;
  std::string_view filter;
};
bool isShared(std::string_view filter);
// Nothing when the group or the filter behind it is not valid [MQTT-4.8.2-1] [MQTT-4.8.2-2].
std::optional<SharedFilter> sharedFilter(std::string_view filter);

// A wildcard at the first level does not match a topic that begins with "$" [MQTT-4.7.2-1].
bool matches(std::string_view filter, std::string_view topic);

}  // namespace kante::mqtt
