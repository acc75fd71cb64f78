#include "host/route/types.h"

#include <span>

namespace kante::route_detail {
namespace {

using T = StaticType;

const char* describe(T type) {
  switch (type) {
    case T::kUndefined: return "undefined";
    case T::kNull: return "null";
    case T::kBool: return "true or false";
    case T::kNumber: return "a number";
    case T::kText: return "a text";
    case T::kAny: return "a body value";
  }
  return "";
}

bool isProperty(const Node& node) {
  return node.kind == NodeKind::kProperty || node.kind == NodeKind::kSystem;
}

class Checker {
 public:
  Checker(const RouteSyntax& syntax, std::uint32_t operator_byte)
      : syntax_(syntax), operator_byte_(operator_byte) {}

  std::optional<TypeError> check(Node& node, std::span<const std::uint32_t> operands);

 private:
  using Error = std::optional<TypeError>;

  const Node& at(std::uint32_t i) const { return syntax_.nodes[i]; }
  std::string quoted(const Node& node) const {
    return "`" + std::string(syntax_.textOf(node)) + "`";
  }

  // "'temp' is a text": a property says that it is one, because that surprises.
  std::string is(const Node& node) const {
    return quoted(node) + " is " +
           (isProperty(node) ? "a property, so a text" : describe(node.type));
  }
  std::string hint(const Node& node, T wanted) const {
    if (wanted != T::kNumber || node.type != T::kText || !isProperty(node)) return "";
    return "; write as_number(" + std::string(syntax_.textOf(node)) + ")";
  }

  Error want(std::uint32_t i, T wanted) const {
    const Node& node = at(i);
    if (node.type == wanted || node.type == T::kAny) return std::nullopt;
    return TypeError{
        std::string("expected ") + describe(wanted) + ", but " + is(node) + hint(node, wanted),
        node.begin};
  }
  Error wantAll(std::span<const std::uint32_t> operands, T wanted) const {
    for (const std::uint32_t i : operands) {
      if (auto error = want(i, wanted)) return error;
    }
    return std::nullopt;
  }
  Error wantTruths(std::span<const std::uint32_t> operands) const {
    for (const std::uint32_t i : operands) {
      if (at(i).type == T::kUndefined) continue;
      if (auto error = want(i, T::kBool)) return error;
    }
    return std::nullopt;
  }
  Error mismatch(const Node& a, const Node& b) const {
    std::string text = "these cannot be compared: " + is(a) + ", " + is(b);
    if (b.type == T::kNumber) text += hint(a, T::kNumber);
    if (a.type == T::kNumber) text += hint(b, T::kNumber);
    if (a.type == T::kNull || b.type == T::kNull) text += "; write is_defined(…)";
    return TypeError{text, operator_byte_};
  }
  Error equality(const Node& a, const Node& b) const {
    for (const Node* node : {&a, &b}) {
      if (node->type == T::kUndefined) {
        return TypeError{"nothing equals undefined; write is_defined(…)", node->begin};
      }
    }
    if (a.type == b.type || a.type == T::kAny || b.type == T::kAny) return std::nullopt;
    return mismatch(a, b);
  }
  Error order(const Node& a, const Node& b) const {
    for (const Node* node : {&a, &b}) {
      if (node->type != T::kNumber && node->type != T::kText && node->type != T::kAny) {
        return TypeError{"only numbers and texts have an order, but " + is(*node), node->begin};
      }
    }
    if (a.type == b.type || a.type == T::kAny || b.type == T::kAny) return std::nullopt;
    return mismatch(a, b);
  }
  Error coalesce(Node& node, const Node& a, const Node& b) const {
    node.type = a.type == T::kUndefined ? b.type : a.type;
    if (a.type == b.type || a.type == T::kUndefined || b.type == T::kUndefined) return std::nullopt;
    node.type = T::kAny;
    if (a.type == T::kAny || b.type == T::kAny) return std::nullopt;
    return TypeError{"both sides of ?? must be of one kind, but " + is(a) + ", " + is(b),
                     operator_byte_};
  }
  Error call(const Node& node, std::span<const std::uint32_t> operands) const;

