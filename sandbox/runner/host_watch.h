// Notices that the host is gone, whatever the runner does: the end of the control socket raises
// SIGIO, and its handler ends the process.  Nobody is left who would hear more of the module.
#pragma once

namespace kante {

// Before the process confines itself; the calling thread gets the signal.  False: the kernel said
// no.
bool endWithHost(int control_fd);

// Whether the other end of the control socket is closed; takes nothing from it.  Any context.
bool isHostGone(int control_fd);

}  // namespace kante
