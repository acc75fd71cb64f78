// The WHERE of one route, split for matching: what an index can decide, and the rest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/route/operand.h"
#include "host/route/program.h"
#include "host/route/syntax.h"

namespace kante::route_detail {

// A conjunct `operand = 'text'`, or several of one operand joined by OR: true exactly when the
// operand is one of the texts.
struct Equality {
  std::uint32_t conjunct = 0;  // Its node.
  std::uint32_t operand = 0;
  std::vector<std::string> texts;  // Distinct.
};

// The nodes that are left when the operators of one kind at `root` are taken apart, from left to
// right.
std::vector<std::uint32_t> takeApart(const std::vector<Node>& nodes, std::uint32_t root,
                                     NodeKind kind);
// The parts of a condition that must all be true: the whole of it, if it is no AND.
std::vector<std::uint32_t> conjunctsOf(const std::vector<Node>& nodes);
// Those of them that an index can decide.
std::vector<Equality> equalitiesOf(const std::vector<Node>& nodes,
                                   const std::vector<std::uint32_t>& conjuncts,
                                   OperandTable& operands);

struct Condition {
  enum class Kind : std::uint8_t { kAlways, kIndexed, kGeneral };
  Kind kind = Kind::kAlways;
  Equality equality;  // kIndexed
  Program rest;       // What must be true besides the equality; empty: nothing.
  Program whole;      // The condition as written.
};

}  // namespace kante::route_detail
