// A condition on a gateway: on its id and its tags (`target` of kante.layer/1).
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "host/agent/document.h"
#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kTargetTagsMax = 32;    // In one "tags".
inline constexpr std::size_t kTargetPartsMax = 256;  // Of a whole condition.
inline constexpr std::size_t kTargetDepthMax = 16;

// What conditions are asked of.  Borrows.
struct Place {
  std::string_view gateway;
  const Tags& tags;
};

struct TargetCondition {
  enum class Kind { kAll, kAny, kNot, kTag, kGateway };

  Kind kind = Kind::kAll;           // Of nothing: always.
  std::string text = {};            // kTag: "KEY=VALUE" or "KEY"; kGateway: its id.
  std::vector<TargetCondition> of;  // kAll, kAny; of kNot one.

  bool operator==(const TargetCondition&) const = default;
};

// {"tag": T}, {"tags": [T, …]} (all of them), {"gateway": ID}, {"all": [C, …]}, {"any": [C, …]} or
// {"not": C}.  Errors begin with the JSON pointer; kLimit for the bounds above.
Result<TargetCondition> parseTarget(const boost::json::object& object, const std::string& pointer);
boost::json::object toJson(const TargetCondition& condition);  // What parseTarget() takes.

TargetCondition tagCondition(std::string tag);
TargetCondition gatewayCondition(std::string id);
TargetCondition notCondition(TargetCondition condition);

bool isAlways(const TargetCondition& condition);
bool holds(const TargetCondition& condition, const Place& place);
// kLimit: too many parts, too deep.
Status checkSize(const TargetCondition& condition);

}  // namespace kante
