#include "host/agent/layers.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/deployment.h"
#include "host/agent/members.h"
#include "host/base/json.h"
#include "host/base/json_patch.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kSchema[] = "kante.layer/1";
constexpr JsonBounds kContentBounds{kLayersBytesMax, kDeploymentDepthMax};

constexpr char kBasesAlone[] =
    "is the base's alone; a layer changes what is deployed, not what it is called";

// What names a deployment.
bool isBasesAlone(std::string_view member) {
  return member == "schema" || member == "id" || member == "version";
}

Status checkContent(const json::object& content, const std::string& pointer) {
  for (const auto& [member, value] : content)
    if (isBasesAlone(member))
      return failAt(jsonPointer(pointer, member), Errc::kInvalid, kBasesAlone);
  return {};
}

// Each a pointer to a member, and none to what content may not name either.
Status checkReplace(const std::vector<std::string>& replace, const Members& root) {
  if (replace.size() > kLayerReplacesMax)
    return root.fail("replace", "at most 4096 of them", Errc::kLimit);
  json::value nothing = json::object();
  for (const std::string& pointer : replace) {
    if (pointer.size() < 2 || !removeAt(nothing, pointer))
      return root.fail("replace", "\"" + pointer + "\" is no JSON pointer to a member");
    const std::string_view first = std::string_view(pointer).substr(1, pointer.find('/', 1) - 1);
    if (isBasesAlone(first)) return root.fail("replace", "\"" + pointer + "\" " + kBasesAlone);
  }
  return {};
}

}  // namespace

Result<Layer> parseLayer(const json::value& value, const std::string& pointer) {
  if (!value.is_object())
    return failAt(pointer, Errc::kInvalid,
                  std::string("expected an object, not ") + jsonKindName(value));
  const Members root(value.get_object(), pointer);
  KANTE_CHECK(root.allow({"schema", "priority", "target", "content", "replace"}));
  KANTE_TRY(schema, root.text("schema"));
  if (schema != kSchema) return root.fail("schema", std::string("expected \"") + kSchema + "\"");
  Layer layer;
  KANTE_TRY(priority, root.number("priority", 0, 0, kLayerPriorityMax));
  layer.priority = static_cast<std::uint32_t>(priority);
  KANTE_TRY(target, root.object("target"));
  if (target != nullptr) {
    KANTE_TRY(condition, parseTarget(*target, root.at("target")));
    layer.target = std::move(condition);
  }
  KANTE_TRY(content, root.object("content"));
  if (content == nullptr) return root.fail("content", "missing; a JSON merge patch over the base");
  KANTE_CHECK(checkContent(*content, root.at("content")));
  layer.content = writeJson(*content, MemberOrder::kSorted);
  const auto fits = parseJson(layer.content, kContentBounds);
  if (!fits) return root.fail("content", fits.error().text, fits.error().code);
  KANTE_TRY(replace, root.texts("replace"));
  KANTE_CHECK(checkReplace(replace, root));
  layer.replace = std::move(replace);
  return layer;
}

json::object toJson(const Layer& layer) {
  json::object out{{"schema", kSchema}, {"priority", layer.priority}};
  if (!isAlways(layer.target)) out["target"] = toJson(layer.target);
  if (!layer.replace.empty())
    out["replace"] = json::array(layer.replace.begin(), layer.replace.end());
  out["content"] = parseJson(layer.content, kContentBounds).value();
  return out;
}

std::vector<std::string> layersInForce(const Layers& layers, const Place& place) {
  std::vector<std::string> names;
  for (const auto& [name, layer] : layers)
    if (holds(layer.target, place)) names.push_back(name);
  std::stable_sort(names.begin(), names.end(), [&layers](const auto& a, const auto& b) {
    return layers.at(a).priority < layers.at(b).priority;
  });
  return names;
}

Result<std::string> compose(std::string_view base, const Layers& layers, const Place& place) {
  const std::vector<std::string> names = layersInForce(layers, place);
  if (names.empty()) return std::string(base);
  KANTE_TRY(document, parseJson(base, {2 * kDeploymentBytesMax, kDeploymentDepthMax}));
  for (const std::string& name : names) {
    KANTE_TRY(content, parseJson(layers.at(name).content, kContentBounds));
    for (const std::string& pointer : layers.at(name).replace)
      KANTE_CHECK(removeAt(document, pointer));
    mergePatch(document, content);
  }
  return writeJson(document, MemberOrder::kSorted);
}

Status checkLayers(const Layers& layers) {
  std::size_t bytes = 0;
  for (const auto& [name, layer] : layers) {
    bytes += layer.content.size();
    for (const std::string& pointer : layer.replace) bytes += pointer.size();
  }
  if (layers.size() > kLayersMax)
    return fail(Errc::kLimit, "at most " + std::to_string(kLayersMax) + " layers lie on a base");
  if (bytes > kLayersBytesMax) return fail(Errc::kLimit, "all layers together have at most 4 MiB");
  return {};
}

json::object encodeLayers(const Layers& layers) {
  json::object out;
  for (const auto& [name, layer] : layers) {
    json::object one = toJson(layer);
    one["who"] = layer.who;
    one["document"] = layer.document;
    out[name] = std::move(one);
  }
  return out;
}

Result<Layers> decodeLayers(const json::object& object) {
  Layers layers;
  for (const auto& member : object) {
    if (!member.value().is_object()) return fail(Errc::kCorrupt, "a layer is no object");
    json::object one = member.value().get_object();
    const json::value* who = one.if_contains("who");
    const json::value* document = one.if_contains("document");
    const std::string brought = who != nullptr && who->is_string() ? who->get_string().c_str() : "";
    const std::string digest =
        document != nullptr && document->is_string() ? document->get_string().c_str() : "";
    one.erase("who");
    one.erase("document");
    KANTE_TRY(layer, parseLayer(one, ""));
    layer.who = brought;
    layer.document = digest;
    layers.emplace(member.key(), std::move(layer));
  }
  return layers;
}

}  // namespace kante
