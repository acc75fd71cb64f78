// Target conditions of IoT Hub's configurations ("tags.site='muc' AND NOT deviceId='edge-1'"),
// read as conditions of layers.
//
// tags.NAME.MORE is the tag "NAME.MORE", deviceId the gateway's id.  A comparison with a tag that
// is not there does not hold, and neither does its negation, as there.
#pragma once

#include <string_view>

#include "host/agent/target_condition.h"
#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kIotHubConditionBytesMax = 4096;

// "" and "*": always.  kInvalid with the character at which it is wrong; kUnsupported, likewise,
// for what a gateway cannot be asked; kLimit for its size.
Result<TargetCondition> parseIotHubCondition(std::string_view text);

}  // namespace kante
