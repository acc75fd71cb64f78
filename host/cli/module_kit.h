// The contract of docs/sdk.md as a kit of checks that any module must pass, run in the SDK's test
// host.
//
// Apart from the command, because the SDK and the host's rooms have names of their own for the same
// things.
#pragma once

#include <kante/module.h>

#include <functional>
#include <string>
#include <vector>

namespace kante::cli {

struct KitFinding {
  std::string check;  // "begins with its configuration", "drains", …
  bool passed = false;
  std::string text;  // What was wrong, or a note.
};

// What the module's signed manifest says and its entry must repeat.
struct KitManifest {
  std::string id;
  std::string version;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

// Runs foreign code: in a process that may die.  begin(check) is called before each check, so that
// who watches knows where it died; done(finding) after it.
void runModuleKit(const kante_entry& entry, const KitManifest& manifest,
                  const std::string& config_json,
                  const std::function<void(const std::string&)>& begin,
                  const std::function<void(const KitFinding&)>& done);

}  // namespace kante::cli
