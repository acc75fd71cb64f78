// What brokers, portals and routers do to a connection.
#include <gmock/gmock.h>

#include "tests/host/uplink/links/link_fixture.h"

namespace kante {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Fate = ToxicProxy::Fate;
using Kind = ToxicProxy::Fate::Kind;

using ProxyLinkTest = LinkTest;

std::uint8_t typeOf(const std::string& packet) { return static_cast<std::uint8_t>(packet[0]) >> 4; }
constexpr std::uint8_t kConnect = 1, kConnack = 2, kPublish = 3, kPuback = 4;

// A CONNACK of MQTT 5 with this reason and these properties.
std::string connack(int reason, const std::string& properties = {}) {
  std::string body{'\0', static_cast<char>(reason), static_cast<char>(properties.size())};
  body += properties;
  return std::string{'\x20', static_cast<char>(body.size())} + body;
}

std::string serverReference(const std::string& server) {
  return std::string{'\x1c', '\0', static_cast<char>(server.size())} + server;
}

ToxicProxy::Filter instead(std::uint8_t type, std::string bytes) {
  return [type, bytes = std::move(bytes)](const std::string& packet) {
    return typeOf(packet) == type ? Fate{Kind::kReplace, bytes} : Fate{};
  };
}

TEST_F(ProxyLinkTest, ALinkThatIsDeadWithoutAWordIsKnownAndLosesNothing) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  startUplink(quickTo(proxy.url()));
  send(0, 50);
  ASSERT_TRUE(eventuallyState("connected"));
  proxy.freeze(true);
  send(50, 300);
  ASSERT_TRUE(eventually([&] { return uplink_->status().state != "connected"; }));
  EXPECT_GE(uplink_->status().backlog_messages, 250u);
  proxy.freeze(false);
  EXPECT_TRUE(allCame(cloud, 300, uplink_->status().connects + 1));
}

TEST_F(ProxyLinkTest, AnIdleLinkThatIsDeadIsKnownByItsSilence) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  startUplink(quickTo(proxy.url()));
  ASSERT_TRUE(eventuallyState("connected"));
  proxy.freeze(true);
  EXPECT_TRUE(eventuallySaid("the link is dead")) << uplink_->status().reason;
}

TEST_F(ProxyLinkTest, AQuietLinkThatLivesStaysUp) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  std::atomic<int> pongs{0};
  proxy.fromBroker([&](const std::string& packet) {
    pongs += typeOf(packet) == 13 ? 1 : 0;
    return Fate{};
  });
  startUplink(quickTo(proxy.url()));
  ASSERT_TRUE(eventually([&] { return pongs >= 2; }));
  EXPECT_EQ(uplink_->status().connects, 1u);
  EXPECT_EQ(proxy.taken(), 1u);
}

TEST_F(ProxyLinkTest, ABrokerThatTakesTheConnectionAndSaysNothingIsLeftAgain) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  proxy.freeze(true);
  startUplink(quickTo(proxy.url()));
  send(0, 10);
  EXPECT_TRUE(eventuallyReason("takes the connection and answers nothing"));
  proxy.freeze(false);
  EXPECT_TRUE(allCame(cloud, 10, 1));
}

TEST_F(ProxyLinkTest, ABrokerThatNeverAcknowledgesRaisesAnAlarmAndGetsItAgain) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  proxy.fromBroker([](const std::string& packet) {
    return typeOf(packet) == kPuback ? Fate{Kind::kDrop} : Fate{};
  });
  startUplink(quickTo(proxy.url()));
  send(0, 200);
  ASSERT_TRUE(eventuallyAlarm("acknowledges nothing")) << uplink_->status().alarm;
  EXPECT_LE(uplink_->status().in_flight, 64u);
  EXPECT_EQ(queue().messages(), 200u) << "nothing is removed";
  ASSERT_TRUE(eventually([&] { return uplink_->status().connects >= 2; }));
  proxy.fromBroker({});
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_TRUE(eventually([&] { return uplink_->status().alarm.empty(); }));
  EXPECT_TRUE(allCame(cloud, 200, uplink_->status().connects));
}

TEST_F(ProxyLinkTest, ABrokerThatAcknowledgesLateIsGivenTheTimeThatItTakes) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  proxy.fromBroker([](const std::string& packet) {
    Fate fate;
    if (typeOf(packet) == kPuback) fate.delay = std::chrono::milliseconds(1'000);
    return fate;
  });
  startUplink(quickTo(proxy.url()));
  for (int i = 0; i < 3; ++i) {
    send(i * 30, i * 30 + 30);
    ASSERT_TRUE(eventuallyEmpty());
  }
  EXPECT_LE(uplink_->status().connects, 3u) << "it learns";
  EXPECT_TRUE(allCame(cloud, 90, uplink_->status().connects));
}

