/* The 1.0 ABI as it was published, LP64: every offset, size, constant and type.  Nothing here may
 * be changed; a minor release appends structs, fields and constants, and with them lines (and then
 * sizes of structs that begin with struct_size may grow: their lines say at least). */
/* clang-format off */
#include <kante/module.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed its size")
#define SIZE_AT_LEAST(type, bytes) _Static_assert(sizeof(type) >= (bytes), #type " shrank")
#define AT(type, field, offset) \
  _Static_assert(offsetof(type, field) == (offset), #type "." #field " moved")
#define TYPE(type, field, ...) \
  _Static_assert(_Generic(((type *)0)->field, __VA_ARGS__: 1, default: 0), #type "." #field " changed its type")
#define VALUE(name, value) _Static_assert((name) == (value), #name " was renumbered")
#define TEXT(name, text) _Static_assert(sizeof(name) == sizeof(text), #name " was renamed")

SIZE(kante_str, 16);
AT(kante_str, data, 0);
TYPE(kante_str, data, const char *);
AT(kante_str, size, 8);
TYPE(kante_str, size, size_t);

SIZE_AT_LEAST(kante_event, 72);
AT(kante_event, struct_size, 0);
TYPE(kante_event, struct_size, uint32_t);
AT(kante_event, type, 4);
TYPE(kante_event, type, uint32_t);
AT(kante_event, id, 8);
TYPE(kante_event, id, uint32_t);
AT(kante_event, status, 12);
TYPE(kante_event, status, int32_t);
AT(kante_event, token, 16);
TYPE(kante_event, token, uint64_t);
AT(kante_event, arg, 24);
TYPE(kante_event, arg, uint64_t);
AT(kante_event, name, 32);
TYPE(kante_event, name, kante_str);
AT(kante_event, msg, 48);
TYPE(kante_event, msg, kante_msg *);
AT(kante_event, words, 56);
TYPE(kante_event, words, const uint64_t *);
AT(kante_event, word_count, 64);
TYPE(kante_event, word_count, uint32_t);
AT(kante_event, reserved, 68);
TYPE(kante_event, reserved, uint32_t);

SIZE_AT_LEAST(kante_host, 128);
AT(kante_host, struct_size, 0);
TYPE(kante_host, struct_size, uint32_t);
AT(kante_host, abi_major, 4);
TYPE(kante_host, abi_major, uint32_t);
AT(kante_host, abi_minor, 8);
TYPE(kante_host, abi_minor, uint32_t);
AT(kante_host, reserved, 12);
TYPE(kante_host, reserved, uint32_t);
AT(kante_host, ctx, 16);
TYPE(kante_host, ctx, void *);
AT(kante_host, get_extension, 24);
TYPE(kante_host, get_extension, const void *(*)(const kante_host *, const char *));
AT(kante_host, log, 32);
TYPE(kante_host, log, void (*)(const kante_host *, uint32_t, kante_str));
AT(kante_host, explain, 40);
TYPE(kante_host, explain, void (*)(const kante_host *, kante_status, kante_str));
AT(kante_host, msg_alloc, 48);
TYPE(kante_host, msg_alloc, kante_status (*)(const kante_host *, uint32_t, uint32_t, void **));
AT(kante_host, msg_seal, 56);
TYPE(kante_host, msg_seal, kante_status (*)(const kante_host *, void *, uint32_t, kante_msg **));
AT(kante_host, msg_abandon, 64);
TYPE(kante_host, msg_abandon, void (*)(const kante_host *, void *));
AT(kante_host, msg_words, 72);
TYPE(kante_host, msg_words, const void *(*)(const kante_msg *, uint32_t *));
AT(kante_host, msg_retain, 80);
TYPE(kante_host, msg_retain, void (*)(kante_msg *));
AT(kante_host, msg_release, 88);
TYPE(kante_host, msg_release, void (*)(kante_msg *));
AT(kante_host, emit, 96);
TYPE(kante_host, emit, kante_status (*)(const kante_host *, uint32_t, kante_msg *, uint64_t));
AT(kante_host, publish, 104);
TYPE(kante_host, publish, kante_status (*)(const kante_host *, uint32_t, void *, uint32_t, uint64_t));
AT(kante_host, settle, 112);
TYPE(kante_host, settle, kante_status (*)(const kante_host *, uint64_t, kante_status));
AT(kante_host, drained, 120);
TYPE(kante_host, drained, void (*)(const kante_host *));

SIZE_AT_LEAST(kante_twin_v1, 24);
AT(kante_twin_v1, struct_size, 0);
TYPE(kante_twin_v1, struct_size, uint32_t);
AT(kante_twin_v1, reserved, 4);
TYPE(kante_twin_v1, reserved, uint32_t);
AT(kante_twin_v1, report, 8);
TYPE(kante_twin_v1, report, kante_status (*)(const kante_host *, kante_msg *, uint64_t));
AT(kante_twin_v1, reply, 16);
TYPE(kante_twin_v1, reply, kante_status (*)(const kante_host *, uint64_t, int32_t, kante_msg *));

SIZE_AT_LEAST(kante_timers_v1, 32);
AT(kante_timers_v1, struct_size, 0);
TYPE(kante_timers_v1, struct_size, uint32_t);
AT(kante_timers_v1, reserved, 4);
TYPE(kante_timers_v1, reserved, uint32_t);
AT(kante_timers_v1, now_ns, 8);
TYPE(kante_timers_v1, now_ns, uint64_t (*)(const kante_host *));
AT(kante_timers_v1, set, 16);
TYPE(kante_timers_v1, set, kante_status (*)(const kante_host *, uint32_t, uint64_t, uint64_t));
AT(kante_timers_v1, cancel, 24);
TYPE(kante_timers_v1, cancel, kante_status (*)(const kante_host *, uint32_t));

SIZE_AT_LEAST(kante_metrics_v1, 32);
AT(kante_metrics_v1, struct_size, 0);
TYPE(kante_metrics_v1, struct_size, uint32_t);
AT(kante_metrics_v1, reserved, 4);
TYPE(kante_metrics_v1, reserved, uint32_t);
AT(kante_metrics_v1, define, 8);
TYPE(kante_metrics_v1, define, kante_status (*)(const kante_host *, kante_str, uint32_t, uint32_t *));
AT(kante_metrics_v1, add, 16);
TYPE(kante_metrics_v1, add, void (*)(const kante_host *, uint32_t, int64_t));
AT(kante_metrics_v1, record, 24);
TYPE(kante_metrics_v1, record, void (*)(const kante_host *, uint32_t, double));

SIZE_AT_LEAST(kante_storage_v1, 32);
AT(kante_storage_v1, struct_size, 0);
TYPE(kante_storage_v1, struct_size, uint32_t);
AT(kante_storage_v1, reserved, 4);
TYPE(kante_storage_v1, reserved, uint32_t);
AT(kante_storage_v1, get, 8);
TYPE(kante_storage_v1, get, kante_status (*)(const kante_host *, kante_str, uint64_t));
AT(kante_storage_v1, put, 16);
TYPE(kante_storage_v1, put, kante_status (*)(const kante_host *, kante_str, kante_msg *, uint64_t));
AT(kante_storage_v1, erase, 24);
TYPE(kante_storage_v1, erase, kante_status (*)(const kante_host *, kante_str, uint64_t));

SIZE_AT_LEAST(kante_state_v1, 16);
AT(kante_state_v1, struct_size, 0);
TYPE(kante_state_v1, struct_size, uint32_t);
AT(kante_state_v1, reserved, 4);
TYPE(kante_state_v1, reserved, uint32_t);
AT(kante_state_v1, save, 8);
TYPE(kante_state_v1, save, kante_status (*)(const kante_host *, uint64_t, uint64_t, const void *, size_t));

SIZE_AT_LEAST(kante_lifecycle_v1, 24);
AT(kante_lifecycle_v1, struct_size, 0);
TYPE(kante_lifecycle_v1, struct_size, uint32_t);
AT(kante_lifecycle_v1, reserved, 4);
TYPE(kante_lifecycle_v1, reserved, uint32_t);
AT(kante_lifecycle_v1, ready, 8);
TYPE(kante_lifecycle_v1, ready, void (*)(const kante_host *));
AT(kante_lifecycle_v1, defer, 16);
TYPE(kante_lifecycle_v1, defer, kante_status (*)(const kante_host *, uint32_t));

SIZE_AT_LEAST(kante_invoke_v1, 16);
AT(kante_invoke_v1, struct_size, 0);
TYPE(kante_invoke_v1, struct_size, uint32_t);
AT(kante_invoke_v1, reserved, 4);
TYPE(kante_invoke_v1, reserved, uint32_t);
AT(kante_invoke_v1, invoke, 8);
TYPE(kante_invoke_v1, invoke, kante_status (*)(const kante_host *, kante_str, kante_str, kante_msg *, uint32_t, uint64_t));

SIZE_AT_LEAST(kante_device_v1, 16);
AT(kante_device_v1, struct_size, 0);
TYPE(kante_device_v1, struct_size, uint32_t);
AT(kante_device_v1, reserved, 4);
TYPE(kante_device_v1, reserved, uint32_t);
AT(kante_device_v1, open, 8);
TYPE(kante_device_v1, open, kante_status (*)(const kante_host *, kante_str, uint64_t));

SIZE_AT_LEAST(kante_entry, 80);
AT(kante_entry, struct_size, 0);
TYPE(kante_entry, struct_size, uint32_t);
AT(kante_entry, magic, 4);
TYPE(kante_entry, magic, uint32_t);
AT(kante_entry, abi_major, 8);
TYPE(kante_entry, abi_major, uint32_t);
AT(kante_entry, abi_minor, 12);
TYPE(kante_entry, abi_minor, uint32_t);
AT(kante_entry, id, 16);
TYPE(kante_entry, id, const char *);
AT(kante_entry, version, 24);
TYPE(kante_entry, version, const char *);
AT(kante_entry, inputs, 32);
TYPE(kante_entry, inputs, const char *const *);
AT(kante_entry, outputs, 40);
TYPE(kante_entry, outputs, const char *const *);
AT(kante_entry, create, 48);
TYPE(kante_entry, create, kante_status (*)(const kante_host *, kante_msg *, kante_module **));
AT(kante_entry, on_event, 56);
TYPE(kante_entry, on_event, kante_status (*)(kante_module *, const kante_event *));
AT(kante_entry, destroy, 64);
TYPE(kante_entry, destroy, void (*)(kante_module *));
AT(kante_entry, get_extension, 72);
TYPE(kante_entry, get_extension, const void *(*)(const char *));

VALUE(KANTE_ABI_MAJOR, 1u);
VALUE(KANTE_MAGIC, 0x31544e4bu);
VALUE(KANTE_MSG_ZEROED, 1u);
VALUE(KANTE_STATE_BYTES_MAX, 16777216u);
VALUE(KANTE_PENDING, 1);
VALUE(KANTE_OK, 0);
VALUE(KANTE_E_INVALID, -1);
VALUE(KANTE_E_UNSUPPORTED, -2);
VALUE(KANTE_E_AGAIN, -3);
VALUE(KANTE_E_NOT_FOUND, -4);
VALUE(KANTE_E_DENIED, -5);
VALUE(KANTE_E_LIMIT, -6);
VALUE(KANTE_E_STATE, -7);
VALUE(KANTE_E_CORRUPT, -8);
VALUE(KANTE_E_CANCELED, -9);
VALUE(KANTE_E_INTERNAL, -10);
VALUE(KANTE_EVENT_INPUT, 1);
VALUE(KANTE_EVENT_METHOD, 2);
VALUE(KANTE_EVENT_DESIRED, 3);
VALUE(KANTE_EVENT_TIMER, 4);
VALUE(KANTE_EVENT_DONE, 5);
VALUE(KANTE_EVENT_WRITABLE, 6);
VALUE(KANTE_EVENT_DRAIN, 7);
VALUE(KANTE_EVENT_HEALTH, 8);
VALUE(KANTE_EVENT_SAVE, 9);
VALUE(KANTE_EVENT_RESTORE, 10);
_Static_assert(sizeof(kante_status) == 4 && (kante_status)-1 < 0, "kante_status is no int32_t");

TEXT(KANTE_EXT_TWIN, "kante.twin/1");
TEXT(KANTE_EXT_TIMERS, "kante.timers/1");
TEXT(KANTE_EXT_METRICS, "kante.metrics/1");
TEXT(KANTE_EXT_STORAGE, "kante.storage/1");
TEXT(KANTE_EXT_STATE, "kante.state/1");
TEXT(KANTE_EXT_LIFECYCLE, "kante.lifecycle/1");
TEXT(KANTE_EXT_INVOKE, "kante.invoke/1");
TEXT(KANTE_EXT_DEVICE, "kante.device/1");
