// The endpoints of the API, a function a family: each adds its routes and borrows what it serves,
// which outlives the router.  All run on the control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/placement/module_spec.h"

namespace boost::asio {
class io_context;
}

namespace kante {

namespace hub {
class DeviceApi;
}
class Agent;
class Anchors;
class BundleStore;
class Documents;
class EventLog;
class Log;
class Methods;
class ModuleHost;
struct ModuleStatus;
class Registry;
class Router;
class SecretStore;
class Store;
class TrustedClock;
class Twins;
struct StatusParts;

// /v1/status, /v1/health, /metrics
void addStatusEndpoints(Router& router, const StatusParts& parts);
// /v1/deployment, /v1/deployment/{history,rollback}, /v1/bundles.  `changed` is called after each
// change, done or refused.  A signed document is taken in the same places, whoever brings it.
void addDeploymentEndpoints(Router& router, Agent& agent, BundleStore& bundles,
                            Documents& documents, std::function<void()> changed);
// /v1/twins, /v1/twins/PRINCIPAL, /v1/methods/PRINCIPAL/NAME.  `registered`: whether there is such
// a device.
void addHubEndpoints(Router& router, Twins& twins, Methods& methods, const ModuleHost& modules,
                     std::function<bool(const std::string& principal)> registered);
// /v1/messages/PRINCIPAL: a cloud-to-device message, from here.  `api`: null: no device is served.
void addMessageEndpoint(Router& router, hub::DeviceApi* api,
                        std::function<bool(const std::string& principal)> registered);
// /v1/queues, /v1/queues/NAME
void addQueueEndpoints(Router& router, Store& store, Log& log, boost::asio::io_context& control);

// /v1/modules, /v1/modules/NAME/{logs,restart,stop,start}, /v1/routes
void addModuleEndpoints(Router& router, ModuleHost& modules, Log& log,
                        boost::asio::io_context& control);
// /v1/modules/NAME/move.  `move`: no placement means where the deployment says.
using MoveModule = std::function<void(const std::string& module, std::optional<Placement> placement,
                                      const std::string& who, std::function<void(Status)> done)>;
void addMoveEndpoint(Router& router, ModuleHost& modules, MoveModule move);
// /v1/devices, /v1/devices/PRINCIPAL[/keys | /sas]
struct DeviceApiParts {
  Registry& registry;
  const TrustedClock& clock;
  Log& log;
  std::string hostname;  // In connection strings and tokens.
  std::string url = {};  // What gateways below connect to; empty: nothing is open for them.
};
void addDeviceEndpoints(Router& router, DeviceApiParts parts);
// /v1/identity: the gateway's own.
struct IdentityView {
  struct Certificate {
    std::string pem, fingerprint;  // Empty: there is none.
    std::int64_t not_after_s = 0;
  };
  std::string gateway;
  std::vector<std::string> names;  // Of the hub; the first is its host name.
  Certificate ca, hub, secrets;    // The last: what secrets are encrypted to.
};
void addIdentityEndpoint(Router& router, std::function<Result<IdentityView>()> view);
// /v1/secrets, /v1/secrets/NAME
struct SecretApi {
  const SecretStore& secrets;
  std::function<void(const std::map<std::string, std::optional<std::string>>& changes,
                     const std::string& who, std::function<void(Status)> done)>
      change;
};
void addSecretEndpoints(Router& router, const SecretApi& api);
// /v1/trust, /v1/trust/reset
void addTrustEndpoints(Router& router, const Anchors& anchors, Documents& documents);
// /v1/events
void addEventEndpoints(Router& router, EventLog& events);

// /v1/host: the bundle of another version of it.  `done` before this one ends, or with why not.
struct HostStatus;
struct UpdateRequest {
  std::string who;
  bool rebind = false;
  std::uint32_t seconds = 90;  // For the new one to become healthy.
};
using UpdateHost = std::function<void(int fd, UpdateRequest request,
                                      std::function<void(Result<HostStatus>)> done)>;
void addHostEndpoint(Router& router, UpdateHost update);

// What a module that is a container may ask of the gateway by itself (IoT Edge's workload API),
// over a socket of its own.
struct Workload {
  struct Certificate {
    std::string chain, key;  // PEM.
    std::int64_t not_after_s = 0;
  };
  std::string module;  // Who it is: all else is refused.
  // Whether it may ask now: each request is work for the gateway's control thread.
  std::function<bool()> admit;
  // HMAC-SHA256 with the key of its identity: 32 bytes.
  std::function<Result<std::string>(std::string_view data)> sign;
  // To be read by nobody but this registration of the module, and only with the same `start`.
  std::function<std::string(std::string_view plain, std::string_view start)> seal;
  std::function<Result<std::string>(std::string_view sealed, std::string_view start)> unseal;
  // For a server of that name, or for itself as a client if the name is empty; at most as long as
  // `until_s` (0: as long as there are).
  std::function<Result<Certificate>(const std::string& name, std::int64_t until_s)> certificate;
  std::function<Result<std::string>()> trust_bundle;  // PEM.
  std::function<std::vector<ModuleStatus>()> modules;
};
void addWorkloadEndpoints(Router& router, Workload workload);

// /v1/support-bundle: GET, or POST with what `kante check --json` prints, to be in it.
using MakeSupport =
    std::function<void(std::string checks, std::function<void(Result<std::string> bundle)> done)>;
void addSupportEndpoint(Router& router, MakeSupport make);

// / (the dashboard: one page, which asks the others)
void addDashboard(Router& router);

}  // namespace kante
