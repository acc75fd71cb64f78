#include "host/placement/route_table.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "host/base/metrics.h"
#include "host/hub/iothub/contract_topic.h"
#include "host/hub/iothub/property_bag.h"
#include "host/mqtt/packet.h"
#include "host/route/lexer.h"

namespace kante {

namespace {

using route_detail::sameIgnoringCase;

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

// Where one of a source's routes into a sink is durable, all that it sends there goes through the
// queue: nothing overtakes, and what either route takes is kept.
void keepOneWayToEachSink(std::vector<Target>& targets) {
  for (const Target& durable : targets) {
    if (durable.durable == nullptr) continue;
    for (Target& other : targets) {
      if (other.sink_number != durable.sink_number || other.durable != nullptr) continue;
      other.durable = durable.durable;
      other.link = nullptr;
    }
  }
}

// The module that a path names, in the route's own letter case; empty: none.
std::string_view moduleOf(const std::string& path) {
  constexpr std::string_view kModules = "/messages/modules/";
  if (!sameIgnoringCase(std::string_view(path).substr(0, kModules.size()), kModules)) return {};
  const std::string_view rest = std::string_view(path).substr(kModules.size());
  return rest.substr(0, rest.find('/'));
}

// Whether messages of clients may come by it: not if it names a module of the deployment.
bool isForClients(const SourcePattern& source, const std::vector<RouteTable::Place>& places) {
  if (source.kind() == SourcePattern::Kind::kTopic) return true;
  const std::string text = source.text();
  const std::string_view module = moduleOf(text);
  return std::none_of(places.begin(), places.end(), [&](const RouteTable::Place& place) {
    return sameIgnoringCase(place.spec->name, module);
  });
}

// Whether an output of the module is one of the source's.
bool sendsBy(const SourcePattern& source, const ModuleSpec& module) {
  return std::any_of(module.outputs.begin(), module.outputs.end(), [&](const std::string& output) {
    return source.matchesPath("/messages/modules/" + module.name + "/outputs/" + output);
  });
}

// Whether it depends on which device it is.
bool looksAtDevices(const SourcePattern& source) {
  const std::string text = source.text();
  return source.kind() == SourcePattern::Kind::kPath && !source.matchesPath("/messages/devices") &&
         std::count(text.begin(), text.end(), '/') > 3 && moduleOf(text).empty();
}

}  // namespace

bool fillTopic(const Target& target, const RouteInput& input, std::string& topic) {
  if (target.topic != nullptr) return target.topic->fill(input, topic);
  topic = *target.input;
  hub::writeBag(input.message, input.source, topic);
  return topic.size() <= mqtt::kTextBytesMax;
}

void keepBestOfEachSink(std::vector<Target>& targets) {
  std::stable_sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) {
    return a.sink_number != b.sink_number ? a.sink_number < b.sink_number : a.priority < b.priority;
  });
  targets.erase(
      std::unique(targets.begin(), targets.end(),
                  [](const Target& a, const Target& b) { return a.sink_number == b.sink_number; }),
      targets.end());
}

