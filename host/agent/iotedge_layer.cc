#include "host/agent/iotedge_layer.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "host/agent/deployment.h"
#include "host/agent/iotedge_parts.h"
#include "host/agent/iothub_condition.h"
#include "host/agent/members.h"
#include "host/base/encoding.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;
using Path = std::vector<std::string>;

constexpr std::size_t kPathMax = 24;  // So that what it leads to still fits a deployment's depth.
constexpr std::string_view kStoring = "storeAndForwardConfiguration";

std::string joined(const Path& path, std::size_t from = 0) {
  std::string text;
  for (std::size_t i = from; i < path.size(); ++i) text += (i == from ? "" : ".") + path[i];
  return text;
}

// What stands there is replaced; false if something on the way is no object.
bool setAt(json::object& root, const Path& path, std::size_t from, const json::value& value) {
  json::object* object = &root;
  for (std::size_t i = from; i + 1 < path.size(); ++i) {
    json::value& next = (*object)[path[i]];
    if (next.is_null()) next = json::object();
    if (!next.is_object()) return false;
    object = &next.get_object();
  }
  (*object)[path.back()] = value;
  return true;
}

class LayerTranslation {
 public:
  LayerTranslation(const ManifestEnvelope& envelope, const std::vector<ImageRule>& images,
                   std::string_view below, std::vector<std::string>& report)
      : envelope_(envelope), parts_(images, report) {
    const auto deployed = parseJsonObject(below, {kDeploymentBytesMax, kDeploymentDepthMax});
    const json::value* modules = deployed ? deployed->if_contains("modules") : nullptr;
    if (modules == nullptr || !modules->is_object()) return;
    for (const auto& [name, module] : modules->get_object())
      if (module.is_object() && module.get_object().contains("bundle"))
        bundles_.insert(std::string(name));
  }

  // The content of the layer.
  Result<json::object> run() {
    for (const auto& [name, section] : *envelope_.content) {
      const std::string pointer = jsonPointer(envelope_.pointer, name);
      if (!section.is_object()) return failAt(pointer, Errc::kInvalid, "expected an object");
      KANTE_TRY(entries, entriesOf(section.get_object(), pointer));
      for (const Entry& entry : entries) {
        if (name == kEdgeAgent) {
          KANTE_CHECK(readAgent(entry));
        } else if (name == kEdgeHub) {
          KANTE_CHECK(readHub(entry));
        } else {
          KANTE_CHECK(readTwin(std::string(name), entry));
        }
      }
    }
    KANTE_CHECK(makeModules());
    KANTE_CHECK(makeRoutes());
    json::object content;
    if (!modules_.empty()) content["modules"] = std::move(modules_);
    if (!routes_.empty()) content["routes"] = std::move(routes_);
    return content;
  }

  json::array replaced() const { return json::array(replaced_.begin(), replaced_.end()); }

 private:
  // One key of a section.
  struct Entry {
    Path path;  // Behind "properties.desired"; empty: that itself.
    const json::value* value = nullptr;
    std::string pointer;
  };
  // What is said of a module or a route.
  struct Said {
    json::value value;            // With the longer paths put into the shorter ones.
    bool whole = false;           // By one key.
    std::set<std::string> paths;  // Otherwise: behind the name, joined by dots.
    std::string pointer;
  };

