// Apart from loaded_module.cc, so that a runner, which loads its one module by itself, links only
// this.
#include <cstddef>

#include "host/base/encoding.h"
#include "host/runtime/loaded_module.h"

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

}  // namespace kante
