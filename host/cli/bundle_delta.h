// Deltas on the command line: kante bundle delta, and what inspect says of one.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace kante::cli {

struct Context;

// Where scratch files without a name go.
std::string scratchFolder();

// kante bundle delta
void addBundleDelta(CLI::App& bundle, Context& context);
// What the file says of itself; the exit code.
int inspectDelta(const std::string& file, bool as_json);

}  // namespace kante::cli
