// Topics and routes as one: what clients publish on a shard goes by the routes, what routes send to
// topics goes to the broker, and on by the routes that take from those topics.
//
// Made on the control thread, which hands in each table of routes; all else lives on the shards,
// one part each, without a lock.  A topic never waits for a route: only the client that is read at
// the moment is held, or what has no room is dropped and counted.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/placement/topic_part.h"

namespace kante {

class MetricWriter;

class TopicRoutes final : public TopicSink {
 public:
  // `shards`: the broker's.  The sources outlive it.
  TopicRoutes(const std::string& gateway_id, SourceTable& sources,
              const std::vector<std::shared_ptr<Shard>>& shards);
  ~TopicRoutes() override;

  // By the order of the shards.
  std::vector<hub::Routing*> routings() const;
  // Null: no routes any more.
  void activate(const std::shared_ptr<RouteTable>& table);
  void publish(Shard& from, Onward what) override;
  const TopicCounts& counts() const { return counts_; }
  void collect(MetricWriter& out) const;

 private:
  class Letter;
  TopicCounts counts_;
  std::vector<std::unique_ptr<TopicPart>> parts_;
};

}  // namespace kante
