// What an expression is: while a route is compiled a type, while it runs a value.
#pragma once

#include <cstdint>
#include <string_view>

namespace kante::route_detail {

// kAny: a $body value, whose type is only known when it runs.
enum class StaticType : std::uint8_t { kUndefined, kNull, kBool, kNumber, kText, kAny };

enum class ValueKind : std::uint8_t { kUndefined, kNull, kBool, kNumber, kText };

// 16 bytes, trivial: a stack of them costs nothing to make.  Texts are borrowed.
struct Value {
  ValueKind kind;
  std::uint32_t size;
  union {
    bool boolean;
    double number;
    const char* data;
  };

  static Value undefined() { return plain(ValueKind::kUndefined); }
  static Value null() { return plain(ValueKind::kNull); }
  static Value of(bool truth) {
    Value value = plain(ValueKind::kBool);
    value.boolean = truth;
    return value;
  }
  static Value of(double number) {
    Value value = plain(ValueKind::kNumber);
    value.number = number;
    return value;
  }
  static Value of(std::string_view text) {
    Value value = plain(ValueKind::kText);
    value.size = static_cast<std::uint32_t>(text.size());
    value.data = text.data();
    return value;
  }

  bool isTrue() const { return kind == ValueKind::kBool && boolean; }
  bool isFalse() const { return kind == ValueKind::kBool && !boolean; }
  std::string_view text() const { return {data, size}; }

 private:
  static Value plain(ValueKind kind) {
    Value value;
    value.kind = kind;
    value.size = 0;
    value.data = nullptr;
    return value;
  }
};

}  // namespace kante::route_detail
