#include "host/route/operand.h"

#include "host/route/lexer.h"

namespace kante::route_detail {
namespace {

// Unique for each thing to read; U+0000 is in no name.
std::string canonical(const Node& leaf) {
  switch (leaf.kind) {
    case NodeKind::kProperty: return "p" + lowerAscii(leaf.text);
    case NodeKind::kSystem: return "s" + lowerAscii(leaf.text);
    default: break;
  }
  std::string text = leaf.kind == NodeKind::kBody ? "b" : "t";
  for (const PathStep& step : leaf.path) {
    text.push_back('\0');
    text += step.is_index ? "\x01" + std::to_string(step.index) : step.name;
  }
  return text;
}

// A patch may come whole ({"properties": {"reported": …}}) or as what lies under `reported`.
BodyPath withoutSection(const BodyPath& path) {
  const auto is = [&](std::size_t i, const char* name) {
    return i < path.size() && !path[i].is_index && path[i].name == name;
  };
  if (path.size() > 2 && is(0, "properties") && is(1, "reported"))
    return {path.begin() + 2, path.end()};
  if (path.size() > 1 && is(0, "reported")) return {path.begin() + 1, path.end()};
  return path;
}

}  // namespace

bool readsMessage(const Node& node) {
  return node.kind >= NodeKind::kProperty && node.kind <= NodeKind::kTwinPath;
}

std::uint32_t OperandTable::numberOf(const Node& leaf) {
  const auto [found, is_new] =
      numbers_.try_emplace(canonical(leaf), static_cast<std::uint32_t>(operands_.size()));
  if (!is_new) return found->second;
  Operand operand;
  if (leaf.kind == NodeKind::kProperty) {
    operand.kind = Operand::Kind::kProperty;
    operand.property = PropertyName(leaf.text);
  } else if (leaf.kind == NodeKind::kSystem) {
    operand.kind = Operand::Kind::kSystem;
    operand.name = leaf.text;
    operand.system = findSystemProperty(leaf.text);
  } else {
    const bool twin = leaf.kind == NodeKind::kTwinPath;
    operand.kind = twin ? Operand::Kind::kTwinChange : Operand::Kind::kBody;
    operand.cell = body_.add(leaf.path);
    operand.second_cell = twin ? body_.add(withoutSection(leaf.path)) : operand.cell;
  }
  operands_.push_back(std::move(operand));
  return found->second;
}

void OperandTable::freeze() {
  const std::vector<std::uint32_t> places = body_.freeze();
  for (Operand& operand : operands_) {
    if (operand.kind != Operand::Kind::kBody && operand.kind != Operand::Kind::kTwinChange)
      continue;
    operand.cell = places[operand.cell];
    operand.second_cell = places[operand.second_cell];
  }
}

}  // namespace kante::route_detail
