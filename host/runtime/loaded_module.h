// A module's shared library in this process, and the proof that it speaks our ABI.
//
// The bytes were verified, sealed and linted by the bundle room; here exactly they are loaded, by
// the name /proc/self/fd/N of their memory file.  N stays open and the library stays mapped as long
// as the process lives: glibc matches names before it looks at files, and unloading code that may
// have left thread-local destructors behind is not safe.
#pragma once

#include <kante/module.h>

#include <memory>
#include <string>

#include "host/base/fd.h"
#include "host/base/result.h"

namespace kante {

class LoadedModule {
 public:
  // Runs the library's constructors.  expected_id: the manifest's.  kUnsupported: another major
  // ABI. kCorrupt: no entry, or one that disagrees with the manifest.
  static Result<std::shared_ptr<const LoadedModule>> load(FileDescriptor sealed,
                                                          const std::string& expected_id);
  // An entry that is linked into this process (tests, benchmarks).
  static Result<std::shared_ptr<const LoadedModule>> ofEntry(const kante_entry& entry);

  const kante_entry& entry() const { return *entry_; }
  // Null when the module is too old to have it or says null.
  const void* extension(const char* id) const;

 private:
  LoadedModule() = default;
  const kante_entry* entry_ = nullptr;
};

// Magic, major, size, id, and names that are there.
Status checkEntry(const kante_entry& entry, const std::string& expected_id);

}  // namespace kante
