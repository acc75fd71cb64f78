// What a deployment grants a container beyond its own namespaces: "privileged", "bind:/path",
// "bind:/path:ro", "cap:NET_ADMIN", "device:/dev/ttyUSB0", "network:host" and the like.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante {

class ContainerGrants {
 public:
  static constexpr std::size_t kGrantsMax = 256;
  // Namespaces of the host or of another container: "pid:host", "ipc:container:x".
  static constexpr const char* kKinds[] = {"bind", "cap",    "device",   "network", "pid",
                                           "ipc",  "userns", "cgroupns", "uts"};

  // `pointer` is where the list stands; errors begin with it.
  static Result<ContainerGrants> parse(const std::vector<std::string>& grants,
                                       const std::string& pointer);

  // Which grants everything: whoever has it is root on this machine.
  bool privileged() const { return grants_.contains("privileged"); }
  bool has(const std::string& grant) const { return privileged() || grants_.contains(grant); }
  const std::string& pointer() const { return pointer_; }

 private:
  std::set<std::string> grants_;
  std::string pointer_;
};

// Absolute, and without ".", ".." and empty parts, so that one path has one name.
bool isPlainPath(const std::string& path);

}  // namespace kante
