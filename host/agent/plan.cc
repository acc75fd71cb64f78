#include "host/agent/plan.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

// The outermost places where two values differ: members, not elements, so that a pointer says what
// a person edited.
void differences(const json::value* before, const json::value* after, const std::string& pointer,
                 std::vector<std::string>& out) {
  if (before != nullptr && after != nullptr && before->is_object() && after->is_object()) {
    const json::object& old_members = before->get_object();
    const json::object& new_members = after->get_object();
    for (const auto& member : old_members)
      differences(&member.value(), new_members.if_contains(member.key()),
                  jsonPointer(pointer, member.key()), out);
    for (const auto& member : new_members)
      if (!old_members.contains(member.key())) out.push_back(jsonPointer(pointer, member.key()));
    return;
  }
  if (before == nullptr || after == nullptr || *before != *after) out.push_back(pointer);
}

json::value documentOf(const ResolvedDeployment* resolved) {
  if (resolved == nullptr)
    return json::object{{"modules", json::object()}, {"routes", json::object()}};
  auto parsed = parseJson(resolved->deployment.json, {kDeploymentBytesMax, kDeploymentDepthMax});
  KANTE_ASSERT(parsed.has_value());  // Our own text.
  json::object& document = parsed->get_object();
  document.erase("version");
  document.erase("schema");
  if (!document.contains("routes")) document["routes"] = json::object();
  return std::move(*parsed);
}

std::vector<std::string> changedPointers(const ResolvedDeployment* current,
                                         const ResolvedDeployment& next) {
  const json::value before = documentOf(current);
  const json::value after = documentOf(&next);
  std::vector<std::string> all;
  differences(&before, &after, "", all);
  std::sort(all.begin(), all.end());
  if (all.size() > kChangedMax) {
    all.resize(kChangedMax);
    all.push_back("…");
  }
  return all;
}

template <typename T>
const T* named(const std::vector<T>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&name](const T& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string what(const ModuleSpec& module) { return module.id + " " + module.version; }

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Empty: it stays as it is.
std::string moduleLine(const ModuleSpec* before, const ModuleSpec& after) {
  const bool ran = before != nullptr && before->desire == Desire::kRunning;
  if (after.desire == Desire::kStopped) {
    if (ran) return "stop " + after.name + " (" + what(after) + "), kept in the deployment";
    return before == nullptr ? "add " + after.name + " (" + what(after) + "), stopped" : "";
  }
  if (!ran) return "start " + after.name + " (" + what(after) + ")";
  if (before->id != after.id)
    return "replace " + after.name + ": " + what(*before) + " → " + what(after);
  if (after.placement == Placement::kContainer) {
    if (before->version != after.version)
      return "replace " + after.name + ": " + what(*before) + " → " + after.version;
    if (!before->sameInstance(after) || before->stop_ms != after.stop_ms ||
        before->restart != after.restart)
      return "make the container of " + after.name + " anew";
  }
  if (before->digest != after.digest) {
    const bool same = before->version == after.version;
    return "replace " + after.name + ": " +
           (same ? "version " + after.version + " by another build of it"
                 : "version " + before->version + " → " + after.version) +
           ", its state carried over";
  }
  if (before->config != after.config)
    return "restart " + after.name + " with a new configuration, its state carried over";
  if (!before->sameInstance(after))
    return "restart " + after.name +
           (before->placement != after.placement ? " elsewhere" : " under other conditions") +
           ", its state carried over";
  if (before->restart != after.restart || before->stop_ms != after.stop_ms ||
      before->defer_max_s != after.defer_max_s || before->start_after != after.start_after ||
      before->method_grants != after.method_grants || before->device_grants != after.device_grants)
    return "change " + after.name + " while it runs";
  return {};
}

bool sameRoute(const RouteSpec& a, const RouteSpec& b) {
  return a.text == b.text && a.priority == b.priority && a.ttl_s == b.ttl_s &&
         a.durable == b.durable && a.overflow == b.overflow &&
         a.queue_messages == b.queue_messages && a.queue_bytes == b.queue_bytes &&
         a.stall_ms == b.stall_ms;
}

void planModules(const RuntimeTarget& before, const RuntimeTarget& after,
                 std::vector<std::string>& lines) {
  std::vector<std::string> untouched;
  for (const ModuleSpec& module : after.modules) {
    std::string line = moduleLine(named(before.modules, module.name), module);
    if (line.empty()) {
      untouched.push_back(module.name);
    } else {
      lines.push_back(std::move(line));
    }
  }
  for (const ModuleSpec& module : before.modules)
    if (named(after.modules, module.name) == nullptr)
      lines.push_back("remove " + module.name + " (" + what(module) + ")");
  if (!untouched.empty()) lines.push_back("leave untouched: " + join(untouched));
}

void planRoutes(const RuntimeTarget& before, const RuntimeTarget& after,
                std::vector<std::string>& lines) {
  for (const RouteSpec& route : after.routes) {
    const RouteSpec* old_route = named(before.routes, route.name);
    if (old_route == nullptr) {
      lines.push_back("add route " + route.name + ": " + route.text);
    } else if (!sameRoute(*old_route, route)) {
      lines.push_back("change route " + route.name + ": " + route.text);
    }
  }
  for (const RouteSpec& route : before.routes)
    if (named(after.routes, route.name) == nullptr) lines.push_back("remove route " + route.name);
}

}  // namespace

Plan planChange(const ResolvedDeployment* current, const ResolvedDeployment& next,
                std::uint32_t window_s) {
  static const ResolvedDeployment kNothing;
  const ResolvedDeployment& before = current == nullptr ? kNothing : *current;
  Plan plan;
  planModules(before.target, next.target, plan.lines);
  for (const auto& [principal, base] : next.bases) {
    const auto found = before.bases.find(principal);
    if ((found == before.bases.end() ? "{}" : found->second) != base)
      plan.lines.push_back("replace desired properties of " + principal);
  }
  if (before.deployment.gateway != next.deployment.gateway)
    plan.lines.push_back("change the gateway's own configuration");
  planRoutes(before.target, next.target, plan.lines);
  if (window_s != 0)
    plan.lines.push_back("watch all of it for " + std::to_string(window_s) +
                         " s, then commit it, or go back");
  plan.changed = changedPointers(current, next);
  return plan;
}

}  // namespace kante
