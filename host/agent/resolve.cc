#include "host/agent/resolve.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/members.h"
#include "host/agent/resolve_routes.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/base/json_schema.h"
#include "host/bundle/bundle_store.h"
#include "host/hub/methods.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr JsonBounds kManifestPartBounds{kManifestBytesMax, kManifestDepthMax + 1};

Result<FileDescriptor> openBundle(const std::string& base_directory, const std::string& path) {
  if (base_directory.empty())
    return fail(Errc::kInvalid,
                "\"" + path +
                    "\" is a file, and this document did not come with one; upload the "
                    "bundle and name its digest");
  const std::string whole = path[0] == '/' ? path : base_directory + "/" + path;
  // Without waiting for the other end of a pipe that somebody put there.
  auto fd = openAt(AT_FDCWD, whole, O_RDONLY | O_NONBLOCK);
  if (!fd) return fd.error();
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return failErrno(whole);
  if (!S_ISREG(status.st_mode)) return fail(Errc::kInvalid, whole + " is not a file");
  return fd;
}

class Resolver {
 public:
  Resolver(const ResolveFrom& from, std::vector<std::string>& admitted)
      : from_(from), admitted_(admitted) {}

  // Of a file, of an upload, or of what the store has; each file is judged once.
  Result<AdmittedBundle> bundle(const ModuleEntry& entry) {
    const std::string& reference = entry.bundle;
    const auto known = found_.find(reference);
    if (known != found_.end()) return known->second;
    auto bundle = admitOrFind(reference);
    if (!bundle && bundle.error().code == Errc::kNotFound && !entry.from.empty())
      return fail(Errc::kNotFound,
                  reference + " is not in the store yet; only an apply fetches it");
    if (!bundle) return bundle;
    return found_.emplace(reference, std::move(*bundle)).first->second;
  }

 private:
  Result<AdmittedBundle> admitOrFind(const std::string& reference) {
    const auto uploaded = from_.uploads.find(reference);
    const std::string& name = uploaded == from_.uploads.end() ? reference : uploaded->second;
    if (isDigest(name)) {
      auto found = from_.bundles.find(name);
      if (!found && found.error().code == Errc::kNotFound)
        return fail(Errc::kNotFound,
                    name +
                        " is not in the store; upload the bundle, or say in \"from\" where it "
                        "may be had");
      return found;
    }
    if (!from_.policy)
      return fail(Errc::kInvalid, "\"" + name + "\" is a file; expected a digest here");
    KANTE_TRY(file, openBundle(from_.base_directory, name));
    const std::vector<std::string> before = from_.bundles.list();
    auto admitted = from_.bundles.admit(file.get(), from_.policy());
    if (!admitted) return within(name, admitted.error());
    if (!std::binary_search(before.begin(), before.end(), admitted->digest))
      admitted_.push_back(admitted->digest);
    return admitted;
  }

  const ResolveFrom& from_;
  std::vector<std::string>& admitted_;
  std::map<std::string, AdmittedBundle> found_;
};

// The configuration as the module gets it: with its secrets, judged by the bundle's schema, its
// defaults filled in.
Result<std::string> configFor(const ModuleEntry& entry, const Manifest& manifest,
                              const Secrets& secrets, const std::string& pointer) {
  KANTE_TRY(config, parseJson(entry.config, {kDeploymentBytesMax, kDeploymentDepthMax}));
  KANTE_CHECK(substituteSecrets(config, secrets, pointer));
  if (manifest.config_schema_json.empty()) return writeJson(config, MemberOrder::kSorted);
  auto schema_value = parseJson(manifest.config_schema_json, kManifestPartBounds);
  if (!schema_value) return within(pointer + ": config_schema", schema_value.error());
  auto schema = JsonSchema::compile(*schema_value);
  if (!schema) return within(pointer + ": config_schema", schema.error());
  if (Status valid = schema->validate(config); !valid) {
    Error error = valid.error();
    // The schema calls the root "/".
    const bool root = error.text.starts_with("/: ");
    error.text = pointer + (root ? error.text.substr(1) : error.text);
    return error;
  }
  return writeJson(schema->withDefaults(config), MemberOrder::kSorted);
}

