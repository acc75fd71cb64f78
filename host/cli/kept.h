// How `kante run` gets its keeper: it becomes kante-launcher, which starts it again as its child.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante::cli {

// This process was started by a keeper that is still its parent.
bool isKept();

// Does not return but with what went wrong.  The keeper has this process's number from then on, and
// starts with `arguments` the host that an update left in data_dir, or else this executable, each
// with the keeper of its own release.  What keeps that host from running, but not the other, is
// told to on_lesser.
Error becomeKeeper(const std::vector<std::string>& arguments, const std::string& data_dir,
                   const std::function<void(const Error&)>& on_lesser);

}  // namespace kante::cli
