#include "host/runtime/loaded_module.h"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>

namespace kante {

Result<std::shared_ptr<const LoadedModule>> LoadedModule::load(FileDescriptor sealed,
                                                               const std::string& expected_id) {
  const std::string path = "/proc/self/fd/" + std::to_string(sealed.get());
  namespace dll = boost::dll;
  // Boost.DLL has no name for RTLD_NODELETE; its modes are the system's own bits.
  const auto mode = static_cast<dll::load_mode::type>(RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  boost::dll::fs::error_code error;
  dll::shared_library library;
  library.load(path, error, mode);
  if (error) {
    const char* detail = ::dlerror();
    return fail(Errc::kCorrupt, "module library does not load: " +
                                    (detail != nullptr ? std::string(detail) : error.message()));
  }
  // From here on the descriptor's number names these bytes in the dynamic linker: it is never
  // closed, whatever the checks below say.
  (void)sealed.release();
  if (!library.has("kante_module_entry")) {
    return fail(Errc::kCorrupt, "module library has no symbol kante_module_entry");
  }
  std::shared_ptr<LoadedModule> module(new LoadedModule);
  module->entry_ = &library.get<const kante_entry>("kante_module_entry");
  KANTE_CHECK(checkEntry(*module->entry_, expected_id));
  return std::shared_ptr<const LoadedModule>(std::move(module));
}

Result<std::shared_ptr<const LoadedModule>> LoadedModule::ofEntry(const kante_entry& entry) {
  KANTE_CHECK(checkEntry(entry, ""));
  std::shared_ptr<LoadedModule> module(new LoadedModule);
  module->entry_ = &entry;
  return std::shared_ptr<const LoadedModule>(std::move(module));
}

const void* LoadedModule::extension(const char* id) const {
  return entry_->get_extension == nullptr ? nullptr : entry_->get_extension(id);
}

}  // namespace kante