Result<std::shared_ptr<RouteTable>> RouteTable::make(const std::vector<RouteSpec>& routes,
                                                     const std::vector<Place>& places,
                                                     const Parts& parts) {
  std::shared_ptr<RouteTable> table(new RouteTable);
  table->specs_ = routes;
  KANTE_TRY(set, compileAll(routes));
  table->set_ = std::move(set);
  table->links_.resize(routes.size());
  table->topics_ = parts.topics;
  table->inherit(parts.previous);
  for (std::size_t route = 0; route < routes.size(); ++route) {
    const bool for_clients = parts.topics != nullptr && parts.inputs != nullptr &&
                             routes[route].isDurableForClients() &&
                             isForClients(table->set_.routes()[route].source, places);
    table->by_queue_.push_back(routes[route].isDurable() || for_clients);
  }
  for (std::uint32_t route = 0; route < routes.size(); ++route) {
    auto added = table->addTarget(route, places, parts);
    if (added.has_error()) return within("route " + routes[route].name, added.error());
  }
  KANTE_CHECK(table->addInputs(places, parts));
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
  // Clients of the hub are on all of its shards.
  const SourcePattern& source = set_.routes()[route].source;
  const bool crosses =
      (topics_ != nullptr && isForClients(source, places)) ||
      std::any_of(places.begin(), places.end(), [&](const Place& from) {
        return &from.lane->shard() != &place->lane->shard() && sendsBy(source, *from.spec);
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
  const bool from_topics = compiled.source.kind() == SourcePattern::Kind::kTopic;
  if (topics_ == nullptr && (from_topics || compiled.sink.kind == Sink::Kind::kTopic))
    return fail(Errc::kInvalid,
                "MqttTopic(…), but this gateway serves no MQTT clients: set [hub.mqtt] listen");
  takes_topics_ = takes_topics_ || from_topics;
  names_devices_ = names_devices_ || looksAtDevices(compiled.source);
  Target target{route,   spec.priority, spec.ttl_s, compiled.sink_number,
                nullptr, nullptr,       nullptr,    nullptr};
  switch (compiled.sink.kind) {
    case Sink::Kind::kUpstream:
      if (parts.upstream == nullptr) {
        return fail(Errc::kInvalid,
                    "INTO $upstream, but this gateway has no uplink: set [uplink] kind");
      }
      target.durable = parts.upstream;
      break;
    case Sink::Kind::kModule: return addModuleTarget(route, places, parts, target);
    case Sink::Kind::kTopic: target.topic = &compiled.sink.topic; break;
  }
  targets_.push_back(target);
  client_targets_.push_back(target);
  return {};
}

// Where a route says nothing of it, modules send through memory and clients to the disk.
Status RouteTable::addModuleTarget(std::uint32_t route, const std::vector<Place>& places,
                                   const Parts& parts, Target target) {
  const RouteSpec& spec = specs_[route];
  const Sink& sink = set_.routes()[route].sink;
  const bool runs = std::any_of(places.begin(), places.end(), [&](const Place& place) {
    return place.spec->name == sink.module;
  });
  if (!runs && topics_ != nullptr && parts.elsewhere != nullptr &&
      (*parts.elsewhere)(sink.module)) {
    std::string& topic = client_inputs_[sink.text];
    topic = hub::inputTopic(parts.gateway_id, sink.module, sink.input);
    target.input = &topic;
    targets_.push_back(target);
    client_targets_.push_back(target);
    return {};
  }
  Target durable = target;
  if (by_queue_[route]) {
    if (parts.inputs == nullptr)
      return fail(Errc::kUnsupported, "a durable route needs a store, and there is none");
    KANTE_TRY(queue, inputQueue(set_.routes()[route].sink, parts));
    durable.durable = &queue->sink();
  }
  if (!spec.isDurable()) {
    KANTE_TRY(link, linkFor(route, places, parts.previous));
    target.link = link.get();
    links_[route] = std::move(link);
  }
  targets_.push_back(spec.isDurable() ? durable : target);
  client_targets_.push_back(durable.durable != nullptr ? durable : target);
  return {};
}

// One queue an input, whatever routes lead there: the widest bounds of all of them, and it refuses
// if one of them says so.
Result<std::shared_ptr<InputQueue>> RouteTable::inputQueue(const Sink& sink,
                                                           const Parts& parts) const {
  QueueSpec queue;
  bool bounded = true;
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    const Sink& other = set_.routes()[i].sink;
    const RouteSpec& spec = specs_[i];
    if (!by_queue_[i] || other.kind != Sink::Kind::kModule || other.module != sink.module ||
        other.input != sink.input) {
      continue;
    }
    bounded = bounded && spec.queue_given;
    queue.messages_max = std::max<std::uint64_t>(queue.messages_max, spec.queue_messages);
    queue.bytes_max = std::max<std::uint64_t>(queue.bytes_max, spec.queue_bytes);
    if (spec.full == RouteFull::kRefuse) queue.full = QueueSpec::Full::kRefuse;
    if (spec.full == RouteFull::kDropLowest && queue.full == QueueSpec::Full::kStoreDefault)
      queue.full = QueueSpec::Full::kDropLowest;
  }
  if (!bounded) queue.messages_max = queue.bytes_max = 0;
  return parts.inputs->open(sink.module, sink.input, queue);
}

// Also what an earlier deployment left in the queue of an input that only memory routes lead to
// now.
Status RouteTable::addInputs(const std::vector<Place>& places, const Parts& parts) {
  if (parts.inputs == nullptr) return {};
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    const Sink& sink = set_.routes()[i].sink;
    const bool runs = std::any_of(places.begin(), places.end(), [&](const Place& place) {
      return place.spec->name == sink.module;
    });
    if (sink.kind != Sink::Kind::kModule || !runs) continue;
    auto queue = parts.inputs->find(sink.module, sink.input);
    auto& known = inputs_[sink.module];
    if (queue && std::find(known.begin(), known.end(), queue) == known.end())
      known.push_back(std::move(queue));
  }
  return {};
}

