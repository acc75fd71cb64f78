// kante/test_library.hpp - a module's shared library, opened for a test as a host opens it.
#pragma once

#include <kante/failure.hpp>

#include <dlfcn.h>

KANTE_SDK_BEGIN

// Never closed: a module's library stays for the life of the process, as in a host.
class TestLibrary {
 public:
  // Throws Failure with the loader's text.
  explicit TestLibrary(const std::string& path) {
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) throw Failure(KANTE_E_NOT_FOUND, ::dlerror());
    entry_ = static_cast<const kante_entry*>(::dlsym(library, "kante_module_entry"));
    if (entry_ == nullptr) throw Failure(KANTE_E_INVALID, path + " exports no kante_module_entry");
  }
  const kante_entry& entry() const { return *entry_; }

 private:
  const kante_entry* entry_;
};

KANTE_SDK_END