  // Shorter paths first: what is longer lies in them.
  static Result<std::vector<Entry>> entriesOf(const json::object& section,
                                              const std::string& pointer) {
    std::vector<Entry> entries;
    for (const auto& [key, value] : section) {
      Entry entry{{}, &value, jsonPointer(pointer, key)};
      const std::string_view name(key);
      if (name != kManifestDesired && !name.starts_with(kManifestPath))
        return failAt(entry.pointer, Errc::kInvalid,
                      "expected \"properties.desired\" or \"properties.desired.PATH\"");
      if (name != kManifestDesired) {
        std::string_view rest = name.substr(kManifestPath.size());
        for (;;) {
          const std::size_t dot = std::min(rest.find('.'), rest.size());
          if (dot == 0) return failAt(entry.pointer, Errc::kInvalid, "a part of the path is empty");
          entry.path.emplace_back(rest.substr(0, dot));
          if (dot == rest.size()) break;
          rest.remove_prefix(dot + 1);
        }
        if (entry.path.size() > kPathMax)
          return failAt(entry.pointer, Errc::kLimit, "the path has more than 24 parts");
      }
      entries.push_back(std::move(entry));
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& a, const Entry& b) { return a.path.size() < b.path.size(); });
    return entries;
  }

  // "modules" or "routes", a name, and what is behind it.
  static Status gather(const Entry& entry, std::map<std::string, Said>& all) {
    if (entry.path.size() == 1)
      return failAt(entry.pointer, Errc::kInvalid,
                    "would take away all that lies below; a layer names each: "
                    "\"properties.desired." +
                        entry.path[0] + ".NAME\"");
    const auto [found, is_new] = all.try_emplace(entry.path[1]);
    Said& said = found->second;
    if (entry.path.size() == 2) {
      said = {*entry.value, true, {}, entry.pointer};
      return {};
    }
    if (is_new) {
      said.value = json::object();
      said.pointer = jsonPointer(sectionOf(entry),
                                 std::string(kManifestPath) + entry.path[0] + "." + entry.path[1]);
    }
    if (said.value.is_string()) said.value = json::object{{"route", said.value}};
    if (!said.whole) said.paths.insert(joined(entry.path, 2));
    if (said.value.is_object() && setAt(said.value.get_object(), entry.path, 2, *entry.value))
      return {};
    return failAt(entry.pointer, Errc::kInvalid, "leads into what is no object");
  }

  static std::string sectionOf(const Entry& entry) {
    return entry.pointer.substr(0, entry.pointer.rfind('/'));
  }

  // ---- $edgeAgent

  Status readAgent(const Entry& entry) {
    const std::string& first = entry.path[0];
    if (first == "modules") return gather(entry, said_modules_);
    if (first == "schemaVersion") {
      const json::object given{{first, *entry.value}};
      return ManifestParts::checkSchema(Members(given, sectionOf(entry)), 1);
    }
    if (first == "runtime" && joined(entry.path).starts_with("runtime.settings.registryCred"))
      parts_.note(entry.pointer, "passwords have no place in a deployment and are not kept");
    else
      parts_.note(
          entry.pointer,
          "this host is edgeAgent and edgeHub itself; its gateway.toml says what this says");
    return {};
  }

  Status makeModules() {
    ManifestParts::Orders orders;
    for (const auto& [name, said] : said_modules_) {
      if (!said.value.is_object())
        return failAt(said.pointer, Errc::kInvalid, "expected an object");
      const Members members(said.value.get_object(), said.pointer);
      json::object made;
      std::set<std::string> replaced;
      if (said.whole) {
        KANTE_TRY(module, parts_.module(members));
        const auto& all = ManifestParts::moduleMembers();
        replaced.insert(all.begin(), all.end());
        if (module.runs) orders[module.order].insert(name);
        if (members.has("startupOrder"))
          parts_.note(members.at("startupOrder"),
                      "counts among the modules of this manifest alone");
        made = std::move(module.out);
      } else {
        const auto onto = bundles_.contains(name) ? ManifestParts::Onto::kBundle
                                                  : ManifestParts::Onto::kContainer;
        KANTE_TRY(part, parts_.partOfModule(members, said.paths, onto, replaced));
        made = std::move(part);
      }
      for (const std::string& member : replaced)
        replaced_.push_back(jsonPointer(jsonPointer("/modules", name), member));
      json::value& module = modules_[name];
      if (!module.is_object()) module = json::object();
      for (auto& [key, value] : made) module.get_object()[key] = std::move(value);
    }
    ManifestParts::startInOrder(orders, modules_);
    return {};
  }

  // ---- $edgeHub

  Status readHub(const Entry& entry) {
    const std::string& first = entry.path[0];
    if (first == "routes") return gather(entry, said_routes_);
    if (first == "schemaVersion") {
      const json::object given{{first, *entry.value}};
      return ManifestParts::checkSchema(Members(given, sectionOf(entry)), 3);
    }
    if (first == kStoring) return readStoring(entry);
    parts_.note(entry.pointer, first == "mqttBroker" ? kRightsAreGrants : "means nothing here");
    return {};
  }

  Status readStoring(const Entry& entry) {
    json::object given;
    if (entry.path.size() == 1) {
      if (!entry.value->is_object())
        return failAt(entry.pointer, Errc::kInvalid, "expected an object");
      given = entry.value->get_object();
    } else {
      setAt(given, entry.path, 1, *entry.value);
    }
    KANTE_TRY(ttl_s, parts_.readStoring(Members(given, entry.pointer)));
    if (!given.contains("timeToLiveSecs")) return {};
    ttl_s_ = ttl_s;
    parts_.note(entry.pointer, "counts for the routes of this manifest alone");
    return {};
  }

  Status makeRoutes() {
    for (const auto& [name, said] : said_routes_) {
      if (!said.whole) {
        if (!said.value.is_object())
          return failAt(said.pointer, Errc::kInvalid, "expected an object");
        KANTE_TRY(part, ManifestParts::partOfRoute(Members(said.value.get_object(), said.pointer)));
        routes_[name] = std::move(part);
        continue;
      }
      KANTE_TRY(route, parts_.route(said.value, said.pointer, ttl_s_));
      replaced_.push_back(jsonPointer("/routes", name));
      if (route) {
        routes_[name] = std::move(*route);
      } else {
        routes_[name] = nullptr;
        parts_.note(said.pointer, "is blank: no route of that name");
      }
    }
    return {};
  }

  // ---- module twins

  Status readTwin(const std::string& name, const Entry& entry) {
    if (entry.path.empty() && !entry.value->is_object())
      return failAt(entry.pointer, Errc::kInvalid, "expected an object");
    Path path{name, "desired"};
    path.insert(path.end(), entry.path.begin(), entry.path.end());
    std::string at = "/modules";
    for (const std::string& part : path) at = jsonPointer(at, part);
    replaced_.push_back(std::move(at));
    if (setAt(modules_, path, 0, *entry.value)) return {};
    return failAt(entry.pointer, Errc::kInvalid, "leads into what is no object");
  }

  const ManifestEnvelope& envelope_;
  ManifestParts parts_;
  std::set<std::string> bundles_;  // Modules below that are some.
  std::map<std::string, Said> said_modules_, said_routes_;
  std::int64_t ttl_s_ = 0;
  json::object modules_, routes_;
  std::vector<std::string> replaced_;
};

