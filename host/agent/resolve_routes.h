// Compiles a deployment's routes and holds them against the modules that they name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/agent/resolve.h"

namespace kante {

// `modules`: all of the deployment, with inputs and outputs of their manifests.  Errors begin with
// the JSON pointer, and name the character for a text that does not compile.
Status checkRoutes(const std::vector<RouteEntry>& routes, std::span<const ModuleSpec> modules,
                   const ResolveFrom& ends);

}  // namespace kante
