// Finds routes that could make modules wait for each other for ever.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/route/route_set.h"

namespace kante {

struct ModuleOutputs {
  std::string name;
  std::vector<std::string>
      outputs;  // From its manifest; sending without an output is always possible.
};

// A cycle module → module (directly or over topics) of routes whose overflow is `block`, as text "a
// → b → a", or nothing.  blocking: positions in the set.  WHERE is ignored, so what only a
// condition breaks is a cycle too; wildcards reach every known module.  Names compare exactly in
// sinks, without case in sources.
std::optional<std::string> findBlockingCycle(const RouteSet& routes,
                                             std::span<const std::uint32_t> blocking,
                                             std::span<const ModuleOutputs> modules);

}  // namespace kante
