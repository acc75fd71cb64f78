#include "host/api/views.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "host/base/clock.h"
#include "host/placement/module_host.h"

namespace kante {

namespace json = boost::json;

json::value timeJson(std::int64_t wall_ns) {
  if (wall_ns == 0) return nullptr;
  return json::string(formatUtc(wall_ns));
}

json::value textOrNull(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::string(text);
}

json::object toJson(const ModuleStatus& module) {
  return {{"name", module.name},
          {"id", module.id},
          {"version", module.version},
          {"digest", module.digest},
          {"placement", name(module.placement)},
          {"state", name(module.state)},
          {"restarts", module.restarts},
          {"pid", module.pid == 0 ? json::value(nullptr) : json::value(module.pid)},
          {"override", textOrNull(module.override_reason)},
          {"shared_bytes", module.shared_bytes},
          {"last_exit", textOrNull(module.last_exit)},
          {"unhealthy", textOrNull(module.complaint)},
          {"started", timeJson(module.started_wall_ns)},
          {"messages_in", module.messages_in},
          {"messages_out", module.messages_out},
          {"queued", module.queued}};
}

json::object toJson(const RouteStatus& route) {
  return {{"name", route.name},
          {"route", route.text},
          {"messages", route.messages},
          {"dropped", route.dropped}};
}

HttpResponse jsonReply(const json::value& value, unsigned status) {
  HttpResponse response;
  response.status = status;
  response.body = json::serialize(value);
  response.body += '\n';
  return response;
}

}  // namespace kante