  const RouteSyntax& syntax_;
  std::uint32_t operator_byte_;
};

std::optional<TypeError> Checker::call(const Node& node,
                                       std::span<const std::uint32_t> operands) const {
  for (std::size_t i = 0; i < operands.size(); ++i) {
    switch (node.function->parameter(i)) {
      case Parameter::kAnything: break;
      case Parameter::kNumber:
        if (auto error = want(operands[i], T::kNumber)) return error;
        break;
      case Parameter::kText:
        if (auto error = want(operands[i], T::kText)) return error;
        break;
      case Parameter::kNumberOrText: {
        if (at(operands[i]).type == T::kNumber) break;
        if (want(operands[i], T::kText)) {
          return TypeError{"expected a number or a text, but " + is(at(operands[i])),
                           at(operands[i]).begin};
        }
        break;
      }
    }
  }
  return std::nullopt;
}

std::optional<TypeError> Checker::check(Node& node, std::span<const std::uint32_t> operands) {
  switch (node.kind) {
    case NodeKind::kNumber: node.type = T::kNumber; break;
    case NodeKind::kText:
    case NodeKind::kProperty:
    case NodeKind::kSystem: node.type = T::kText; break;
    case NodeKind::kBool:
    case NodeKind::kTwinPath: node.type = T::kBool; break;
    case NodeKind::kNull: node.type = T::kNull; break;
    case NodeKind::kUndefined: node.type = T::kUndefined; break;
    case NodeKind::kBody: node.type = T::kAny; break;
    case NodeKind::kNot: node.type = T::kBool; return wantAll(operands, T::kBool);
    case NodeKind::kAnd:
    case NodeKind::kOr: node.type = T::kBool; return wantTruths(operands);
    case NodeKind::kEqual:
    case NodeKind::kNotEqual:
      node.type = T::kBool;
      return equality(at(operands[0]), at(operands[1]));
    case NodeKind::kLess:
    case NodeKind::kLessEqual:
    case NodeKind::kGreater:
    case NodeKind::kGreaterEqual:
      node.type = T::kBool;
      return order(at(operands[0]), at(operands[1]));
    case NodeKind::kNegate:
    case NodeKind::kAdd:
    case NodeKind::kSubtract:
    case NodeKind::kMultiply:
    case NodeKind::kDivide:
    case NodeKind::kModulo: node.type = T::kNumber; return wantAll(operands, T::kNumber);
    case NodeKind::kConcat: node.type = T::kText; return wantAll(operands, T::kText);
    case NodeKind::kCoalesce: return coalesce(node, at(operands[0]), at(operands[1]));
    case NodeKind::kCall: node.type = node.function->result; return call(node, operands);
  }
  return std::nullopt;
}

}  // namespace

std::size_t operandCount(const Node& node) {
  if (node.kind < NodeKind::kNot) return 0;
  if (node.kind < NodeKind::kEqual) return 1;
  return node.kind == NodeKind::kCall ? node.arguments : 2;
}

std::vector<std::uint32_t> operandsOf(const std::vector<Node>& nodes, std::uint32_t i) {
  std::vector<std::uint32_t> operands;
  for (std::uint32_t end = i; end > nodes[i].first; end = nodes[end - 1].first)
    operands.push_back(end - 1);
  return {operands.rbegin(), operands.rend()};
}

std::optional<TypeError> checkTypes(RouteSyntax& syntax, std::uint32_t operator_byte) {
  const auto last = static_cast<std::uint32_t>(syntax.nodes.size() - 1);
  const std::vector<std::uint32_t> operands = operandsOf(syntax.nodes, last);
  return Checker(syntax, operator_byte).check(syntax.nodes[last], operands);
}

std::optional<TypeError> checkCondition(const RouteSyntax& syntax) {
  const Node& root = syntax.nodes.back();
  if (root.type == T::kBool || root.type == T::kAny) return std::nullopt;
  return TypeError{"a condition is true or false, but `" + std::string(syntax.textOf(root)) +
                       "` is " + (isProperty(root) ? "a property, so a text" : describe(root.type)),
                   root.begin};
}

}  // namespace kante::route_detail
