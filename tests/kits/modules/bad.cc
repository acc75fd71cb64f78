// Libraries that are no module, each in its own way (KIT_BAD).
#include <kante/module.h>

namespace {
kante_status create(const kante_host*, kante_msg*, kante_module**) { return KANTE_E_INTERNAL; }
kante_status onEvent(kante_module*, const kante_event*) { return KANTE_E_UNSUPPORTED; }
void destroy(kante_module*) {}
[[maybe_unused]] const char* const kNone[] = {nullptr};
[[maybe_unused]] const char* const kOdd[] = {"in", "not a name", nullptr};
}  // namespace

#define ENTRY(size, magic, major, id, version, inputs, create_function)                \
  extern "C" KANTE_EXPORT const kante_entry                                            \
      kante_module_entry = {size,   magic, major,           0,       id,      version, \
                            inputs, kNone, create_function, onEvent, destroy, nullptr}
#define SIZE sizeof(kante_entry)
#define ID "dev.kante.kit-bad"

#if KIT_BAD == 0
extern "C" KANTE_EXPORT int kante_another_entry;
int kante_another_entry = create(nullptr, nullptr, nullptr) + onEvent(nullptr, nullptr);
extern "C" KANTE_EXPORT void kante_another_end() { destroy(nullptr); }
#elif KIT_BAD == 1
ENTRY(SIZE, 0x12345678u, KANTE_ABI_MAJOR, ID, "1.0.0", kNone, create);
#elif KIT_BAD == 2
ENTRY(SIZE, KANTE_MAGIC, 2, ID, "1.0.0", kNone, create);
#elif KIT_BAD == 3
ENTRY(SIZE - 8, KANTE_MAGIC, KANTE_ABI_MAJOR, ID, "1.0.0", kNone, create);
#elif KIT_BAD == 4
ENTRY(SIZE, KANTE_MAGIC, KANTE_ABI_MAJOR, ID, "1.0.0", kOdd, create);
#elif KIT_BAD == 5
ENTRY(SIZE, KANTE_MAGIC, KANTE_ABI_MAJOR, ID, "1.0.0", nullptr, create);
#elif KIT_BAD == 6
ENTRY(SIZE, KANTE_MAGIC, KANTE_ABI_MAJOR, ID, "1.0.0", kNone, nullptr);
#elif KIT_BAD == 7
ENTRY(SIZE, KANTE_MAGIC, KANTE_ABI_MAJOR, nullptr, "1.0.0", kNone, create);
#elif KIT_BAD == 8  // Not bad at all, and from a later minor version.
ENTRY(SIZE + 16, KANTE_MAGIC, KANTE_ABI_MAJOR, ID, "1.0.0", kNone, create);
#endif
