// The ways of running a module that must pass the conformance suite.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <vector>

#include "host/placement/local_module_host.h"

namespace kante {

struct PlacementUnderTest {
  // Where lives with placement "sandbox" are: in runners, or here and only as if (far_life.h).
  enum class Lives { kAsIf, kInRunners };

  const char* name;
  Placement placement;
  std::function<std::unique_ptr<ModuleHost>(ModuleHostOptions)> host;
  Lives lives = Lives::kAsIf;
};
inline void PrintTo(const PlacementUnderTest& placement, std::ostream* out) {
  *out << placement.name;
}

inline PlacementUnderTest inProcess() {
  return {"InProcess", Placement::kInProcess, makeModuleHost};
}
// A life that answers later and dies alone, without a process.
inline PlacementUnderTest apart() { return {"Apart", Placement::kSandbox, makeModuleHost}; }

// Without "Sandbox" where this machine or this build has none.
std::vector<PlacementUnderTest> placementsUnderTest();

}  // namespace kante
