// Which operands an operator or a function takes, decided when the route is compiled.
#pragma once

#include <optional>
#include <string>

#include "host/route/syntax.h"

namespace kante::route_detail {

// What is wrong, and at which byte of the route.
struct TypeError {
  std::string text;
  std::uint32_t byte = 0;
};

// Sets node.type of the last node from its operands, which come before it.  operator_byte: where
// the operator stands.
std::optional<TypeError> checkTypes(RouteSyntax& syntax, std::uint32_t operator_byte);
// The condition as a whole must be able to be true.
std::optional<TypeError> checkCondition(const RouteSyntax& syntax);

}  // namespace kante::route_detail
