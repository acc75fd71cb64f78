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

// What names a deployment is the base's alone.
Status checkContent(const json::object& content, const std::string& pointer) {
  for (const char* member : {"schema", "id", "version"})
    if (content.contains(member))
      return failAt(jsonPointer(pointer, member), Errc::kInvalid,
                    "is the base's alone; a layer changes what is deployed, not what it is called");
  return {};
}

}  // namespace

Result<Layer> parseLayer(const json::value& value, const std::string& pointer) {
  if (!value.is_object())
    return failAt(pointer, Errc::kInvalid,
                  std::string("expected an object, not ") + jsonKindName(value));
  const Members root(value.get_object(), pointer);
  KANTE_CHECK(root.allow({"schema", "priority", "target", "content"}));
  KANTE_TRY(schema, root.text("schema"));
  if (schema != kSchema) return root.fail("schema", std::string("expected \"") + kSchema + "\"");
  Layer layer;
  KANTE_TRY(priority, root.number("priority", 0, 0, kLayerPriorityMax));
  layer.priority = static_cast<std::uint32_t>(priority);
  KANTE_TRY(target, root.object("target"));
  if (target != nullptr) {
    const Members condition(*target, root.at("target"));
    KANTE_CHECK(condition.allow({"tag", "tags"}));
    if (condition.has("tag") == condition.has("tags"))
      return root.fail("target", "needs one of \"tag\" and \"tags\"");
    if (condition.has("tag")) {
      KANTE_TRY(tag, condition.text("tag"));
      layer.target.push_back(std::move(tag));
    } else {
      KANTE_TRY(tags, condition.texts("tags"));
      layer.target = std::move(tags);
    }
    if (layer.target.size() > kLayerTagsMax)
      return condition.fail("tags", "at most 32 of them", Errc::kLimit);
    for (const std::string& tag : layer.target)
      if (tag.empty() || tag.front() == '=' || tag.size() > kDocumentNameBytesMax)
        return root.fail("target", "a tag is \"KEY=VALUE\" or \"KEY\"");
  }
  KANTE_TRY(content, root.object("content"));
  if (content == nullptr) return root.fail("content", "missing; a JSON merge patch over the base");
  KANTE_CHECK(checkContent(*content, root.at("content")));
  layer.content = writeJson(*content, MemberOrder::kSorted);
  return layer;
}

json::object toJson(const Layer& layer) {
  json::object out{{"schema", kSchema}, {"priority", layer.priority}};
  if (!layer.target.empty())
    out["target"] = json::object{{"tags", json::array(layer.target.begin(), layer.target.end())}};
  out["content"] = parseJson(layer.content, kContentBounds).value();
  return out;
}

bool applies(const Layer& layer, const Tags& tags) {
  return std::all_of(layer.target.begin(), layer.target.end(),
                     [&tags](const std::string& tag) { return hasTag(tags, tag); });
}

std::vector<std::string> layersInForce(const Layers& layers, const Tags& tags) {
  std::vector<std::string> names;
  for (const auto& [name, layer] : layers)
    if (applies(layer, tags)) names.push_back(name);
  std::stable_sort(names.begin(), names.end(), [&layers](const auto& a, const auto& b) {
    return layers.at(a).priority < layers.at(b).priority;
  });
  return names;
}

Result<std::string> compose(std::string_view base, const Layers& layers, const Tags& tags) {
  const std::vector<std::string> names = layersInForce(layers, tags);
  if (names.empty()) return std::string(base);
  KANTE_TRY(document, parseJson(base, {2 * kDeploymentBytesMax, kDeploymentDepthMax}));
  for (const std::string& name : names) {
    KANTE_TRY(content, parseJson(layers.at(name).content, kContentBounds));
    mergePatch(document, content);
  }
  return writeJson(document, MemberOrder::kSorted);
}

Status checkLayers(const Layers& layers) {
  std::size_t bytes = 0;
  for (const auto& [name, layer] : layers) bytes += layer.content.size();
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
