// The part of `kante module check` that runs the module in the sandbox: the same calls as in this
// process, in a runner that may do nothing else.
#pragma once

#include <functional>
#include <string>

#include "host/bundle/bundle_store.h"

namespace kante::cli {

struct SandboxFinding {
  std::string check;  // "starts in the sandbox", …
  bool passed = false;
  std::string text;  // What was wrong, or a note.
};

// Without a sandbox here the one finding is a note that says why.
void runSandboxKit(const ModuleBytes& module, const std::string& config_json,
                   const std::function<void(const SandboxFinding&)>& done);

}  // namespace kante::cli
