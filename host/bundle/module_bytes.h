// The bytes of one module's library that were verified, and that nobody can change any more.
#pragma once

#include <string>

#include "host/base/fd.h"
#include "host/bundle/manifest.h"

namespace kante {

// Owned by who loads it.  dlopen takes "/proc/self/fd/N" of `sealed`; keep it open as long as the
// library is mapped (see the ABI, rule 1).
struct ModuleBytes {
  FileDescriptor sealed;  // memfd with F_SEAL_WRITE | SHRINK | GROW | SEAL.
  FileDescriptor data;    // Directory of the bundle's data/ files, O_PATH; none if it has none.
  Manifest manifest;
  std::string digest;  // "sha256:…" of the bundle's payload.
};

}  // namespace kante
