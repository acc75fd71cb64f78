// $body.a.list[0].x as steps.
#pragma once

#include <string_view>

#include "host/route/error.h"
#include "host/route/syntax.h"

namespace kante::route_detail {

// text: what follows "$body." (or a path by itself).  The error's position counts bytes of this
// text.
RouteResult<BodyPath> parseBodyPath(std::string_view text);

}  // namespace kante::route_detail
