#include "host/route/reason.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "host/base/encoding.h"
#include "host/route/condition.h"
#include "host/route/system_property.h"

namespace kante::route_detail {
namespace {

constexpr std::size_t kShownBytesMax = 60;
constexpr std::size_t kPartsMax = 4;  // Of a long AND or OR all of whose parts decided.

std::string shortened(std::string_view text) {
  if (text.size() <= kShownBytesMax) return std::string(text);
  std::string head(text.substr(0, kShownBytesMax));
  while (!isUtf8(head)) head.pop_back();
  return head + "…";
}

const char* signOf(NodeKind kind) {
  switch (kind) {
    case NodeKind::kEqual: return " = ";
    case NodeKind::kNotEqual: return " != ";
    case NodeKind::kLess: return " < ";
    case NodeKind::kLessEqual: return " <= ";
    case NodeKind::kGreater: return " > ";
    case NodeKind::kGreaterEqual: return " >= ";
    default: return nullptr;
  }
}

const char* kindOf(ValueKind kind) {
  switch (kind) {
    case ValueKind::kUndefined: return "undefined";
    case ValueKind::kNull: return "null";
    case ValueKind::kBool: return "a truth value";
    case ValueKind::kNumber: return "a number";
    case ValueKind::kText: return "a text";
  }
  return "";
}

const char* truthOf(const Value& value) {
  if (value.kind != ValueKind::kBool) return "undefined";
  return value.boolean ? "true" : "false";
}

}  // namespace

std::string show(const Value& value) {
  switch (value.kind) {
    case ValueKind::kUndefined: return "undefined";
    case ValueKind::kNull: return "null";
    case ValueKind::kBool: return value.boolean ? "true" : "false";
    case ValueKind::kText: return "'" + shortened(value.text()) + "'";
    case ValueKind::kNumber: break;
  }
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value.number);
  return {digits.data(), end.ptr};
}

Reason::Reason(const RouteSyntax& syntax, const RouteInput& input)
    : syntax_(syntax), input_(input) {
  for (const Node& node : syntax_.nodes) {
    if (readsMessage(node)) (void)operands_.numberOf(node);
  }
  operands_.freeze();
  scratch_.evaluation().begin(operands_, input_);
}

Value Reason::value(std::uint32_t i) {
  return programs_.run(programs_.compile(syntax_.nodes, i, operands_), scratch_.evaluation());
}

std::string Reason::shown(std::uint32_t i) { return show(value(i)); }
std::string Reason::textOf(std::uint32_t i) const { return shortened(syntax_.textOf(node(i))); }

Value Reason::outcome() { return value(static_cast<std::uint32_t>(syntax_.nodes.size() - 1)); }
std::string Reason::because() {
  return decide(static_cast<std::uint32_t>(syntax_.nodes.size() - 1));
}

std::string Reason::decide(std::uint32_t i) {
  switch (node(i).kind) {
    case NodeKind::kAnd:
    case NodeKind::kOr: return decideAll(i);
    case NodeKind::kNot: return textOf(i) + " is " + truthOf(value(i)) + ", for " + decide(i - 1);
    case NodeKind::kBool:
      return std::string("the condition says ") + (node(i).truth ? "true" : "false");
    case NodeKind::kCall: return call(i);
    default: break;
  }
  if (signOf(node(i).kind) != nullptr) return comparison(i);
  const Value result = value(i);
  if (result.kind == ValueKind::kUndefined) return whyUndefined(i);
  if (result.kind == ValueKind::kBool) return textOf(i) + " is " + truthOf(result);
  return textOf(i) + " is " + show(result) + ", neither true nor false";
}

