// The processor architectures that a bundle can carry, by the names of Debian's ports.
#pragma once

#include <optional>
#include <string_view>

namespace kante {

enum class Machine { kAmd64, kArm64, kArmhf, kRiscv64 };

const char* name(Machine machine);
std::optional<Machine> machineNamed(std::string_view name);
Machine hostMachine();  // The one that this program was compiled for.

}  // namespace kante
