// What a change of deployment does, in words and as JSON pointers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/agent/resolve.h"

namespace kante {

inline constexpr std::size_t kChangedMax = 200;  // Pointers; what is beyond is one "…".

struct Plan {
  std::vector<std::string> lines;    // "start filter (com.example.filter 1.2.0)", …
  std::vector<std::string> changed;  // "/modules/x/config/period_ms", sorted.
};

// `current` may be null: nothing runs.  `window_s`: how long it is watched, 0 for not at all.
// /version is not listed.
Plan planChange(const ResolvedDeployment* current, const ResolvedDeployment& next,
                std::uint32_t window_s);

}  // namespace kante
