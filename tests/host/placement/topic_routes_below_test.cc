// Telemetry of gateways below, by the routes of this one.
#include <gmock/gmock.h>

#include "host/hub/gateways/whereabouts.h"
#include "host/mqtt/properties.h"
#include "host/mqtt/write.h"
#include "host/placement/topic_routes.h"
#include "tests/host/shard/shard_fixture.h"

namespace kante {
namespace {

using mqtt::Reason;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Taken = hub::Routing::Taken;

struct OriginSink final : DurableSink {
  Offer offer(const MessageRef& message, const Hop& hop, std::uint8_t, std::uint32_t,
              Committed) override {
    said.push_back(hop.source->telemetry_name + " " + hop.source->path + " " +
                   hop.source->origin_gateway + "/" + hop.source->origin_epoch + "/" +
                   std::to_string(hop.origin_number) + " " + std::to_string(hop.hops) + " " +
                   std::string(message.view().body()));
    device = hop.source->connection_device_id;
    return Offer::kTaken;
  }
  bool hasRoom() const override { return true; }
  void onRoom(std::function<void()>) override {}
  std::vector<std::string> said;
  std::string device;
};

struct WhereDesk final : hub::GatewayDesk {
  std::shared_ptr<void> enter(const std::string&, std::size_t) override { return nullptr; }
  void said(Said) override {}
  Status speaks(const std::string& gateway, std::string_view principal) override {
    ++asked;
    return where.speaks(gateway, principal);
  }
  std::uint64_t changes() const override { return where.changes(); }
  void arrived(const std::string& device) override { where.arrived(device); }
  void left(const std::string& device) override { where.left(device); }
  void hears(const hub::SessionRef&, const std::string&, std::uint8_t) override {}
  hub::Whereabouts where{[] {}};
  int asked = 0;
};

struct Child final : hub::Routing::Sender {
  const std::string& name() const override { return name_; }
  bool mayActFor(std::string_view other) const override {
    return other.starts_with("device/") ? devices : gateways;
  }
  std::function<void(hub::Kept)> kept() override { return {}; }
  std::function<void()> resume() override { return {}; }
  bool devices = true, gateways = false;

 private:
  const std::string name_ = "gateway/leaf";
};

class FromBelowTest : public ShardFixture {
 protected:
  ~FromBelowTest() override {
    topics_.activate(nullptr);
    handOver();
  }
  void routes(const std::vector<std::string>& texts) {
    std::vector<RouteSpec> specs;
    for (const std::string& text : texts) {
      RouteSpec& spec = specs.emplace_back();
      spec.name = "r" + std::to_string(specs.size());
      spec.text = text;
    }
    auto made =
        RouteTable::make(specs, {}, {"edge", sources_, &upstream_, nullptr, nullptr, &topics_});
    ASSERT_TRUE(made.has_value()) << made.error().text;
    table_ = *made;
    topics_.activate(table_);
    on(*shards_[0], [] {});
  }
  hub::Routing::Outcome publish(const std::string& source, std::uint64_t number,
                                const std::vector<std::pair<std::string, std::string>>& more = {}) {
    mqtt::PropertyWriter writer;
    writer.user("kante-gateway", "leaf");
    writer.user("kante-epoch", "ab");
    writer.user("kante-seq", std::to_string(number));
    for (const auto& [name, value] : more) writer.user(name, value);
    const std::string topic = "kante/v1/leaf/telemetry/" + source;
    mqtt::Publish packet;
    packet.topic = topic;
    packet.payload = "b";
    mqtt::Fault fault;
    EXPECT_TRUE(mqtt::parseProperties(writer.bytes(), mqtt::PropertySet::kPublish,
                                      packet.properties, fault));
    hub::Routing::Outcome out;
    on(*shards_[0], [&] { out = topics_.routings()[0]->take(packet, child_); });
    return out;
  }
  std::vector<std::string> arrived() { return std::exchange(upstream_.said, {}); }

