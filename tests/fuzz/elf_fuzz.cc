// The ELF lint over any bytes, as each machine; the first byte of the input is part of the library.
// fuzz-links: kante_bundle
// fuzz-replay: 1000
#include <cstdint>

#include "host/bundle/elf_lint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using kante::Machine;
  for (const Machine machine : {Machine::kAmd64, Machine::kArmhf}) {
    const auto facts = kante::lintElf({bytes, size}, {machine, {"libgood.so"}});
    if (facts.has_value()) KANTE_ASSERT(facts->needed.size() <= 512);
  }
  return 0;
}
