// What a process can be by itself: its ids, capabilities and the switches of prctl.
#pragma once

#include <string>

#include "sandbox/wire/start.h"

namespace kante {

// Empties all sets of capabilities (the bounding one where it may), locks the securebits and, for a
// process that came as root, becomes the user and group 65534 without further groups.  Where a
// namespace has no such id it stays its 0, which outside is nobody.  Also closes the door to dumps
// and to later gains (no_new_privs), asks for the processor's mitigations, and ties this process to
// its parent.  Fills in what `facts` has about it.  Empty, or what went wrong.
std::string dropPrivileges(const Start& start, Facts& facts);

}  // namespace kante
