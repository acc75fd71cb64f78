// What people call the events of the ABI.
#pragma once

#include <cstdint>
#include <string>

namespace kante {

// "event INPUT"; 0: "create or destroy"; "event 99" for what has no name.
std::string eventName(std::uint32_t event);

}  // namespace kante
