#include "host/cli/gateway.h"

#include <fmt/format.h>

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
#include "host/cli/gateway_commands.h"
#include "host/cli/gateway_containers.h"
#include "host/cli/gateway_documents.h"
#include "host/cli/gateway_hub.h"
#include "host/cli/gateway_identity.h"
#include "host/cli/gateway_sandbox.h"
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
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kLockPatience{5};
constexpr std::chrono::seconds kDrainMax{30};  // For modules to end.
constexpr std::chrono::seconds kFlushMax{2};   // For the uplink to send what is left.
constexpr std::chrono::milliseconds kFlushLook{20};
// The same when the next life begins at once: what it finds unacknowledged it sends again.
constexpr std::chrono::milliseconds kHandoverFlushMax{200};
constexpr const char* kUpstreamQueue = "upstream";

std::int64_t monotonicUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

EventLevel levelOf(const std::string& kind) {
  if (kind.ends_with(".failed")) return EventLevel::kError;
  return kind.ends_with(".started") || kind.ends_with(".stopped") ? EventLevel::kInfo
                                                                  : EventLevel::kWarn;
}

}  // namespace

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
  Status openUplink();
  Status openModules();
  Status openAgent();
  Status openApi();
  void reportAlarm(const std::string& text);
  BlameParts blameParts() { return {*crash_page, *store, log, events, clock}; }
  void startDeployment(std::function<void(Status)> ready);
  void trustChanged();
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

Status Gateway::State::openDisk() {
  const Config& config = options.config;
  const std::string& path = config.gateway.data_dir;
  auto directory = makeDirectory(path);
  if (!directory) return within("[gateway] data_dir", directory.error());
  data_dir = std::move(*directory);
  KANTE_TRY(held, lockDataDirectory(data_dir.get(), path, kLockPatience));
  lock = std::move(held);
  sandbox = std::make_unique<GatewaySandbox>(control, log, config.sandbox.minimum_tier);

  if (const Status kept = wall.keepIn(data_dir.get()); !kept) log.warn("clock", kept.error().text);

  rules = rulesOf(config.trust);
  KANTE_TRY(opened, Store::open(storeOptions(config, wall), clock, log));
  store = std::move(opened);
  if (const StoreStatus now = store->status(); !now.set_aside.empty()) {
    Event broken;
    broken.level = EventLevel::kError;
    broken.kind = "store.broken";
    broken.subject = "store";
    broken.text = "The store was broken and a new one began; what it held is in " + now.set_aside;
    events.add(std::move(broken));
  }
  KANTE_TRY(kept, BundleStore::open(data_dir.get()));
  bundles.emplace(std::move(kept));
  KANTE_TRY(host_versions, HostVersions::open(data_dir.get(), path));
  versions.emplace(std::move(host_versions));
  const auto later = [this](std::function<void()> work) { post(std::move(work)); };
  documents_map = std::make_unique<StoreMap>(store->keyValue(), "documents", later);
  auto trusted = openAnchors(config, options.trust_pem, *documents_map, log);
  if (!trusted) return within("[trust]", trusted.error());
  trust = std::move(*trusted);
  distrust.emplace(*bundles, trust->signers(), [this] { return wall.judgement(); });

  twin_map = std::make_unique<StoreMap>(store->keyValue(), "twins", later);
  journal = std::make_unique<StoreMap>(store->keyValue(), "agent", later);
  KANTE_TRY(all_twins, Twins::open(*twin_map));
  twins = std::move(all_twins);
  methods = std::make_unique<Methods>(control);
  services = std::make_unique<HubServices>(*twins, *methods, store->keyValue(), later);
  KANTE_TRY(identities,
            GatewayIdentity::open(config, {log, events, wall, store->keyValue(), *twins, later}));
  identity = std::move(identities);
  return {};
}

void Gateway::State::reportAlarm(const std::string& text) {
  Event alarm;
  alarm.level = EventLevel::kWarn;
  alarm.kind = "uplink.alarm";
  alarm.subject = "uplink";
  alarm.text = text;
  events.add(std::move(alarm));
}

