#include "host/agent/iotedge_manifest.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "host/agent/deployment.h"
#include "host/agent/members.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/fetch/part_file.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::string_view kContent = "modulesContent";
constexpr std::string_view kDesired = "properties.desired";
constexpr std::uint64_t kLast = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kNanoCpusOfPercent = 10'000'000;
constexpr std::uint64_t kBytesOfMb = 1u << 20;
constexpr std::size_t kChunksMax = 100;
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

// "1.0" to "1.MINOR".
Status checkSchema(const Members& section, unsigned minor) {
  KANTE_TRY(version, section.text("schemaVersion"));
  for (unsigned i = 0; i <= minor; ++i)
    if (version == "1." + std::to_string(i)) return {};
  return section.fail("schemaVersion", "expected \"1.0\" to \"1." + std::to_string(minor) + "\"");
}

class Translation {
 public:
  Translation(const json::object& content, const std::vector<ImageRule>& images)
      : content_(content), images_(images) {}

  Result<json::object> run() {
    for (const auto& [name, section] : content_) {
      const std::string pointer = at(name);
      if (!section.is_object()) return failAt(pointer, Errc::kInvalid, "expected an object");
      for (const auto& [key, value] : section.get_object()) {
        if (key == kDesired && value.is_object()) continue;
        if (std::string_view(key).starts_with("properties.desired."))
          return failAt(jsonPointer(pointer, key), Errc::kUnsupported,
                        "a layered manifest changes another one; give the whole");
        return failAt(jsonPointer(pointer, key), Errc::kInvalid,
                      "expected \"properties.desired\" with an object");
      }
    }
    if (const json::object* agent = desiredOf("$edgeAgent"))
      KANTE_CHECK(readAgent(Members(*agent, jsonPointer(at("$edgeAgent"), kDesired))));
    if (const json::object* hub = desiredOf("$edgeHub"))
      KANTE_CHECK(readHub(Members(*hub, jsonPointer(at("$edgeHub"), kDesired))));
    takeTwins();
    startInOrder();
    json::object document{{"schema", "kante.deployment/1"}, {"id", kManifestDeploymentId}};
    document["modules"] = std::move(modules_);
    document["routes"] = std::move(routes_);
    return document;
  }

  std::vector<std::string> takeReport() { return std::move(report_); }

 private:
  static std::string at(std::string_view name) {
    return jsonPointer("/" + std::string(kContent), name);
  }
  void note(const std::string& pointer, const std::string& text) {
    report_.push_back(pointer + ": " + text);
  }
  const json::object* desiredOf(std::string_view name) const {
    const json::value* section = content_.if_contains(name);
    const json::value* desired =
        section == nullptr ? nullptr : section->get_object().if_contains(kDesired);
    return desired == nullptr ? nullptr : &desired->get_object();
  }

  // ---- $edgeAgent

  Status readAgent(const Members& agent) {
    KANTE_CHECK(checkSchema(agent, 1));
    KANTE_TRY(version, agent.text("schemaVersion"));
    ordered_ = version != "1.0";
    KANTE_TRY(runtime, agent.object("runtime"));
    if (runtime != nullptr) KANTE_CHECK(readRuntime(Members(*runtime, agent.at("runtime"))));
    KANTE_TRY(system, agent.object("systemModules"));
    if (system != nullptr)
      for (const auto& [name, module] : *system)
        readSystemModule(module, jsonPointer(agent.at("systemModules"), name));
    KANTE_TRY(modules, agent.object("modules"));
    if (modules == nullptr) return {};
    for (const auto& [name, value] : *modules) {
      const std::string pointer = jsonPointer(agent.at("modules"), name);
      if (!value.is_object()) return failAt(pointer, Errc::kInvalid, "expected an object");
      KANTE_CHECK(readModule(name, Members(value.get_object(), pointer)));
    }
    return {};
  }

