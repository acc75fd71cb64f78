// One deadly attempt, ESCAPE_DIES, in its constructor (ESCAPE_LOADING is 1) or at its first
// message.
#define _GNU_SOURCE
#include <stdint.h>

#include "sandbox/escape/attempt.h"
#include "sandbox/escape/escape_module.h"

__attribute__((constructor)) static void load(void) {
#if ESCAPE_LOADING
  ESCAPE_DIES();
  say("loading", "-", "lives");
#endif
}

static kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  (void)config;
  *out = (kante_module*)host;
  say("created", "-", "-");
  return KANTE_OK;
}

static kante_status event(kante_module* module, const kante_event* event) {
  (void)module;
  if (event->type != KANTE_EVENT_INPUT) return KANTE_E_UNSUPPORTED;
  ESCAPE_DIES();
  say("running", "-", "lives");
  return KANTE_OK;
}

ESCAPE_MODULE(create, event);
