// The module host of a gateway that has containers: keeps those modules itself and hands the rest
// to the host that it stands in front of.
//
// apply() first gets the images that are not there, while nothing changes; then come the containers
// that wait for none of the others, the others with all routes, and the containers that wait for
// them; what is wanted no more goes last.  A failure at any step brings back what was.  Control
// thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/container/container_modules.h"
#include "host/container/create_body.h"
#include "host/placement/module_host.h"

namespace kante {

class Log;

// What a container needs of the gateway besides what its deployment says.
struct ContainerPlace {
  std::string network;
  std::map<std::string, std::string> environment;
  std::vector<std::string> binds;
  std::vector<std::string> hosts;
};

class ContainerHost final : public ModuleHost {
 public:
  static constexpr std::chrono::milliseconds kStartMax{30'000};  // To running, with its image here.
  // How long a new container has to run before it counts as ready: one that ends at once did run.
  static constexpr std::chrono::milliseconds kSettle{1'000};
  // How long a start of the gateway waits for the engine before the other modules run without it.
  static constexpr std::chrono::milliseconds kPatience{10'000};

  struct Options {
    boost::asio::io_context& control;
    ModuleHost& others;
    Engine& engine;
    const Clock& clock;
    Log& log;
    std::string gateway;
    // Who the module is for the hub, made if there is none yet: before its container is.
    std::function<Result<ContainerPlace>(const ModuleSpec& module)> enter;
    // It is wanted no more.
    std::function<void(const std::string& module)> leave;
    // From now on it is here because it was pulled.
    std::function<void(const std::string& image)> on_pulled;
    // As ModuleHostOptions::event.
    std::function<void(const std::string& kind, const std::string& module, const std::string& text)>
        event;
    LoginFor login = nullptr;  // Null: without.
  };

  // All borrowed; they outlive this.
  explicit ContainerHost(Options options);
  ~ContainerHost() override;

  void apply(RuntimeTarget target, Applied applied) override;
  Turn turn() const override;
  void askHealth() override;
  void restart(const std::string& name, Done done) override;
  void stop(const std::string& name, Done done) override;
  void start(const std::string& name, Done done) override;
  void move(const std::string& name, Placement placement, const std::string& reason,
            Done done) override;
  Room roomFor(const RuntimeTarget& target) const override;
  Status check(const RuntimeTarget& target) override;
  void saveAll(SavedAll saved) override;  // Containers run on into the next life.
  void resume() override;
  void shutDown(std::function<void()> done) override;
  Result<std::vector<std::shared_ptr<Shard>>> shards() override;
  Result<std::vector<hub::Routing*>> serveTopics(hub::GatewayDesk* below) override;
  void sendTelemetry(const std::string& principal, hub::DeviceMessage message,
                     std::function<void(Status)> done) override;
  void twinChanged(const std::string& principal, const std::string& patch) override;
  std::vector<ModuleStatus> modules() const override;
  std::vector<RouteStatus> routes() const override;
  DropCounts dropped() const override;
  std::size_t loadsUsed() const override;
  std::size_t loadsMax() const override;
  void collect(MetricWriter& out) const override;

  // Whether that module is one of the containers that should be there.
  bool has(const std::string& module) const;
  ContainerModules::EngineStatus engine() const;
  // As ContainerModules.
  void sweepImages(const std::set<std::string>& pulled, const std::set<std::string>& kept,
                   ContainerModules::Swept swept);
  bool isUsed() const;  // Whether any container is, or was, wanted.

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared weakly with timers and calls.
};

}  // namespace kante
