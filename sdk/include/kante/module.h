/* kante/module.h - the only header a Kante module must include from the host.  ABI 1.0, ISO C11.
 *
 * Everything here is frozen once published: fields are only ever APPENDED, and only to structs
 * that start with struct_size; a changed meaning gets a new extension id ("kante.timers/2").
 *
 * Thread tags.  Each instance owns one logical strand.
 *   [strand]  never concurrent with another [strand] call of the same instance, but the OS thread
 *             may differ from call to call: do not keep state in thread_local.
 *   [any]     callable from any thread after create() was entered and before destroy() returns.
 *   [event]   pointers handed over die when the callback returns, unless retained.
 * No call in this header blocks on another process, and no exception or longjmp may cross it. */
/* clang-format off */
#ifndef KANTE_MODULE_H
#define KANTE_MODULE_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define KANTE_ABI_MAJOR 1u
#define KANTE_ABI_MINOR 0u
#define KANTE_MAGIC 0x31544e4bu /* "KNT1" */
#if defined(__GNUC__)
#define KANTE_EXPORT __attribute__((visibility("default")))
#else
#define KANTE_EXPORT
#endif

typedef int32_t kante_status;     /* 0 is success, negative an error; positive ones reserved but PENDING. */
enum {
  KANTE_PENDING = 1,       /* on_event(INPUT) only: I keep it and call host->settle() later. */
  KANTE_OK = 0,
  KANTE_E_INVALID = -1,
  KANTE_E_UNSUPPORTED = -2,
  KANTE_E_AGAIN = -3,
  KANTE_E_NOT_FOUND = -4,
  KANTE_E_DENIED = -5,
  KANTE_E_LIMIT = -6,
  KANTE_E_STATE = -7,
  KANTE_E_CORRUPT = -8,
  KANTE_E_CANCELED = -9,
  KANTE_E_INTERNAL = -10
};

typedef struct {
  const char *data;
  size_t size;
} kante_str;                      /* UTF-8, not NUL-terminated. */
#define KANTE_MSG_ZEROED 1u
typedef struct kante_msg kante_msg;                           /* Immutable, atomically counted. */
typedef struct kante_module kante_module;                     /* Defined by the module. */
typedef struct kante_host kante_host;

/* ---- Events: everything the host tells a module ---------------------------------------------
 * A module must answer KANTE_E_UNSUPPORTED to a type it does not know; the host then falls back. */
enum {
  KANTE_EVENT_INPUT = 1,     /* id = input; msg; token = 0 (memory route) or what to settle;      */
                             /* arg = earlier deliveries of this message; name = the sender:      */
                             /* "module/sensor/temperature", "device/car-7", a topic, …           */
  KANTE_EVENT_METHOD = 2,    /* name, msg = arguments; answer later with twin->reply(token).      */
  KANTE_EVENT_DESIRED = 3,   /* msg = full desired document; arg = its version.                   */
  KANTE_EVENT_TIMER = 4,     /* id = timer; arg = expirations since the last event.               */
  KANTE_EVENT_DONE = 5,      /* token = request; status; msg = result, may be null.               */
                             /* arg = what the request's function says of it, else 0.             */
  KANTE_EVENT_WRITABLE = 6,  /* id = output that has credit again after KANTE_E_AGAIN.            */
  KANTE_EVENT_DRAIN = 7,     /* Stop taking work; call host->drained() when quiet.                */
  KANTE_EVENT_HEALTH = 8,    /* kante.lifecycle/1: KANTE_OK is healthy; explain() anything else.  */
  KANTE_EVENT_SAVE = 9,      /* kante.state/1: answer with state->save(token) now or later;       */
                             /* other events stop until then.                                     */
  KANTE_EVENT_RESTORE = 10   /* kante.state/1: name = the saved bytes (not text), arg = their     */
                             /* format; first event after create().  An error refuses them.       */
};
typedef struct {
  uint32_t struct_size;
  uint32_t type;
  uint32_t id;
  kante_status status;
  uint64_t token;            /* Unique per instance for its whole life; never zero when used.     */
  uint64_t arg;
  kante_str name;
  kante_msg *msg;            /* Borrowed: retain to keep.  [event]                                */
  const uint64_t *words;     /* Those of msg, for kante/message.h; null without msg.  [event]     */
  uint32_t word_count;
  uint32_t reserved;
} kante_event;

