/* A module as an author wrote it for ABI 1.0, in C, built from the header as it was published then
 * (abi/1.0/kante/module.h).  Every later host must run it. */
#include <kante/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kante_module {
  const kante_host* host;
  const kante_twin_v1* twin;
  const kante_timers_v1* timers;
  const kante_state_v1* state;
  kante_msg* kept; /* The last input. */
  uint64_t count, ticks;
};

static kante_str text(const char* from) {
  kante_str out = {from, strlen(from)};
  return out;
}

static kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  kante_module* m;
  uint32_t words = 0;
  if (host->abi_major != KANTE_ABI_MAJOR || host->struct_size < sizeof *host)
    return KANTE_E_UNSUPPORTED;
  if (host->msg_words(config, &words) == NULL || words == 0) return KANTE_E_INVALID;
  m = calloc(1, sizeof *m);
  if (m == NULL) return KANTE_E_LIMIT;
  m->host = host;
  m->twin = host->get_extension(host, KANTE_EXT_TWIN);
  m->timers = host->get_extension(host, KANTE_EXT_TIMERS);
  m->state = host->get_extension(host, KANTE_EXT_STATE);
  if (m->timers != NULL) m->timers->set(host, 3, 0, 1000000);
  host->log(host, 2, text("counter 1.0 is here"));
  *out = m;
  return KANTE_OK;
}

static kante_status on_input(kante_module* m, const kante_event* event) {
  if (m->kept != NULL) m->host->msg_release(m->kept);
  m->kept = event->msg;
  m->host->msg_retain(m->kept);
  ++m->count;
  return m->host->emit(m->host, 0, event->msg, 0);
}

/* Answers with the very message that held the arguments. */
static kante_status on_method(kante_module* m, const kante_event* event) {
  if (m->twin == NULL) return KANTE_E_UNSUPPORTED;
  return m->twin->reply(m->host, event->token, 200 + (int32_t)m->ticks, event->msg);
}

static kante_status on_event(kante_module* m, const kante_event* event) {
  if (event->struct_size < sizeof *event) return KANTE_E_INVALID;
  switch (event->type) {
    case KANTE_EVENT_INPUT: return on_input(m, event);
    case KANTE_EVENT_METHOD: return on_method(m, event);
    case KANTE_EVENT_TIMER: m->ticks += event->arg; return KANTE_OK;
    case KANTE_EVENT_WRITABLE: return KANTE_OK;
    case KANTE_EVENT_DRAIN: m->host->drained(m->host); return KANTE_OK;
    case KANTE_EVENT_SAVE:
      if (m->state == NULL) return KANTE_E_UNSUPPORTED;
      return m->state->save(m->host, event->token, 10, &m->count, sizeof m->count);
    case KANTE_EVENT_RESTORE:
      if (event->arg != 10 || event->name.size != sizeof m->count) {
        m->host->explain(m->host, KANTE_E_INVALID, text("not a state of mine"));
        return KANTE_E_INVALID;
      }
      memcpy(&m->count, event->name.data, sizeof m->count);
      return KANTE_OK;
    default: return KANTE_E_UNSUPPORTED;
  }
}

static void destroy(kante_module* m) {
  if (m->kept != NULL) m->host->msg_release(m->kept);
  free(m);
}

static const char* const inputs[] = {"in", NULL};
static const char* const outputs[] = {"out", NULL};
KANTE_EXPORT const kante_entry kante_module_entry = {sizeof(kante_entry),
                                                     KANTE_MAGIC,
                                                     KANTE_ABI_MAJOR,
                                                     KANTE_ABI_MINOR,
                                                     "dev.kante.test.counter",
                                                     "1.0.0",
                                                     inputs,
                                                     outputs,
                                                     create,
                                                     on_event,
                                                     destroy,
                                                     NULL};
