#include "host/agent/resolve_routes.h"

#include <algorithm>

#include "host/agent/members.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/route/cycle.h"
#include "host/route/route_set.h"

namespace kante {
namespace {

bool equalNoCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : int{c}; };
    return lower(x) == lower(y);
  });
}

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    const auto slash = std::min(path.find('/', at), path.size());
    if (slash > at) parts.emplace_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

std::string orNearest(const std::string& wrong, const std::vector<std::string>& known) {
  const std::string near = nearest(wrong, known);
  return near.empty() ? "" : "; did you mean \"" + near + "\"?";
}

class RouteChecker {
 public:
  RouteChecker(std::span<const ModuleSpec> modules, const ResolveFrom& ends)
      : modules_(modules), ends_(ends) {
    for (const ModuleSpec& module : modules) names_.push_back(module.name);
  }

  Status check(const RouteEntry& entry, const Route& route) const {
    KANTE_CHECK(checkSource(entry, route.source));
    switch (route.sink.kind) {
      case Sink::Kind::kUpstream: return checkUpstream(entry);
      case Sink::Kind::kModule: return checkModule(entry, route.sink);
      case Sink::Kind::kTopic: break;
    }
    return checkTopic(entry);
  }

 private:
  bool isElsewhere(const std::string& module) const {
    return ends_.elsewhere && ends_.elsewhere(module);
  }
  Status checkTopics(const RouteEntry& entry) const {
    if (ends_.topics == Topics::kServed) return {};
    return failAt(entry.text_pointer, Errc::kInvalid,
                  "MqttTopic, but this gateway serves no MQTT clients; set [hub.mqtt] listen");
  }
  // What waits for a client does so in its session, whose bounds are the hub's.
  Status checkTopic(const RouteEntry& entry) const {
    KANTE_CHECK(checkTopics(entry));
    const RouteSpec& spec = entry.spec;
    const char* wrong = spec.durable        ? "durable"
                        : spec.overflow     ? "overflow"
                        : spec.full         ? "full"
                        : spec.queue_given  ? "queue"
                        : entry.stall_given ? "stall_ms"
                                            : nullptr;
    if (wrong == nullptr) return {};
    return failAt(option(entry, wrong), Errc::kInvalid,
                  "what goes to a topic waits in the sessions of those who subscribed, bounded by "
                  "[hub.limits]; leave it out");
  }
  // The pointer of an option beside the route's text.
  static std::string option(const RouteEntry& entry, const char* member) {
    return jsonPointer("/routes", entry.spec.name) + "/" + member;
  }

  Status checkSource(const RouteEntry& entry, const SourcePattern& source) const {
    if (source.kind() == SourcePattern::Kind::kTopic) return checkTopics(entry);
    const std::vector<std::string> parts = split(source.text());
    if (!parts.empty() && equalNoCase(parts[0], "twinChangeNotifications")) {
      if (ends_.topics == Topics::kServed) return {};
      return failAt(entry.text_pointer, Errc::kInvalid,
                    "twin changes are messages of the hub, but this gateway serves no MQTT "
                    "clients; set [hub.mqtt] listen");
    }
    static const std::vector<std::string> kKnown{"messages", "twinChangeNotifications"};
    if (!parts.empty() && parts[0] != "*" && !equalNoCase(parts[0], kKnown[0]))
      return failAt(entry.text_pointer, Errc::kInvalid,
                    "FROM /" + parts[0] + ": nothing has this source; there are /messages and " +
                        "/twinChangeNotifications" + orNearest(parts[0], kKnown));
    if (parts.size() < 3 || !equalNoCase(parts[0], "messages") || !equalNoCase(parts[1], "modules"))
      return {};
    if (parts[2] == "*") return {};
    const auto module = std::find_if(modules_.begin(), modules_.end(), [&](const auto& one) {
      return equalNoCase(one.name, parts[2]);
    });
    if (module == modules_.end() ? isElsewhere(parts[2])
                                 : module->placement == Placement::kContainer)
      return {};
    if (module == modules_.end())
      return failAt(entry.text_pointer, Errc::kInvalid,
                    "FROM names the module \"" + parts[2] + "\", which is not in the deployment" +
                        orNearest(parts[2], names_));
    if (parts.size() < 5 || !equalNoCase(parts[3], "outputs") || parts[4] == "*") return {};
    const auto& outputs = module->outputs;
    const bool known = std::any_of(outputs.begin(), outputs.end(), [&](const std::string& output) {
      return equalNoCase(output, parts[4]);
    });
    if (known) return {};
    return failAt(entry.text_pointer, Errc::kInvalid,
                  "FROM names the output \"" + parts[4] + "\", which \"" + module->name +
                      "\" does not have" + orNearest(parts[4], outputs));
  }

