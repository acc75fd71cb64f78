// The sentence behind one evaluated condition: the part that decided, with its values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/route/evaluation.h"
#include "host/route/match_scratch.h"
#include "host/route/program.h"
#include "host/route/syntax.h"

namespace kante::route_detail {

class Reason {
 public:
  // Both outlive it.  syntax has a condition.
  Reason(const RouteSyntax& syntax, const RouteInput& input);

  Value outcome();  // Of the whole condition.
  std::string because();

 private:
  std::string decide(std::uint32_t i);
  std::string decideAll(std::uint32_t i);  // AND, OR
  std::string comparison(std::uint32_t i);
  std::string call(std::uint32_t i);
  std::string whyUndefined(std::uint32_t i);
  std::string whyOperandUndefined(std::uint32_t i);
  std::string whyBodyUndefined(std::uint32_t i);

  const Node& node(std::uint32_t i) const { return syntax_.nodes[i]; }
  std::string textOf(std::uint32_t i) const;  // As written, shortened.
  Value value(std::uint32_t i);               // Texts are valid until the next value().
  std::string shown(std::uint32_t i);         // "'high'", "72", "undefined"

  const RouteSyntax& syntax_;
  const RouteInput& input_;
  OperandTable operands_;
  ProgramPool programs_;
  MatchScratch scratch_;
};

std::string show(const Value& value);

}  // namespace kante::route_detail
