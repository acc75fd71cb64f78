#include "sandbox/runner/load.h"

#include <dlfcn.h>

#include <cstring>

#include "host/runtime/loaded_module.h"
#include "sandbox/wire/shared_pages.h"

namespace kante {

Result<const kante_entry*> loadModule(const std::string& path, const std::string& expected_id) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* detail = ::dlerror();
    return fail(Errc::kCorrupt, std::string("module library does not load: ") +
                                    (detail != nullptr ? detail : "no reason is known"));
  }
  const auto* entry = static_cast<const kante_entry*>(::dlsym(library, "kante_module_entry"));
  if (entry == nullptr)
    return fail(Errc::kCorrupt, "module library has no symbol kante_module_entry");
  KANTE_CHECK(checkEntry(*entry, expected_id));
  return entry;
}

Result<Loaded> describe(const kante_entry& entry) {
  Loaded loaded;
  std::strncpy(loaded.version, entry.version, sizeof loaded.version - 1);
  std::size_t used = 0;
  const auto add = [&](const char* const* names, std::uint32_t& count) {
    for (; names[count] != nullptr; ++count) {
      const std::size_t size = std::strlen(names[count]) + 1;
      if (used + size > sizeof loaded.names) return false;
      std::memcpy(loaded.names + used, names[count], size);
      used += size;
    }
    return true;
  };
  if (!add(entry.inputs, loaded.inputs) || !add(entry.outputs, loaded.outputs)) {
    return fail(Errc::kLimit, "module entry: the names of its inputs and outputs are longer than " +
                                  std::to_string(sizeof loaded.names) + " bytes together");
  }
  if (loaded.outputs > kWireOutputsMax) {
    return fail(Errc::kLimit, "module entry: " + std::to_string(loaded.outputs) +
                                  " outputs, of at most " + std::to_string(kWireOutputsMax) +
                                  " in the sandbox");
  }
  return loaded;
}

}  // namespace kante