// Of an AND that is not true, or an OR that is: the first part that made it so.  Else all parts.
std::string Reason::decideAll(std::uint32_t i) {
  const NodeKind kind = node(i).kind;
  const std::vector<std::uint32_t> parts = takeApart(syntax_.nodes, i, kind);
  const Value whole = value(i);
  const auto agrees = [&](std::uint32_t part) {
    const Value one = value(part);
    return (one.isTrue() && whole.isTrue()) || (one.isFalse() && whole.isFalse()) ||
           (one.kind != ValueKind::kBool && whole.kind != ValueKind::kBool);
  };
  const bool needs_all = kind == NodeKind::kAnd ? whole.isTrue() : whole.isFalse();
  if (!needs_all) return decide(*std::find_if(parts.begin(), parts.end() - 1, agrees));
  std::string all;
  for (std::size_t n = 0; n < parts.size(); ++n) {
    if (n == kPartsMax && parts.size() > kPartsMax + 1) {
      return all + "; and so " + std::to_string(parts.size() - n) + " more";
    }
    all += (n == 0 ? "" : "; ") + decide(parts[n]);
  }
  return all;
}

std::string Reason::comparison(std::uint32_t i) {
  if (value(i).kind == ValueKind::kUndefined)
    return textOf(i) + " is undefined: " + whyUndefined(i);
  const std::string result = truthOf(value(i));
  const std::vector<std::uint32_t> sides = operandsOf(syntax_.nodes, i);
  return textOf(i) + ": " + shown(sides[0]) + signOf(node(i).kind) + shown(sides[1]) + " is " +
         result;
}

std::string Reason::call(std::uint32_t i) {
  const Value result = value(i);
  if (result.kind == ValueKind::kUndefined) return textOf(i) + " is undefined: " + whyUndefined(i);
  const std::string truth = truthOf(result);
  std::string text(node(i).function->name);
  const char* before = "(";
  for (const std::uint32_t argument : operandsOf(syntax_.nodes, i)) {
    text += before + shown(argument);
    before = ", ";
  }
  return textOf(i) + ": " + text + ") is " + truth;
}

std::string Reason::whyUndefined(std::uint32_t i) {
  if (readsMessage(node(i))) return whyOperandUndefined(i);
  const std::vector<std::uint32_t> operands = operandsOf(syntax_.nodes, i);
  for (const std::uint32_t operand : operands) {
    if (value(operand).kind == ValueKind::kUndefined) return whyUndefined(operand);
  }
  if (operands.size() == 2 && node(i).kind != NodeKind::kCall) {
    const Value left = value(operands[0]);
    const ValueKind left_kind = left.kind;
    const std::string shown_left = show(left);
    const Value right = value(operands[1]);
    return shown_left + " is " + kindOf(left_kind) + " and " + show(right) + " is " +
           kindOf(right.kind);
  }
  if (operands.empty()) return textOf(i) + " is undefined";
  std::string text = textOf(i) + " has no value for ";
  for (std::size_t n = 0; n < operands.size(); ++n)
    text += (n == 0 ? "" : ", ") + shown(operands[n]);
  return text;
}

std::string Reason::whyOperandUndefined(std::uint32_t i) {
  const Node& leaf = node(i);
  if (leaf.kind == NodeKind::kBody) return whyBodyUndefined(i);
  if (leaf.kind == NodeKind::kTwinPath) return "the message is no twin change";
  std::string text = "the message has no property " + leaf.text;
  if (leaf.kind == NodeKind::kSystem) {
    text = "the message has no $" + leaf.text;
    std::vector<std::string> names;
    for (const std::string_view known : systemPropertyNames()) names.emplace_back(known);
    const bool known = std::find(names.begin(), names.end(), leaf.text) != names.end();
    const std::string near = known ? "" : nearest(leaf.text, names);
    if (!near.empty()) text += " (did you mean $" + near + "?)";
  }
  return text;
}

std::string Reason::whyBodyUndefined(std::uint32_t i) {
  const MessageView& message = input_.message;
  switch (scratch_.evaluation().bodyState()) {
    case BodyState::kNotJsonType:
      return "the content type is '" + shortened(message.contentType()) + "', not application/json";
    case BodyState::kUnknownEncoding:
      return "the content encoding is '" + shortened(message.contentEncoding()) +
             "', not utf-8, utf-16 or utf-32";
    case BodyState::kMalformed: return "the body is no valid JSON";
    case BodyState::kNotAnObject: return "the body is JSON, but no object";
    case BodyState::kRead: break;
  }
  const std::string text = textOf(i);
  return isComposite(value(i)) ? text + " is an object or array"
                               : "the body has no " + text.substr(0, text.size());
}

}  // namespace kante::route_detail
