// The functions a condition may call: one table for the compiler, the evaluator and the
// documentation's test.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "host/route/arena.h"
#include "host/route/value.h"

namespace kante::route_detail {

enum class Parameter : std::uint8_t { kAnything, kNumber, kText, kNumberOrText };

struct Function {
  std::string_view name;  // Lower case.
  std::uint8_t arguments_min;
  std::uint8_t arguments_max;
  std::array<Parameter, 3> parameters;  // The last repeats.
  StaticType result;
  // Never throws; undefined when an argument is (but for is_…), or is not of the parameter's kind.
  Value (*call)(std::span<const Value> arguments, Arena& arena);

  Parameter parameter(std::size_t i) const { return parameters[i < 2 ? i : 2]; }
};

inline constexpr std::uint8_t kArgumentsMax = 32;
// Handled by the parser: its argument is a path in the patch of a twin change, not a value.
inline constexpr std::string_view kTwinChangeIncludes = "twin_change_includes";

std::span<const Function> functions();
// Null when there is none; any letter case.
const Function* findFunction(std::string_view name);

// The number that a text is: decimal, white space around it, a sign; else undefined.
Value numberOf(std::string_view text);

}  // namespace kante::route_detail