// What the manifest asks for, out of {"methods": [...]}.
std::vector<std::string> methodsAskedFor(const Manifest& manifest) {
  std::vector<std::string> asked;
  const auto permissions = parseJsonObject(manifest.permissions_json, kManifestPartBounds);
  const json::value* methods = permissions ? permissions->if_contains("methods") : nullptr;
  if (methods == nullptr || !methods->is_array()) return asked;
  for (const auto& one : methods->get_array())
    if (one.is_string()) asked.emplace_back(one.get_string());
  return asked;
}

// {"files": …, "devices": …, …}
Result<std::vector<PlacedGrant>> devicesAskedFor(const Manifest& manifest,
                                                 const std::string& pointer) {
  const auto permissions = parseJsonObject(manifest.permissions_json, kManifestPartBounds);
  if (!permissions) return std::vector<PlacedGrant>();
  auto asked = readDeviceGrants(Members(*permissions, "/permissions"));
  if (asked.has_error()) return within(pointer + "/bundle: its manifest", asked.error());
  return asked;
}

Status checkPlacement(const Manifest& manifest, Placement placement, const std::string& pointer) {
  if (manifest.kind == Manifest::Kind::kHost)
    return failAt(pointer + "/bundle", Errc::kInvalid,
                  "this bundle is an update of the host, not a module");
  if (manifest.libraries.empty()) return {};
  const std::string needs =
      "its bundle needs libraries of its own (" + manifest.libraries.front() + "), ";
  if (placement == Placement::kInProcess)
    return failAt(pointer + "/placement", Errc::kInvalid, needs + "which only a sandbox gives");
  return failAt(pointer + "/bundle", Errc::kUnsupported,
                needs + "which is not part of this build; link them into the module");
}

// What the deployment alone says.
ModuleSpec specOf(const std::string& name, const ModuleEntry& entry) {
  ModuleSpec spec;
  spec.name = name;
  spec.placement = entry.placement;
  spec.limits = entry.limits;
  spec.restart = entry.restart;
  spec.desire = entry.desire;
  spec.start_after = entry.start_after;
  spec.stop_ms = entry.stop_ms;
  spec.defer_max_s = entry.defer_max_s;
  spec.container = entry.container;
  return spec;
}

// "registry:5000/factory/opc:3" is "registry:5000/factory/opc" in version "3".
ModuleSpec containerSpec(const std::string& name, const ModuleEntry& entry) {
  ModuleSpec spec = specOf(name, entry);
  const std::string& image = entry.container.image;
  const auto slash = image.rfind('/');
  auto mark = image.find_first_of("@:", slash == std::string::npos ? 0 : slash);
  if (mark == std::string::npos) mark = image.size();
  spec.id = image.substr(0, mark);
  spec.version = mark == image.size() ? "latest" : image.substr(mark + 1);
  spec.method_grants = entry.method_grants;
  return spec;
}

// A secret that is missing is an error, or bars the module alone.
Status orBarred(const Status& given, const ResolveFrom& from, ModuleSpec& spec) {
  if (given || given.error().code != Errc::kNotFound ||
      from.missing_secret == ResolveFrom::MissingSecret::kRefused)
    return given;
  spec.barred = given.error().text;
  spec.desire = Desire::kStopped;
  return {};
}

Secrets secretsOf(const ResolveFrom& from) {
  if (from.secrets) return from.secrets;
  return [](const std::string&) { return nullptr; };
}

// The environment of a container, with its secrets.
Status giveEnvironment(const ResolveFrom& from, const std::string& pointer, ModuleSpec& spec) {
  for (auto& [name, text] : spec.container.env) {
    json::value value(text);
    const Status given =
        substituteSecrets(value, secretsOf(from), jsonPointer(pointer + "/env", name));
    if (!given) return orBarred(given, from, spec);
    text = value.get_string();
  }
  return {};
}

// They get their secrets when the module asks for them, but all have to be there.
Status checkDesired(const ModuleEntry& entry, const ResolveFrom& from, const std::string& pointer) {
  KANTE_TRY(desired, parseJson(entry.desired, {kDeploymentBytesMax, kDeploymentDepthMax}));
  return substituteSecrets(desired, secretsOf(from), pointer + "/desired");
}

// With what the module is given.
Status giveConfig(const ModuleEntry& entry, const Manifest& manifest, const ResolveFrom& from,
                  const std::string& pointer, ModuleSpec& spec) {
  const Status there = checkDesired(entry, from, pointer);
  auto config = there ? configFor(entry, manifest, secretsOf(from), pointer + "/config")
                      : Result<std::string>(there.error());
  if (config) {
    spec.config = std::move(*config);
    return {};
  }
  return orBarred(config.error(), from, spec);
}

