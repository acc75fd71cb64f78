// What a broker says it takes, and that it may change its mind; MQTT 3.1.1.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/host/uplink/links/link_fixture.h"

namespace kante {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Fate = ToxicProxy::Fate;
using Kind = ToxicProxy::Fate::Kind;

class LimitsTest : public LinkTest {
 protected:
  std::uint64_t quarantined() { return (*store_->queue("quarantine"))->messages(); }
};

std::uint8_t typeOf(const std::string& packet) { return static_cast<std::uint8_t>(packet[0]) >> 4; }

// CONNACK of MQTT 5 that names a maximum packet size of 3,000.
const std::string kSmall("\x20\x08\0\0\x05\x27\0\0\x0b\xb8", 10);

Fate small(const std::string& packet) {
  return typeOf(packet) == 2 ? Fate{Kind::kReplace, kSmall} : Fate{};
}

TEST_F(LimitsTest, WhatIsLargerThanTheBrokerTakesIsLostAndTheRestGoesOn) {
  Mosquitto broker({.extra = "max_packet_size 3000"});
  MqttPeer cloud(broker, {.filters = {"kante/v1/#"}});
  startUplink(quickTo(broker.url()));
  ASSERT_TRUE(eventuallyState("connected"));
  send(0, 2);
  put(std::string(5000, 'x'));
  send(3, 5);
  ASSERT_TRUE(eventuallyEmpty());
  ASSERT_TRUE(cloud.waitFor("kante/v1/edge-1/lost", "\"seq\":3"));
  EXPECT_EQ(quarantined(), 1u);
  EXPECT_TRUE(cloud.waitUntil([](const auto& all) {
    return std::any_of(all.begin(), all.end(),
                       [](const Received& one) { return one.property("kante-seq") == "5"; });
  }));
}

TEST_F(LimitsTest, EachSizeAroundTheLimitIsEitherSentOrLost) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  proxy.fromBroker(small);
  std::atomic<std::size_t> longest{0};
  proxy.fromClient([&](const std::string& packet) {
    if (packet.size() > longest) longest = packet.size();
    return Fate{};
  });
  startUplink(quickTo(proxy.url()));
  ASSERT_TRUE(eventuallyState("connected"));
  for (std::size_t size = 2'600; size < 2'900; ++size) put(std::string(size, 'x'));
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_EQ(longest, 3'000u);
  EXPECT_EQ(uplink_->status().acknowledged + quarantined(), 300u);
  EXPECT_EQ(uplink_->status().connects, 1u);
}

TEST_F(LimitsTest, ALimitThatTheBrokerGivesUpIsForgotten) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  proxy.fromBroker(small);
  startUplink(quickTo(proxy.url()));
  send(0, 1);
  ASSERT_TRUE(eventuallyEmpty());
  proxy.fromBroker({});
  proxy.cut();
  ASSERT_TRUE(eventually([&] { return uplink_->status().connects == 2; }));
  put(std::string(5000, 'x'));
  EXPECT_TRUE(allCame(cloud, 2, 1));
  EXPECT_EQ(quarantined(), 0u);
}

TEST_F(LimitsTest, WhatIsInFlightWhenTheLimitShrinksDoesNotComeForEver) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {"kante/v1/edge-1/lost"}});
  std::atomic<int> publishes{0};
  proxy.fromClient([&](const std::string& packet) {
    if (typeOf(packet) != 3 || packet.find("/telemetry/") == std::string::npos) return Fate{};
    ++publishes;
    return Fate{Kind::kDrop};
  });
  startUplink(quickTo(proxy.url()));
  put(std::string(5000, 'x'));
  send(1, 3);
  ASSERT_TRUE(eventually([&] { return publishes >= 3; }));
  proxy.fromClient({});
  proxy.fromBroker(small);
  proxy.cut();
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_TRUE(cloud.waitFor("kante/v1/edge-1/lost", "\"seq\":1"));
  EXPECT_EQ(quarantined(), 1u);
}

TEST_F(LimitsTest, ASmallReceiveMaximumOnlyMakesItSlower) {
  Mosquitto broker({.extra = "max_inflight_messages 3"});
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  startUplink(quickTo(broker.url()));
  send(0, 500);
  EXPECT_TRUE(allCame(cloud, 500, 1));
}

