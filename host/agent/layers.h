// Layers: changes that lie on a base deployment for as long as they are there, each a merge patch
// with a priority and a condition on the gateway's tags.  What runs is the base with all layers
// whose condition holds, applied by rising priority and, within one, by name: the last one wins.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/agent/document.h"
#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kLayersMax = 64;
inline constexpr std::size_t kLayersBytesMax = 4u << 20;  // Of all contents together.
inline constexpr std::uint32_t kLayerPriorityMax = 1'000'000;
inline constexpr std::size_t kLayerTagsMax = 32;

struct Layer {
  std::uint32_t priority = 0;
  std::vector<std::string> target;  // Tags that must all be there; empty: always.
  std::string content;              // A JSON merge patch, members sorted.
  std::string who;                  // Brought it.
  std::string document;             // The digest of the document that it came in; empty: none.

  // Whether it does the same, whoever brought it.
  bool operator==(const Layer& other) const {
    return priority == other.priority && target == other.target && content == other.content;
  }
};
using Layers = std::map<std::string, Layer>;  // By name.

// kante.layer/1.  Errors begin with the JSON pointer, below `pointer`.
Result<Layer> parseLayer(const boost::json::value& value, const std::string& pointer);
boost::json::object toJson(const Layer& layer);  // What parseLayer() takes.

bool applies(const Layer& layer, const Tags& tags);
// The names of those that apply, in the order in which they do.
std::vector<std::string> layersInForce(const Layers& layers, const Tags& tags);
// The effective document; kLimit when it is too large.
Result<std::string> compose(std::string_view base, const Layers& layers, const Tags& tags);
Status checkLayers(const Layers& layers);  // kLimit: too many, too large.

// For the journal: with who and document.
boost::json::object encodeLayers(const Layers& layers);
Result<Layers> decodeLayers(const boost::json::object& object);

}  // namespace kante
