// A grant from an operator, and a filter and a topic from a device (a line each): a filter that is
// covered matches no topic that is not granted.

// fuzz-links: kante_identity kante_mqtt
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/identity/grant_pattern.h"
#include "host/mqtt/topic.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::array<std::string_view, 3> lines;
  for (std::string_view& line : lines) {
    line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  const auto [grant, filter, topic] = lines;
  using kante::GrantPattern;
  (void)GrantPattern::parse(GrantPattern::Syntax::kPrincipal, grant);
  const auto pattern = GrantPattern::parse(GrantPattern::Syntax::kTopic, grant);
  if (!pattern || !kante::mqtt::isTopicFilter(filter) || !kante::mqtt::isTopicName(topic)) return 0;
  const kante::Caller caller{"car-7", "m"};
  const bool covered = pattern->covers(filter, caller);
  if (covered && kante::mqtt::matches(filter, topic) && !pattern->matches(topic, caller))
    std::abort();
  return 0;
}
