#include "host/agent/iotedge_parts.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "host/agent/deployment.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/fetch/part_file.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kNanoCpusOfPercent = 10'000'000;
constexpr std::uint64_t kBytesOfMb = 1u << 20;
constexpr std::size_t kChunksMax = 100;
constexpr std::string_view kCreateOptions = "createOptions";
constexpr std::array kStatusNames = {"running", "stopped"};
constexpr std::array kPullNames = {"on-create", "never"};
constexpr std::array kRestartNames = {"never", "on-failure", "on-unhealthy", "always"};
constexpr std::array kOurRestarts = {"never", "on-failure", "on-failure", "always"};
constexpr JsonBounds kOptionsBounds{kDeploymentBytesMax, kDeploymentDepthMax};

bool startsIgnoringCase(std::string_view text, std::string_view beginning) {
  const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  return text.size() >= beginning.size() &&
         std::equal(beginning.begin(), beginning.end(), text.begin(), same);
}

bool isBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

bool isEmpty(const json::value& value) {
  return value.is_null() || (value.is_object() && value.get_object().empty()) ||
         (value.is_string() && value.get_string().empty());
}

}  // namespace

// ---- the envelope

Result<ManifestEnvelope> openEnvelope(const json::value& manifest, const std::string& pointer,
                                      std::vector<std::string>& report) {
  const Members whole(manifest.get_object(), pointer);
  const bool bare = whole.has(kManifestContent);
  ManifestEnvelope envelope;
  envelope.root = pointer;
  const json::object* holder = &manifest.get_object();
  std::string at = pointer;
  if (!bare) {
    KANTE_TRY(content, whole.object("content"));
    envelope.configuration = holder;
    holder = content;
    at = whole.at("content");
    for (const char* name : {"labels", "metrics"}) {
      const json::value* value = whole.find(name);
      const bool says = value != nullptr && value->is_object() &&
                        std::any_of(value->get_object().begin(), value->get_object().end(),
                                    [](const auto& one) { return !isEmpty(one.value()); });
      if (says) report.push_back(whole.at(name) + ": is IoT Hub's own and not kept");
    }
  }
  const Members inner(*holder, at);
  KANTE_TRY(sections, inner.object(kManifestContent));
  for (const char* name : {"deviceContent", "moduleContent"})
    if (inner.has(name) && !isEmpty(*inner.find(name)))
      report.push_back(inner.at(name) +
                       ": changes twins of devices and modules that are not of "
                       "this gateway's deployment, and is not kept");
  envelope.content = sections;
  envelope.pointer = inner.at(kManifestContent);
  return envelope;
}

// ---- $edgeAgent

Status ManifestParts::checkSchema(const Members& section, unsigned minor) {
  KANTE_TRY(version, section.text("schemaVersion"));
  for (unsigned i = 0; i <= minor; ++i)
    if (version == "1." + std::to_string(i)) return {};
  return section.fail("schemaVersion", "expected \"1.0\" to \"1." + std::to_string(minor) + "\"");
}

Status ManifestParts::readRuntime(const Members& runtime) {
  KANTE_TRY(type, runtime.text("type", "docker"));
  if (type != "docker") return runtime.fail("type", "expected \"docker\"");
  KANTE_TRY(settings, runtime.object("settings"));
  if (settings == nullptr) return {};
  const json::value* credentials = settings->if_contains("registryCredentials");
  if (credentials != nullptr && credentials->is_object() && !credentials->get_object().empty())
    note(jsonPointer(runtime.at("settings"), "registryCredentials"),
         "passwords have no place in a deployment and are not kept");
  return {};
}

void ManifestParts::readSystemModule(const json::value& module, const std::string& pointer) {
  if (!module.is_object()) return;
  const json::object& object = module.get_object();
  for (const char* name : {"env", "settings"}) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_object() || value->get_object().empty()) continue;
    note(jsonPointer(pointer, name),
         "this host is edgeAgent and edgeHub itself; its gateway.toml says what these say");
  }
}

const std::vector<std::string>& ManifestParts::moduleMembers() {
  static const std::vector<std::string> kAll = {"bundle",  "from",        "placement",     "limits",
                                                "image",   "env",         "pull",          "status",
                                                "restart", "start_after", "create_options"};
  return kAll;
}

