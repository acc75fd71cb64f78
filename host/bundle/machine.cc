#include "host/bundle/machine.h"

namespace kante {

const char* name(Machine machine) {
  switch (machine) {
    case Machine::kAmd64: return "amd64";
    case Machine::kArm64: return "arm64";
    case Machine::kArmhf: return "armhf";
    case Machine::kRiscv64: return "riscv64";
  }
  return "unknown";
}

std::optional<Machine> machineNamed(std::string_view text) {
  for (const Machine machine :
       {Machine::kAmd64, Machine::kArm64, Machine::kArmhf, Machine::kRiscv64}) {
    if (text == name(machine)) return machine;
  }
  return std::nullopt;
}

Machine hostMachine() {
#if defined(__x86_64__)
  return Machine::kAmd64;
#elif defined(__aarch64__)
  return Machine::kArm64;
#elif defined(__arm__)
  return Machine::kArmhf;
#elif defined(__riscv) && __riscv_xlen == 64
  return Machine::kRiscv64;
#else
#error "Kante does not know this architecture"
#endif
}

}  // namespace kante