  SourceTable sources_;
  OriginSink upstream_;
  WhereDesk desk_;
  Child child_;
  TopicRoutes topics_{
      "edge", sources_, {shards_[0]}, [](auto task) { task(); }, FromBelow{.desk = &desk_}};
  std::shared_ptr<RouteTable> table_;
};

TEST_F(FromBelowTest, ADeviceIsWhatItWasAndAModuleHasTheNameOfItsGateway) {
  routes({"FROM /messages/* INTO $upstream"});
  EXPECT_EQ(publish("device/car", 1).taken, Taken::kTaken);
  EXPECT_EQ(publish("module/filter/alert", 2).taken, Taken::kTaken);
  EXPECT_THAT(arrived(),
              ElementsAre("device/car /messages/devices/car leaf/ab/1 2 b",
                          "gateway/leaf/module/filter/alert "
                          "/messages/gateways/leaf/modules/filter/outputs/alert leaf/ab/2 2 b"));
  EXPECT_EQ(upstream_.device, "leaf");
}

TEST_F(FromBelowTest, RoutesNameWhatIsBelow) {
  routes({"FROM /messages/gateways/leaf/modules/filter/outputs/alert INTO $upstream"});
  EXPECT_EQ(publish("module/filter/alert", 1).taken, Taken::kTaken);
  EXPECT_EQ(publish("module/filter/other", 2).taken, Taken::kNobody);
  EXPECT_EQ(publish("device/car", 3).taken, Taken::kNobody);
  EXPECT_EQ(topics_.counts().no_route.load(), 2u);
}

TEST_F(FromBelowTest, TheOriginStaysThroughAnyNumberOfGateways) {
  routes({"FROM /messages/* INTO $upstream"});
  (void)publish("device/car", 8,
                {{"kante-origin-gateway", "deep"},
                 {"kante-origin-epoch", "cd"},
                 {"kante-origin-seq", "41"},
                 {"kante-hops", "3"}});
  EXPECT_THAT(arrived(), ElementsAre("device/car /messages/devices/car deep/cd/41 4 b"));
}

TEST_F(FromBelowTest, WhatHasComeRoundEndsHere) {
  routes({"FROM /messages/* INTO $upstream"});
  EXPECT_EQ(publish("device/car", 1,
                    {{"kante-origin-gateway", "edge"},
                     {"kante-origin-epoch", "cd"},
                     {"kante-origin-seq", "1"}})
                .taken,
            Taken::kNobody);
  EXPECT_EQ(publish("device/car", 2, {{"kante-hops", "16"}}).taken, Taken::kNobody);
  EXPECT_THAT(arrived(), IsEmpty());
  EXPECT_EQ(topics_.counts().loop.load(), 2u);
}

TEST_F(FromBelowTest, SpeaksForNobodyWithoutAGrant) {
  routes({"FROM /messages/* INTO $upstream"});
  const auto other = publish("gateway/deep/module/m/out", 1);
  EXPECT_EQ(other.taken, Taken::kRefused);
  EXPECT_EQ(other.reason, Reason::kNotAuthorized);
  EXPECT_THAT(other.why, HasSubstr("may not speak for gateway/deep/module/m"));
  EXPECT_EQ(publish("device/car", 2).taken, Taken::kTaken);
  child_.devices = false;
  EXPECT_EQ(publish("device/car", 3).reason, Reason::kNotAuthorized);
  EXPECT_EQ(publish("module/filter/alert", 4).taken, Taken::kTaken) << "its own need none";
}

TEST_F(FromBelowTest, AsksAgainWhereADeviceIsOnlyWhenSomethingMoved) {
  routes({"FROM /messages/* INTO $upstream"});
  for (std::uint64_t i = 1; i <= 5; ++i) (void)publish("device/car", i);
  const int asked = desk_.asked;
  (void)publish("device/car", 6);
  EXPECT_EQ(desk_.asked, asked);
  desk_.where.pin("device/car", "other");
  const auto refused = publish("device/car", 7);
  EXPECT_EQ(refused.reason, Reason::kNotAuthorized);
  EXPECT_THAT(refused.why, HasSubstr("--parent"));
}

TEST_F(FromBelowTest, WhatADeviceSaysThatIsHereItselfIsTakenAndMovesItOnlyOnceItLeft) {
  routes({"FROM /messages/* INTO $upstream"});
  desk_.arrived("device/car");
  EXPECT_EQ(publish("device/car", 1).taken, Taken::kTaken);
  EXPECT_EQ(desk_.where.of("device/car"), "");
  desk_.left("device/car");
  EXPECT_EQ(publish("device/car", 2).taken, Taken::kTaken);
  EXPECT_EQ(desk_.where.of("device/car"), "leaf");
}

TEST_F(FromBelowTest, AGatewayWithTooManyDevicesBehindItTriesAgain) {
  routes({"FROM /messages/* INTO $upstream"});
  for (std::size_t i = 0; i < hub::Whereabouts::kLearnedMax; ++i)
    ASSERT_TRUE(desk_.where.speaks("leaf", "device/" + std::to_string(i)));
  const auto refused = publish("device/car", 1);
  EXPECT_EQ(refused.taken, Taken::kRefused);
  EXPECT_EQ(refused.reason, Reason::kQuotaExceeded);
  desk_.where.forget("device/0");
  EXPECT_EQ(publish("device/car", 1).taken, Taken::kTaken);
}

TEST_F(FromBelowTest, RefusesForGoodWhatNoGatewayWrites) {
  routes({"FROM /messages/* INTO $upstream"});
  EXPECT_EQ(publish("device/a%2Fb", 1).reason, Reason::kTopicNameInvalid);
  EXPECT_EQ(publish("device/car", 1, {{"kante-gateway", "other"}}).reason,
            Reason::kPayloadFormatInvalid);
}

}  // namespace
}  // namespace kante
