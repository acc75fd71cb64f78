#include "host/agent/deployment.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "host/agent/container_entry.h"
#include "host/agent/members.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/hub/twin_rules.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kSchema[] = "kante.deployment/1";
constexpr std::uint64_t kVersionMax =
    (std::uint64_t{1} << 53) - 1;  // What every JSON reader holds.

// In the order of the enumerations.
constexpr std::array kPlacementNames = {"in-process", "sandbox", "container"};
constexpr std::array kExecutionNames = {"shared", "dedicated"};
constexpr std::array kRestartNames = {"always", "on-failure", "never"};
constexpr std::array kStatusNames = {"running", "stopped"};
constexpr std::array kOverflowNames = {"block", "spill", "drop-oldest", "drop-newest"};
constexpr std::array kFullNames = {"drop-lowest", "refuse"};

constexpr char kNameRule[] =
    "a name has 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit";

std::string lowerCase(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// Members that a person could take for each other are refused, whatever they hold.
Status checkNames(const json::object& object, const std::string& pointer) {
  std::map<std::string, std::string> seen;
  for (const auto& member : object) {
    const std::string name(member.key());
    if (!isName(name)) return failAt(jsonPointer(pointer, name), Errc::kInvalid, kNameRule);
    const auto [other, fresh] = seen.emplace(lowerCase(name), name);
    if (!fresh)
      return failAt(jsonPointer(pointer, name), Errc::kInvalid,
                    "differs from \"" + other->second + "\" only in case");
  }
  return {};
}

// ---- modules ---------------------------------------------------------------------------------

constexpr std::size_t kInSandbox = 1, kInContainer = 2;  // Of kPlacementNames.

Status readPlacement(const Members& module, ModuleEntry& entry) {
  const bool is_image = module.has("image");
  KANTE_TRY(placement,
            module.word("placement", kPlacementNames, is_image ? kInContainer : kInSandbox));
  entry.placement = static_cast<Placement>(placement);
  if (is_image == (entry.placement == Placement::kContainer)) return {};
  if (is_image)
    return module.fail("placement", "an \"image\" runs in a container; leave the placement out");
  return module.fail(
      "image",
      "missing; a container is made of an image, a \"bundle\" runs in-process or in the sandbox");
}

// What only a process of its own can have.
Status readLimits(const Members& module, ModuleEntry& entry) {
  KANTE_TRY(object, module.object("limits"));
  if (object == nullptr || object->empty()) return {};
  if (entry.placement == Placement::kInProcess)
    return module.fail("limits",
                       "a module in the host's process cannot be limited; leave \"placement\" out, "
                       "which means \"sandbox\"",
                       Errc::kUnsupported);
  const Members limits(*object, module.at("limits"));
  KANTE_CHECK(limits.allow({"memory_mb", "cpu_percent", "threads", "data_mb", "ring_kb"}));
  KANTE_TRY(memory, limits.number("memory_mb", 0, kMemoryMbMin, kLimitMbMax));
  KANTE_TRY(cpu, limits.number("cpu_percent", 0, 1, kCpuPercentMax));
  KANTE_TRY(threads, limits.number("threads", 0, 1, kThreadsMax));
  KANTE_TRY(data, limits.number("data_mb", 0, 1, kLimitMbMax));
  KANTE_TRY(ring, limits.number("ring_kb", 0, ModuleLimits::kRingKbMin, ModuleLimits::kRingKbMax));
  if ((ring & (ring - 1)) != 0)
    return limits.fail("ring_kb", "a power of two is wanted: 64, 128, 256, … 4096");
  // The module's own ring is part of its memory.
  const std::uint64_t least = kMemoryMbMin + ring / 1024;
  if (ring != 0 && memory != 0 && memory < least)
    return limits.fail("memory_mb", "with rings of " + std::to_string(ring) + " KiB it has to be " +
                                        std::to_string(least) + " at least");
  entry.limits = {static_cast<std::uint32_t>(memory), static_cast<std::uint32_t>(cpu),
                  static_cast<std::uint32_t>(threads), static_cast<std::uint32_t>(data),
                  static_cast<std::uint32_t>(ring)};
  return {};
}

Status refuseWhatNobodyHas(const Members& module) {
  KANTE_TRY(environment, module.object("env"));
  if (environment != nullptr && !environment->empty())
    return module.fail("env", "a module has no environment of its own; use \"config\"",
                       Errc::kUnsupported);
  for (const char* name : {"create_options", "pull"})
    if (module.has(name))
      return module.fail(name, "is for containers, and this module is a bundle");
  if (module.has("files"))
    return module.fail("files", "choosing a bundle's files is not part of this build",
                       Errc::kUnsupported);
  return {};
}

// A text, or {"delta": TEXT, "base": DIGEST}.
Result<FetchSource> readSource(const json::value& value, const std::string& pointer,
                               const std::string& bundle) {
  std::string text, base, at = pointer;
  if (value.is_object()) {
    const Members delta(value.get_object(), pointer);
    KANTE_CHECK(delta.allow({"delta", "base"}));
    for (const char* needed : {"delta", "base"})
      if (!delta.has(needed)) return delta.fail(needed, "missing; a delta needs both");
    KANTE_TRY(delta_text, delta.text("delta"));
    KANTE_TRY(base_text, delta.text("base"));
    if (!isDigest(base_text))
      return delta.fail("base", "expected the digest of the bundle that the delta is made against");
    if (base_text == bundle) return delta.fail("base", "is the bundle itself");
    text = std::move(delta_text);
    base = std::move(base_text);
    at = delta.at("delta");
  } else if (value.is_string()) {
    text = value.get_string();
  } else {
    return failAt(pointer, Errc::kInvalid,
                  std::string("expected a string or an object, not ") + jsonKindName(value));
  }
  auto source = parseFetchSource(text);
  if (!source) return failAt(at, Errc::kInvalid, source.error().text);
  source->base = std::move(base);
  return source;
}

Status readFrom(const Members& module, ModuleEntry& entry) {
  const json::value* from = module.find("from");
  if (from == nullptr) return {};
  if (!from->is_array())
    return module.fail("from", std::string("expected an array, not ") + jsonKindName(*from));
  if (from->get_array().size() > kFetchSourcesMax)
    return module.fail("from", "at most " + std::to_string(kFetchSourcesMax) + " places",
                       Errc::kLimit);
  for (const json::value& each : from->get_array()) {
    KANTE_TRY(source,
              readSource(each, jsonPointer(module.at("from"), entry.from.size()), entry.bundle));
    entry.from.push_back(std::move(source));
  }
  return {};
}

Result<std::string> readBundle(const Members& module) {
  if (!module.has("bundle"))
    return module.fail("bundle", "missing; name a file, or the digest of a bundle in the store");
  KANTE_TRY(bundle, module.text("bundle"));
  if (bundle.starts_with("sha256:") && !isDigest(bundle))
    return module.fail("bundle", "a digest is \"sha256:\" and 64 lower-case hexadecimal digits");
  if (bundle.empty() || bundle.size() > kBundlePathBytesMax)
    return module.fail("bundle",
                       "a path has 1 to " + std::to_string(kBundlePathBytesMax) + " bytes");
  return bundle;
}

Result<std::vector<std::string>> readMethodGrants(const Members& grants) {
  KANTE_TRY(read, grants.texts("methods"));
  if (read.size() > kMethodGrantsMax)
    return grants.fail("methods", "at most " + std::to_string(kMethodGrantsMax) + " grants",
                       Errc::kLimit);
  for (std::size_t i = 0; i < read.size(); ++i) {
    const auto parts = std::count(read[i].begin(), read[i].end(), '/');
    const bool known = read[i].starts_with("module/") || read[i].starts_with("device/");
    if (!known || parts < 2 || read[i].ends_with('/') || read[i].find("//") != std::string::npos)
      return failAt(jsonPointer(grants.at("methods"), i), Errc::kInvalid,
                    "expected \"module/NAME/METHOD\" or \"device/ID/METHOD\"; NAME and METHOD may "
                    "be \"*\"");
  }
  return read;
}

Status readGrants(const Members& module, ModuleEntry& entry) {
  KANTE_TRY(object, module.object("grants"));
  if (object == nullptr) return {};
  const Members grants(*object, module.at("grants"));
  KANTE_CHECK(grants.allow({"methods", "files", "devices", "tcp", "udp", "listen", "container"}));
  KANTE_TRY(methods, readMethodGrants(grants));
  entry.method_grants = std::move(methods);
  if (entry.placement == Placement::kContainer) return readContainerGrants(grants, entry.container);
  if (grants.has("container"))
    return grants.fail("container", "is for containers, and this module is a bundle");
  KANTE_TRY(devices, readDeviceGrants(grants));
  entry.device_grants = std::move(devices);
  return {};
}

Result<ModuleEntry> readModule(const json::value& value, const std::string& pointer) {
  if (!value.is_object())
    return failAt(pointer, Errc::kInvalid,
                  std::string("expected an object, not ") + jsonKindName(value));
  const Members module(value.get_object(), pointer);
  KANTE_CHECK(module.allow({"bundle", "image", "from", "placement", "config", "desired", "env",
                            "files", "limits", "grants", "execution", "start_after", "stop_ms",
                            "status", "restart", "create_options", "pull", "defer_max_s"}));
  ModuleEntry entry;
  KANTE_CHECK(readPlacement(module, entry));
  KANTE_CHECK(readLimits(module, entry));
  if (entry.placement == Placement::kContainer) {
    KANTE_CHECK(readContainer(module, entry.container));
  } else {
    KANTE_CHECK(refuseWhatNobodyHas(module));
    KANTE_TRY(bundle, readBundle(module));
    entry.bundle = std::move(bundle);
    KANTE_CHECK(readFrom(module, entry));
  }
  KANTE_TRY(config, module.object("config"));
  if (config != nullptr) entry.config = writeJson(*config, MemberOrder::kSorted);
  KANTE_TRY(desired, module.object("desired"));
  if (desired != nullptr) {
    entry.desired = writeJson(*desired, MemberOrder::kSorted);
    if (Status checked = checkTwinSection(entry.desired); !checked) {
      Error error = checked.error();
      error.text = module.at("desired") + (error.text.starts_with('/') ? "" : ": ") + error.text;
      return error;
    }
  }
  KANTE_CHECK(readGrants(module, entry));
  if (entry.placement == Placement::kContainer)
    KANTE_CHECK(checkContainer(module, entry.limits, entry.container));
  KANTE_TRY(start_after, module.texts("start_after"));
  entry.start_after = std::move(start_after);
  if (module.has("execution")) {
    KANTE_TRY(execution, module.word("execution", kExecutionNames, 0));
    entry.execution = static_cast<Execution>(execution);
  }
  KANTE_TRY(restart, module.word("restart", kRestartNames, 0));
  entry.restart = static_cast<Restart>(restart);
  KANTE_TRY(status, module.word("status", kStatusNames, 0));
  entry.desire = static_cast<Desire>(status);
  KANTE_TRY(stop_ms, module.number("stop_ms", entry.stop_ms, 0, kStopMsMax));
  entry.stop_ms = static_cast<std::uint32_t>(stop_ms);
  KANTE_TRY(defer_max_s, module.number("defer_max_s", 0, 0, kDeferMaxS));
  entry.defer_max_s = static_cast<std::uint32_t>(defer_max_s);
  return entry;
}

// Each name known, nobody waits for who is stopped, and no circle.
Status checkStartOrder(const std::map<std::string, ModuleEntry>& modules) {
  std::vector<std::string> names;
  for (const auto& [name, module] : modules) names.push_back(name);
  for (const auto& [name, module] : modules) {
    const std::string pointer = jsonPointer("/modules", name) + "/start_after";
    for (std::size_t i = 0; i < module.start_after.size(); ++i) {
      const std::string& other = module.start_after[i];
      const auto found = modules.find(other);
      if (found == modules.end()) {
        const std::string near = nearest(other, names);
        return failAt(jsonPointer(pointer, i), Errc::kInvalid,
                      "there is no module \"" + other + "\"" +
                          (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
      }
      if (found->second.desire == Desire::kStopped && module.desire == Desire::kRunning)
        return failAt(jsonPointer(pointer, i), Errc::kInvalid,
                      "\"" + other + "\" is stopped, so this module would never start");
    }
  }
  // Take away who waits for nobody that is left, again and again; what remains waits in a circle.
  std::map<std::string, ModuleEntry> left = modules;
  for (bool taken = true; taken;) {
    taken = std::erase_if(left, [&left](const auto& entry) {
              const auto& after = entry.second.start_after;
              return std::none_of(after.begin(), after.end(),
                                  [&left](const auto& other) { return left.contains(other); });
            }) > 0;
  }
  if (left.empty()) return {};
  std::string circle = left.begin()->first;
  std::vector<std::string> path;
  while (std::find(path.begin(), path.end(), circle) == path.end()) {
    path.push_back(circle);
    const auto& after = left.at(circle).start_after;
    circle = *std::find_if(after.begin(), after.end(),
                           [&left](const auto& other) { return left.contains(other); });
  }
  std::string text = circle;
  for (auto at = std::find(path.begin(), path.end(), circle) + 1; at != path.end(); ++at)
    text += " → " + *at;
  return failAt(jsonPointer("/modules", circle) + "/start_after", Errc::kInvalid,
                "these wait for each other: " + text + " → " + circle);
}

// ---- routes ----------------------------------------------------------------------------------

Status readQueue(const Members& route, RouteEntry& entry) {
  KANTE_TRY(object, route.object("queue"));
  if (object == nullptr) return {};
  const Members queue(*object, route.at("queue"));
  KANTE_CHECK(queue.allow({"messages", "bytes"}));
  KANTE_TRY(messages, queue.number("messages", entry.spec.queue_messages, 1, 1'000'000));
  KANTE_TRY(bytes, queue.number("bytes", entry.spec.queue_bytes, 1024, 1u << 30));
  entry.spec.queue_messages = static_cast<std::uint32_t>(messages);
  entry.spec.queue_bytes = static_cast<std::uint32_t>(bytes);
  entry.spec.queue_given = true;
  return {};
}

Status readRouteOptions(const Members& route, RouteEntry& entry) {
  KANTE_CHECK(route.allow({"route", "priority", "ttl_s", "timeToLiveSecs", "durable", "overflow",
                           "queue", "stall_ms", "full"}));
  if (!route.has("route")) return route.fail("route", "missing; write \"FROM … INTO …\"");
  KANTE_TRY(text, route.text("route"));
  entry.spec.text = std::move(text);
  KANTE_TRY(priority, route.number("priority", 9, 0, 9));
  entry.spec.priority = static_cast<std::uint8_t>(priority);
  if (route.has("ttl_s") && route.has("timeToLiveSecs"))
    return route.fail("timeToLiveSecs", "is another name of \"ttl_s\"; give one of them");
  KANTE_TRY(ttl_s, route.number(route.has("ttl_s") ? "ttl_s" : "timeToLiveSecs", 0, 0, UINT32_MAX));
  entry.spec.ttl_s = static_cast<std::uint32_t>(ttl_s);
  if (const json::value* durable = route.find("durable")) {
    if (!durable->is_bool())
      return route.fail("durable",
                        std::string("expected true or false, not ") + jsonKindName(*durable));
    entry.spec.durable = durable->get_bool();
  }
  if (route.has("overflow")) {
    KANTE_TRY(overflow, route.word("overflow", kOverflowNames, 0));
    entry.spec.overflow = static_cast<Overflow>(overflow);
  }
  KANTE_CHECK(readQueue(route, entry));
  entry.stall_given = route.has("stall_ms");
  KANTE_TRY(stall_ms, route.number("stall_ms", entry.spec.stall_ms, 0, 86'400'000));
  entry.spec.stall_ms = static_cast<std::uint32_t>(stall_ms);
  KANTE_TRY(full, route.word("full", kFullNames, 0));
  if (route.has("full")) entry.spec.full = static_cast<RouteFull>(full);
  return {};
}

Result<RouteEntry> readRoute(const std::string& name, const json::value& value) {
  RouteEntry entry;
  entry.spec.name = name;
  entry.text_pointer = jsonPointer("/routes", name);
  if (value.is_string()) {
    entry.spec.text = value.get_string();
    return entry;
  }
  if (!value.is_object())
    return failAt(entry.text_pointer, Errc::kInvalid,
                  std::string("expected a string or an object, not ") + jsonKindName(value));
  KANTE_CHECK(readRouteOptions(Members(value.get_object(), entry.text_pointer), entry));
  entry.text_pointer += "/route";
  return entry;
}

// ---- the whole -------------------------------------------------------------------------------

Status readHealth(const Members& root, HealthRule& rule) {
  KANTE_TRY(object, root.object("health"));
  if (object == nullptr) return {};
  const Members health(*object, root.at("health"));
  KANTE_CHECK(health.allow({"window_s", "uplink"}));
  KANTE_TRY(window_s, health.number("window_s", 0, 0, kWindowMaxS));
  if (health.has("window_s")) rule.window_s = static_cast<std::uint32_t>(window_s);
  const json::value* uplink = health.find("uplink");
  if (uplink == nullptr) return {};
  if (!uplink->is_bool())
    return health.fail("uplink",
                       std::string("expected true or false, not ") + jsonKindName(*uplink));
  rule.uplink = uplink->get_bool();
  return {};
}

Status readHead(const Members& root, Deployment& deployment) {
  if (root.has("modulesContent"))
    return root.fail("modulesContent",
                     "an IoT Edge deployment manifest is not translated by this build; write the "
                     "deployment as kante.deployment/1",
                     Errc::kUnsupported);
  KANTE_CHECK(root.allow(
      {"schema", "id", "version", "modules", "routes", "health", "gateway", "handover"}));
  KANTE_TRY(schema, root.text("schema"));
  if (schema != kSchema)
    return root.fail("schema", std::string("expected \"") + kSchema + "\"" +
                                   (schema.empty() ? "" : ", not \"" + schema + "\""));
  KANTE_TRY(id, root.text("id"));
  if (!isName(id)) return root.fail("id", kNameRule);
  deployment.id = std::move(id);
  KANTE_TRY(version, root.number("version", 0, 1, kVersionMax));
  if (version == 0) return root.fail("version", "missing; a whole number from 1 that rises");
  deployment.version = version;
  if (const json::value* handover = root.find("handover")) {
    if (!handover->is_bool())
      return root.fail("handover",
                       std::string("expected true or false, not ") + jsonKindName(*handover));
    deployment.handover = handover->get_bool();
  }
  KANTE_CHECK(readHealth(root, deployment.health));
  KANTE_TRY(gateway, root.object("gateway"));
  if (gateway != nullptr) deployment.gateway = writeJson(*gateway, MemberOrder::kSorted);
  return {};
}

}  // namespace

bool isDigest(std::string_view text) {
  return text.size() == 71 && text.starts_with("sha256:") &&
         text.find_first_not_of("0123456789abcdef", 7) == std::string_view::npos;
}

Result<Deployment> parseDeployment(std::string_view text) {
  auto parsed = parseJsonObject(text, {kDeploymentBytesMax, kDeploymentDepthMax});
  if (!parsed) return within("deployment", parsed.error());
  const json::object& document = *parsed;
  Deployment deployment;
  const Members root(document, "");
  KANTE_CHECK(readHead(root, deployment));
  KANTE_TRY(modules, root.object("modules"));
  if (modules == nullptr) return root.fail("modules", "missing; say {} for none");
  if (modules->size() > kModulesMax)
    return root.fail("modules", "at most " + std::to_string(kModulesMax) + " modules",
                     Errc::kLimit);
  KANTE_CHECK(checkNames(*modules, "/modules"));
  for (const auto& member : *modules) {
    KANTE_TRY(module, readModule(member.value(), jsonPointer("/modules", member.key())));
    deployment.modules.emplace(member.key(), std::move(module));
  }
  KANTE_CHECK(checkStartOrder(deployment.modules));
  KANTE_TRY(routes, root.object("routes"));
  if (routes != nullptr) {
    KANTE_CHECK(checkNames(*routes, "/routes"));
    for (const auto& member : *routes) {
      KANTE_TRY(route, readRoute(std::string(member.key()), member.value()));
      deployment.routes.push_back(std::move(route));
    }
    std::sort(deployment.routes.begin(), deployment.routes.end(),
              [](const auto& a, const auto& b) { return a.spec.name < b.spec.name; });
  }
  deployment.json = writeJson(document, MemberOrder::kSorted);
  return deployment;
}

Deployment withBundles(const Deployment& deployment,
                       const std::map<std::string, std::string>& bundles) {
  Deployment changed = deployment;
  auto document = parseJsonObject(deployment.json, {2 * kDeploymentBytesMax, kDeploymentDepthMax});
  KANTE_ASSERT(document.has_value());  // Our own text.
  json::object& modules = document->at("modules").get_object();
  for (const auto& [name, bundle] : bundles) {
    changed.modules.at(name).bundle = bundle;
    modules.at(name).get_object()["bundle"] = bundle;
  }
  changed.json = writeJson(*document, MemberOrder::kSorted);
  return changed;
}

}  // namespace kante
