/* A module with one fault, chosen by FAULT_…, for `kante module check` to find. */
#include <kante/module.h>
#include <stdlib.h>
#include <unistd.h>

struct kante_module {
  const kante_host* host;
};

static kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  (void)config;
#ifdef FAULT_REFUSES
  return KANTE_E_INVALID;
#endif
  *out = calloc(1, sizeof **out);
  if (*out == NULL) return KANTE_E_LIMIT;
  (*out)->host = host;
  return KANTE_OK;
}

static kante_status on_event(kante_module* m, const kante_event* event) {
  switch (event->type) {
    case KANTE_EVENT_INPUT:
#ifdef FAULT_CRASHES
      abort();
#endif
#ifdef FAULT_EXITS
      _exit(3);
#endif
#ifdef FAULT_LEAKS
      m->host->msg_retain(event->msg);
#endif
#ifdef FAULT_PENDING
      return KANTE_PENDING; /* Of a memory route too. */
#endif
      return KANTE_OK;
    case KANTE_EVENT_DRAIN:
#ifndef FAULT_NEVER_DRAINS
      m->host->drained(m->host);
#endif
      return KANTE_OK;
    default:
#ifdef FAULT_ACCEPTS_ALL
      return KANTE_OK;
#endif
      return KANTE_E_UNSUPPORTED;
  }
}

static void destroy(kante_module* m) { free(m); }

static const char* const inputs[] = {"in", NULL};
static const char* const outputs[] = {NULL};
#ifdef FAULT_OTHER_VERSION
#define VERSION "9.9.9"
#else
#define VERSION "1.0.0"
#endif
KANTE_EXPORT const kante_entry kante_module_entry = {sizeof(kante_entry),
                                                     KANTE_MAGIC,
                                                     KANTE_ABI_MAJOR,
                                                     KANTE_ABI_MINOR,
                                                     "dev.kante.test.bad",
                                                     VERSION,
                                                     inputs,
                                                     outputs,
                                                     create,
                                                     on_event,
                                                     destroy,
                                                     NULL};