// The first answer of each connection is quick: the state of the gateway is small and goes alone.
TEST_F(ProxyLinkTest, ABrokerThatIsLateWithMostIsNotTakenForAQuickOneAgain) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  proxy.fromBroker([is_first = true](const std::string& packet) mutable {
    Fate fate;
    if (typeOf(packet) == kConnack) is_first = true;
    if (typeOf(packet) == kPuback && !std::exchange(is_first, false))
      fate.delay = std::chrono::milliseconds(2'500);
    return fate;
  });
  startUplink(quickTo(proxy.url()));
  send(0, 8);
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_GE(uplink_->status().connects, 2u);
  EXPECT_LE(uplink_->status().connects, 4u) << "it learns";
  EXPECT_TRUE(allCame(cloud, 8, uplink_->status().connects));
}

TEST_F(ProxyLinkTest, SaysOfEachRefusalWhatItMeans) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  startUplink(quickTo(proxy.url()));
  const std::pair<int, const char*> refusals[] = {{0x86, "mend [uplink] username"},
                                                  {0x87, "access control"},
                                                  {0x8a, "banned"},
                                                  {0x89, "busy (0x89)"},
                                                  {0x85, "[gateway] id"}};
  for (const auto& [code, part] : refusals) {
    proxy.fromBroker(instead(kConnack, connack(code)));
    proxy.cut();
    EXPECT_TRUE(eventuallyReason(part)) << uplink_->status().reason;
  }
  proxy.fromBroker({});
  EXPECT_TRUE(eventuallyState("connected"));
}

TEST_F(ProxyLinkTest, FollowsARedirectAndComesBackToItsOwnBroker) {
  Mosquitto other;
  Mosquitto broker;
  ToxicProxy home(broker.port());
  ToxicProxy there(other.port());
  MqttPeer cloud(other, {.filters = {kTelemetry}});
  home.fromBroker(instead(
      kConnack, connack(0x9c, serverReference("127.0.0.1:" + std::to_string(there.port())))));
  startUplink(quickTo(home.url()));
  send(0, 10);
  EXPECT_TRUE(allCame(cloud, 10, 1));
  EXPECT_EQ(home.taken(), 1u);
  home.fromBroker({});
  there.cut();
  ASSERT_TRUE(eventually([&] { return home.taken() == 2; })) << "use another server: for once";
  EXPECT_TRUE(eventuallyState("connected"));
}

// The library keeps to itself where a DISCONNECT sends it; the broker says it again to who returns.
TEST_F(ProxyLinkTest, ABrokerThatSendsItAwayLaterIsAskedWhere) {
  Mosquitto other;
  Mosquitto broker;
  ToxicProxy home(broker.port());
  ToxicProxy there(other.port());
  MqttPeer cloud(other, {.filters = {kTelemetry}});
  const std::string server = serverReference("127.0.0.1:" + std::to_string(there.port()));
  startUplink(quickTo(home.url()));
  ASSERT_TRUE(eventuallyState("connected"));
  std::string disconnect{'\x9c', static_cast<char>(server.size())};
  disconnect += server;
  disconnect = std::string{'\xe0', static_cast<char>(disconnect.size())} + disconnect;
  home.fromBroker([redirect = connack(0x9c, server), disconnect](const std::string& packet) {
    if (typeOf(packet) == kConnack) return Fate{Kind::kReplace, redirect};
    return typeOf(packet) == kPuback ? Fate{Kind::kReplace, disconnect} : Fate{};
  });
  send(0, 10);
  EXPECT_TRUE(allCame(cloud, 10, 2));
  EXPECT_TRUE(eventuallyState("connected"));
  EXPECT_EQ(home.taken(), 2u);
}

TEST_F(ProxyLinkTest, RemembersABrokerThatMovedUntilItIsNotThere) {
  Mosquitto broker;
  ToxicProxy home(broker.port());
  ToxicProxy there(broker.port());
  home.fromBroker(instead(
      kConnack, connack(0x9d, serverReference("127.0.0.1:" + std::to_string(there.port())))));
  startUplink(quickTo(home.url()));
  ASSERT_TRUE(eventuallyState("connected"));
  there.cut();
  ASSERT_TRUE(eventually([&] { return there.taken() == 2; }));
  EXPECT_EQ(home.taken(), 1u);
  home.fromBroker({});
  there.refuse(true);
  there.cut();
  EXPECT_TRUE(eventually([&] { return home.taken() == 2; }));
  EXPECT_TRUE(eventuallyState("connected"));
}