Result<ManifestParts::Module> ManifestParts::module(const Members& module) {
  KANTE_TRY(type, module.text("type", "docker"));
  if (type != "docker") return module.fail("type", "expected \"docker\"");
  if (!module.has("status")) return module.fail("status", "missing");
  KANTE_TRY(status, module.word("status", kStatusNames, 0));
  KANTE_TRY(restart, module.word("restartPolicy", kRestartNames, 2));
  KANTE_TRY(order, module.number("startupOrder", kLast, 0, kLast));
  KANTE_TRY(settings, module.object("settings"));
  if (settings == nullptr) return module.fail("settings", "missing");
  const Members inner(*settings, module.at("settings"));
  KANTE_TRY(image, inner.text("image"));
  if (image.empty()) return inner.fail("image", "missing");
  KANTE_TRY(options, createOptions(inner, *settings));
  Module made;
  if (const ImageRule* rule = ruleFor(image)) {
    KANTE_TRY(out, bundle(*rule, inner));
    made.out = std::move(out);
    noteEnvironment(module);
    takeLimits(options, inner.at(kCreateOptions), made.out);
  } else {
    made.out = {{"image", image}, {"placement", "container"}};
    KANTE_TRY(env, variables(module));
    if (!env.empty()) made.out["env"] = std::move(env);
    if (!options.empty()) made.out["create_options"] = std::move(options);
    KANTE_TRY(pull, module.word("imagePullPolicy", kPullNames, 0));
    if (pull == 1) made.out["pull"] = "never";
  }
  made.out["status"] = kStatusNames[status];
  made.out["restart"] = kOurRestarts[restart];
  made.order = order;
  made.runs = status == 0;
  return made;
}

Result<json::object> ManifestParts::partOfModule(const Members& part,
                                                 const std::set<std::string>& said, Onto onto,
                                                 std::set<std::string>& replaced) {
  json::object out;
  KANTE_TRY(type, part.text("type", "docker"));
  if (type != "docker") return part.fail("type", "expected \"docker\"");
  if (part.has("status")) {
    KANTE_TRY(status, part.word("status", kStatusNames, 0));
    out["status"] = kStatusNames[status];
  }
  if (part.has("restartPolicy")) {
    KANTE_TRY(restart, part.word("restartPolicy", kRestartNames, 2));
    out["restart"] = kOurRestarts[restart];
  }
  if (part.has("startupOrder"))
    note(part.at("startupOrder"),
         "counts among modules that the manifest gives as a whole; start_after of a layer says "
         "whom a module waits for");
  KANTE_TRY(settings, part.object("settings"));
  if (settings != nullptr)
    KANTE_CHECK(partOfSettings(*settings, part.at("settings"), said, onto, out, replaced));
  if (onto == Onto::kBundle) {
    noteEnvironment(part);
    if (part.has("imagePullPolicy"))
      note(part.at("imagePullPolicy"), "a bundle is not pulled; from says where it is");
    return out;
  }
  if (part.has("imagePullPolicy")) {
    KANTE_TRY(pull, part.word("imagePullPolicy", kPullNames, 0));
    out["pull"] = kPullNames[pull];
  }
  if (part.has("env")) {
    KANTE_TRY(env, variables(part));
    out["env"] = std::move(env);
    if (said.contains("env")) replaced.insert("env");
  }
  return out;
}

Status ManifestParts::partOfSettings(const json::object& object, const std::string& pointer,
                                     const std::set<std::string>& said, Onto& onto,
                                     json::object& out, std::set<std::string>& replaced) {
  const Members settings(object, pointer);
  const bool whole = said.contains("settings");
  bool optioned = false;
  for (const std::string& path : said) {
    if (!startsIgnoringCase(path, "settings.createOptions")) continue;
    if (std::count(path.begin(), path.end(), '.') > 1)
      return settings.fail(kCreateOptions, "is put there as a whole; give all of it");
    optioned = true;
  }
  if (whole || settings.has("image")) {
    KANTE_TRY(image, settings.text("image"));
    if (image.empty()) return settings.fail("image", "missing");
    const ImageRule* rule = ruleFor(image);
    onto = rule != nullptr ? Onto::kBundle : Onto::kContainer;
    replaced.insert({"image", "bundle", "from", "placement"});
    if (rule != nullptr) {
      replaced.insert({"env", "pull", "create_options"});
      KANTE_TRY(made, bundle(*rule, settings));
      out.insert(made.begin(), made.end());
    } else {
      out["image"] = image;
      out["placement"] = "container";
    }
  }
  if (!whole && !optioned) return {};
  KANTE_TRY(options, createOptions(settings, object));
  if (onto == Onto::kBundle) {
    replaced.insert("limits");
    takeLimits(options, settings.at(kCreateOptions), out);
  } else {
    replaced.insert("create_options");
    if (!options.empty()) out["create_options"] = std::move(options);
  }
  return {};
}