Result<ModuleSpec> resolveModule(const std::string& name, const ModuleEntry& entry,
                                 const AdmittedBundle& bundle, const ResolveFrom& from,
                                 std::vector<std::string>& warnings) {
  const std::string pointer = jsonPointer("/modules", name);
  const Manifest& manifest = bundle.manifest;
  KANTE_CHECK(checkPlacement(manifest, entry.placement, pointer));
  ModuleSpec spec = specOf(name, entry);
  spec.digest = bundle.digest;
  spec.id = manifest.id;
  spec.version = manifest.version;
  spec.inputs = manifest.inputs;
  spec.outputs = manifest.outputs;
  spec.methods = manifest.methods;
  spec.execution = entry.execution.value_or(manifest.execution == Manifest::Execution::kDedicated
                                                ? Execution::kDedicated
                                                : Execution::kShared);
  KANTE_CHECK(giveConfig(entry, manifest, from, pointer, spec));
  KANTE_TRY(devices, devicesAskedFor(manifest, pointer));
  spec.device_grants = bothOf(entry.device_grants, devices, warnings);
  const std::vector<std::string> asked = methodsAskedFor(manifest);
  for (std::size_t i = 0; i < entry.method_grants.size(); ++i) {
    const std::string& grant = entry.method_grants[i];
    const auto covers = [&grant](const std::string& wide) { return grantCovers(wide, grant); };
    if (std::any_of(asked.begin(), asked.end(), covers)) {
      spec.method_grants.push_back(grant);
      continue;
    }
    // What the grant is wider than counts as far as it was asked for.
    bool narrowed = false;
    for (const std::string& one : asked) {
      if (!grantCovers(grant, one)) continue;
      spec.method_grants.push_back(one);
      narrowed = true;
    }
    if (!narrowed)
      warnings.push_back(jsonPointer(pointer + "/grants/methods", i) + ": \"" + grant +
                         "\" has no effect: the bundle's manifest does not ask for it");
  }
  return spec;
}

Status needsHub(const ResolveFrom& from, const std::string& pointer) {
  if (from.topics == Topics::kServed) return {};
  return failAt(pointer + "/image", Errc::kInvalid,
                "a container speaks to the hub, but this gateway serves no MQTT clients; set "
                "[hub.mqtt] tls_listen");
}

}  // namespace

Result<ResolvedDeployment> resolveDeployment(const Deployment& deployment, const ResolveFrom& from,
                                             std::vector<std::string>& admitted) {
  ResolvedDeployment resolved;
  Resolver resolver(from, admitted);
  std::map<std::string, std::string> digests;
  for (const auto& [name, entry] : deployment.modules) {
    const std::string pointer = jsonPointer("/modules", name);
    resolved.bases["module/" + name] = entry.desired;
    if (entry.placement == Placement::kContainer) {
      KANTE_CHECK(needsHub(from, pointer));
      ModuleSpec spec = containerSpec(name, entry);
      KANTE_CHECK(giveEnvironment(from, pointer, spec));
      KANTE_CHECK(orBarred(checkDesired(entry, from, pointer), from, spec));
      resolved.target.modules.push_back(std::move(spec));
      resolved.digests.push_back(kImageMark + entry.container.image);
      continue;
    }
    auto bundle = resolver.bundle(entry);
    if (!bundle) return within(pointer + "/bundle", bundle.error());
    KANTE_TRY(spec, resolveModule(name, entry, *bundle, from, resolved.warnings));
    resolved.target.modules.push_back(std::move(spec));
    resolved.digests.push_back(bundle->digest);
    digests[name] = bundle->digest;
  }
  std::sort(resolved.digests.begin(), resolved.digests.end());
  resolved.digests.erase(std::unique(resolved.digests.begin(), resolved.digests.end()),
                         resolved.digests.end());
  KANTE_CHECK(checkRoutes(deployment.routes, resolved.target.modules, from));
  for (const RouteEntry& route : deployment.routes) resolved.target.routes.push_back(route.spec);
  resolved.deployment = withBundles(deployment, digests);
  if (resolved.deployment.json.size() > kDeploymentBytesMax)
    return fail(Errc::kLimit, "deployment: has more than " + std::to_string(kDeploymentBytesMax) +
                                  " bytes with its digests");
  return resolved;
}

}  // namespace kante
