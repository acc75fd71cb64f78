#include "host/placement/route_table.h"

#include <algorithm>
#include <numeric>

#include "host/base/metrics.h"

namespace kante {

namespace {

WhenFull whenFull(const RouteSpec& spec) {
  switch (spec.overflow.value_or(Overflow::kBlock)) {
    case Overflow::kDropOldest: return WhenFull::kDropOldest;
    case Overflow::kDropNewest: return WhenFull::kDropNewest;
    case Overflow::kBlock:
    case Overflow::kSpill: break;
  }
  return WhenFull::kBlock;
}

Result<RouteSet> compileAll(const std::vector<RouteSpec>& specs) {
  std::vector<RouteDefinition> definitions;
  definitions.reserve(specs.size());
  for (const RouteSpec& spec : specs) {
    definitions.push_back({spec.name, spec.text, spec.priority, spec.ttl_s, definitions.size()});
  }
  auto set = RouteSet::compile(std::move(definitions));
  if (set.has_error()) return fail(Errc::kInvalid, set.error().text());
  return std::move(*set);
}

// Of several routes into one sink the best priority wins, the first defined among equals.
void keepBestOfEachSink(std::vector<Target>& targets) {
  std::stable_sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) {
    return a.sink_number != b.sink_number ? a.sink_number < b.sink_number : a.priority < b.priority;
  });
  targets.erase(
      std::unique(targets.begin(), targets.end(),
                  [](const Target& a, const Target& b) { return a.sink_number == b.sink_number; }),
      targets.end());
}

}  // namespace

Result<std::shared_ptr<RouteTable>> RouteTable::make(const std::vector<RouteSpec>& routes,
                                                     const std::vector<Place>& places,
                                                     const Parts& parts) {
  std::shared_ptr<RouteTable> table(new RouteTable);
  table->specs_ = routes;
  KANTE_TRY(set, compileAll(routes));
  table->set_ = std::move(set);
  table->links_.resize(routes.size());
  table->inherit(parts.previous);
  for (std::uint32_t route = 0; route < routes.size(); ++route) {
    auto added = table->addTarget(route, places, parts);
    if (added.has_error()) return within("route " + routes[route].name, added.error());
  }
  for (const Place& place : places) table->addOutputs(place, parts);
  return table;
}

// A route that is the same by name and text goes on counting.
void RouteTable::inherit(const RouteTable* previous) {
  for (const RouteSpec& spec : specs_) {
    std::shared_ptr<RouteCounts> counts;
    for (std::size_t i = 0; previous != nullptr && i < previous->specs_.size(); ++i) {
      const RouteSpec& before = previous->specs_[i];
      if (before.name == spec.name && before.text == spec.text) counts = previous->counts_[i];
    }
    counts_.push_back(counts ? counts : std::make_shared<RouteCounts>());
  }
}

Result<std::shared_ptr<Link>> RouteTable::linkFor(std::uint32_t route,
                                                  const std::vector<Place>& places,
                                                  const RouteTable* previous) {
  const Sink& sink = set_.routes()[route].sink;
  const RouteSpec& spec = specs_[route];
  const auto place = std::find_if(places.begin(), places.end(),
                                  [&](const Place& p) { return p.spec->name == sink.module; });
  if (place == places.end()) {
    return fail(Errc::kNotFound, "there is no module '" + sink.module + "'");
  }
  LinkPlan plan;
  plan.lane = place->lane;
  plan.input = place->lane->inputIndex(sink.input);
  plan.priority = spec.priority;
  plan.when_full = whenFull(spec);
  plan.limits = {spec.queue_messages, spec.queue_bytes, spec.stall_ms, spec.ttl_s};
  plan.counts = counts_[route];
  const bool crosses = std::any_of(places.begin(), places.end(), [&](const Place& p) {
    return &p.lane->shard() != &place->lane->shard();
  });
  if (previous != nullptr) {
    for (const auto& link : previous->links_) {
      const bool serves =
          link && link->plan == plan && (!crosses || link->crossing == Link::Crossing::kYes);
      if (serves) return link;
    }
  }
  return std::make_shared<Link>(plan, crosses ? Link::Crossing::kYes : Link::Crossing::kNo);
}