Status Gateway::State::openUplink() {
  const Config& config = options.config;
  if (config.uplink.kind != UplinkKind::kMqtt && config.uplink.kind != UplinkKind::kKante)
    return {};
  MqttUplink::Host host{*store,      clock,
                        log,         [this](std::function<void()> work) { post(std::move(work)); },
                        twins.get(), methods.get()};
  host.wall = &wall;
  host.alarm = [this](const std::string& text) {
    if (!text.empty()) post([this, text] { reportAlarm(text); });
  };
  host.document = [this](ArrivedDocument document, DocumentAnswer answer) {
    documents->arrived(std::move(document), std::move(answer));
  };
  host.send_to = [this](const std::string& device, hub::DeviceMessage message, auto done) {
    sendTo(device, std::move(message), std::move(done));
  };
  if (options.uplink_client) host.client = options.uplink_client();
  KANTE_TRY(made, MqttUplink::make(uplinkOptions(config), std::move(host)));
  uplink = std::move(made);
  KANTE_TRY(queue, store->find(kUpstreamQueue));
  upstream = std::make_unique<StoreSink>(door, *queue);
  return {};
}

Status Gateway::State::openModules() {
  const Config& config = options.config;
  KANTE_TRY(page, CrashPage::open(data_dir.get()));
  crash_page = std::move(page);
  reportBlame(blameParts());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  crash_page->installHandlers();  // A sanitizer has its own.
#endif
  door = std::make_shared<StoreDoor>(*store);
  KANTE_CHECK(openUplink());
  sandbox->settle(*twins);
  KANTE_TRY(opener, DeviceOpener::make(control, log, data_dir.get()));
  devices = std::move(opener);
  ModuleHostOptions host;
  host.gateway_id = config.gateway.id;
  host.shards = config.gateway.shards;
  host.loads_max = config.runtime.in_process_loads_max;
  host.control = &control;
  host.log = &log;
  host.services = services.get();
  host.devices = devices.get();
  host.crash_page = crash_page.get();
  host.upstream = upstream.get();
  host.elsewhere = [this](const std::string& module) { return isElsewhere(module); };
  host.store = store.get();
  host.door = door;
  host.load = [this](const std::string& digest,
                     const std::string& id) -> Result<std::shared_ptr<const LoadedModule>> {
    KANTE_TRY(bytes, bundles->load(digest));
    return LoadedModule::load(std::move(bytes.sealed), id);
  };
  host.sandbox = sandbox->lives(*bundles);
  host.sandbox_missing = sandbox->missing();
  const auto told = [this](const std::string& kind, const std::string& module,
                           const std::string& text) {
    Event event;
    event.level = levelOf(kind);
    event.kind = kind;
    event.subject = "module/" + module;
    event.text = text;
    events.add(std::move(event));
    if (kind == "module.violation") sandbox->reportViolation(*twins, module, text);
  };
  host.event = told;
  local = makeModuleHost(std::move(host));
  containers = std::make_unique<GatewayContainers>(
      config, GatewayContainers::Parts{
                  control, log, wall, *identity, *local, store->keyValue(),
                  [this](std::function<void()> work) { post(std::move(work)); }, told});
  modules = &containers->host();
  KANTE_TRY(made, GatewayHub::make(config, {control, log, wall, *identity, *modules, *twins,
                                            *methods, *store, events}));
  hub = std::move(made);
  return {};
}

