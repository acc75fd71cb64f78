// In the place of remote_module.cc where runners take their time: under sanitizers.
#include "tests/plugins/remote_module.h"

namespace kante {

bool haveRunners() { return false; }
kante_entry entryInRunner(const kante_entry& like, const char*) { return like; }
std::size_t underWayMax() { return 0; }

}  // namespace kante