// Of the configuration around it.
Status readTarget(const ManifestEnvelope& envelope, json::object& layer) {
  if (envelope.configuration == nullptr) return {};
  const Members configuration(*envelope.configuration, envelope.root);
  KANTE_TRY(priority, configuration.number("priority", 0, 0, kLayerPriorityMax));
  layer["priority"] = priority;
  KANTE_TRY(text, configuration.text("targetCondition"));
  const auto condition = parseIotHubCondition(text);
  if (!condition)
    return configuration.fail("targetCondition", condition.error().text, condition.error().code);
  if (!isAlways(*condition)) layer["target"] = toJson(*condition);
  return {};
}

}  // namespace

Result<TranslatedLayer> translateLayer(const json::value& manifest,
                                       const std::vector<ImageRule>& images, std::string_view below,
                                       const std::string& pointer) {
  std::vector<std::string> report;
  KANTE_TRY(envelope, openEnvelope(manifest, pointer, report));
  if (!isLayeredManifest(manifest))
    return failAt(envelope.pointer, Errc::kInvalid,
                  "is a whole manifest, which is a deployment and no layer; kante deploy apply and "
                  "kante deploy sign take it as it is");
  json::object out{{"schema", "kante.layer/1"}};
  KANTE_CHECK(readTarget(envelope, out));
  LayerTranslation translation(envelope, images, below, report);
  KANTE_TRY(content, translation.run());
  out["content"] = std::move(content);
  out["replace"] = translation.replaced();
  auto layer = parseLayer(out, "");
  if (!layer)
    return failAt(envelope.pointer, layer.error().code, "as a layer, " + layer.error().text);
  return TranslatedLayer{std::move(*layer), std::move(report)};
}

Result<json::value> withTarget(json::value manifest, std::optional<std::uint32_t> priority,
                               const std::optional<std::string>& condition) {
  if (!priority && !condition) return manifest;
  json::object& given = manifest.get_object();
  json::object out = given.contains(kManifestContent) ? json::object{{"content", given}} : given;
  const auto set = [&out](const char* name, json::value value) -> Status {
    if (out.contains(name))
      return failAt(jsonPointer("", name), Errc::kInvalid, "is there; take away the option or it");
    out[name] = std::move(value);
    return {};
  };
  if (priority) KANTE_CHECK(set("priority", *priority));
  if (condition) KANTE_CHECK(set("targetCondition", json::value(*condition)));
  return json::value(std::move(out));
}

std::string configurationId(const json::value& manifest) {
  const json::object* object = manifest.if_object();
  const json::value* id = object == nullptr ? nullptr : object->if_contains("id");
  const bool is_name = id != nullptr && id->is_string() && isName(id->get_string());
  return is_name ? std::string(id->get_string()) : "";
}

}  // namespace kante
