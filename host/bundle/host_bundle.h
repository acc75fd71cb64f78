// What a bundle of kind host holds: data/bin/ARCH/{kante, kante-launcher, kante-runner}, all three
// of one release, for each architecture that it is for.
#pragma once

#include <string>

#include "host/base/result.h"
#include "host/bundle/manifest.h"

namespace kante {

// "data/bin/amd64"
std::string hostFolder(Machine machine);

// At least one architecture, and each with all three programs: kInvalid names what is missing.
Status checkHostBundle(const Manifest& manifest);
// kUnsupported: it is none for this machine; the text says for which it is.
Status checkHostMachine(const Manifest& manifest, Machine machine);
// The programs below this folder of the store are what the manifest says, and may be executed.
Status makeHostRunnable(int bundle_fd, const Manifest& manifest, Machine machine);
// The same, looked at only.
Status checkHostPrograms(int bundle_fd, const Manifest& manifest, Machine machine);

}  // namespace kante