const std::vector<std::shared_ptr<InputQueue>>* RouteTable::inputsOf(
    const std::string& module) const {
  const auto at = inputs_.find(module);
  return at == inputs_.end() ? nullptr : &at->second;
}

std::set<const InputQueue*> RouteTable::inputQueues() const {
  std::set<const InputQueue*> all;
  for (const auto& [module, queues] : inputs_) {
    for (const auto& queue : queues) all.insert(queue.get());
  }
  return all;
}

OutputRoutes RouteTable::routesOf(const Source& source, const std::vector<Target>& targets) const {
  OutputRoutes output;
  output.routes = set_.forSource(source);
  output.unconditional = output.routes.isUnconditional();
  output.by_route.assign(targets.size(), nullptr);
  for (const std::uint32_t route : output.routes.candidates())
    output.candidates.push_back(targets[route]);
  keepOneWayToEachSink(output.candidates);
  for (const Target& target : output.candidates) output.by_route[target.route] = &target;
  for (const std::uint32_t route : output.routes.always())
    output.always.push_back(*output.by_route[route]);
  keepBestOfEachSink(output.always);
  return output;
}

OutputRoutes RouteTable::routesOfClients(const Source& source) const {
  return routesOf(source, client_targets_);
}

void RouteTable::addOutputs(const Place& place, const Parts& parts) {
  auto& outputs = outputs_[place.spec->name];
  for (const std::string& name : place.spec->outputs) {
    const Source* source = parts.sources.moduleOutput(parts.gateway_id, place.spec->name, name);
    outputs.push_back(routesOf(*source, targets_));
    outputs.back().source = source;
  }
}

std::vector<OutputRoutes>* RouteTable::outputsOf(const std::string& module) {
  const auto at = outputs_.find(module);
  return at == outputs_.end() ? nullptr : &at->second;
}

// What the queue of an input dropped is the route's, where one durable route leads there, else it
// is told under the queue's name.
std::map<std::pair<std::string, DropReason>, std::uint64_t> RouteTable::drops() const {
  std::map<std::pair<std::string, DropReason>, std::uint64_t> all;
  for (std::size_t route = 0; route < specs_.size(); ++route) {
    for (std::size_t i = 0; i < kDropReasons; ++i) {
      const std::uint64_t count = counts_[route]->dropped[i].load();
      if (count > 0) all[{specs_[route].name, static_cast<DropReason>(i)}] += count;
    }
  }
  for (const auto& [module, queues] : inputs_) {
    for (const auto& queue : queues) {
      std::string told;
      for (std::size_t route = 0; route < specs_.size(); ++route) {
        if (client_targets_[route].durable != &queue->sink()) continue;
        told = told.empty() ? specs_[route].name : queue->queue().name();
      }
      if (told.empty()) told = queue->queue().name();
      for (std::size_t i = 0; i < kDropReasons; ++i) {
        const auto reason = static_cast<DropReason>(i);
        if (const std::uint64_t count = queue->dropped(reason); count > 0)
          all[{told, reason}] += count;
      }
    }
  }
  return all;
}

std::vector<RouteStatus> RouteTable::status() const {
  const auto dropped = drops();
  std::vector<RouteStatus> all;
  for (std::size_t route = 0; route < specs_.size(); ++route) {
    RouteStatus status{specs_[route].name, specs_[route].text, counts_[route]->delivered(), 0};
    for (std::size_t i = 0; i < kDropReasons; ++i) {
      const auto at = dropped.find({status.name, static_cast<DropReason>(i)});
      if (at != dropped.end()) status.dropped += at->second;
    }
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
                static_cast<double>(counts_[route]->delivered()));
  }
  for (const auto& [what, count] : drops()) {
    out.counter("kante_dropped_total", "Messages dropped, by route and reason.",
                {{"route", what.first}, {"reason", name(what.second)}}, static_cast<double>(count));
  }
  for (const auto& [module, queues] : inputs_) {
    for (const auto& queue : queues) {
      out.gauge("kante_unsettled_messages", "Delivered from a durable queue and not settled.",
                {{"queue", queue->queue().name()}}, static_cast<double>(queue->unsettled.load()));
    }
  }
}

void RouteTable::checkStalls(std::int64_t boot_ns) {
  for (const auto& link : links_) {
    if (link) link->checkStall(boot_ns);
  }
}

bool RouteTable::drained(const RouteTable* current) const {
  std::set<std::shared_ptr<Link>> kept;
  if (current != nullptr) kept.insert(current->links_.begin(), current->links_.end());
  return std::all_of(links_.begin(), links_.end(), [&](const std::shared_ptr<Link>& link) {
    return !link || link->queuedMessages() == 0 || kept.contains(link);
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
