// What a runner says of itself before the rings take over, as the host takes it: whoever wrote it
// may be a hostile module, so nothing of it is believed but that it was said.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "sandbox/wire/start.h"

namespace kante {

// Up to its NUL or end, for people: a "?" for each byte that is no character of UTF-8, and for each
// control character.
std::string saidText(const char* text, std::size_t bytes_max);

struct LoadedNames {
  std::string version;
  std::vector<std::string> inputs, outputs;  // Names, at most kWireOutputsMax each.
};
Result<LoadedNames> namesIn(const Loaded& said);

}  // namespace kante
