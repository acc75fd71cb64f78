// A route as its text says it, with every name and type checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/route/function.h"
#include "host/route/sink.h"
#include "host/route/source_pattern.h"
#include "host/route/value.h"

namespace kante::route_detail {

enum class NodeKind : std::uint8_t {
  kNumber,
  kText,
  kBool,
  kNull,
  kUndefined,
  kProperty,  // text: its name.
  kSystem,    // text: its name without the dollar sign.
  kBody,      // path
  kTwinPath,  // path; twin_change_includes(path)
  kNot,
  kNegate,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAdd,
  kSubtract,
  kConcat,
  kMultiply,
  kDivide,
  kModulo,
  kAnd,
  kOr,
  kCoalesce,
  kCall,
};

// One step into a JSON document: a member, or with `is_index` an element.
struct PathStep {
  std::string name;
  std::uint32_t index = 0;
  bool is_index = false;
  friend auto operator<=>(const PathStep&, const PathStep&) = default;
};
using BodyPath = std::vector<PathStep>;

inline constexpr std::size_t kBodyPathStepsMax = 32;

// Nodes stand in the order of evaluation: operands before their operator, so the subtree of node i
// is the range [first, i], its last operand is i - 1, and nothing that walks them needs recursion.
struct Node {
  NodeKind kind = NodeKind::kUndefined;
  StaticType type = StaticType::kUndefined;
  bool truth = false;          // kBool
  std::uint8_t arguments = 0;  // kCall
  std::uint32_t first = 0;
  std::uint32_t begin = 0;  // Bytes of the text, without enclosing parentheses.
  std::uint32_t end = 0;
  double number = 0;                   // kNumber
  std::string text;                    // kText, kProperty, kSystem
  BodyPath path;                       // kBody, kTwinPath
  const Function* function = nullptr;  // kCall
};

struct RouteSyntax {
  std::string text;
  std::string source_text;  // As written.
  SourcePattern source;
  std::vector<Node> nodes;  // Empty: no WHERE.  The condition is the last.
  Sink sink;

  std::string_view textOf(const Node& node) const {
    return std::string_view(text).substr(node.begin, node.end - node.begin);
  }
};

std::size_t operandCount(const Node& node);
// The operands of node i, first to last.
std::vector<std::uint32_t> operandsOf(const std::vector<Node>& nodes, std::uint32_t i);

}  // namespace kante::route_detail
