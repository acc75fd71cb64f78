// The same service for a host that has no keeper: it ends when the host closes its end.
#pragma once

#include "sandbox/launcher/fd.h"

namespace kante::launcher {

// Returns the exit code.
int serve(Fd socket, Fd runner);

}  // namespace kante::launcher