TEST_F(ProxyLinkTest, IsNotSentInCirclesNorOffTheMachineInPlainText) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  proxy.fromBroker(instead(
      kConnack, connack(0x9c, serverReference("127.0.0.1:" + std::to_string(proxy.port())))));
  startUplink(quickTo(proxy.url()));
  EXPECT_TRUE(eventuallyReason("the fourth in a row")) << uplink_->status().reason;
  proxy.fromBroker(instead(kConnack, connack(0x9c, serverReference("192.0.2.1:1883"))));
  EXPECT_TRUE(eventuallyReason("not followed in plain text")) << uplink_->status().reason;
  proxy.fromBroker(instead(kConnack, connack(0x9d)));
  EXPECT_TRUE(eventuallyReason("names no usable server")) << uplink_->status().reason;
}

TEST_F(ProxyLinkTest, ABrokerThatDropsEachConnectionLosesNothing) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  std::atomic<int> drops{0};
  proxy.fromClient([&](const std::string& packet) {
    if (typeOf(packet) != kPublish || packet.find("/telemetry/") == std::string::npos)
      return Fate{};
    return ++drops % 8 == 0 ? Fate{Kind::kAnswer} : Fate{};
  });
  startUplink(quickTo(proxy.url()));
  send(0, 100);
  ASSERT_TRUE(eventually([&] { return uplink_->status().connects >= 5; }));
  proxy.fromClient({});
  EXPECT_TRUE(allCame(cloud, 100, uplink_->status().connects));
}

TEST_F(ProxyLinkTest, ResetsInTheMiddleLoseNothing) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  startUplink(quickTo(proxy.url()));
  for (int i = 0; i < 10; ++i) {
    send(i * 100, i * 100 + 100);
    i % 2 == 0 ? proxy.reset() : proxy.cut();
  }
  EXPECT_TRUE(allCame(cloud, 1000, 12));
}

TEST_F(ProxyLinkTest, TellsACaptivePortalFromABroker) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  proxy.answerAll("HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n");
  startUplink(quickTo(proxy.url()));
  EXPECT_TRUE(eventuallyReason("captive portal")) << uplink_->status().reason;
  EXPECT_THAT(uplink_->status().reason, HasSubstr("HTTP/1.1 302 Found"));
  TlsMaterial tls(temp_.path(), "factory");
  MqttUplinkOptions options = quickTo("mqtts://localhost:" + std::to_string(proxy.port()));
  options.ca = tls.ca();
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("captive portal")) << uplink_->status().reason;
}

TEST_F(ProxyLinkTest, AMessageThatTakesLongerThanTheKeepAliveGetsThrough) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  MqttUplinkOptions options = quickTo(proxy.url());
  options.times.puback_ms = 60'000;  // The proxy holds seconds of it.
  startUplink(options);
  ASSERT_TRUE(eventuallyState("connected"));
  proxy.throttle(100 << 10);
  put(std::string(1'000'000, 'x'));
  EXPECT_TRUE(allCame(cloud, 1, 0));
  EXPECT_EQ(uplink_->status().connects, 1u);
}

// mosquitto 2.0.11 closes the connection that is taken over without a word.
TEST_F(ProxyLinkTest, ASecondClientOfTheSameNameTakesTheConnectionAndLosesNothing) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  startUplink(quickTo(broker.url()));
  send(0, 100);
  ASSERT_TRUE(eventuallyState("connected"));
  {
    MqttPeer second(broker, {.client_id = "kante-edge-1"});
    ASSERT_TRUE(eventually([&] { return uplink_->status().connects >= 2; }));
  }
  send(100, 200);
  EXPECT_TRUE(allCame(cloud, 200, uplink_->status().connects + 1));
}

TEST_F(ProxyLinkTest, TheAlarmSaysThatASecondGatewayHasTheName) {
  Mosquitto broker;
  ToxicProxy proxy(broker.port());
  MqttPeer cloud(broker, {.filters = {kTelemetry}});
  std::atomic<bool> taken{false};
  proxy.fromBroker([&](const std::string& packet) {
    if (typeOf(packet) != kPuback || taken.exchange(true)) return Fate{};
    return Fate{Kind::kReplace, std::string("\xe0\x02\x8e\0", 4)};
  });
  startUplink(quickTo(proxy.url()));
  send(0, 10);
  EXPECT_TRUE(eventuallyAlarm("two gateways")) << uplink_->status().alarm;
  EXPECT_TRUE(allCame(cloud, 10, 2));
  EXPECT_THAT(uplink_->status().alarm, HasSubstr("two gateways")) << "also when it is back";
}

}  // namespace
}  // namespace kante
