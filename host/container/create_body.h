// What the engine is given to make a module's container of.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante {

// Labels of every container that is Kante's.
inline constexpr char kGatewayLabel[] = "dev.kante.gateway";
inline constexpr char kModuleLabel[] = "dev.kante.module";
inline constexpr char kSpecLabel[] = "dev.kante.spec";

struct CreateOrder {
  std::string gateway;  // Its id.
  std::string module;   // Its name in the deployment.
  std::string image;
  std::map<std::string, std::string> env;  // The deployment's.
  boost::json::object create_options;      // The deployment's: Docker's create body.
  std::uint32_t memory_mb = 0;             // 0: as much as there is.
  std::uint32_t cpu_percent = 0;           // Of one core; 0: as much as there is.
  std::uint32_t threads = 0;               // 0: as many as the engine lets be.
  std::vector<std::string> grants;         // Its "container" grants.
  std::string pointer;                     // Of the module in the deployment; errors begin with it.

  // The gateway's own, which no option can change.
  std::string network;  // Unless the options name one; empty: none.
  std::map<std::string, std::string> environment;
  std::vector<std::string> hosts;  // "NAME:ADDRESS": names that it finds besides others.
  std::vector<std::string> binds;  // "/run/kante/workload/x.sock:/run/iotedge/workload.sock"
};

struct CreateBody {
  std::string json;
  // Hexadecimal SHA-256 of all of it but the label that says it: a container that has it is the
  // one that is wanted.
  std::string spec;
};

// A pure function.  kDenied: what has to be granted first; kInvalid, kUnsupported: what is wrong.
Result<CreateBody> makeCreateBody(const CreateOrder& order);

// For engines that do not know "NAME:host-gateway" (EngineFacts): the network whose gateway is to
// take its place in that body, empty where nothing has to; and the body with it.
std::string networkToResolve(const std::string& body);
std::string withGateway(const std::string& body, const std::string& address);

}  // namespace kante
