// A deployment manifest of IoT Edge as anyone may apply it: refused with a sentence or translated,
// and the translation is no second version of itself.  A layered one becomes a layer that is read
// back as the same.
// fuzz-links: kante_agent
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/agent/deployment.h"
#include "host/agent/iotedge_layer.h"
#include "host/agent/iotedge_manifest.h"
#include "host/base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto manifest =
      kante::parseJson(input, {kante::kDeploymentBytesMax, kante::kDeploymentDepthMax});
  if (!manifest || !kante::isIotEdgeManifest(*manifest)) return 0;
  const std::vector<kante::ImageRule> images = {
      {"a*", "sha256:" + std::string(64, 'a'), {"https://depot.example/a.kmod"}, "in-process"}};
  const auto layer =
      kante::translateLayer(*manifest, images, R"({"modules":{"x":{"bundle":"b"}}})");
  if (layer.has_error() && layer.error().text.empty()) std::abort();
  if (layer) {
    const auto again = kante::parseLayer(kante::toJson(layer->layer), "");
    if (!again || !(*again == layer->layer)) std::abort();
    const kante::Tags tags{{"site", "muc"}};
    (void)kante::compose(R"({"modules":{"x":{"bundle":"b"}}})", {{"l", layer->layer}},
                         {"edge-1", tags});
  }
  const auto first = kante::translateManifest(*manifest, images, "null");
  if (!first) {
    if (first.error().text.empty()) std::abort();
    return 0;
  }
  const auto again = kante::translateManifest(*manifest, images, first->document);
  if (!again || again->document != first->document) std::abort();
  (void)kante::parseDeployment(first->document);
  return 0;
}