// Of text, in pieces, or an object.
Result<json::object> ManifestParts::createOptions(const Members& settings,
                                                  const json::object& object) {
  std::map<std::size_t, std::string> pieces;
  for (const auto& [key, value] : object) {
    const std::string_view name(key);
    if (!startsIgnoringCase(name, kCreateOptions)) continue;
    const std::string_view number = name.substr(kCreateOptions.size());
    if (number.empty() && value.is_object()) return value.get_object();
    const bool digits =
        std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || (!number.empty() && number.size() != 2) || !value.is_string())
      return settings.fail(name,
                           "expected createOptions, createOptions01 … createOptions99, "
                           "each a string");
    const std::size_t n = number.empty() ? 0 : (number[0] - '0') * 10u + (number[1] - '0');
    if (!pieces.emplace(n, value.get_string().c_str()).second)
      return settings.fail(name, "is there twice");
  }
  std::string text;
  std::size_t next = 0;
  for (const auto& [n, piece] : pieces) {
    if (n != next++)
      return settings.fail(kCreateOptions, "a piece is missing before createOptions" +
                                               std::string(n < 10 ? "0" : "") + std::to_string(n));
    text += piece;
  }
  if (pieces.size() > kChunksMax) return settings.fail(kCreateOptions, "has more than 100 pieces");
  if (text.empty()) return json::object();
  auto parsed = parseJsonObject(text, kOptionsBounds);
  if (!parsed) return settings.fail(kCreateOptions, parsed.error().text);
  return std::move(*parsed);
}

const ImageRule* ManifestParts::ruleFor(const std::string& image) const {
  for (const ImageRule& rule : images_) {
    const std::string& wanted = rule.image;
    if (wanted == image) return &rule;
    if (wanted.ends_with('*') &&
        image.starts_with(std::string_view(wanted).substr(0, wanted.size() - 1)))
      return &rule;
  }
  return nullptr;
}

Result<json::object> ManifestParts::bundle(const ImageRule& rule, const Members& settings) {
  json::object out;
  std::vector<std::string> from = rule.from;
  std::string digest = rule.bundle;
  if (!isDigest(digest)) {
    auto file = openAt(AT_FDCWD, rule.bundle, O_RDONLY | O_NONBLOCK);
    const auto found = file ? payloadDigest(file->get()) : Result<std::string>(file.error());
    if (!found)
      return settings.fail("image",
                           "[[image]] names " + rule.bundle + " for it: " + found.error().text,
                           found.error().code);
    digest = *found;
    from.insert(from.begin(), "file://" + rule.bundle);
  }
  out["bundle"] = digest;
  if (!from.empty()) out["from"] = json::array(from.begin(), from.end());
  if (!rule.placement.empty()) out["placement"] = rule.placement;
  return out;
}

void ManifestParts::noteEnvironment(const Members& module) {
  const json::value* env = module.find("env");
  if (env != nullptr && !isEmpty(*env))
    note(module.at("env"), "a bundle has no environment; its settings are in its twin");
}

