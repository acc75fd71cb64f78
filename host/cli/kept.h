// How `kante run` gets its keeper: it becomes kante-launcher, which starts it again as its child.
#pragma once

#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante::cli {

// This process was started by a keeper that is still its parent.
bool isKept();

// Does not return but with what went wrong.  The keeper has this process's number from then on, and
// starts with `arguments` the host that an update left in data_dir, or else this executable, each
// with the keeper of its own release.
Error becomeKeeper(const std::vector<std::string>& arguments, const std::string& data_dir);

}  // namespace kante::cli
