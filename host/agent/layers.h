// Layers: changes that lie on a base deployment for as long as they are there, each a merge patch
// with a priority and a condition on the gateway's id and tags.  What runs is the base with all
// layers whose condition holds, applied by rising priority and, within one, by name: the last one
// wins.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/agent/target_condition.h"
#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kLayersMax = 64;
inline constexpr std::size_t kLayersBytesMax = 4u << 20;  // Of all contents together.
inline constexpr std::uint32_t kLayerPriorityMax = 1'000'000;
inline constexpr std::size_t kLayerReplacesMax = 4096;

struct Layer {
  std::uint32_t priority = 0;
  TargetCondition target;            // Where it has an effect.
  std::string content;               // A JSON merge patch, members sorted.
  std::vector<std::string> replace;  // JSON pointers: what lies there goes before content comes.
  std::string who;                   // Brought it.
  std::string document;              // The digest of the document that it came in; empty: none.

  // Whether it does the same, whoever brought it.
  bool operator==(const Layer& other) const {
    return priority == other.priority && target == other.target && content == other.content &&
           replace == other.replace;
  }
};
using Layers = std::map<std::string, Layer>;  // By name.

// kante.layer/1.  Errors begin with the JSON pointer, below `pointer`.
Result<Layer> parseLayer(const boost::json::value& value, const std::string& pointer);
boost::json::object toJson(const Layer& layer);  // What parseLayer() takes.

// The names of those that apply, in the order in which they do.
std::vector<std::string> layersInForce(const Layers& layers, const Place& place);
// The effective document; kLimit when it is too large.
Result<std::string> compose(std::string_view base, const Layers& layers, const Place& place);
Status checkLayers(const Layers& layers);  // kLimit: too many, too large.

// For the journal: with who and document.
boost::json::object encodeLayers(const Layers& layers);
Result<Layers> decodeLayers(const boost::json::object& object);

}  // namespace kante
