// What the API says of modules, routes, deployments and the rest, as JSON; the names are those of
// CONTRACTS, added to and never renamed.
#pragma once

#include <boost/json/fwd.hpp>

#include "host/api/http.h"

namespace kante {

struct ModuleStatus;
struct RouteStatus;

boost::json::object toJson(const ModuleStatus& module);
boost::json::object toJson(const RouteStatus& route);

// "2026-…Z", or null for 0.
boost::json::value timeJson(std::int64_t wall_ns);
// The text, or null when it is empty.
boost::json::value textOrNull(const std::string& text);

HttpResponse jsonReply(const boost::json::value& value, unsigned status = 200);

}  // namespace kante