Status RouteTable::addTarget(std::uint32_t route, const std::vector<Place>& places,
                             const Parts& parts) {
  const Route& compiled = set_.routes()[route];
  const RouteSpec& spec = specs_[route];
  Target target{route, spec.priority, spec.ttl_s, compiled.sink_number, nullptr, nullptr};
  switch (compiled.sink.kind) {
    case Sink::Kind::kUpstream:
      if (parts.upstream == nullptr) {
        return fail(Errc::kInvalid,
                    "INTO $upstream, but this gateway has no uplink: set [uplink] kind");
      }
      target.durable = parts.upstream;
      break;
    case Sink::Kind::kModule: {
      KANTE_TRY(link, linkFor(route, places, parts.previous));
      target.link = link.get();
      links_[route] = std::move(link);
      break;
    }
    case Sink::Kind::kTopic:
      return fail(Errc::kUnsupported,
                  "topics are served by the hub, which is not part of this build");
  }
  targets_.push_back(target);
  return {};
}

void RouteTable::addOutputs(const Place& place, const Parts& parts) {
  auto& outputs = outputs_[place.spec->name];
  for (const std::string& name : place.spec->outputs) {
    OutputRoutes& output = outputs.emplace_back();
    output.source = parts.sources.moduleOutput(parts.gateway_id, place.spec->name, name);
    output.routes = set_.forSource(*output.source);
    output.unconditional = output.routes.isUnconditional();
    output.by_route.assign(targets_.size(), nullptr);
    for (const std::uint32_t route : output.routes.candidates())
      output.by_route[route] = &targets_[route];
    for (const std::uint32_t route : output.routes.always())
      output.always.push_back(targets_[route]);
    keepBestOfEachSink(output.always);
  }
}

std::vector<OutputRoutes>* RouteTable::outputsOf(const std::string& module) {
  const auto at = outputs_.find(module);
  return at == outputs_.end() ? nullptr : &at->second;
}

std::vector<RouteStatus> RouteTable::status() const {
  std::vector<RouteStatus> all;
  for (std::size_t route = 0; route < specs_.size(); ++route) {
    const RouteCounts& counts = *counts_[route];
    RouteStatus status{specs_[route].name, specs_[route].text, counts.delivered.load(), 0};
    for (const auto& reason : counts.dropped) status.dropped += reason.load();
    all.push_back(std::move(status));
  }
  return all;
}

void RouteTable::collect(MetricWriter& out) const {
  for (std::size_t route = 0; route < specs_.size(); ++route) {
    const Route& compiled = set_.routes()[route];
    out.counter("kante_messages_total", "Messages that a route handed to its sink.",
                {{"from", compiled.source.text()},
                 {"to", compiled.sink.text},
                 {"route", specs_[route].name}},
                static_cast<double>(counts_[route]->delivered.load()));
    for (std::size_t reason = 0; reason < kDropReasons; ++reason) {
      const std::uint64_t drops = counts_[route]->dropped[reason].load();
      if (drops == 0) continue;
      out.counter(
          "kante_dropped_total", "Messages dropped, by route and reason.",
          {{"route", specs_[route].name}, {"reason", name(static_cast<DropReason>(reason))}},
          static_cast<double>(drops));
    }
  }
}

void RouteTable::checkStalls(std::int64_t boot_ns) {
  for (const auto& link : links_) {
    if (link) link->checkStall(boot_ns);
  }
}

bool RouteTable::drained() const {
  return std::all_of(links_.begin(), links_.end(), [](const std::shared_ptr<Link>& link) {
    return !link || link.use_count() > 1 || link->queuedMessages() == 0;
  });
}

std::map<std::string, std::size_t> RouteTable::groups(const std::vector<RouteSpec>& routes,
                                                      const std::vector<ModuleSpec>& modules) {
  std::vector<std::size_t> parent(modules.size());
  std::iota(parent.begin(), parent.end(), 0u);
  const auto root = [&](std::size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  for (const RouteSpec& spec : routes) {
    const auto route = compileRoute(spec.text);
    if (route.has_error() || route->sink.kind != Sink::Kind::kModule) continue;
    std::size_t sink = 0;
    while (sink < modules.size() && modules[sink].name != route->sink.module) ++sink;
    if (sink == modules.size() || modules[sink].execution == Execution::kDedicated) continue;
    for (std::size_t i = 0; i < modules.size(); ++i) {
      if (modules[i].execution == Execution::kDedicated) continue;
      Source source;
      source.path = "/messages/modules/" + modules[i].name;
      bool sends = route->source.matches(source);
      for (const std::string& output : modules[i].outputs) {
        source.path = "/messages/modules/" + modules[i].name + "/outputs/" + output;
        sends = sends || route->source.matches(source);
      }
      if (sends) parent[root(i)] = root(sink);
    }
  }
  std::map<std::string, std::size_t> groups;
  for (std::size_t i = 0; i < modules.size(); ++i) groups[modules[i].name] = root(i);
  return groups;
}

}  // namespace kante
