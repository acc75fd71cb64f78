// A file's bytes in memory that nobody can change.
#pragma once

#include <string>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/bundle/elf_lint.h"
#include "host/bundle/manifest.h"

namespace kante {

// Reads the library once into a memfd, seals it, and only then holds it against the size and
// SHA-256 of the manifest and the lint: what was checked is what will be loaded.
Result<FileDescriptor> sealedCopy(int folder_fd, const std::string& library,
                                  const Manifest& manifest, const LintPolicy& policy);

}  // namespace kante
