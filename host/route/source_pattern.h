// The FROM of a route: which senders it listens to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/message/hop.h"

namespace kante {

// A path of IoT Edge ("/messages/modules/filter/outputs/*") or an MQTT filter ("factory/+/temp").
//
// A path is a prefix at segment boundaries, compared without ASCII case; a `*` in the middle stands
// for exactly one segment, one at the end for any number, none included.  A source without a path
// (Source::path empty) is matched by no path, a source without a topic by no filter.
class SourcePattern {
 public:
  enum class Kind { kPath, kTopic };

  static SourcePattern path(std::vector<std::string> segments);
  // Fails when the filter is not one of MQTT: empty, "#" not last, a wildcard that is not a whole
  // level.
  static Result<SourcePattern> topic(std::string filter);

  Kind kind() const { return kind_; }
  bool matches(const Source& source) const {
    return kind_ == Kind::kPath ? matchesPath(source.path) : matchesTopic(source.topic);
  }
  bool matchesPath(std::string_view path) const;
  bool matchesTopic(std::string_view topic) const;
  // Whether some topic exists that both filters match.
  bool overlapsFilter(std::string_view filter) const;
  std::string text() const;  // As a route writes it: /messages/* or MqttTopic("a/+").
  const std::string& filter() const { return filter_; }

 private:
  Kind kind_ = Kind::kPath;
  std::vector<std::string> segments_;  // Of a path; without a trailing "*".
  std::string filter_;
};

inline constexpr std::size_t kTopicBytesMax = 1'024;  // Of a filter or topic in a route.
inline constexpr std::size_t kTopicLevelsMax = 64;

}  // namespace kante
