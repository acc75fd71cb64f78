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

#include <functional>

#include "host/base/result.h"
#include "host/hub/device_api.h"
#include "host/placement/topic_part.h"

namespace kante {

class MetricWriter;

class TopicRoutes final : public TopicSink {
 public:
  static constexpr std::uint32_t kSendingMax = 1024;       // Of send(), not done yet.
  static constexpr std::uint32_t kTwinChangesMax = 4096;   // On their way to their shards.
  static constexpr std::int64_t kSendNs = 20'000'000'000;  // How long a route may have no room.

  using Post = std::function<void(std::function<void()>)>;
  // `shards`: the broker's.  The sources outlive it.  `control` runs a task on the control thread.
  TopicRoutes(const std::string& gateway_id, SourceTable& sources,
              const std::vector<std::shared_ptr<Shard>>& shards, Post control,
              const FromBelow& below = {});
  ~TopicRoutes() override;

  // By the order of the shards.
  std::vector<hub::Routing*> routings() const;
  // Null: no routes any more.
  void activate(const std::shared_ptr<RouteTable>& table);
  void publish(Shard& from, Onward what) override;
  // Telemetry of a principal that came by no topic; control thread, where `done` comes too.
  void send(const std::string& principal, hub::DeviceMessage said, hub::DeviceApi::Done done);
  // `principal` reported this patch of its twin; control thread.
  void twinChanged(const std::string& principal, const std::string& patch);
  const TopicCounts& counts() const { return counts_; }
  void collect(MetricWriter& out) const;

 private:
  class Letter;
  struct Sending;
  class SendingSender;
  static void attempt(const std::shared_ptr<Sending>& sending);
  // Of one principal always the same: its messages keep their order.
  TopicPart& partOf(const std::string& principal) const {
    return *parts_[std::hash<std::string>()(principal) % parts_.size()];
  }
  TopicCounts counts_;
  const std::shared_ptr<std::atomic<std::uint64_t>> repeated_;
  const Post control_;
  // Shared with those that are sent: how many are.
  const std::shared_ptr<std::atomic<std::uint32_t>> sending_;
  std::atomic<std::uint32_t> twin_changes_{0};  // On their way.
  std::vector<std::unique_ptr<TopicPart>> parts_;
};

}  // namespace kante