/* ---- What the host offers ------------------------------------------------------------------- */
struct kante_host {
  uint32_t struct_size, abi_major, abi_minor, reserved;
  void *ctx;
  /* Returns a const struct whose layout the id names, or null.  Owned by the host, lives until
   * destroy() returns.  Ask once in create(); a missing extension is not an error.  [any] */
  const void *(*get_extension)(const kante_host *, const char *id);
  /* Copies the text.  Levels: 0 trace, 1 debug, 2 info, 3 warn, 4 error.  Rate limited.  [any] */
  void (*log)(const kante_host *, uint32_t level, kante_str text);
  /* Attaches detail to the error code that the running callback is about to return.  [strand] */
  void (*explain)(const kante_host *, kante_status code, kante_str text);
  /* 8-byte aligned scratch for one flat message (segment table included); contents undefined unless
   * flags has KANTE_MSG_ZEROED.  seal() consumes it, checks it and yields a shareable message of
   * used_words; abandon() drops it.  On an error of seal() the scratch is still the module's.  [any] */
  kante_status (*msg_alloc)(const kante_host *, uint32_t words, uint32_t flags, void **scratch);
  kante_status (*msg_seal)(const kante_host *, void *scratch, uint32_t used_words, kante_msg **out);
  void (*msg_abandon)(const kante_host *, void *scratch);
  const void *(*msg_words)(const kante_msg *, uint32_t *words);        /* Valid while held. [any] */
  void (*msg_retain)(kante_msg *);                                                       /* [any] */
  void (*msg_release)(kante_msg *);                                                      /* [any] */
  /* Queues msg on an output and keeps its own reference; msg may be one that was received: its source
   * is then this module.  All sinks take it or none.  KANTE_E_AGAIN means no credit: keep the message
   * and wait for WRITABLE.  token 0 asks for no DONE event.  [any] */
  kante_status (*emit)(const kante_host *, uint32_t output, kante_msg *msg, uint64_t token);
  /* seal + emit + release in one call.  On KANTE_OK the scratch is the host's; on any other status it
   * is still the module's.  [any] */
  kante_status (*publish)(const kante_host *, uint32_t output, void *scratch, uint32_t used_words,
                          uint64_t token);
  /* Ends the delivery for which on_event said KANTE_PENDING.  KANTE_OK removes it, never before
   * everything this instance emitted earlier is committed; KANTE_E_AGAIN: bring it again later; any
   * other error counts as a failed attempt.  [any] */
  kante_status (*settle)(const kante_host *, uint64_t token, kante_status status);
  void (*drained)(const kante_host *);                                                   /* [any] */
};

#define KANTE_EXT_TWIN "kante.twin/1"         /* Reported properties and direct methods.  [any] */
typedef struct {
  uint32_t struct_size, reserved;
  /* patch: a JSON merge patch of the reported section; DONE says when it is stored. */
  kante_status (*report)(const kante_host *, kante_msg *patch, uint64_t token);
  /* Answers the METHOD event of that token once; a late or second answer is KANTE_E_CANCELED. */
  kante_status (*reply)(const kante_host *, uint64_t token, int32_t code, kante_msg *result);
} kante_twin_v1;

#define KANTE_EXT_TIMERS "kante.timers/1"     /* Monotonic; expirations arrive as events.  [any] */
typedef struct {
  uint32_t struct_size, reserved;
  uint64_t (*now_ns)(const kante_host *);
  /* first_ns from now; period_ns 0: once.  ids 0 to 63, set again replaces.  At most 64. */
  kante_status (*set)(const kante_host *, uint32_t id, uint64_t first_ns, uint64_t period_ns);
  kante_status (*cancel)(const kante_host *, uint32_t id);
} kante_timers_v1;

#define KANTE_EXT_METRICS "kante.metrics/1"   /* kind: 0 counter, 1 gauge, 2 histogram.  [any] */
typedef struct {
  uint32_t struct_size, reserved;
  /* Same name and kind again gives the same id.  Names: [a-z][a-z0-9_]{0,63}.  At most 64. */
  kante_status (*define)(const kante_host *, kante_str name, uint32_t kind, uint32_t *id);
  void (*add)(const kante_host *, uint32_t id, int64_t delta);
  void (*record)(const kante_host *, uint32_t id, double value);
} kante_metrics_v1;

