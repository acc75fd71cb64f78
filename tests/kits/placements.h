// The ways of running a module that must pass the conformance suite.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <vector>

#include "host/placement/local_module_host.h"

namespace kante {

struct PlacementUnderTest {
  const char* name;
  Placement placement;
  std::function<std::unique_ptr<ModuleHost>(ModuleHostOptions)> host;
};
inline void PrintTo(const PlacementUnderTest& placement, std::ostream* out) {
  *out << placement.name;
}

inline std::vector<PlacementUnderTest> placementsUnderTest() {
  // Apart: a life that answers later and dies alone, without a process (far_life.h).
  return {{"InProcess", Placement::kInProcess, makeModuleHost},
          {"Apart", Placement::kSandbox, makeModuleHost}};
}

}  // namespace kante