  Status checkUpstream(const RouteEntry& entry) const {
    if (ends_.upstream == Upstream::kAbsent)
      return failAt(entry.text_pointer, Errc::kInvalid,
                    "INTO $upstream, but this gateway has no uplink; set [uplink] kind");
    if (entry.spec.durable == false)
      return failAt(option(entry, "durable"), Errc::kUnsupported,
                    "what goes into $upstream is always durable in this build");
    if (entry.spec.overflow && entry.spec.overflow != Overflow::kSpill)
      return failAt(option(entry, "overflow"), Errc::kUnsupported,
                    "the queue of $upstream is bounded by [store]; leave it out or say \"spill\"");
    if (entry.spec.full)
      return failAt(option(entry, "full"), Errc::kUnsupported,
                    "choosing it for $upstream is not part of this build; see [store] full");
    if (entry.spec.queue_given)
      return failAt(option(entry, "queue"), Errc::kUnsupported,
                    "the queue of $upstream is bounded by [store]; leave it out");
    if (entry.stall_given)
      return failAt(option(entry, "stall_ms"), Errc::kInvalid,
                    "$upstream never stalls a route; leave it out");
    return {};
  }

  Status checkModule(const RouteEntry& entry, const Sink& sink) const {
    const auto module = std::find_if(modules_.begin(), modules_.end(),
                                     [&](const auto& one) { return one.name == sink.module; });
    if (module == modules_.end() ? isElsewhere(sink.module)
                                 : module->placement == Placement::kContainer)
      return checkTopic(entry);
    if (module == modules_.end())
      return failAt(entry.text_pointer, Errc::kInvalid,
                    "INTO names the module \"" + sink.module +
                        "\", which is not in the deployment" + orNearest(sink.module, names_));
    if (std::find(module->inputs.begin(), module->inputs.end(), sink.input) == module->inputs.end())
      return failAt(entry.text_pointer, Errc::kInvalid,
                    "INTO names the input \"" + sink.input + "\", which \"" + module->name +
                        "\" does not have" + orNearest(sink.input, module->inputs));
    return entry.spec.isDurable() ? checkDurable(entry) : checkMemory(entry);
  }

  static Status checkDurable(const RouteEntry& entry) {
    if (entry.spec.overflow && entry.spec.overflow != Overflow::kSpill)
      return failAt(option(entry, "overflow"), Errc::kInvalid,
                    "is for routes through memory; a durable route spills to disk, and \"full\" "
                    "says what its queue does at its limits: \"drop-lowest\" or \"refuse\"");
    if (entry.stall_given)
      return failAt(option(entry, "stall_ms"), Errc::kInvalid,
                    "a durable route never stalls; leave it out");
    return {};
  }
  static Status checkMemory(const RouteEntry& entry) {
    if (entry.spec.overflow == Overflow::kSpill)
      return failAt(option(entry, "overflow"), Errc::kInvalid,
                    "\"spill\" needs a durable route; leave \"durable\" out or say true");
    if (entry.spec.full)
      return failAt(option(entry, "full"), Errc::kInvalid,
                    "is for durable routes; say \"durable\": true, or choose \"overflow\"");
    return {};
  }

  std::span<const ModuleSpec> modules_;
  const ResolveFrom& ends_;
  std::vector<std::string> names_;
};

bool isContainer(std::span<const ModuleSpec> modules, const std::string& name) {
  return std::any_of(modules.begin(), modules.end(), [&name](const ModuleSpec& module) {
    return module.name == name && module.placement == Placement::kContainer;
  });
}

Status refuseCycles(const RouteSet& set, const std::vector<RouteEntry>& routes,
                    std::span<const ModuleSpec> modules) {
  std::vector<std::uint32_t> blocking;
  for (std::uint32_t i = 0; i < routes.size(); ++i) {
    const bool blocks = routes[i].spec.overflow.value_or(Overflow::kBlock) == Overflow::kBlock;
    const Sink& sink = set.routes()[i].sink;
    // What goes to a container waits in its session.
    const bool waits = sink.kind == Sink::Kind::kModule && !isContainer(modules, sink.module);
    if (blocks && !routes[i].spec.isDurable() && waits) blocking.push_back(i);
  }
  std::vector<ModuleOutputs> outputs;
  for (const ModuleSpec& module : modules) outputs.push_back({module.name, module.outputs});
  const auto cycle = findBlockingCycle(set, blocking, outputs);
  if (!cycle) return {};
  return failAt(
      "/routes", Errc::kInvalid,
      "these modules could wait for each other for ever: " + *cycle +
          "; give a route between them \"overflow\": \"drop-oldest\" or \"drop-newest\", or "
          "\"durable\": true");
}

}  // namespace

Status checkRoutes(const std::vector<RouteEntry>& routes, std::span<const ModuleSpec> modules,
                   const ResolveFrom& ends) {
  if (routes.size() > kRoutesMax)
    return failAt("/routes", Errc::kLimit, "at most " + std::to_string(kRoutesMax) + " routes");
  std::vector<RouteDefinition> definitions;
  for (const RouteEntry& route : routes)
    definitions.push_back(
        {route.spec.name, route.spec.text, route.spec.priority, route.spec.ttl_s, 0});
  const auto set = RouteSet::compile(std::move(definitions));
  if (!set) {
    const RouteSetError& error = set.error();
    return failAt(routes[error.definition].text_pointer, Errc::kInvalid,
                  "character " + std::to_string(error.error.position) + ": " + error.error.text);
  }
  const RouteChecker checker(modules, ends);
  for (std::size_t i = 0; i < routes.size(); ++i)
    KANTE_CHECK(checker.check(routes[i], set->routes()[i]));
  return refuseCycles(*set, routes, modules);
}

}  // namespace kante