#define KANTE_EXT_STORAGE "kante.storage/1"   /* Private key-values; results are DONE.  [any] */
typedef struct {
  uint32_t struct_size, reserved;
  /* Keys: 1 to 256 bytes.  get: DONE with KANTE_E_NOT_FOUND where there is none. */
  kante_status (*get)(const kante_host *, kante_str key, uint64_t token);
  kante_status (*put)(const kante_host *, kante_str key, kante_msg *value, uint64_t token);
  kante_status (*erase)(const kante_host *, kante_str key, uint64_t token);
} kante_storage_v1;

#define KANTE_EXT_STATE "kante.state/1"       /* Carries state from one version to the next.  [any] */
#define KANTE_STATE_BYTES_MAX 16777216u
typedef struct {
  uint32_t struct_size, reserved;
  /* Answers SAVE: copies size bytes (at most 16 MiB) of the module's own format number.  The instance
   * stays alive: it gets DRAIN when its successor is ready, or its events go on.  KANTE_E_STATE when
   * no SAVE of that token is open. */
  kante_status (*save)(const kante_host *, uint64_t token, uint64_t format, const void *data,
                       size_t size);
} kante_state_v1;

#define KANTE_EXT_LIFECYCLE "kante.lifecycle/1"  /* Asking for it in create() promises ready().  [any] */
typedef struct {
  uint32_t struct_size, reserved;
  /* Ends "starting".  Without this extension a module is ready when create() returned. */
  void (*ready)(const kante_host *);
  /* Asks that a pending stop or upgrade wait this long from now (a machine in motion); the host
   * grants at most what the deployment allows and says so by KANTE_OK or KANTE_E_LIMIT. */
  kante_status (*defer)(const kante_host *, uint32_t ms);
} kante_lifecycle_v1;

#define KANTE_EXT_INVOKE "kante.invoke/1"     /* Calls another principal's direct method.  [any] */
typedef struct {
  uint32_t struct_size, reserved;
  /* target: "module/NAME" or "device/ID".  DONE: status, msg = result, arg = the method's own status
   * code.  KANTE_E_DENIED without the grant, KANTE_E_NOT_FOUND, KANTE_E_CANCELED after timeout_ms. */
  kante_status (*invoke)(const kante_host *, kante_str target, kante_str name, kante_msg *arguments,
                         uint32_t timeout_ms, uint64_t token);
} kante_invoke_v1;

#define KANTE_EXT_DEVICE "kante.device/1"     /* What lies outside of the gateway's own.  [any] */
typedef struct {
  uint32_t struct_size, reserved;
  /* The host opens what the manifest asks for and the deployment grants.  what, and what DONE brings:
   *   "read:/PATH"  "write:/PATH"  "append:/PATH"  "device:/PATH"      a descriptor
   *   "tcp:HOST:PORT"  "udp:HOST:PORT"      a connected socket: read() and write()
   *   "listen:ADDRESS:PORT"                 a socket, when the next peer has connected
   *   "list:/PATH"  "space:/PATH"    msg = JSON: names in it; {total,free,available}_bytes there
   * arg = the descriptor, which the module closes.  KANTE_E_DENIED: not asked for or not granted; any
   * error: msg = {"error": text}. */
  kante_status (*open)(const kante_host *, kante_str what, uint64_t token);
} kante_device_v1;

/* ---- What the module offers ----------------------------------------------------------------- */
typedef struct {
  uint32_t struct_size;      /* sizeof as the module was compiled. */
  uint32_t magic;            /* KANTE_MAGIC */
  uint32_t abi_major, abi_minor;
  const char *id;            /* Reverse domain name, equal to the signed manifest's. */
  const char *version;       /* Semantic version of the module itself. */
  const char *const *inputs; /* Null-terminated names; the index is the event id. */
  const char *const *outputs;
  /* config is borrowed: a message whose body is the configuration as JSON.  May do local work only.
   * On failure destroy() is not called.  [strand] */
  kante_status (*create)(const kante_host *, kante_msg *config, kante_module **out);
  kante_status (*on_event)(kante_module *, const kante_event *);         /* [strand] */
  void (*destroy)(kante_module *);      /* Joins own threads, drops every message.  [strand] */
  const void *(*get_extension)(const char *id);                          /* May be null. [any] */
} kante_entry;

extern KANTE_EXPORT const kante_entry kante_module_entry;   /* The one exported symbol. */

#ifdef __cplusplus
}
#endif
#endif
