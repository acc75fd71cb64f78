// Which values of a JSON body all routes of a set together ask for, as one tree of members.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/route/syntax.h"

namespace kante::route_detail {

// Cell n of a read body belongs to node n.  After freeze() nodes are numbered so that a subtree is
// the range [node, end): what a repeated member overwrites.
class BodyPlan {
 public:
  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  BodyPlan() : nodes_(1) {}

  std::uint32_t add(const BodyPath& path);  // The cell, under its number until freeze().
  std::vector<std::uint32_t> freeze();      // Old number → final number.

  std::size_t size() const { return nodes_.size(); }
  // kNone for what nobody asks for, as is anything below kNone.
  std::uint32_t member(std::uint32_t node, std::string_view name) const;
  std::uint32_t element(std::uint32_t node, std::uint64_t index) const;
  std::uint32_t end(std::uint32_t node) const { return nodes_[node].end; }

 private:
  struct Node {
    std::vector<std::pair<std::string, std::uint32_t>> members;  // Sorted by name once frozen.
    std::vector<std::pair<std::uint32_t, std::uint32_t>> elements;
    std::uint32_t end = 1;
  };
  template <typename Children, typename Key>
  std::uint32_t child(std::uint32_t node, Children Node::*children, const Key& key);

  std::vector<Node> nodes_;
};

}  // namespace kante::route_detail
