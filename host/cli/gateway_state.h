// What is behind Gateway: shared by the files that make it up.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <optional>
#include <utility>

#include "host/agent/agent.h"
#include "host/agent/deployment.h"
#include "host/api/endpoints.h"
#include "host/api/router.h"
#include "host/api/server.h"
#include "host/api/status.h"
#include "host/base/clock.h"
#include "host/base/events.h"
#include "host/base/trusted_clock.h"
#include "host/bundle/bundle_store.h"
#include "host/bundle/distrust.h"
#include "host/cli/blame.h"
#include "host/cli/gateway.h"
#include "host/cli/gateway_commands.h"
#include "host/cli/gateway_containers.h"
#include "host/cli/gateway_documents.h"
#include "host/cli/gateway_hub.h"
#include "host/cli/gateway_identity.h"
#include "host/cli/gateway_sandbox.h"
#include "host/cli/gateway_secrets.h"
#include "host/cli/gateway_store.h"
#include "host/cli/gateway_trust.h"
#include "host/cli/gateway_uplink.h"
#include "host/cli/host_lock.h"
#include "host/cli/host_update.h"
#include "host/cli/host_versions.h"
#include "host/cli/later.h"
#include "host/cli/state_watch.h"
#include "host/cli/supervisor.h"
#include "host/hub/device_api.h"
#include "host/hub/gateways/children.h"
#include "host/hub/methods.h"
#include "host/hub/mqtt/broker.h"
#include "host/hub/twins.h"
#include "host/placement/crash_page.h"
#include "host/placement/hub_services.h"
#include "host/placement/local_module_host.h"
#include "host/placement/store_sink.h"
#include "host/store/store.h"
#include "host/uplink/mqtt_uplink.h"

namespace kante::cli {

namespace asio = boost::asio;

// In the order of construction; destroyed backwards, so that whoever borrows goes before what it
// borrows.
struct Gateway::State {
  State(asio::io_context& control_, Log& log_, Options options_)
      : control(control_),
        log(log_),
        options(std::move(options_)),
        events(clock),
        timer(control_) {}

  Status openDisk();
  Status takeSection();
  Status checkSection(const std::string& patch) const;
  bool noteTrialFailed(const Error& why);
  Status startParts(std::function<void(Status)> ready);
  std::map<std::string, std::string> journalValues() const;
  Status openUplink();
  Status openModules();
  Status openFetcher();
  Status openAgent();
  Status openApi();
  void reportAlarm(const std::string& text);
  BlameParts blameParts() { return {*crash_page, *store, log, events, clock}; }
  void startDeployment(std::function<void(Status)> ready);
  void trustChanged();
  Status openSecrets();
  // A module of this gateway that comes as a client: a container.
  bool isElsewhere(const std::string& module) const {
    return identity->isRegistered("device/" + options.config.gateway.id + "/module/" + module);
  }
  // Registered here, or behind a gateway below.
  bool isKnown(const std::string& principal) const {
    return identity->isRegistered(principal) || (hub && hub->children().knows(principal));
  }
  void sendTo(const std::string& device, hub::DeviceMessage message,
              std::function<void(Status)> done) {
    if (!hub || !isKnown(device))
      return done(fail(Errc::kNotFound, "there is no device " + device));
    hub->deviceApi().sendTo(device, std::move(message), std::move(done));
  }
  void applyFile(std::function<void(Status)> ready);
  Agent::Handover handover();
  void leave(std::function<void()> done);
  void endWith(int exit_code);
  void afterDrain();
  void flush(std::chrono::steady_clock::time_point deadline);
  void post(std::function<void()> work) { asio::post(control, std::move(work)); }

  asio::io_context& control;
  Log& log;
  Options options;
  SystemClock clock;
  TrustedClock wall{clock, buildTimeS()};
  const std::int64_t started_boot_ns = clock.bootNs();
  EventLog events;
  GatewaySection section;
  Config file_config;  // Without it.
  FileDescriptor data_dir;
  FileDescriptor lock;
  SignerRules rules;
  std::unique_ptr<Store> store;
  std::unique_ptr<StoreMap> documents_map;  // What was taken, and who is trusted by it.
  std::unique_ptr<Anchors> trust;
  std::optional<BundleStore> bundles;
  std::optional<HostVersions> versions;
  std::optional<Distrust> distrust;
  std::unique_ptr<StoreMap> twin_map;
  std::unique_ptr<StoreMap> journal;
  std::unique_ptr<Twins> twins;
  std::unique_ptr<Methods> methods;
  std::unique_ptr<HubServices> services;
  std::unique_ptr<GatewayIdentity> identity;
  std::unique_ptr<GatewaySecrets> secrets;
  std::unique_ptr<DeviceOpener> devices;
  std::unique_ptr<CrashPage> crash_page;
  std::unique_ptr<MqttUplink> uplink;
  std::shared_ptr<StoreDoor> door;  // Shared with the sinks that lead through it.
  std::unique_ptr<StoreSink> upstream;
  std::unique_ptr<GatewaySandbox> sandbox;
  std::unique_ptr<GatewayHub> hub;  // Ended by stop(); destroyed after the shards that it was on.
  std::unique_ptr<ModuleHost> local;
  std::unique_ptr<GatewayContainers> containers;
  ModuleHost* modules = nullptr;  // Of both.
  std::unique_ptr<Fetcher> fetcher;
  std::unique_ptr<Agent> agent;
  std::unique_ptr<GatewayDocuments> documents;
  std::unique_ptr<HostUpdate> update;
  std::optional<StatusParts> status;
  Router router;
  std::unique_ptr<GatewayCommands> commands;
  std::unique_ptr<ApiServer> api;
  std::unique_ptr<StateWatch> watch;
  asio::steady_timer timer;
  std::function<void()> stopped;
  bool drained = false;
  bool leaving = false;    // Modules end.
  bool next_life = false;  // And another life of this process begins.
};

}  // namespace kante::cli
