// How a gateway is wired from its configuration.
#include "host/cli/gateway_fetch.h"
#include "host/cli/gateway_state.h"
#include "host/cli/in_file.h"
#include "host/hub/twin_secrets.h"

namespace kante::cli {
namespace {

constexpr std::chrono::seconds kLockPatience{5};
constexpr const char* kUpstreamQueue = "upstream";

EventLevel levelOf(const std::string& kind) {
  if (kind.ends_with(".failed")) return EventLevel::kError;
  return kind.ends_with(".started") || kind.ends_with(".stopped") ? EventLevel::kInfo
                                                                  : EventLevel::kWarn;
}

}  // namespace

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
  KANTE_CHECK(takeSection());
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
  services = std::make_unique<HubServices>(
      *twins, *methods, store->keyValue(), later,
      [this](const std::string& name) { return secrets->store().find(name); });
  KANTE_TRY(identities,
            GatewayIdentity::open(config, {log, events, wall, store->keyValue(), *twins, later}));
  identity = std::move(identities);
  return openSecrets();
}

Status Gateway::State::openSecrets() {
  KANTE_TRY(opened, GatewaySecrets::open(
                        identity->directoryFd(), identity->seal(), options.config.gateway.id,
                        {log, events, wall, store->keyValue(), *twins,
                         [this](std::function<void()> work) { post(std::move(work)); },
                         [this] {
                           agent->reconsider();
                           documents->documents().secretsChanged();
                         }}));
  secrets = std::move(opened);
  const SecretBox& box = secrets->box();
  identity->showSecretsBy({box.pem(), box.fingerprint(), box.notAfterS()});
  return {};
}

std::map<std::string, std::string> Gateway::State::journalValues() const {
  std::map<std::string, std::string> out;
  if (const auto pairs = store->keyValue().scan("agent")) out.insert(pairs->begin(), pairs->end());
  return out;
}

// What a deployment says of this gateway's own configuration holds from here on.
Status Gateway::State::takeSection() {
  file_config = options.config;
  const auto journalled = journalValues();
  section = gatewaySectionIn(journalled);
  if (section.is_trial) {
    KANTE_TRY(note, noteTrial(journalled));
    const Status noted = store->keyValue().put("agent", note.key, note.value);
    section.is_trial = noted.has_value();  // Otherwise nothing keeps the next life from trying.
    KANTE_CHECK(noted);
  }
  if (section.patch == "{}") return {};
  auto merged = withGatewaySection(file_config, section.patch);
  if (!merged && section.is_trial) return merged.error();
  if (!merged) {  // The file changed meanwhile.  With it alone somebody can mend that.
    log.error("host",
              "the deployment's configuration of the gateway does not fit the file's and is "
              "left aside: " +
                  merged.error().text);
    section.patch = "{}";
    return {};
  }
  options.config = std::move(*merged);
  if (!options.log_level_given) log.setLevel(options.config.log.level);
  const StoreConfig& was = file_config.store;
  const StoreConfig& is = options.config.store;
  if (was.max_bytes == is.max_bytes && was.full == is.full && was.sync == is.sync &&
      was.sync_ms == is.sync_ms)
    return {};
  store.reset();
  KANTE_TRY(again, Store::open(storeOptions(options.config, wall), clock, log));
  store = std::move(again);
  return {};
}

Status Gateway::State::checkSection(const std::string& patch) const {
  KANTE_TRY(merged, withGatewaySection(file_config, patch));
  if (const Status served = supported(merged); !served)
    return fail(served.error().code, "/gateway: " + served.error().text);
  return {};
}

// The life that begins now goes back.  False: this is no trial.
bool Gateway::State::noteTrialFailed(const Error& why) {
  if (!section.is_trial || !store) return false;
  log.error("host", "the deployment's configuration of the gateway does not work: " + why.text);
  const auto note = noteTrial(journalValues(), why.text);
  if (note) (void)store->keyValue().put("agent", note->key, note->value);
  return true;
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
  // It is read at each connect, by the thread that all wait for: nothing that could block it.
  if (const std::string& file = config.uplink.password_file; !file.empty()) {
    const auto opened = openInFile(file);
    if (!opened && opened.error().code == Errc::kInvalid)
      return within("[uplink] password_file", opened.error());
  }
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
  auto page = CrashPage::open(data_dir.get());
  if (!page) return within(config.gateway.data_dir, page.error());
  crash_page = std::move(*page);
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
      config,
      GatewayContainers::Parts{control, log, wall, *identity, *local, store->keyValue(),
                               [this](std::function<void()> work) { post(std::move(work)); }, told,
                               [this] {
                                 if (documents) documents->documents().agentChanged();
                               }});
  modules = &containers->host();
  // A container gets secrets as other modules do; who else speaks for a module may be anywhere.
  const auto desired_of = [this](const std::string& principal, TwinSection desired) {
    constexpr std::string_view kModule = "module/";
    const bool is_container =
        principal.starts_with(kModule) && containers->host().has(principal.substr(kModule.size()));
    return is_container ? withSecrets(std::move(desired), secrets->values()) : desired;
  };
  KANTE_TRY(made, GatewayHub::make(config, {control, log, wall, *identity, *modules, *twins,
                                            *methods, *store, events, desired_of}));
  hub = std::move(made);
  return {};
}

Status Gateway::State::openFetcher() {
  KANTE_TRY(made,
            makeFetcher(
                options.config, log, [this](std::function<void()> work) { post(std::move(work)); },
                [this] {
                  if (documents) documents->documents().agentChanged();
                },
                uplink.get()));
  fetcher = std::move(made);
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
  containers->serve(parts);
  parts.kept = [this] { return versions->digests(); };
  parts.tags = options.config.gateway.tags;
  parts.gateway = options.config.gateway.id;
  parts.changed = [this] {
    if (documents) documents->documents().agentChanged();
  };
  parts.secrets = secrets->values();
  parts.section = section;
  if (!file_config.text.empty())
    parts.check_section = [this](const std::string& patch) { return checkSection(patch); };
  KANTE_CHECK(openFetcher());
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
                       uplink.get(), [this] { trustChanged(); }, secrets.get(),
                       [this](std::chrono::milliseconds delay, std::function<void()> task) {
                         return runLater(control, delay, std::move(task));
                       }}));
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
  status->section = section.patch;
  status->config = config.shown;
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
  addSecretEndpoints(router,
                     {secrets->store(), [this](const auto& changes, const auto& who, auto done) {
                        secrets->change(changes, who, std::move(done));
                      }});
  addQueueEndpoints(router, *store, log, control);
  addDashboard(router);
  commands = std::make_unique<GatewayCommands>(
      GatewayCommands::Parts{control, log, clock, config, router, *methods, *modules,
                             [this] { return secrets->store().values(); }});
  watch = std::make_unique<StateWatch>(
      control, StateWatch::Parts{events, *agent, *modules, store.get(), uplink.get(), &wall, &log});
  return {};
}

}  // namespace kante::cli