Status Gateway::State::openAgent() {
  Agent::Parts parts{*bundles,
                     *modules,
                     *twins,
                     *journal,
                     clock,
                     log,
                     [this] {
                       AdmissionPolicy policy;
                       policy.trust = &trust->signers();
                       policy.rules = &rules;
                       policy.heirs = &trust->heirs();
                       policy.time = wall.judgement();
                       policy.admitted = [this](const Signer& signer) {
                         distrust->forget();  // It may have been another's before.
                         wall.accepted(signer.not_before_s);
                       };
                       return policy;
                     },
                     upstream ? Upstream::kServed : Upstream::kAbsent,
                     handover(),
                     [this](const std::string& digest) -> std::string {
                       const std::string& why = distrust->why(digest);
                       if (options.config.trust.on_revoked != OnRevoked::kStop || why.empty())
                         return {};
                       return why +
                              ", and [trust] on_revoked is \"stop\": deploy a bundle of a "
                              "signer who is trusted";
                     }};
  if (const auto& blame = crash_page->blame())
    parts.last_end = "module " + blame->module + " brought it down: " + blame->reason;
  parts.elsewhere = [this](const std::string& module) { return isElsewhere(module); };
  parts.topics = hub ? Topics::kServed : Topics::kAbsent;
  parts.images_needed = [this](const std::set<std::string>& images) {
    containers->needImages(images);
  };
  parts.kept = [this] { return versions->digests(); };
  parts.tags = options.config.gateway.tags;
  parts.changed = [this] {
    if (documents) documents->documents().agentChanged();
  };
  const FetchConfig& fetch = options.config.fetch;
  auto made = Fetcher::make(
      {options.config.gateway.data_dir + "/fetch", {fetch.ca, fetch.proxy, fetch.bytes_per_s}, {}},
      {log, [this](std::function<void()> work) { post(std::move(work)); }, parts.changed});
  if (!made) return within("[fetch]", made.error());
  fetcher = std::move(*made);
  parts.fetcher = fetcher.get();
  for (const ImageConfig& image : options.config.images)
    parts.images.push_back({image.name, image.bundle, image.from, image.placement});
  parts.later = [this](std::chrono::milliseconds delay, std::function<void()> task) {
    return runLater(control, delay, std::move(task));
  };
  if (uplink) parts.uplink_connected = [this] { return uplink->status().state == "connected"; };
  KANTE_TRY(opened, Agent::open(std::move(parts)));
  agent = std::move(opened);
  KANTE_TRY(desk, GatewayDocuments::open(
                      options.config,
                      {*agent, *twins, *methods, *modules, *trust, *documents_map, log, events,
                       wall, [this](std::function<void()> work) { post(std::move(work)); },
                       uplink.get(), [this] { trustChanged(); }}));
  documents = std::move(desk);
  HostUpdate::Parts updating{control, log, events, *bundles, *modules, *agent, {}};
  if (options.end) updating.leave = [this](int exit_code) { endWith(exit_code); };
  update = std::make_unique<HostUpdate>(std::move(updating), *versions);
  if (sandbox->tier() != 0) demoteBlamed(blameParts(), *agent);
  return {};
}

Status Gateway::State::openApi() {
  const Config& config = options.config;
  ApiServer::Options where;
  where.socket = config.api.socket;
  where.group = config.api.group;
  where.group_expected = config.set_at.contains("api.group");
  where.http = config.api.http;
  where.host_names = {config.hub.hostname, config.gateway.id};
  where.upload_dir_fd = data_dir.get();
  api = std::make_unique<ApiServer>(control, router, log, std::move(where));
  status.emplace(StatusParts{config.gateway.id, clock, started_boot_ns, *modules, *agent, events,
                             store.get(), uplink.get(), api.get(), &*distrust, &wall,
                             &sandbox->status(), &identity->access(), &update->status(),
                             hub ? &hub->broker() : nullptr, hub ? &hub->contract() : nullptr,
                             hub ? &hub->children() : nullptr});
  status->documents = &documents->documents();
  status->engine = [this] {
    const auto now = containers->host().engine();
    return EngineView{containers->host().isUsed(), now.connected, now.version, now.why};
  };
  addStatusEndpoints(router, *status);
  addModuleEndpoints(router, *modules, log, control);
  addMoveEndpoint(router, *modules,
                  [this](const std::string& module, std::optional<Placement> placement,
                         const std::string& who, std::function<void(Status)> done) {
                    agent->move(module, placement, who, std::move(done));
                  });
  addHostEndpoint(router, [this](int fd, UpdateRequest request, auto done) {
    update->request(fd, std::move(request), std::move(done));
  });
  addEventEndpoints(router, events);
  addDeploymentEndpoints(router, *agent, *bundles, documents->documents(),
                         [this] { watch->look(); });
  addHubEndpoints(router, *twins, *methods, *modules,
                  [this](const std::string& principal) { return isKnown(principal); });
  addMessageEndpoint(router, hub ? &hub->deviceApi() : nullptr,
                     [this](const std::string& principal) { return isKnown(principal); });
  identity->addEndpoints(router);
  addTrustEndpoints(router, *trust, documents->documents());
  addQueueEndpoints(router, *store, log, control);
  addDashboard(router);
  commands = std::make_unique<GatewayCommands>(
      GatewayCommands::Parts{control, log, clock, config, router, *methods, *modules});
  watch = std::make_unique<StateWatch>(
      control, StateWatch::Parts{events, *agent, *modules, store.get(), uplink.get(), &wall, &log});
  return {};
}

