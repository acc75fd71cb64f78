// An ordinary module, in its constructor and at each message: what no filter may break.
#include "tests/sandbox/confine/twin.h"

#include <unistd.h>

#include "sandbox/escape/escape_module.h"

namespace {

using kante::testing::Where;

void live(const char* when, Where where) {
  const std::string failed = kante::testing::liveNormally(where);
  say(when, "twin", failed.empty() ? "lives" : failed.c_str());
}

// A constructor of C++, as modules have them.
struct Loading {
  Loading() { live("loading", Where::kInConstructor); }
} s_loading;

kante_status create(const kante_host* host, kante_msg*, kante_module** out) {
  *out = reinterpret_cast<kante_module*>(const_cast<kante_host*>(host));
  say("created", "-", "-");
  return KANTE_OK;
}

kante_status event(kante_module*, const kante_event* event) {
  if (event->type != KANTE_EVENT_INPUT) return KANTE_E_UNSUPPORTED;
  live("running", Where::kAnywhere);
  return KANTE_OK;
}

}  // namespace

ESCAPE_MODULE(create, event);
