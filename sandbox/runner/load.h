// Brings the one module of a runner into its process.
#pragma once

#include <kante/module.h>

#include <string>

#include "host/base/result.h"
#include "sandbox/wire/start.h"

namespace kante {

// Runs the library's constructors.  kCorrupt: it does not load, has no entry, or one that is not
// the manifest's.
Result<const kante_entry*> loadModule(const std::string& path, const std::string& expected_id);

// What the host is told of it.  kLimit: more outputs than a sandboxed module may have, or more
// names than fit.
Result<Loaded> describe(const kante_entry& entry);

}  // namespace kante
