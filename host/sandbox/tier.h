// Which tier sandboxed modules get on this machine.
#pragma once

#include <cstdint>

#include "host/base/result.h"
#include "sandbox/wire/launch.h"

namespace kante {

// The best that can be had, if it is no less than `minimum`; else what to change.
Result<std::uint32_t> tierToUse(const Can& can, std::uint32_t minimum);

}  // namespace kante
