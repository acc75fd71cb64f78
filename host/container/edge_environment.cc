#include "host/container/edge_environment.h"

namespace kante {

std::map<std::string, std::string> edgeEnvironment(const EdgeIdentity& identity) {
  return {
      {"IOTEDGE_APIVERSION", "2018-06-28"},     {"IOTEDGE_AUTHSCHEME", "sasToken"},
      {"IOTEDGE_DEVICEID", identity.device},    {"IOTEDGE_GATEWAYHOSTNAME", identity.gateway},
      {"IOTEDGE_IOTHUBHOSTNAME", identity.hub}, {"IOTEDGE_MODULEGENERATIONID", identity.generation},
      {"IOTEDGE_MODULEID", identity.module},    {"IOTEDGE_WORKLOADURI", identity.workload_uri},
  };
}

}  // namespace kante
