// Tries what a confined process must not be able to do.
#pragma once

#include <string>

#include "sandbox/wire/start.h"

namespace kante {

// After the first filter.  Names the first act that was not refused; undoes none of it.
std::string tryForbiddenActs(Facts& facts);

}  // namespace kante
