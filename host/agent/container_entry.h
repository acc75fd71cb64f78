// What a deployment says of a module that is a container.
#pragma once

#include "host/agent/members.h"
#include "host/base/result.h"
#include "host/placement/module_spec.h"

namespace kante {

// "image", "pull", "env" and "create_options"; refuses what only a bundle has.
Status readContainer(const Members& module, ContainerSpec& out);
// "container" of "grants"; refuses what only a bundle has.
Status readContainerGrants(const Members& grants, ContainerSpec& out);
// When all of it is read: that a container can be made of it, with these grants and limits.
Status checkContainer(const Members& module, const ModuleLimits& limits,
                      const ContainerSpec& container);

}  // namespace kante
