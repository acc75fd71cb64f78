#include "host/runtime/loaded_module.h"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>
#include <cstddef>

#include "host/base/encoding.h"

namespace kante {

namespace {

constexpr std::size_t kEntrySizeOfVersion1 = sizeof(kante_entry);
constexpr std::size_t kNamesMax = 1024;

Status checkNames(const char* const* names, const char* what) {
  if (names == nullptr)
    return fail(Errc::kCorrupt, std::string("module entry: no list of ") + what);
  for (std::size_t i = 0; names[i] != nullptr; ++i) {
    if (i == kNamesMax) return fail(Errc::kLimit, std::string("module entry: too many ") + what);
    if (!isName(names[i])) {
      return fail(Errc::kInvalid, std::string("module entry: '") + names[i] + "' among its " +
                                      what + " is not a name ([A-Za-z0-9][A-Za-z0-9._-]{0,63})");
    }
  }
  return {};
}

}  // namespace

Status checkEntry(const kante_entry& entry, const std::string& expected_id) {
  if (entry.magic != KANTE_MAGIC) return fail(Errc::kCorrupt, "module entry: wrong magic number");
  if (entry.abi_major != KANTE_ABI_MAJOR) {
    return fail(Errc::kUnsupported,
                "module entry: built for ABI " + std::to_string(entry.abi_major) + "." +
                    std::to_string(entry.abi_minor) + ", this host speaks " +
                    std::to_string(KANTE_ABI_MAJOR) + "." + std::to_string(KANTE_ABI_MINOR));
  }
  if (entry.struct_size < kEntrySizeOfVersion1) {
    return fail(Errc::kCorrupt, "module entry: smaller than that of ABI 1.0");
  }
  if (entry.id == nullptr || entry.version == nullptr || entry.create == nullptr ||
      entry.on_event == nullptr || entry.destroy == nullptr) {
    return fail(Errc::kCorrupt, "module entry: a function or name that must be there is null");
  }
  if (!expected_id.empty() && expected_id != entry.id) {
    return fail(Errc::kCorrupt, std::string("module entry: says it is ") + entry.id +
                                    ", its manifest says " + expected_id);
  }
  KANTE_CHECK(checkNames(entry.inputs, "inputs"));
  return checkNames(entry.outputs, "outputs");
}

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
