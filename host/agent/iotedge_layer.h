// Layered deployment manifests of IoT Edge, translated to layers (layers.h).
//
// Their keys are paths ("properties.desired.modules.NAME.env.X"); what stands at one is put there
// as a whole, as IoT Hub does, and other paths stay.  Modules, routes and images mean what they
// mean in a whole manifest (iotedge_manifest.h).
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/agent/iotedge_manifest.h"
#include "host/agent/layers.h"
#include "host/base/result.h"

namespace kante {

struct TranslatedLayer {
  Layer layer;                      // Without who and document.
  std::vector<std::string> report;  // As of whole ones.
};

// `below`: the deployment that it is to lie on, or "null": whether a module is a bundle there
// decides what its environment means.  Priority and condition are those of IoT Hub's configuration
// around it, else 0 and always.  Errors begin with the pointer, below `pointer`; kUnsupported for a
// condition that a gateway cannot be asked.
Result<TranslatedLayer> translateLayer(const boost::json::value& manifest,
                                       const std::vector<ImageRule>& images, std::string_view below,
                                       const std::string& pointer = {});

// The same manifest within a configuration that says this; kInvalid if it says so already.
Result<boost::json::value> withTarget(boost::json::value manifest,
                                      std::optional<std::uint32_t> priority,
                                      const std::optional<std::string>& condition);
// The id of the configuration around a manifest, if it can be a layer's name; else "".
std::string configurationId(const boost::json::value& manifest);

}  // namespace kante