// Of all that Docker may be told, two mean the same for a bundle.
void ManifestParts::takeLimits(const json::object& options, const std::string& pointer,
                               json::object& out) {
  json::object limits;
  const json::value* host = options.if_contains("HostConfig");
  if (host != nullptr && host->is_object()) {
    const auto figure = [host](const char* name) -> std::uint64_t {
      const json::value* value = host->get_object().if_contains(name);
      boost::system::error_code no_such_figure;
      return value != nullptr && value->is_number()
                 ? value->to_number<std::uint64_t>(no_such_figure)
                 : 0;
    };
    if (const std::uint64_t bytes = figure("Memory"); bytes >= kBytesOfMb)
      limits["memory_mb"] = bytes / kBytesOfMb;
    if (const std::uint64_t cpus = figure("NanoCpus"); cpus >= kNanoCpusOfPercent)
      limits["cpu_percent"] = cpus / kNanoCpusOfPercent;
  }
  std::string lost;
  for (const auto& [key, value] : options)
    if (key != "HostConfig") lost += (lost.empty() ? "" : ", ") + std::string(key);
  if (host != nullptr && host->is_object())
    for (const auto& [key, value] : host->get_object())
      if (key != "Memory" && key != "NanoCpus")
        lost += (lost.empty() ? "" : ", ") + std::string(key);
  if (!lost.empty()) note(pointer, "mean nothing to a bundle: " + lost);
  if (!limits.empty()) out["limits"] = std::move(limits);
}

Result<json::object> ManifestParts::variables(const Members& module) {
  KANTE_TRY(env, module.object("env"));
  json::object out;
  if (env == nullptr) return out;
  for (const auto& [name, entry] : *env) {
    const json::value* value =
        entry.is_object() ? entry.get_object().if_contains("value") : nullptr;
    if (value == nullptr || value->is_object() || value->is_array() || value->is_null())
      return failAt(jsonPointer(module.at("env"), name), Errc::kInvalid,
                    "expected {\"value\": …} with a text, number or truth value");
    out[name] = value->is_string() ? value->get_string() : json::string(writeJson(*value));
  }
  return out;
}

void ManifestParts::startInOrder(const Orders& orders, json::object& modules) {
  const std::set<std::string>* before = nullptr;
  for (const auto& [order, names] : orders) {
    if (before != nullptr)
      for (const std::string& name : names)
        modules[name].get_object()["start_after"] = json::array(before->begin(), before->end());
    before = &names;
  }
}

// ---- $edgeHub

Result<std::int64_t> ManifestParts::readStoring(const Members& storing) {
  const json::value* ttl = storing.find("timeToLiveSecs");
  if (ttl != nullptr && !ttl->is_int64())
    return storing.fail("timeToLiveSecs", "expected a whole number");
  if (storing.has("storeLimits"))
    note(storing.at("storeLimits"), "[store] max_bytes of gateway.toml is the limit here");
  return ttl == nullptr ? 0 : ttl->get_int64();
}

Result<std::optional<json::object>> ManifestParts::route(const json::value& value,
                                                         const std::string& pointer,
                                                         std::int64_t ttl_s) {
  if (value.is_string() && isBlank(value.get_string())) return std::optional<json::object>();
  json::object out;
  if (value.is_string()) {
    out["route"] = value;
  } else if (value.is_object()) {
    const Members route(value.get_object(), pointer);
    if (!route.has("route")) {
      KANTE_CHECK(route.allow({"route", "priority", "timeToLiveSecs"}));
      return route.fail("route", "missing");
    }
    KANTE_TRY(read, partOfRoute(route));
    out = std::move(read);
    if (const json::value* own = out.if_contains("ttl_s");
        own != nullptr && own->to_number<std::uint64_t>() == 0)
      out.erase("ttl_s");
  } else {
    return failAt(pointer, Errc::kInvalid, "expected a string or an object");
  }
  if (ttl_s > 0 && !out.contains("ttl_s")) out["ttl_s"] = ttl_s;
  return std::optional(std::move(out));
}

Result<json::object> ManifestParts::partOfRoute(const Members& part) {
  KANTE_CHECK(part.allow({"route", "priority", "timeToLiveSecs"}));
  json::object out;
  if (part.has("route")) {
    KANTE_TRY(text, part.text("route"));
    out["route"] = text;
  }
  if (part.has("priority")) {
    KANTE_TRY(priority, part.number("priority", 0, 0, 9));
    out["priority"] = priority;
  }
  if (part.has("timeToLiveSecs")) {
    KANTE_TRY(ttl_s, part.number("timeToLiveSecs", 0, 0, kLast));
    out["ttl_s"] = ttl_s;
  }
  return out;
}

}  // namespace kante
