// "files", "devices", "tcp", "udp" and "listen", as grants of a deployment and permissions of a
// manifest have them.
#pragma once

#include <string>
#include <vector>

#include "host/agent/members.h"
#include "host/placement/device_grant.h"

namespace kante {

inline constexpr std::size_t kDeviceGrantsMax = 256;  // Of one module.

struct PlacedGrant {
  DeviceGrant grant;
  std::string pointer;  // Where it stands.
};

// {"files": {"read": […], "write": […]}, "devices": […], "tcp": […], "udp": […], "listen": […]};
// other members are not looked at.
Result<std::vector<PlacedGrant>> readDeviceGrants(const Members& from);

// What is both asked for and granted; a warning for each grant that has no effect.
std::vector<DeviceGrant> bothOf(const std::vector<PlacedGrant>& granted,
                                const std::vector<PlacedGrant>& asked,
                                std::vector<std::string>& warnings);

}  // namespace kante
