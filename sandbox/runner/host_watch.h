// Notices that the host is gone, although the runner sleeps in a futex: the end of the control
// socket raises SIGIO, which ends the sleep.
#pragma once

#include "sandbox/runner/waker.h"

namespace kante {

// Before the process confines itself; the calling thread gets the signal.  False: the kernel said
// no.
bool listenToEnd(int control_fd);
// Whom to interrupt, as long as the process lives.
void watchHost(Waker& waker);

}  // namespace kante