TEST_F(LimitsTest, ABrokerThatLostEverySessionLosesNoMessageOfTheGateway) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {kTelemetry, "probe"}});
  startUplink(quickTo(broker.url()));
  send(0, 200);
  ASSERT_TRUE(waitForNumbers(cloud, 200));
  broker.stop();
  send(200, 400);
  std::filesystem::remove(broker.directory() + "/mosquitto.db");
  // The receiver has to be there before the gateway: what a broker acknowledges for nobody is gone.
  stopUplink();
  openStore();
  broker.start();
  ASSERT_TRUE(cloud.resubscribed());
  startUplink(quickTo(broker.url()));
  EXPECT_TRUE(allCame(cloud, 400, 3));
}

// ---- MQTT 3.1.1 ----

// As a broker that knows 3.1.1 only: the protocol level is the seventh byte of CONNECT's body.
Fate only311(const std::string& packet) {
  if (typeOf(packet) != 1) return {};
  const std::size_t name = packet.find("MQTT");
  return packet[name + 4] == 5 ? Fate{Kind::kAnswer, std::string("\x20\x02\0\x01", 4)} : Fate{};
}

using ProtocolTest = LimitsTest;

TEST_F(ProtocolTest, FallsBackTo311WhenTheBrokerSaysThatItDoesNotSpeak5) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  proxy.fromClient(only311);
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  startUplink(quickTo(proxy.url()));
  send(0, 3);
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_EQ(uplink_->status().protocol, "3.1.1");
  ASSERT_TRUE(cloud.waitForCount(3));
  for (std::size_t i = 0; i < 3; ++i) {
    const Received message = cloud.messages().at(i);
    EXPECT_THAT(message.topic,
                AllOf(HasSubstr(kTopic), HasSubstr("kante-seq=" + std::to_string(i + 1)),
                      HasSubstr("kante-epoch=" + store_->epoch())));
    EXPECT_EQ(message.payload, std::to_string(i));
    EXPECT_THAT(message.properties, IsEmpty());
  }
  proxy.cut();
  ASSERT_TRUE(eventually([&] { return uplink_->status().connects == 2; }));
  EXPECT_EQ(proxy.taken(), 3u) << "remembered: 5 is not tried again";
}

TEST_F(ProtocolTest, WhatIsInFlightIsWrittenAnewInTheOlderForm) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  std::atomic<int> publishes{0};
  proxy.fromClient([&](const std::string& packet) {
    if (typeOf(packet) != 3 || packet.find("/telemetry/") == std::string::npos) return Fate{};
    ++publishes;
    return Fate{Kind::kDrop};
  });
  startUplink(quickTo(proxy.url()));
  send(0, 100);
  ASSERT_TRUE(eventually([&] { return publishes >= 8; }));  // Within the first window.
  std::atomic<bool> older{false};  // What the cut connection still sends stays dropped.
  proxy.fromClient([&](const std::string& packet) {
    if (typeOf(packet) == 1) older = true;
    return older ? only311(packet) : Fate{Kind::kDrop};
  });
  proxy.cut();
  ASSERT_TRUE(eventuallyEmpty());
  ASSERT_TRUE(cloud.waitForCount(100));
  std::size_t next = 1;
  for (const Received& message : cloud.messages()) {
    EXPECT_THAT(message.topic, HasSubstr("kante-seq=" + std::to_string(next)));
    EXPECT_EQ(message.payload, std::to_string(next - 1));
    ++next;
  }
}

TEST_F(ProtocolTest, SaysThatTheBrokerDoesNotSpeakWhatWasAskedFor) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  proxy.fromClient(only311);
  MqttUplinkOptions options = quickTo(proxy.url());
  options.protocol = MqttProtocol::k5;
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("set [uplink] protocol")) << uplink_->status().reason;
}

TEST_F(ProtocolTest, In311TheBrokerStillSaysOfflineWhenTheGatewayStops) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/v1/edge-1/state"}});
  MqttUplinkOptions options = quickTo(broker.url());
  options.protocol = MqttProtocol::k311;
  startUplink(options);
  EXPECT_TRUE(cloud.waitFor("kante/v1/edge-1/state", R"("state":"online")"));
  stopUplink();
  EXPECT_TRUE(cloud.waitFor("kante/v1/edge-1/state", R"("state":"offline")"));
}

}  // namespace
}  // namespace kante
