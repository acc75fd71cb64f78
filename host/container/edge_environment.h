// The environment that a module written for IoT Edge expects: what its SDK's
// ModuleClient.fromEnvironment() reads.
#pragma once

#include <map>
#include <string>

namespace kante {

struct EdgeIdentity {
  std::string hub;           // Whom its tokens name: the host name of the hub.
  std::string gateway;       // Where it connects: a name of the hub's certificate.
  std::string device;        // The gateway's own id.
  std::string module;        // Its name in the deployment.
  std::string generation;    // Of its registration.
  std::string workload_uri;  // "unix:///var/run/iotedge/workload.sock"
};

// IOTEDGE_WORKLOADURI and the like.  The names are the same whatever the identity.
std::map<std::string, std::string> edgeEnvironment(const EdgeIdentity& identity);

}  // namespace kante
