#include "host/cli/gateway_containers.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <utility>

#include "host/agent/resolve.h"
#include "host/api/endpoints.h"
#include "host/base/clock.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/cli/gateway_identity.h"
#include "host/cli/in_file.h"
#include "host/config/config.h"
#include "host/container/edge_environment.h"
#include "host/placement/rate_limit.h"
#include "host/store/key_value.h"

namespace kante::cli {
namespace {

constexpr const char* kFolder = "/workload";
constexpr const char* kInside = "/var/run/iotedge";  // Where images expect it.
constexpr const char* kSocket = "workload.sock";
constexpr std::size_t kPasswordBytesMax = 64 * 1024;
constexpr std::size_t kConnectionsMax = 16;  // Of one module.

// What its options say, else the configuration.
std::string networkOf(const ModuleSpec& module, const std::string& fallback) {
  const auto options = parseJsonObject(module.container.create_options, {1u << 20, 32});
  if (!options) return fallback;
  for (const auto& member : *options) {
    if (!member.value().is_object() || member.key() != "HostConfig") continue;
    const boost::json::value* mode = member.value().get_object().if_contains("NetworkMode");
    if (mode != nullptr && mode->is_string()) return std::string(mode->get_string());
  }
  return fallback;
}

}  // namespace

// Its socket, open as long as this.
struct GatewayContainers::Door {
  FileDescriptor folder;
  Router router;
  std::unique_ptr<ApiServer> server;
};

GatewayContainers::GatewayContainers(const Config& config, Parts parts)
    : config_(config),
      parts_(std::move(parts)),
      engine_(parts_.control, config.containers.engine),
      getter_({parts_.control, engine_, parts_.log,
               [this](const std::string& image) { return login(image); },
               [this](const std::string& image) { pulled(image); }, parts_.fetching_changed}),
      images_(std::make_unique<StoreMap>(parts_.store, "images", parts_.post)) {
  if (const auto known = images_->readAll())
    for (const auto& [image, nothing] : *known) pulled_.insert(image);
  host_ = std::make_unique<ContainerHost>(ContainerHost::Options{
      parts_.control,
      parts_.others,
      engine_,
      parts_.clock.clock(),
      parts_.log,
      config.gateway.id,
      [this](const ModuleSpec& module) { return enter(module); },
      [this](const std::string& module) { leave(module); },
      [this](const std::string& image) { pulled(image); },
      parts_.event,
      [this](const std::string& image) { return login(image); },
  });
}

GatewayContainers::~GatewayContainers() = default;

void GatewayContainers::pulled(const std::string& image) {
  pulled_.insert(image);
  if (const Status kept = images_->put(image, "{}"); !kept)
    parts_.log.warn("containers", kept.error().text);
}

void GatewayContainers::serve(Agent::Parts& agent) {
  agent.images_needed = [this](const std::set<std::string>& images) { needImages(images); };
  agent.get_image = [this](const std::string& image, Fetcher::Patience patience,
                           std::function<void(Status)> then) {
    const bool few = patience == Fetcher::Patience::kFewTries;
    return getter_.get(
        image, few ? ImageGetter::Patience::kFewTries : ImageGetter::Patience::kUntilDropped,
        std::move(then));
  };
  agent.image_progress = [this] {
    const ImageProgress now = getter_.progress();
    return FetchProgress{kImageMark + now.image, now.registry, now.bytes, now.of, now.problem};
  };
}

void GatewayContainers::needImages(const std::set<std::string>& images) {
  if (std::includes(images.begin(), images.end(), pulled_.begin(), pulled_.end())) return;
  host_->sweepImages(pulled_, images, [this](const Result<std::vector<std::string>>& gone) {
    if (!gone) return;  // Whatever the reason, it is tried after the next change.
    for (const std::string& image : *gone) {
      pulled_.erase(image);
      (void)images_->erase(image);
      parts_.log.info("containers", "no deployment needs image " + image + " any more: removed");
    }
  });
}

Result<ContainerPlace> GatewayContainers::enter(const ModuleSpec& module) {
  const std::string& gateway = config_.gateway.id;
  KANTE_TRY(principal, PrincipalName::deviceModule(gateway, module.name));
  KANTE_CHECK(register_(principal, module));
  KANTE_CHECK(open(principal));
  ContainerPlace place;
  const std::string& hostname = config_.hub.hostname;
  EdgeIdentity who;
  who.hub = who.gateway = hostname;
  who.device = gateway;
  who.module = module.name;
  who.generation = std::to_string(parts_.identity.registry().find(principal)->generation);
  who.workload_uri = std::string("unix://") + kInside + "/" + kSocket;
  place.environment = edgeEnvironment(who);
  place.network = config_.containers.network;
  const std::string folder =
      std::filesystem::absolute(config_.gateway.data_dir).lexically_normal().string() + kFolder;
  place.binds = {folder + "/" + module.name + ":" + kInside};
  // The hub's name leads to this machine, whatever the network knows.
  const std::string network = networkOf(module, place.network);
  if (network != "none" && !network.starts_with("container:") && hostname != "localhost")
    place.hosts = {hostname + (network == "host" ? ":127.0.0.1" : ":host-gateway")};
  return place;
}

Status GatewayContainers::register_(const PrincipalName& principal, const ModuleSpec& module) {
  Registry& registry = parts_.identity.registry();
  KANTE_TRY(device, PrincipalName::device(principal.id()));
  if (registry.find(device) == nullptr)
    KANTE_CHECK(registry.add(device, {.verifier = Verifier::randomKeys()}));
  std::vector<std::string> grants = {"default"};
  for (const std::string& method : module.method_grants) grants.push_back("method:" + method);
  const Identity* known = registry.find(principal);
  if (known == nullptr)
    return registry.add(principal,
                        {.verifier = Verifier::randomKeys(), .grants = std::move(grants)});
  if (known->grants && known->grants->texts() == grants) return {};
  return registry.setGrants(principal, grants);
}

// The parent is closed to all but this user and root, each folder open to whoever it is mounted
// for.
Status GatewayContainers::open(const PrincipalName& principal) {
  const std::string& module = principal.module();
  if (doors_.contains(module)) return {};
  auto door = std::make_unique<Door>();
  const std::string path = config_.gateway.data_dir + kFolder;
  KANTE_TRY(parent, makeDirectory(path, 0700));
  KANTE_TRY(folder, makeDirectory(path + "/" + module, 0755));
  door->folder = std::move(folder);
  if (::fchmod(door->folder.get(), 0755) != 0) return failErrno(path + "/" + module);

  GatewayIdentity& identity = parts_.identity;
  Workload workload;
  workload.module = module;
  workload.admit = [this, module, limit = std::make_shared<RateLimit>()] {
    std::uint64_t refused = 0;
    if (!limit->take(parts_.clock.clock().bootNs(), &refused)) return false;
    if (refused > 0)
      parts_.log.warn("module/" + module, "asked the workload API too often",
                      {{"refused", std::to_string(refused)}});
    return true;
  };
  workload.sign = [&identity, principal](std::string_view data) -> Result<std::string> {
    const Identity* now = identity.registry().find(principal);
    if (now == nullptr || now->verifier.kind != Verifier::Kind::kSas)
      return fail(Errc::kNotFound, principal.name() + " has no key");
    const Sha256 digest = hmacSha256(now->verifier.primary.view(), data);
    return std::string(reinterpret_cast<const char*>(digest.data()), digest.size());
  };
  const auto context = [&identity, principal](std::string_view start) {
    const Identity* now = identity.registry().find(principal);
    const std::uint64_t generation = now == nullptr ? 0 : now->generation;
    return "workload " + principal.name() + " " + std::to_string(generation) + " " +
           std::string(start);
  };
  workload.seal = [&identity, context](std::string_view plain, std::string_view start) {
    return identity.seal().seal(plain, context(start));
  };
  workload.unseal = [&identity, context](std::string_view sealed, std::string_view start) {
    return identity.seal().unseal(sealed, context(start));
  };
  workload.certificate = [&identity, principal](const std::string& name, std::int64_t until_s) {
    return identity.moduleCertificate(principal, name, until_s);
  };
  workload.trust_bundle = [&identity] { return identity.trustBundle(); };
  workload.modules = [this] { return host_->modules(); };
  addWorkloadEndpoints(door->router, std::move(workload));

  ApiServer::Options where;
  // By its descriptor: a path of a socket has 107 bytes at most.
  where.socket = "/proc/self/fd/" + std::to_string(door->folder.get()) + "/" + kSocket;
  where.everybody = principal.name();
  where.limits.socket_connections_max = kConnectionsMax;
  door->server =
      std::make_unique<ApiServer>(parts_.control, door->router, parts_.log, std::move(where));
  if (const Status started = door->server->start(); !started)
    return within("its workload socket", started.error());
  doors_[module] = std::move(door);
  return {};
}

void GatewayContainers::leave(const std::string& module) {
  const auto principal = PrincipalName::deviceModule(config_.gateway.id, module);
  if (principal && parts_.identity.registry().find(*principal) != nullptr) {
    if (const Status removed = parts_.identity.registry().remove(*principal); !removed)
      parts_.log.warn("containers", removed.error().text);
  }
  doors_.erase(module);
  std::error_code ignored;
  std::filesystem::remove_all(config_.gateway.data_dir + kFolder + "/" + module, ignored);
}

// The file is read anew each time: what it says may change.
Result<std::optional<RegistryLogin>> GatewayContainers::login(const std::string& image) const {
  const std::string server = registryOf(image);
  for (const ImageRegistryConfig& registry : config_.containers.registries) {
    if (registry.server != server) continue;
    const auto opened = openInFile(registry.password_file);
    auto password = opened ? readFile(registry.password_file, kPasswordBytesMax)
                           : Result<std::string>(opened.error());
    if (!password) return within("[[containers.registry]] " + server, password.error());
    while (!password->empty() && (password->back() == '\n' || password->back() == '\r'))
      password->pop_back();
    return std::optional(RegistryLogin{server, registry.username, std::move(*password)});
  }
  return std::optional<RegistryLogin>();
}

}  // namespace kante::cli
