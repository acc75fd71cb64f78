// Modules that do not run where their deployment says: moved by a person, or after they brought the
// host down.
//
// One holds as long as the deployment gives its module the same bundle and the same placement.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "host/placement/module_spec.h"

namespace kante {

struct Override {
  Placement placement = Placement::kSandbox;
  std::string reason;  // For people: "moved by operator/root".
  // What it was made for.
  std::string digest;
  Placement deployed = Placement::kInProcess;

  bool holdsFor(const std::string& module_digest, Placement module_placement) const {
    return digest == module_digest && deployed == module_placement;
  }
};
using Overrides = std::map<std::string, Override>;  // By module name.

std::optional<Placement> placementOf(const std::string& name);
std::string encodeOverride(const Override& override_);
std::optional<Override> decodeOverride(const std::string& text);

}  // namespace kante
