// What people call the events of the ABI, and what modules answer to them.
#pragma once

#include <cstdint>
#include <string>

namespace kante {

// "event INPUT"; 0: "create or destroy"; "event 99" for what has no name.
std::string eventName(std::uint32_t event);
// "KANTE_E_INVALID (-1)"; "an unknown error (-99)" for what has no name.
std::string statusName(std::int32_t status);

}  // namespace kante
