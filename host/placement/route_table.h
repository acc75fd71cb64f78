// All routes of a deployment, joined to the lanes and queues that they end in: an immutable
// snapshot.
//
// Made on the control thread and switched in whole, on each shard between two callbacks.  It stays
// alive until no shard uses it and nothing that it queued is waiting.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/message/hop.h"
#include "host/placement/durable_sink.h"
#include "host/placement/input_queue.h"
#include "host/placement/module_host.h"
#include "host/placement/module_spec.h"
#include "host/placement/topic_sink.h"
#include "host/route/route_set.h"
#include "host/shard/lane.h"

namespace kante {

// Where one route ends: a lane, a queue on disk, or topics.
struct Target {
  std::uint32_t route = 0;  // Position in the set; what its counts are kept under.
  std::uint8_t priority = 9;
  std::uint32_t ttl_s = 0;
  std::uint32_t sink_number = 0;
  Link* link = nullptr;  // Exactly one of the four.
  DurableSink* durable = nullptr;
  const TopicTemplate* topic = nullptr;
  const std::string* input = nullptr;  // Of a module that is a client: its topic without the bag.
};

// The topic that a message goes to by `topic` or `input`; false: a placeholder has no value.
bool fillTopic(const Target& target, const RouteInput& input, std::string& topic);

// Of several routes into one sink the best priority wins, the first defined among equals.
void keepBestOfEachSink(std::vector<Target>& targets);

// What one source needs to send.  Its shard only, but for the counters.
struct OutputRoutes {
  const Source* source = nullptr;
  SourceRoutes routes;
  // When no condition decides: every target, best priority first where two routes share a sink.
  bool unconditional = true;
  std::vector<Target> always;
  std::vector<Target> candidates;
  std::vector<const Target*> by_route;  // By position in the set; null: not for this source.
};

class RouteTable {
 public:
  struct Place {
    const ModuleSpec* spec = nullptr;
    std::shared_ptr<Lane> lane;
  };
  struct Parts {
    std::string gateway_id;
    SourceTable& sources;
    DurableSink* upstream = nullptr;  // Null: a route into $upstream is refused.
    InputQueues* inputs = nullptr;    // Null: a durable route into a module is refused.
    // The table that this one follows: what stays as it is keeps its link, with its credit, and its
    // counts.
    const RouteTable* previous = nullptr;
    TopicSink* topics = nullptr;  // Null: a route from or into topics is refused.
    // Whether a module that is not in the table comes as a client; null: none does.
    const std::function<bool(const std::string& module)>* elsewhere = nullptr;
  };

  // kInvalid and kNotFound name the route.
  static Result<std::shared_ptr<RouteTable>> make(const std::vector<RouteSpec>& routes,
                                                  const std::vector<Place>& places,
                                                  const Parts& parts);

  // One a declared output, in the order of the manifest; null for a module that is not in the
  // table.
  std::vector<OutputRoutes>* outputsOf(const std::string& module);

  // For what clients publish: by its path, its topic, or both.  Any thread.
  OutputRoutes routesOfClients(const Source& source) const;
  // Whether a route takes from topics; and whether one looks at the device in a path.
  bool takesTopics() const { return takes_topics_; }
  bool namesDevices() const { return names_devices_; }
  // Null: there are none.
  TopicSink* topics() const { return topics_; }

  // The queues on disk that end in a module's inputs; null: it is not in the table.
  const std::vector<std::shared_ptr<InputQueue>>* inputsOf(const std::string& module) const;

  std::set<const InputQueue*> inputQueues() const;

  std::vector<RouteStatus> status() const;
  void checkStalls(std::int64_t boot_ns);
  void collect(MetricWriter& out) const;
  // Whether nothing waits in a lane by a link of this table that `current`, which may be null, does
  // not have.  Tables before it keep nothing alive: those that share a link may all go at once.
  bool drained(const RouteTable* current) const;

  // Which modules exchange messages through memory, for placing them on one shard: group numbers by
  // module name.
  static std::map<std::string, std::size_t> groups(const std::vector<RouteSpec>& routes,
                                                   const std::vector<ModuleSpec>& modules);

  RouteCounts& counts(std::uint32_t route) { return *counts_[route]; }
  const std::vector<std::shared_ptr<RouteCounts>>& allCounts() const { return counts_; }
  const RouteSet& set() const { return set_; }
  const std::vector<RouteSpec>& specs() const { return specs_; }

 private:
  RouteTable() = default;
  void inherit(const RouteTable* previous);
  Result<std::shared_ptr<Link>> linkFor(std::uint32_t route, const std::vector<Place>& places,
                                        const RouteTable* previous);
  Status addTarget(std::uint32_t route, const std::vector<Place>& places, const Parts& parts);
  Status addInputs(const std::vector<Place>& places, const Parts& parts);
  Result<std::shared_ptr<InputQueue>> inputQueue(const Sink& sink, const Parts& parts) const;
  Status addModuleTarget(std::uint32_t route, const std::vector<Place>& places, const Parts& parts,
                         Target target);
  OutputRoutes routesOf(const Source& source, const std::vector<Target>& targets) const;
  void addOutputs(const Place& place, const Parts& parts);
  // Per route and reason, with what the queues on disk dropped.
  std::map<std::pair<std::string, DropReason>, std::uint64_t> drops() const;

  std::vector<RouteSpec> specs_;
  RouteSet set_;
  std::vector<std::shared_ptr<Link>> links_;          // By route; null: it ends in a queue.
  std::vector<std::shared_ptr<RouteCounts>> counts_;  // By route.
  std::vector<Target> targets_;                       // By route, for modules.
  std::vector<Target> client_targets_;                // The same for clients of the hub.
  std::map<std::string, std::string> client_inputs_;  // Topics by sink.
  TopicSink* topics_ = nullptr;
  std::vector<bool> by_queue_;  // By route: whether anything goes by one.
  bool takes_topics_ = false;
  bool names_devices_ = false;
  std::map<std::string, std::vector<OutputRoutes>> outputs_;
  std::map<std::string, std::vector<std::shared_ptr<InputQueue>>> inputs_;  // By module.
};

}  // namespace kante
