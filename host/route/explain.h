// Why one message does or does not take one route, in words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/route/error.h"
#include "host/route/route_input.h"

namespace kante {

struct ExplainResult {
  enum class Outcome { kMatch, kNoMatch, kUndefined };
  Outcome outcome = Outcome::kNoMatch;
  std::vector<std::string>
      sinks;            // Empty unless it matched; topics with their placeholders filled.
  std::string because;  // One sentence that names the part which decided, and its values.
};

const char* name(ExplainResult::Outcome outcome);  // "match", "no match", "undefined"

// Slow (evaluates subexpressions again and again): for people, never on the way of a message.
RouteResult<ExplainResult> explainRoute(std::string_view route, const RouteInput& input);

}  // namespace kante
