#include "host/route/condition.h"

#include <algorithm>
#include <utility>

namespace kante::route_detail {
namespace {

// Adds what one `operand = 'text'` says; false when the node is something else.
bool addEquality(const std::vector<Node>& nodes, std::uint32_t i, OperandTable& operands,
                 Equality& equality) {
  const Node& node = nodes[i];
  if (node.kind != NodeKind::kEqual || node.first + 2 != i) return false;
  const Node* operand = &nodes[i - 2];
  const Node* text = &nodes[i - 1];
  if (operand->kind == NodeKind::kText) std::swap(operand, text);
  if (text->kind != NodeKind::kText || !readsMessage(*operand) ||
      operand->kind == NodeKind::kTwinPath) {
    return false;
  }
  const std::uint32_t number = operands.numberOf(*operand);
  if (!equality.texts.empty() && equality.operand != number) return false;
  equality.operand = number;
  if (std::find(equality.texts.begin(), equality.texts.end(), text->text) == equality.texts.end()) {
    equality.texts.push_back(text->text);
  }
  return true;
}

}  // namespace

std::vector<std::uint32_t> takeApart(const std::vector<Node>& nodes, std::uint32_t root,
                                     NodeKind kind) {
  std::vector<std::uint32_t> parts;
  std::vector<std::uint32_t> open{root};
  while (!open.empty()) {
    const std::uint32_t i = open.back();
    open.pop_back();
    if (nodes[i].kind != kind) {
      parts.push_back(i);
      continue;
    }
    open.push_back(i - 1);
    open.push_back(nodes[i - 1].first - 1);
  }
  return parts;
}

std::vector<std::uint32_t> conjunctsOf(const std::vector<Node>& nodes) {
  return takeApart(nodes, static_cast<std::uint32_t>(nodes.size() - 1), NodeKind::kAnd);
}

std::vector<Equality> equalitiesOf(const std::vector<Node>& nodes,
                                   const std::vector<std::uint32_t>& conjuncts,
                                   OperandTable& operands) {
  std::vector<Equality> found;
  for (const std::uint32_t conjunct : conjuncts) {
    Equality equality;
    equality.conjunct = conjunct;
    bool all = true;
    for (const std::uint32_t part : takeApart(nodes, conjunct, NodeKind::kOr)) {
      all = all && addEquality(nodes, part, operands, equality);
    }
    if (all) found.push_back(std::move(equality));
  }
  return found;
}

}  // namespace kante::route_detail
