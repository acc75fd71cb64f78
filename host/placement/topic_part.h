// What topics and routes are to each other on one shard.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/hub/device_api.h"
#include "host/hub/gateways/child_message.h"
#include "host/hub/gateways/gateway_desk.h"
#include "host/hub/iothub/contract_topic.h"
#include "host/hub/mqtt/routing.h"
#include "host/message/hop.h"
#include "host/placement/route_table.h"
#include "host/placement/store_door.h"
#include "host/placement/topic_sink.h"
#include "host/shard/shard.h"

namespace kante {

// What stands behind messages of gateways below.  All outlive the parts.
struct FromBelow {
  hub::GatewayDesk* desk = nullptr;  // Null: there are no gateways below.
  StoreDoor* door = nullptr;         // Null: nothing is kept.
  // Messages that had been taken before.
  std::shared_ptr<std::atomic<std::uint64_t>> repeated =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

// Of messages of clients, which no module stands for.  All shards count here.
struct TopicCounts {
  std::atomic<std::uint64_t> taken{0};     // By at least one route.
  std::atomic<std::uint64_t> held{0};      // How often a client was not read for want of room.
  std::atomic<std::uint64_t> refused{0};   // Broke a rule that routes have.
  std::atomic<std::uint64_t> no_route{0};  // Telemetry that no route wants.
  std::atomic<std::uint64_t> loop{0};
  std::atomic<std::uint64_t> overflow{0};  // Twin changes beyond what may be on their way.
};

class TopicPart final : public hub::Routing {
 public:
  static constexpr std::size_t kMemos = 1024;           // Sources whose routes are remembered.
  static constexpr std::size_t kSendersMax = 200'000;   // Principals and outputs, each one known.
  static constexpr std::size_t kOutputsPerSender = 64;  // Of a client's own choosing.

  // Sources of one gateway below: what it is and what is behind it, for each epoch of each origin.
  static constexpr std::uint32_t kSourcesPerGateway = 20'000;

  TopicPart(const std::string& gateway_id, SourceTable& sources, std::shared_ptr<Shard> shard,
            TopicCounts& counts, FromBelow below = {});
  ~TopicPart() override;

  Shard& shard() const { return *shard_; }

  // ---- the shard's thread, from here ----
  void activate(std::shared_ptr<RouteTable> table);
  Outcome take(const mqtt::Publish& publish, Sender& sender) override;
  void serve(hub::TopicDoor& door) override { door_ = &door; }  // Before the shard knows of it.
  void publish(const TopicSink::Onward& what);
  // Telemetry of `principal` ("device/ID", "device/ID/module/NAME") that came by no topic.
  Outcome takeFrom(const std::string& principal, const hub::DeviceMessage& said, Sender& sender);
  // `principal` reported this patch of its twin.  What has no room is dropped by its route.
  void twinChanged(const std::string& principal, std::string_view patch);

 private:
  struct Memo {
    std::string path;
    std::string topic;
    std::shared_ptr<const OutputRoutes> routes;
  };
  // By what routes a message goes, and what they are told of it.
  struct Way {
    std::string_view path;
    std::string_view topic;
    const Source* source = nullptr;
    std::uint8_t hops = 1;
    std::uint64_t origin_number = 0;
  };
  struct ChildSender {
    const Source* source = nullptr;
    std::uint64_t checked = 0;  // When it was known that the gateway may speak for it.
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  std::shared_ptr<const OutputRoutes> routesOf(std::string_view path, std::string_view topic);
  const std::vector<Target>& targetsOf(const OutputRoutes& routes, const MessageRef& message,
                                       const Source* source, std::vector<Target>& matched);
  // kBeyond: who looked may be one message over, when a sender on another shard was faster.
  enum class Room : std::uint8_t { kHeld, kBeyond, kWithin };
  Room roomFor(const std::vector<Target>& targets, std::uint32_t bytes, Sender& sender);
  // Of a message that `routes` want: to all of them, or, held, to none.
  Taken hand(const OutputRoutes& routes, const MessageRef& message, const Way& way, Sender* sender);
  void handLink(const Target& target, const MessageRef& message, const Hop& hop, Room room);
  void handDurable(const Target& target, const MessageRef& message, const Hop& hop, Room room,
                   std::function<void(hub::Kept)> kept);
  void handTopic(const Target& target, const MessageRef& message, const Hop& hop);
  Outcome refuse(std::string why, mqtt::Reason reason = mqtt::Reason::kImplementationSpecific);
  Outcome takeEvents(const mqtt::Publish& publish, const hub::ContractTopic& topic, Sender& sender);
  Outcome takeTelemetry(const std::string& principal, std::string_view topic,
                        const hub::DeviceMessage& said, std::string_view body, Sender& sender);
  Outcome takeChild(const mqtt::Publish& publish, std::string_view gateway, std::string_view source,
                    Sender& sender);
  Outcome handChild(const hub::ChildMessage& said, std::string_view gateway, const Source* source,
                    std::string_view topic, Sender& sender);
  // Why not is in `refused`.
  const Source* childSource(const hub::ChildMessage& said, const hub::SaidBy& by,
                            const std::string& gateway, Sender& sender, Outcome& refused);
  // Null: there are too many.  `path`: empty for what comes by an ordinary topic.
  const Source* telemetrySource(const std::string& principal, const std::string& output);
  const Source* topicSource(const std::string& principal);
  const Source* twinSource();
  const Source* known(const std::string& key, const Source& source);

  const std::string gateway_id_;
  SourceTable& sources_;
  const std::shared_ptr<Shard> shard_;
  TopicCounts& counts_;
  const FromBelow below_;
  hub::TopicDoor* door_ = nullptr;
  std::shared_ptr<RouteTable> table_;
  std::vector<Memo> memos_;
  MatchScratch scratch_;
  std::string topic_;  // Being made.
  const Source* twin_source_ = nullptr;
  std::unordered_map<std::string, const Source*, Hash, std::equal_to<>> senders_;
  std::unordered_map<std::string, std::uint32_t> outputs_;  // How many of a principal are known.
  std::unordered_map<std::string, ChildSender> child_senders_;
  std::unordered_map<std::string, std::uint32_t>
      child_sources_;  // How many of a gateway are known.
};

}  // namespace kante
