#include "host/route/program.h"

#include <cstring>

namespace kante::route_detail {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};

// What ends an operator early when its left side alone decides.
Op skipFor(NodeKind kind) {
  if (kind == NodeKind::kAnd) return Op::kSkipIfFalse;
  return kind == NodeKind::kOr ? Op::kSkipIfTrue : Op::kSkipIfDefined;
}

bool isLogic(NodeKind kind) {
  return kind == NodeKind::kAnd || kind == NodeKind::kOr || kind == NodeKind::kCoalesce;
}

Op opFor(const std::vector<Node>& nodes, std::uint32_t i) {
  const bool with_null =
      operandCount(nodes[i]) == 2 && (nodes[i - 1].kind == NodeKind::kNull ||
                                      nodes[nodes[i - 1].first - 1].kind == NodeKind::kNull);
  switch (nodes[i].kind) {
    case NodeKind::kNumber: return Op::kNumber;
    case NodeKind::kText: return Op::kText;
    case NodeKind::kBool: return Op::kBool;
    case NodeKind::kNull: return Op::kNull;
    case NodeKind::kUndefined: return Op::kUndefined;
    case NodeKind::kProperty:
    case NodeKind::kSystem:
    case NodeKind::kBody:
    case NodeKind::kTwinPath: return Op::kOperand;
    case NodeKind::kNot: return Op::kNot;
    case NodeKind::kNegate: return Op::kNegate;
    case NodeKind::kEqual: return with_null ? Op::kEqualNull : Op::kEqual;
    case NodeKind::kNotEqual: return with_null ? Op::kNotEqualNull : Op::kNotEqual;
    case NodeKind::kLess: return Op::kLess;
    case NodeKind::kLessEqual: return Op::kLessEqual;
    case NodeKind::kGreater: return Op::kGreater;
    case NodeKind::kGreaterEqual: return Op::kGreaterEqual;
    case NodeKind::kAdd: return Op::kAdd;
    case NodeKind::kSubtract: return Op::kSubtract;
    case NodeKind::kConcat: return Op::kConcat;
    case NodeKind::kMultiply: return Op::kMultiply;
    case NodeKind::kDivide: return Op::kDivide;
    case NodeKind::kModulo: return Op::kModulo;
    case NodeKind::kAnd: return Op::kAnd;
    case NodeKind::kOr: return Op::kOr;
    case NodeKind::kCoalesce: return Op::kCoalesce;
    case NodeKind::kCall: return Op::kCall;
  }
  return Op::kUndefined;
}

// Three-valued; what is neither true nor false counts as undefined.
Value conjunction(const Value& a, const Value& b) {
  if (a.isFalse() || b.isFalse()) return Value::of(false);
  return a.isTrue() && b.isTrue() ? Value::of(true) : Value::undefined();
}

Value disjunction(const Value& a, const Value& b) {
  if (a.isTrue() || b.isTrue()) return Value::of(true);
  return a.isFalse() && b.isFalse() ? Value::of(false) : Value::undefined();
}

Value negated(const Value& value) {
  return value.kind == ValueKind::kNumber ? Value::of(-value.number) : Value::undefined();
}

Value inverted(const Value& value) {
  return value.kind == ValueKind::kBool ? Value::of(!value.boolean) : Value::undefined();
}

}  // namespace

std::uint32_t ProgramPool::addText(const std::string& text) {
  texts_.push_back({bytes_.size(), static_cast<std::uint32_t>(text.size())});
  bytes_ += text;
  return static_cast<std::uint32_t>(texts_.size() - 1);
}

// `operand = 'text'` in one instruction, if that is what the last two are.
bool ProgramPool::fuse() {
  if (code_.size() < 2) return false;
  const Instruction left = code_[code_.size() - 2];
  const Instruction right = code_.back();
  const bool forward = left.op == Op::kOperand && right.op == Op::kText;
  if (!forward && !(left.op == Op::kText && right.op == Op::kOperand)) return false;
  code_.resize(code_.size() - 2);
  code_.push_back({Op::kOperandIsText, 0, forward ? left.a : right.a, forward ? right.a : left.a});
  return true;
}

void ProgramPool::emitNode(const std::vector<Node>& nodes, std::uint32_t i,
                           OperandTable& operands) {
  const Node& node = nodes[i];
  Instruction instruction{opFor(nodes, i)};
  if (instruction.op == Op::kEqual && nodes[i].first + 2 == i && fuse()) return;
  if (readsMessage(node)) instruction.a = operands.numberOf(node);
  if (node.kind == NodeKind::kBool) instruction.a = node.truth ? 1 : 0;
  if (node.kind == NodeKind::kText) instruction.a = addText(node.text);
  if (node.kind == NodeKind::kNumber) {
    instruction.a = static_cast<std::uint32_t>(numbers_.size());
    numbers_.push_back(node.number);
  }
  if (node.kind == NodeKind::kCall) {
    instruction.a = static_cast<std::uint32_t>(node.function - functions().data());
    instruction.count = node.arguments;
  }
  code_.push_back(instruction);
}

