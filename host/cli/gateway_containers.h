// The gateway's part that has containers: an engine, who its modules are for the hub, and a socket
// of the workload API for each.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "host/agent/agent.h"
#include "host/api/router.h"
#include "host/api/server.h"
#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/container/container_host.h"
#include "host/container/engine.h"
#include "host/container/image_getter.h"

namespace kante {
struct Config;
class KeyValue;
class Log;
class ModuleHost;
class PrincipalName;
class StoreMap;
class TrustedClock;
}  // namespace kante

namespace kante::cli {

class GatewayIdentity;

// Control thread.  A module that is a container is device/GATEWAY/module/NAME in the registry, made
// when it is deployed and removed with it; its key stays here, and its container proves who it is
// by what the workload API signs.  The socket is DATA_DIR/workload/NAME/workload.sock, and the
// folder is mounted, not the file: so the next life of the gateway is behind the same path.
class GatewayContainers {
 public:
  struct Parts {
    boost::asio::io_context& control;
    Log& log;
    const TrustedClock& clock;
    GatewayIdentity& identity;
    ModuleHost& others;  // For modules that are no containers.
    KeyValue& store;     // Where it stands which images were pulled.
    std::function<void(std::function<void()>)> post;
    // As ModuleHostOptions::event.
    std::function<void(const std::string& kind, const std::string& module, const std::string& text)>
        event;
    std::function<void()> fetching_changed;  // How far an image is that is got.
  };

  // All it is given outlives it.
  GatewayContainers(const Config& config, Parts parts);
  ~GatewayContainers();
  GatewayContainers(const GatewayContainers&) = delete;
  GatewayContainers& operator=(const GatewayContainers&) = delete;

  ContainerHost& host() { return *host_; }
  // Images for the agent: which are needed, and getting them.
  void serve(Agent::Parts& agent);

 private:
  struct Door;

  // Removes the images that were pulled and that no deployment needs any more.
  void needImages(const std::set<std::string>& images);
  Result<ContainerPlace> enter(const ModuleSpec& module);
  void leave(const std::string& module);
  Status register_(const PrincipalName& principal, const ModuleSpec& module);
  Status open(const PrincipalName& principal);
  Result<std::optional<RegistryLogin>> login(const std::string& image) const;
  void pulled(const std::string& image);

  const Config& config_;
  const Parts parts_;
  Engine engine_;
  ImageGetter getter_;
  std::map<std::string, std::unique_ptr<Door>> doors_;  // By module.
  std::unique_ptr<StoreMap> images_;
  std::set<std::string> pulled_;
  std::unique_ptr<ContainerHost> host_;
};

}  // namespace kante::cli
