// What the handlers of installReports() saw so far, for the self-test.
#pragma once

#include <cstdint>

namespace kante {

std::uint32_t reportedViolations();
// Nothing has been refused: what the self-test did is no fault of the module.
void forgetViolations();

}  // namespace kante
