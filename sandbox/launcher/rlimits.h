// The classic limits of a runner, beside its control group or in place of one.
#pragma once

#include "sandbox/launcher/child.h"
#include "sandbox/launcher/steps.h"

namespace kante::launcher {

// Of this process, for good.
void setLimits(const ChildPlan& plan, Steps& steps);

}  // namespace kante::launcher
