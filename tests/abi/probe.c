/* One exported pointer for every type of the ABI: what abidiff compares with the dump of the last
 * release. (From a module's one symbol alone it would not reach the extension tables.) */
#include <kante/module.h>

#define PROBE(type) KANTE_EXPORT const type* kante_probe_##type
PROBE(kante_str);
PROBE(kante_event);
PROBE(kante_host);
PROBE(kante_entry);
PROBE(kante_twin_v1);
PROBE(kante_timers_v1);
PROBE(kante_metrics_v1);
PROBE(kante_storage_v1);
PROBE(kante_state_v1);
PROBE(kante_lifecycle_v1);
PROBE(kante_invoke_v1);
PROBE(kante_device_v1);