Result<std::unique_ptr<Gateway>> Gateway::open(asio::io_context& control, Log& log,
                                               Options options) {
  auto state = std::make_unique<State>(control, log, std::move(options));
  KANTE_CHECK(state->openDisk());
  KANTE_CHECK(state->openModules());
  KANTE_CHECK(state->openAgent());
  KANTE_CHECK(state->openApi());
  return std::unique_ptr<Gateway>(new Gateway(std::move(state)));
}

Gateway::Gateway(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gateway::~Gateway() = default;

Status Gateway::start(std::function<void(Status)> ready) {
  State* state = state_.get();
  state->methods->expectMore("the host starts its modules; try again in a second");
  KANTE_CHECK(state->api->start());
  if (state->uplink) KANTE_CHECK(state->uplink->start());
  if (state->hub) KANTE_CHECK(state->hub->start());
  state->watch->start();
  state->startDeployment([state, ready = std::move(ready)](Status outcome) {
    if (state->hub) state->hub->serve();
    state->methods->everybodyCame();
    state->watch->look();
    reportDistrust(*state->modules, *state->distrust, state->events);
    state->update->started(outcome);
    state->documents->start();
    ready(std::move(outcome));
  });
  return {};
}

// What is stored comes up first, so that a newer file is a change like any other and can be taken
// back.
void Gateway::State::startDeployment(std::function<void(Status)> ready) {
  // A file that needs another life for itself must not ask for one in each.
  const bool may_apply = !options.deployment_file.empty() && !agent->wasHandedOver();
  agent->start([this, may_apply, ready = std::move(ready)](Result<ApplyOutcome> outcome) mutable {
    const bool none = !outcome && outcome.error().code == Errc::kNotFound;
    if (!outcome && !none) log.error("agent", outcome.error().text);
    if (may_apply) return applyFile(std::move(ready));
    if (none) log.info("agent", "nothing is deployed yet; kante deploy apply FILE does it");
    ready(outcome || none ? Status() : Status(outcome.error()));
  });
}

// Modules of who is not trusted any more are told of, and stopped where that is asked for.
void Gateway::State::trustChanged() {
  distrust->forget();
  reportDistrust(*modules, *distrust, events);
  agent->reconsider();
}

void Gateway::State::applyFile(std::function<void(Status)> ready) {
  const std::string& file = options.deployment_file;
  const auto text = readFile(file, kDeploymentBytesMax);
  const auto parsed = text ? parseDeployment(*text) : Result<Deployment>(text.error());
  if (!parsed) return ready(within(file, parsed.error()));
  const DeploymentStatus stored = agent->status();
  const bool newer = stored.id == parsed->id && parsed->version > stored.version;
  // One that never held, because the host ended meanwhile, is begun again.
  const bool holds = agent->document() != "null" || stored.state == DeploymentState::kFailed;
  if (holds && !newer) {
    if (stored.id != parsed->id || stored.version != parsed->version) {
      log.warn("agent",
               "the given deployment is left aside, because another one is stored; kante "
               "deploy apply replaces it",
               {{"given", parsed->id}, {"stored", stored.id}});
    }
    return ready({});
  }
  ApplyRequest request;
  request.document = *text;
  request.who = "gateway";
  request.base_directory = std::filesystem::absolute(file).parent_path();
  request.answer = ApplyRequest::Answer::kWhenItRuns;  // A start does not wait for a watch.
  agent->apply(std::move(request), [file, ready = std::move(ready)](Result<ApplyOutcome> outcome) {
    ready(outcome ? Status() : Status(within(file, outcome.error())));
  });
}

Agent::Handover Gateway::State::handover() {
  Agent::Handover out;
  if (!options.next_life) return out;
  out.begins = [this] {
    notifySupervisor(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", monotonicUs()));
    methods->pause("the host begins a new life; try again in a second");
  };
  out.resumes = [this] {
    methods->resume();
    notifySupervisor("READY=1");
  };
  out.leave = [this] {
    log.info("host", "this life ends; the next one goes on");
    next_life = true;
    leave(options.next_life);
  };
  return out;
}

void Gateway::stop(std::function<void()> done) {
  State& state = *state_;
  state.log.info("host", "stopping");
  if (state.leaving) {  // For the next life, which the next start is.
    state.stopped = std::move(done);
    return;
  }
  state.leave(std::move(done));
}

// Another process goes on with it, as the next life of this one would.
void Gateway::State::endWith(int exit_code) {
  if (leaving) return;
  log.info("host", "this version ends");
  next_life = true;
  leave([this, exit_code] { options.end(exit_code); });
}

void Gateway::State::leave(std::function<void()> done) {
  leaving = true;
  watch->stop();
  api->stop();
  stopped = std::move(done);
  timer.expires_after(kDrainMax);
  timer.async_wait([this](const boost::system::error_code& failed) {
    if (failed || drained) return;
    log.warn("host", "modules did not end in time and are left behind");
    afterDrain();
  });
  const auto end_modules = [this] { modules->shutDown([this] { afterDrain(); }); };
  if (!hub) return end_modules();
  hub->stop(end_modules);
}

// Called by the last module's end or by the deadline; whichever comes first goes on.
void Gateway::State::afterDrain() {
  if (std::exchange(drained, true)) return;
  flush(std::chrono::steady_clock::now() +
        (next_life ? kHandoverFlushMax : std::chrono::milliseconds(kFlushMax)));
}

// Until everything is acknowledged, the link is down or the time is over.
void Gateway::State::flush(std::chrono::steady_clock::time_point deadline) {
  timer.cancel();
  if (!uplink) return stopped();
  const UplinkStatus now = uplink->status();
  const bool all = now.in_flight == 0 && (next_life || now.backlog_messages == 0);
  if (all || now.state != "connected" || std::chrono::steady_clock::now() >= deadline) {
    if (!all) {
      log.info("uplink", "what was not sent stays in the store",
               {{"messages", std::to_string(now.backlog_messages)}});
    }
    uplink->stop();
    return stopped();
  }
  timer.expires_after(kFlushLook);
  timer.async_wait([this, deadline](const boost::system::error_code& failed) {
    if (!failed) flush(deadline);
  });
}

Agent& Gateway::agent() { return *state_->agent; }
ModuleHost& Gateway::modules() { return *state_->modules; }
Methods& Gateway::methods() { return *state_->methods; }
Twins& Gateway::twins() { return *state_->twins; }
EventLog& Gateway::events() { return state_->events; }
Store& Gateway::store() { return *state_->store; }
Uplink* Gateway::uplink() { return state_->uplink.get(); }
const StatusParts& Gateway::statusParts() const { return *state_->status; }

}  // namespace kante::cli