void ProgramPool::emit(const std::vector<Node>& nodes, std::uint32_t root, OperandTable& operands) {
  const std::uint32_t first = nodes[root].first;
  std::vector<std::uint32_t> owner(root + 1 - first,
                                   kNone);  // Of a left side: the AND, OR or ?? above it.
  for (std::uint32_t i = first; i <= root; ++i) {
    if (isLogic(nodes[i].kind)) owner[nodes[i - 1].first - 1 - first] = i;
  }
  std::vector<std::uint32_t> skips(root + 1 - first,
                                   kNone);  // Of an AND, OR or ??: its skip's place.
  for (std::uint32_t i = first; i <= root; ++i) {
    emitNode(nodes, i, operands);
    if (skips[i - first] != kNone) {
      Instruction& skip = code_[skips[i - first]];
      skip.a = static_cast<std::uint32_t>(code_.size()) - skips[i - first];
    }
    const std::uint32_t above = owner[i - first];
    if (above == kNone) continue;
    skips[above - first] = static_cast<std::uint32_t>(code_.size());
    code_.push_back({skipFor(nodes[above].kind)});
  }
}

Program ProgramPool::compile(const std::vector<Node>& nodes, std::uint32_t i,
                             OperandTable& operands) {
  Program program{static_cast<std::uint32_t>(code_.size()), 0};
  emit(nodes, i, operands);
  program.end = static_cast<std::uint32_t>(code_.size());
  return program;
}

Program ProgramPool::compileAll(const std::vector<Node>& nodes,
                                std::span<const std::uint32_t> conjuncts, OperandTable& operands) {
  Program program{static_cast<std::uint32_t>(code_.size()), 0};
  for (const std::uint32_t conjunct : conjuncts) {
    emit(nodes, conjunct, operands);
    code_.push_back({Op::kRequire});
  }
  program.end = static_cast<std::uint32_t>(code_.size());
  return program;
}

Value ProgramPool::run(const Program& program, Evaluation& evaluation) const {
  Value* top = evaluation.values();  // Behind the last value; parseRoute() bounded their number.
  Value* const bottom = top;
  evaluation.arena().reset();
  const Instruction* const end = code_.data() + program.end;
  for (const Instruction* at = code_.data() + program.begin; at < end; ++at) {
    switch (at->op) {
      case Op::kOperandIsText: {
        const Value& value = evaluation.operand(at->a);
        *top++ = value.kind == ValueKind::kText ? Value::of(value.text() == text(at->b))
                                                : Value::undefined();
        break;
      }
      case Op::kRequire:
        if (!(--top)->isTrue()) return Value::of(false);
        break;
      case Op::kOperand: *top++ = evaluation.operand(at->a); break;
      case Op::kNumber: *top++ = Value::of(numbers_[at->a]); break;
      case Op::kText: *top++ = Value::of(text(at->a)); break;
      case Op::kBool: *top++ = Value::of(at->a != 0); break;
      case Op::kNull: *top++ = Value::null(); break;
      case Op::kUndefined: *top++ = Value::undefined(); break;
      case Op::kNot: top[-1] = inverted(top[-1]); break;
      case Op::kNegate: top[-1] = negated(top[-1]); break;
      case Op::kSkipIfFalse:
        if (top[-1].isFalse()) at += at->a - 1;
        break;
      case Op::kSkipIfTrue:
        if (top[-1].isTrue()) at += at->a - 1;
        break;
      case Op::kSkipIfDefined:
        if (top[-1].kind != ValueKind::kUndefined) at += at->a - 1;
        break;
      case Op::kAnd: --top, top[-1] = conjunction(top[-1], top[0]); break;
      case Op::kOr: --top, top[-1] = disjunction(top[-1], top[0]); break;
      case Op::kCoalesce: --top, top[-1] = top[0]; break;
      case Op::kCall: {
        top -= at->count;
        *top = functions()[at->a].call({top, at->count}, evaluation.arena());
        ++top;
        break;
      }
      default: --top, top[-1] = applyBinary(at->op, top[-1], top[0], evaluation.arena()); break;
    }
  }
  return top == bottom ? Value::of(true) : top[-1];
}

}  // namespace kante::route_detail
