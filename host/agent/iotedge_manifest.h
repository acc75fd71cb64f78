// IoT Edge deployment manifests ("modulesContent"), translated to kante.deployment/1.
//
// What has no counterpart here is named in the report and changes nothing.  Modules whose image
// this gateway's configuration maps to a bundle become modules of that bundle, so that a fleet
// moves from containers to modules one by one; the others stay containers.  Source of the format:
// Azure IoT Edge's "Deploy modules and establish routes" and the schemas of $edgeAgent 1.1 and
// $edgeHub 1.3.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

// Modules of these images run a bundle instead.
struct ImageRule {
  std::string image;              // "registry/name:tag"; a "*" at the end stands for any rest.
  std::string bundle;             // "sha256:…", or the absolute path of a file.
  std::vector<std::string> from;  // As in a deployment.
  std::string placement;          // Empty: the deployment's default.
};

struct TranslatedManifest {
  std::string document;             // kante.deployment/1, id "iotedge".
  std::vector<std::string> report;  // With the pointer into the manifest.
};

inline constexpr std::string_view kManifestDeploymentId = "iotedge";

// Also within a configuration of IoT Hub: {"content": {"modulesContent": …}, …}.
bool isIotEdgeManifest(const boost::json::value& document);
// One that changes another: neither $edgeAgent nor $edgeHub has "properties.desired".  It becomes a
// layer (iotedge_layer.h).
bool isLayeredManifest(const boost::json::value& document);

// `current`: the deployed document or "null"; a manifest that changes nothing of it keeps its
// version, another one raises it.  Errors name the pointer into the manifest; kInvalid also for a
// layered one.
Result<TranslatedManifest> translateManifest(const boost::json::value& manifest,
                                             const std::vector<ImageRule>& images,
                                             std::string_view current);

}  // namespace kante
