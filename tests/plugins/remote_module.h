// A module in a real runner, as the entry of a module in this process: what a test's host asks of
// it goes over the rings to the runner, and every call comes back when all is quiet.
#pragma once

#include <kante/module.h>

#include <cstddef>

namespace kante {

// Whether this build and this machine have runners; KANTE_SANDBOX_MUST_WORK=1 says that they must.
bool haveRunners();

// `like` is the module as it is linked into this program, `library` its library over told_time.cc.
// One module a program.
kante_entry entryInRunner(const kante_entry& like, const char* library);

// How many messages of one output a runner has under way at most, once the host takes none.
std::size_t underWayMax();

}  // namespace kante
