#include "host/agent/iotedge_manifest.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/deployment.h"
#include "host/agent/iotedge_parts.h"
#include "host/agent/members.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kIsLayered[] =
    "is a layered manifest, which changes what is deployed and is not the whole of it. It becomes "
    "a layer: kante deploy sign FILE --name NAME makes a document of it that kante deploy apply "
    "takes, kante fleet apply FILE --name NAME sends it to gateways";

const json::object* sectionsOf(const json::value& document) {
  const json::object* object = document.if_object();
  if (object == nullptr || object->contains("schema")) return nullptr;
  const json::value* sections = object->if_contains(kManifestContent);
  if (sections != nullptr) return sections->if_object();
  const json::value* content = object->if_contains("content");
  const json::object* inner = content == nullptr ? nullptr : content->if_object();
  sections = inner == nullptr ? nullptr : inner->if_contains(kManifestContent);
  return sections == nullptr ? nullptr : sections->if_object();
}

class Translation {
 public:
  Translation(const ManifestEnvelope& envelope, const std::vector<ImageRule>& images,
              std::vector<std::string>& report)
      : envelope_(envelope), content_(*envelope.content), parts_(images, report) {}

  Result<json::object> run() {
    for (const auto& [name, section] : content_) {
      const std::string pointer = at(name);
      if (!section.is_object()) return failAt(pointer, Errc::kInvalid, "expected an object");
      for (const auto& [key, value] : section.get_object()) {
        if (key == kManifestDesired && value.is_object()) continue;
        if (std::string_view(key).starts_with(kManifestPath))
          return failAt(jsonPointer(pointer, key), Errc::kInvalid,
                        "paths are for layered manifests; this one gives the whole");
        return failAt(jsonPointer(pointer, key), Errc::kInvalid,
                      "expected \"properties.desired\" with an object");
      }
    }
    noteWhomItIsFor();
    if (const json::object* agent = desiredOf(kEdgeAgent))
      KANTE_CHECK(readAgent(Members(*agent, jsonPointer(at(kEdgeAgent), kManifestDesired))));
    if (const json::object* hub = desiredOf(kEdgeHub))
      KANTE_CHECK(readHub(Members(*hub, jsonPointer(at(kEdgeHub), kManifestDesired))));
    takeTwins();
    ManifestParts::startInOrder(orders_, modules_);
    json::object document{{"schema", "kante.deployment/1"}, {"id", kManifestDeploymentId}};
    document["modules"] = std::move(modules_);
    document["routes"] = std::move(routes_);
    return document;
  }

 private:
  std::string at(std::string_view name) const { return jsonPointer(envelope_.pointer, name); }
  const json::object* desiredOf(std::string_view name) const {
    const json::value* section = content_.if_contains(name);
    const json::value* desired =
        section == nullptr ? nullptr : section->get_object().if_contains(kManifestDesired);
    return desired == nullptr ? nullptr : &desired->get_object();
  }

  // Of several deployments IoT Hub chooses one for each device; here it is given to a gateway.
  void noteWhomItIsFor() {
    if (envelope_.configuration == nullptr) return;
    const Members configuration(*envelope_.configuration, envelope_.root);
    for (const char* name : {"targetCondition", "priority"})
      if (configuration.has(name))
        parts_.note(configuration.at(name),
                    "a deployment is for the gateways that it is given to, whatever this says");
  }

  // ---- $edgeAgent

  Status readAgent(const Members& agent) {
    KANTE_CHECK(ManifestParts::checkSchema(agent, 1));
    KANTE_TRY(version, agent.text("schemaVersion"));
    const bool ordered = version != "1.0";
    KANTE_TRY(runtime, agent.object("runtime"));
    if (runtime != nullptr) KANTE_CHECK(parts_.readRuntime(Members(*runtime, agent.at("runtime"))));
    KANTE_TRY(system, agent.object("systemModules"));
    if (system != nullptr)
      for (const auto& [name, module] : *system)
        parts_.readSystemModule(module, jsonPointer(agent.at("systemModules"), name));
    KANTE_TRY(modules, agent.object("modules"));
    if (modules == nullptr) return {};
    for (const auto& [name, value] : *modules) {
      const std::string pointer = jsonPointer(agent.at("modules"), name);
      if (!value.is_object()) return failAt(pointer, Errc::kInvalid, "expected an object");
      KANTE_TRY(module, parts_.module(Members(value.get_object(), pointer)));
      if (module.runs) orders_[ordered ? module.order : 0].insert(std::string(name));
      modules_[name] = std::move(module.out);
    }
    return {};
  }

  // ---- $edgeHub

  Status readHub(const Members& hub) {
    KANTE_CHECK(ManifestParts::checkSchema(hub, 3));
    KANTE_TRY(storing, hub.object("storeAndForwardConfiguration"));
    std::int64_t ttl_s = 0;
    if (storing != nullptr) {
      KANTE_TRY(said_s,
                parts_.readStoring(Members(*storing, hub.at("storeAndForwardConfiguration"))));
      ttl_s = said_s;
    }
    if (hub.has("mqttBroker")) parts_.note(hub.at("mqttBroker"), kRightsAreGrants);
    KANTE_TRY(routes, hub.object("routes"));
    if (routes == nullptr) return {};
    for (const auto& [name, value] : *routes) {
      const std::string pointer = jsonPointer(hub.at("routes"), name);
      KANTE_TRY(route, parts_.route(value, pointer, ttl_s));
      if (route) {
        routes_[name] = std::move(*route);
      } else {
        parts_.note(pointer, "is blank and left out");
      }
    }
    return {};
  }

  // ---- module twins

  void takeTwins() {
    for (const auto& [name, section] : content_) {
      if (name == kEdgeAgent || name == kEdgeHub) continue;
      const json::object* desired = desiredOf(name);
      if (desired == nullptr) continue;
      if (json::value* module = modules_.if_contains(name))
        module->get_object()["desired"] = *desired;
      else
        parts_.note(at(name), "there is no module of that name");
    }
  }

  const ManifestEnvelope& envelope_;
  const json::object& content_;
  ManifestParts parts_;
  json::object modules_, routes_;
  ManifestParts::Orders orders_;
};

}  // namespace

bool isIotEdgeManifest(const json::value& document) {
  const json::object* object = document.if_object();
  if (object == nullptr || object->contains("schema")) return false;
  return object->contains(kManifestContent) || sectionsOf(document) != nullptr;
}

bool isLayeredManifest(const json::value& document) {
  const json::object* sections = sectionsOf(document);
  if (sections == nullptr || sections->empty()) return false;
  return std::all_of(sections->begin(), sections->end(), [](const auto& one) {
    const bool is_system = one.key() == kEdgeAgent || one.key() == kEdgeHub;
    const json::object* section = one.value().if_object();
    return section != nullptr && !(is_system && section->contains(kManifestDesired));
  });
}

Result<TranslatedManifest> translateManifest(const json::value& manifest,
                                             const std::vector<ImageRule>& images,
                                             std::string_view current) {
  std::vector<std::string> report;
  KANTE_TRY(envelope, openEnvelope(manifest, "", report));
  if (isLayeredManifest(manifest)) return failAt(envelope.pointer, Errc::kInvalid, kIsLayered);
  Translation translation(envelope, images, report);
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
  return TranslatedManifest{writeJson(document, MemberOrder::kSorted), std::move(report)};
}

}  // namespace kante
