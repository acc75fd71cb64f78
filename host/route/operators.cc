#include <cmath>
#include <cstring>
#include <functional>

#include "host/route/program.h"

namespace kante::route_detail {
namespace {

Value equal(const Value& a, const Value& b) {
  if (a.kind != b.kind) return Value::undefined();
  switch (a.kind) {
    case ValueKind::kUndefined: return Value::undefined();
    case ValueKind::kNull: return Value::of(true);
    case ValueKind::kBool: return Value::of(a.boolean == b.boolean);
    case ValueKind::kNumber: return Value::of(a.number == b.number);
    case ValueKind::kText: return Value::of(a.text() == b.text());
  }
  return Value::undefined();
}

Value equalNull(const Value& a, const Value& b) {
  if (a.kind == ValueKind::kUndefined || b.kind == ValueKind::kUndefined) return Value::undefined();
  return Value::of(a.kind == b.kind);
}

Value inverted(const Value& value) {
  return value.kind == ValueKind::kBool ? Value::of(!value.boolean) : Value::undefined();
}

template <typename Compare>
Value compare(const Value& a, const Value& b, Compare holds) {
  if (a.kind != b.kind) return Value::undefined();
  if (a.kind == ValueKind::kNumber) return Value::of(static_cast<bool>(holds(a.number, b.number)));
  if (a.kind == ValueKind::kText) return Value::of(static_cast<bool>(holds(a.text(), b.text())));
  return Value::undefined();
}

template <typename Compute>
Value arithmetic(const Value& a, const Value& b, Compute compute) {
  if (a.kind != ValueKind::kNumber || b.kind != ValueKind::kNumber) return Value::undefined();
  return Value::of(static_cast<double>(compute(a.number, b.number)));
}

Value joined(const Value& a, const Value& b, Arena& arena) {
  if (a.kind != ValueKind::kText || b.kind != ValueKind::kText) return Value::undefined();
  const std::size_t size = std::size_t{a.size} + b.size;
  if (size > kEvaluationTextMax) return Value::undefined();
  char* const out = arena.allocate(size);
  if (out == nullptr) return Value::undefined();
  if (a.size != 0) std::memcpy(out, a.data, a.size);
  if (b.size != 0) std::memcpy(out + a.size, b.data, b.size);
  return Value::of(std::string_view(out, size));
}

}  // namespace

Value applyBinary(Op op, const Value& a, const Value& b, Arena& arena) {
  switch (op) {
    case Op::kEqual: return equal(a, b);
    case Op::kNotEqual: return inverted(equal(a, b));
    case Op::kEqualNull: return equalNull(a, b);
    case Op::kNotEqualNull: return inverted(equalNull(a, b));
    case Op::kLess: return compare(a, b, std::less<>());
    case Op::kLessEqual: return compare(a, b, std::less_equal<>());
    case Op::kGreater: return compare(a, b, std::greater<>());
    case Op::kGreaterEqual: return compare(a, b, std::greater_equal<>());
    case Op::kAdd: return arithmetic(a, b, std::plus<>());
    case Op::kSubtract: return arithmetic(a, b, std::minus<>());
    case Op::kMultiply: return arithmetic(a, b, std::multiplies<>());
    case Op::kDivide: return arithmetic(a, b, std::divides<>());
    case Op::kModulo: return arithmetic(a, b, [](double x, double y) { return std::fmod(x, y); });
    case Op::kConcat: return joined(a, b, arena);
    default: return Value::undefined();
  }
}

}  // namespace kante::route_detail
