// The ELF lint on an open file, for the three who need it: packing, admission, loading.
#pragma once

#include <string>

#include "host/base/result.h"
#include "host/bundle/elf_lint.h"
#include "host/bundle/manifest.h"

namespace kante {

// Maps the file (only what the lint looks at becomes resident), lints it, and holds its note
// against the manifest.  Errors begin with `name`.
Status lintFile(int fd, const std::string& name, const Manifest& manifest,
                const LintPolicy& policy);

}  // namespace kante