  Status readRuntime(const Members& runtime) {
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

  // The host itself is both; what it is told otherwise is in its configuration.
  void readSystemModule(const json::value& module, const std::string& pointer) {
    if (!module.is_object()) return;
    const json::object& object = module.get_object();
    for (const char* name : {"env", "settings"}) {
      const json::value* value = object.if_contains(name);
      if (value == nullptr || !value->is_object() || value->get_object().empty()) continue;
      note(jsonPointer(pointer, name),
           "this host is edgeAgent and edgeHub itself; its gateway.toml says what these say");
    }
  }

  Status readModule(std::string_view name, const Members& module) {
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
    json::object out;
    if (const ImageRule* rule = ruleFor(image)) {
      KANTE_TRY(made, bundleModule(*rule, module, inner, options));
      out = std::move(made);
    } else {
      KANTE_TRY(made, containerModule(image, module, std::move(options)));
      out = std::move(made);
      KANTE_TRY(pull, module.word("imagePullPolicy", kPullNames, 0));
      if (pull == 1) out["pull"] = "never";
    }
    out["status"] = kStatusNames[status];
    out["restart"] = kOurRestarts[restart];
    if (status == 0) orders_[ordered_ ? order : 0].insert(std::string(name));
    modules_[name] = std::move(out);
    return {};
  }

  // Of text, in pieces, or an object.
  Result<json::object> createOptions(const Members& settings, const json::object& object) {
    constexpr std::string_view kName = "createOptions";
    std::map<std::size_t, std::string> pieces;
    for (const auto& [key, value] : object) {
      const std::string_view name(key);
      if (!startsIgnoringCase(name, kName)) continue;
      const std::string_view number = name.substr(kName.size());
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
        return settings.fail(kName, "a piece is missing before createOptions" +
                                        std::string(n < 10 ? "0" : "") + std::to_string(n));
      text += piece;
    }
    if (pieces.size() > kChunksMax) return settings.fail(kName, "has more than 100 pieces");
    if (text.empty()) return json::object();
    auto parsed = parseJsonObject(text, kOptionsBounds);
    if (!parsed) return settings.fail(kName, parsed.error().text);
    return std::move(*parsed);
  }

  const ImageRule* ruleFor(const std::string& image) const {
    for (const ImageRule& rule : images_) {
      const std::string& wanted = rule.image;
      if (wanted == image) return &rule;
      if (wanted.ends_with('*') &&
          image.starts_with(std::string_view(wanted).substr(0, wanted.size() - 1)))
        return &rule;
    }
    return nullptr;
  }

  Result<json::object> bundleModule(const ImageRule& rule, const Members& module,
                                    const Members& settings, const json::object& options) {
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
    KANTE_TRY(env, module.object("env"));
    if (env != nullptr && !env->empty())
      note(module.at("env"), "a bundle has no environment; its settings are in its twin");
    takeLimits(options, settings.at("createOptions"), out);
    return out;
  }

  // Of all that Docker may be told, two mean the same for a bundle.
  void takeLimits(const json::object& options, const std::string& pointer, json::object& out) {
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

  static Result<json::object> containerModule(const std::string& image, const Members& module,
                                              json::object options) {
    json::object out{{"image", image}, {"placement", "container"}};
    KANTE_TRY(env, module.object("env"));
    json::object variables;
    if (env != nullptr) {
      for (const auto& [name, entry] : *env) {
        const json::value* value =
            entry.is_object() ? entry.get_object().if_contains("value") : nullptr;
        if (value == nullptr || value->is_object() || value->is_array() || value->is_null())
          return failAt(jsonPointer(module.at("env"), name), Errc::kInvalid,
                        "expected {\"value\": …} with a text, number or truth value");
        variables[name] =
            value->is_string() ? value->get_string() : json::string(writeJson(*value));
      }
    }
    if (!variables.empty()) out["env"] = std::move(variables);
    if (!options.empty()) out["create_options"] = std::move(options);
    return out;
  }

  // Who has a number waits until those with the next lower one are ready.
  void startInOrder() {
    const std::set<std::string>* before = nullptr;
    for (const auto& [order, names] : orders_) {
      if (before != nullptr)
        for (const std::string& name : names)
          modules_[name].get_object()["start_after"] = json::array(before->begin(), before->end());
      before = &names;
    }
  }

  // ---- $edgeHub

  Status readHub(const Members& hub) {
    KANTE_CHECK(checkSchema(hub, 3));
    KANTE_TRY(storing, hub.object("storeAndForwardConfiguration"));
    std::int64_t ttl_s = 0;
    if (storing != nullptr) {
      const std::string pointer = hub.at("storeAndForwardConfiguration");
      const json::value* ttl = storing->if_contains("timeToLiveSecs");
      if (ttl != nullptr && !ttl->is_int64())
        return failAt(pointer + "/timeToLiveSecs", Errc::kInvalid, "expected a whole number");
      if (ttl != nullptr) ttl_s = ttl->get_int64();
      if (storing->contains("storeLimits"))
        note(pointer + "/storeLimits", "[store] max_bytes of gateway.toml is the limit here");
    }
    if (hub.has("mqttBroker"))
      note(hub.at("mqttBroker"), "rights are grants of devices here: kante device grant");
    KANTE_TRY(routes, hub.object("routes"));
    if (routes == nullptr) return {};
    for (const auto& [name, value] : *routes) {
      const std::string pointer = jsonPointer(hub.at("routes"), name);
      if (value.is_string() && isBlank(value.get_string())) {
        note(pointer, "is blank and left out");
        continue;
      }
      KANTE_CHECK(readRoute(name, value, pointer, ttl_s));
    }
    return {};
  }

  static bool isBlank(std::string_view text) {
    return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
  }

  Status readRoute(std::string_view name, const json::value& value, const std::string& pointer,
                   std::int64_t ttl_s) {
    json::object out;
    if (value.is_string()) {
      out["route"] = value;
    } else if (value.is_object()) {
      const Members route(value.get_object(), pointer);
      KANTE_CHECK(route.allow({"route", "priority", "timeToLiveSecs"}));
      if (!route.has("route")) return route.fail("route", "missing");
      KANTE_TRY(text, route.text("route"));
      out["route"] = text;
      if (route.has("priority")) {
        KANTE_TRY(priority, route.number("priority", 0, 0, 9));
        out["priority"] = priority;
      }
      KANTE_TRY(own_s, route.number("timeToLiveSecs", 0, 0, kLast));
      if (own_s != 0) ttl_s = static_cast<std::int64_t>(own_s);
    } else {
      return failAt(pointer, Errc::kInvalid, "expected a string or an object");
    }
    if (ttl_s > 0) out["ttl_s"] = ttl_s;
    routes_[name] = std::move(out);
    return {};
  }

  // ---- module twins

  void takeTwins() {
    for (const auto& [name, section] : content_) {
      if (name == "$edgeAgent" || name == "$edgeHub") continue;
      const json::object* desired = desiredOf(name);
      if (desired == nullptr) continue;
      if (json::value* module = modules_.if_contains(name))
        module->get_object()["desired"] = *desired;
      else
        note(at(name), "there is no module of that name");
    }
  }

  const json::object& content_;
  const std::vector<ImageRule>& images_;
  json::object modules_, routes_;
  std::map<std::uint64_t, std::set<std::string>> orders_;
  std::vector<std::string> report_;
  bool ordered_ = false;
};

}  // namespace

bool isIotEdgeManifest(const json::value& document) {
  return document.is_object() && document.get_object().contains(kContent) &&
         !document.get_object().contains("schema");
}

Result<TranslatedManifest> translateManifest(const json::value& manifest,
                                             const std::vector<ImageRule>& images,
                                             std::string_view current) {
  const Members members(manifest.get_object(), "");
  KANTE_TRY(content, members.object(kContent));
  Translation translation(*content, images);
  KANTE_TRY(document, translation.run());
  // Its version is that of what is deployed, if this is the same but for it.
  std::uint64_t version = 1;
  const auto deployed = parseJsonObject(current, {kDeploymentBytesMax, kDeploymentDepthMax});
  const json::value* id = deployed ? deployed->if_contains("id") : nullptr;
  if (id != nullptr && id->is_string() && id->get_string() == kManifestDeploymentId) {
    const auto now = deployed->at("version").to_number<std::uint64_t>();
    document["version"] = now;
    const bool same =
        writeJson(document, MemberOrder::kSorted) == writeJson(*deployed, MemberOrder::kSorted);
    version = same ? now : now + 1;
  }
  document["version"] = version;
  return TranslatedManifest{writeJson(document, MemberOrder::kSorted), translation.takeReport()};
}

}  // namespace kante
