// A root of its own for a runner: a small tmpfs with the loader, the libraries, the module and
// nothing else, all of it read-only.  Called in the child, in new user and mount namespaces.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/launcher/fd.h"
#include "sandbox/launcher/libraries.h"
#include "sandbox/launcher/steps.h"

namespace kante::launcher {

struct RootPlan {
  const Libraries* libraries = nullptr;
  int module_fd = -1;       // Its bytes; -1: none.
  std::string module_file;  // Its name below /mod.
  std::uint32_t data_mb = 0;
};

// Returns /proc of before, which the new root has not.
Fd enterRoot(const RootPlan& plan, Steps& steps);

}  // namespace kante::launcher
