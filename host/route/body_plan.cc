#include "host/route/body_plan.h"

#include <algorithm>

namespace kante::route_detail {

template <typename Children, typename Key>
std::uint32_t BodyPlan::child(std::uint32_t node, Children Node::*children, const Key& key) {
  for (const auto& [known, place] : nodes_[node].*children) {
    if (known == key) return place;
  }
  const auto place = static_cast<std::uint32_t>(nodes_.size());
  (nodes_[node].*children).emplace_back(key, place);
  nodes_.emplace_back();
  return place;
}

std::uint32_t BodyPlan::add(const BodyPath& path) {
  std::uint32_t node = kRoot;
  for (const PathStep& step : path) {
    node = step.is_index ? child(node, &Node::elements, step.index)
                         : child(node, &Node::members, step.name);
  }
  return node;
}

std::vector<std::uint32_t> BodyPlan::freeze() {
  std::vector<std::uint32_t> places(nodes_.size());
  std::vector<Node> ordered;
  ordered.reserve(nodes_.size());
  const auto visit = [&](auto& self, std::uint32_t old) -> void {  // Depth: kBodyPathStepsMax.
    const std::size_t place = ordered.size();
    places[old] = static_cast<std::uint32_t>(place);
    ordered.push_back(std::move(nodes_[old]));
    Node node = std::move(ordered[place]);
    std::sort(node.members.begin(), node.members.end());
    std::sort(node.elements.begin(), node.elements.end());
    for (auto& [name, next] : node.members)
      self(self, std::exchange(next, static_cast<std::uint32_t>(ordered.size())));
    for (auto& [index, next] : node.elements)
      self(self, std::exchange(next, static_cast<std::uint32_t>(ordered.size())));
    node.end = static_cast<std::uint32_t>(ordered.size());
    ordered[place] = std::move(node);
  };
  visit(visit, kRoot);
  nodes_ = std::move(ordered);
  return places;
}

std::uint32_t BodyPlan::member(std::uint32_t node, std::string_view name) const {
  if (node == kNone) return kNone;
  const auto& members = nodes_[node].members;
  constexpr std::size_t kFewMembers = 8;
  if (members.size() <= kFewMembers) {
    for (const auto& [known, place] : members) {
      if (known == name) return place;
    }
    return kNone;
  }
  const auto found =
      std::lower_bound(members.begin(), members.end(), name,
                       [](const auto& entry, std::string_view key) { return entry.first < key; });
  return found != members.end() && found->first == name ? found->second : kNone;
}

std::uint32_t BodyPlan::element(std::uint32_t node, std::uint64_t index) const {
  if (node == kNone) return kNone;
  const auto& elements = nodes_[node].elements;
  const auto found =
      std::lower_bound(elements.begin(), elements.end(), index,
                       [](const auto& entry, std::uint64_t key) { return entry.first < key; });
  return found != elements.end() && found->first == index ? found->second : kNone;
}

}  // namespace kante::route_detail
