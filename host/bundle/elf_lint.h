// What a module's shared library may look like, checked on its bytes before any loader sees them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/bundle/machine.h"

namespace kante {

struct LintPolicy {
  Machine machine = hostMachine();
  // Sonames allowed beyond libc, libm, libgcc_s, libstdc++ and the dynamic linker.
  std::vector<std::string> libraries;
};

// What `.note.kante` says, when the library has one.
struct ElfNote {
  bool present = false;
  std::string id;
  std::string abi;
  std::vector<std::string> requires_extensions;
};

struct ElfFacts {
  std::vector<std::string> needed;
  ElfNote note;
};

inline constexpr const char* kModuleSymbol = "kante_module_entry";

// Reads only what the dynamic loader would read, every offset checked: any bytes are safe to give.
// kCorrupt: not a well-formed shared library.  kUnsupported: another machine.  kDenied: a rule is
// broken; the text names the rule, the offender and the linker option that mends it.
Result<ElfFacts> lintElf(std::span<const std::uint8_t> bytes, const LintPolicy& policy);

}  // namespace kante
