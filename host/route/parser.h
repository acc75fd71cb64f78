// Text of a route to RouteSyntax, or the first thing that is wrong and where.
//
//   route    = [ SELECT "*" ] FROM source [ WHERE expr ] INTO sink
//   source   = "/" part { "/" part } | MqttTopic "(" text ")"        part: "*" or a name
//   sink     = $upstream | BrokeredEndpoint "(" text ")" | MqttTopic "(" text ")"
//   expr     = or { "??" or }          or  = and { OR and }        and = eq { AND eq }
//   eq       = cmp { (= != <>) cmp }   cmp = add { (< <= > >=) add }
//   add      = mul { (+ - ||) mul }    mul = not { (* / %) not }
//   not      = { NOT } neg             neg = { "-" } primary
//   primary  = "(" expr ")" | literal | name | $name | "{" $name "}" | name "(" [ expr { "," expr }
//   ] ")"
//
// Linear in the text; nesting is bounded by kRouteDepthMax, length by kRouteCharactersMax.
#pragma once

#include <string_view>

#include "host/route/error.h"
#include "host/route/syntax.h"

namespace kante::route_detail {

RouteResult<RouteSyntax> parseRoute(std::string_view text);

// Values waiting while a condition runs; a condition that needs more is refused.
inline constexpr std::size_t kValuesMax = 512;

}  // namespace kante::route_detail
