// How `kante run` gets its keeper: it becomes kante-launcher, which starts it again as its child.
#pragma once

#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante::cli {

// This process was started by a keeper that is still its parent.
bool isKept();

// Does not return but with what went wrong.  The keeper has this process's number from then on, and
// starts this executable with `arguments`.
Error becomeKeeper(const std::vector<std::string>& arguments);

}  // namespace kante::cli
