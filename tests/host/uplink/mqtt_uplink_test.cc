#include "host/uplink/mqtt_uplink.h"

#include <fcntl.h>

#include <cstdlib>
#include <set>

#include "host/base/fd.h"
#include "tests/host/uplink/uplink_fixture.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using MqttUplinkTest = UplinkTest;

TEST_F(MqttUplinkTest, DeliversInOrderWithPropertiesAndNumbers) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/#"}});
  startUplink(optionsFor(broker.url()));
  send(0, 3);
  ASSERT_TRUE(cloud.waitUntil([](const auto& all) { return all.size() >= 4; }));
  const std::vector<Received> got = cloud.messages(kTopic);
  EXPECT_THAT(payloads(got), ElementsAre("0", "1", "2"));
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].property("kind"), "test");
    EXPECT_EQ(got[i].property("kante-gateway"), "edge-1");
    EXPECT_EQ(got[i].property("kante-epoch"), store_->epoch());
    EXPECT_EQ(got[i].property("kante-seq"), std::to_string(i + 1));
    EXPECT_EQ(got[i].property("kante-dropped"), "0");
    EXPECT_EQ(got[i].property("kante-id"), "00000000000000010000000000000002");
  }
  EXPECT_TRUE(eventuallyEmpty());
  const UplinkStatus status = uplink_->status();
  EXPECT_EQ(status.kind, "mqtt");
  EXPECT_EQ(status.state, "connected");
  EXPECT_EQ(status.seq, 3u);
  EXPECT_EQ(status.epoch, store_->epoch());
  EXPECT_TRUE(eventually([&] { return uplink_->status().acknowledged == 3; }));
}

TEST_F(MqttUplinkTest, SaysOnlineRetainedAndOfflineWhenItStopsOrDies) {
  Mosquitto broker;
  startUplink(optionsFor(broker.url()));
  ASSERT_TRUE(eventuallyState("connected"));
  MqttPeer cloud(broker, {.filters = {"kante/v1/edge-1/state"}});
  EXPECT_TRUE(cloud.waitFor("kante/v1/edge-1/state", R"("state":"online")"));
  EXPECT_TRUE(cloud.waitFor("kante/v1/edge-1/state", R"("version":"1.2.3")"));
  EXPECT_TRUE(cloud.messages().at(0).retained);
  stopUplink();
  EXPECT_TRUE(cloud.waitFor("kante/v1/edge-1/state", R"("state":"offline")"));
}

TEST_F(MqttUplinkTest, LosesNothingWhenTheBrokerGoesAndComesBack) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/v1/+/telemetry/#"}});
  startUplink(optionsFor(broker.url()));
  send(0, 500);
  broker.stop();
  ASSERT_TRUE(eventually([&] { return uplink_->status().state != "connected"; }));
  send(500, 2500);
  EXPECT_GT(uplink_->status().backlog_messages, 1900u);
  broker.start();
  ASSERT_TRUE(eventuallyEmpty());
  ASSERT_TRUE(waitForNumbers(cloud, 2500));
  EXPECT_TRUE(gapless(cloud.messages(), 2500));
  std::set<std::string> bodies;
  for (const Received& message : cloud.messages()) bodies.insert(message.payload);
  EXPECT_EQ(bodies.size(), 2500u);
}

TEST_F(MqttUplinkTest, FifoKeepsTheOrderOfAllMessagesOverAnOutage) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/v1/+/telemetry/#"}});
  MqttUplinkOptions options = optionsFor(broker.url());
  options.order = MqttUplinkOptions::Order::kFifo;
  startUplink(options);
  send(0, 100);
  broker.stop();
  send(100, 300);
  broker.start();
  send(300, 400);
  ASSERT_TRUE(eventuallyEmpty());
  ASSERT_TRUE(waitForNumbers(cloud, 400));
  int expected = 0;
  for (const Received& message : cloud.messages()) {
    const int body = std::stoi(message.payload);
    EXPECT_LE(body, expected) << "nothing overtakes";
    if (body == expected) ++expected;
  }
  EXPECT_EQ(expected, 400);
}

TEST_F(MqttUplinkTest, WhatWasNotAcknowledgedComesWithTheSameNumberAfterARestart) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/v1/+/telemetry/#"}});
  startUplink(optionsFor(broker.url()));
  for (int life = 0; life < 3; ++life) {
    send(life * 200, life * 200 + 200);
    stopUplink();
    openStore();
    startUplink(optionsFor(broker.url()));
  }
  ASSERT_TRUE(eventuallyEmpty());
  ASSERT_TRUE(waitForNumbers(cloud, 600));
  std::map<std::string, std::string> by_seq;
  for (const Received& message : cloud.messages()) {
    const auto [it, fresh] = by_seq.emplace(message.property("kante-seq"), message.payload);
    EXPECT_TRUE(fresh || it->second == message.payload) << "one number, one message";
  }
}

TEST_F(MqttUplinkTest, UsesTlsWithCertificatesOnBothSides) {
  TlsMaterial tls(temp_.path(), "factory");
  const auto server = tls.server("server");
  const auto client = tls.client("client", "edge-1");
  Mosquitto broker({.cert = server.cert, .key = server.key, .client_ca = tls.ca()});
  MqttPeer cloud(broker, {.filters = {"kante/v1/+/telemetry/#"},
                          .ca = tls.ca(),
                          .cert = client.cert,
                          .key = client.key});
  MqttUplinkOptions options = optionsFor(broker.url());
  options.ca = tls.ca();
  options.cert = client.cert;
  options.key = client.key;
  startUplink(options);
  send(0, 200);
  ASSERT_TRUE(waitForNumbers(cloud, 200));
  broker.stop();
  send(200, 400);
  broker.start();
  ASSERT_TRUE(waitForNumbers(cloud, 400));
  EXPECT_TRUE(gapless(cloud.messages(), 400));
}

TEST_F(MqttUplinkTest, SaysWhyABrokerIsNotTrusted) {
  TlsMaterial tls(temp_.path(), "factory");
  TlsMaterial other(temp_.path(), "other");
  const auto server = tls.server("server");
  Mosquitto broker({.cert = server.cert, .key = server.key});
  MqttUplinkOptions options = optionsFor(broker.url());
  options.ca = other.ca();
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("certificate of localhost is refused")) << uplink_->status().reason;
  EXPECT_THAT(uplink_->status().reason, HasSubstr("issuer"));
  EXPECT_EQ(uplink_->status().connects, 0u);
}

TEST_F(MqttUplinkTest, SaysThatTheBrokersNameIsWrong) {
  TlsMaterial tls(temp_.path(), "factory");
  const auto server = tls.server("server", "DNS:elsewhere.example");
  Mosquitto broker({.cert = server.cert, .key = server.key});
  MqttUplinkOptions options = optionsFor(broker.url());
  options.ca = tls.ca();
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("hostname mismatch")) << uplink_->status().reason;
  options.url = "mqtts://127.0.0.1:" + std::to_string(broker.port());
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("IP address mismatch")) << uplink_->status().reason;
}

TEST_F(MqttUplinkTest, SaysThatTheBrokerRefusesItsCertificate) {
  TlsMaterial tls(temp_.path(), "factory");
  TlsMaterial other(temp_.path(), "other");
  const auto server = tls.server("server");
  const auto client = other.client("client", "edge-1");
  Mosquitto broker({.cert = server.cert, .key = server.key, .client_ca = tls.ca()});
  MqttUplinkOptions options = optionsFor(broker.url());
  options.ca = tls.ca();
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("certificate required")) << uplink_->status().reason;
  options.cert = client.cert;
  options.key = client.key;
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("unknown CA")) << uplink_->status().reason;
}

TEST_F(MqttUplinkTest, SaysThatNobodyListensOrTheNameIsUnknown) {
  startUplink(optionsFor("mqtt://127.0.0.1:" + std::to_string(testing::freePort())));
  EXPECT_TRUE(eventuallyReason("Connection refused")) << uplink_->status().reason;
  EXPECT_TRUE(eventuallyState("disconnected"));
}

TEST_F(MqttUplinkTest, LogsInWithNameAndPasswordAndSaysWhenTheyAreWrong) {
  const std::string passwords = temp_.path() + "/passwords";
  ASSERT_EQ(::system(("mosquitto_passwd -b -c " + passwords +
                      " edge secret 2>/dev/null && chmod 644 " + passwords)
                         .c_str()),
            0);
  Mosquitto broker({.extra = "allow_anonymous false\npassword_file " + passwords});
  const std::string file = temp_.path() + "/password";
  ASSERT_FALSE(replaceFile(AT_FDCWD, file, "wrong\n").has_error());
  MqttUplinkOptions options = optionsFor(broker.url());
  options.username = "edge";
  options.password_file = file;
  startUplink(options);
  EXPECT_TRUE(eventuallyReason("Not authorized")) << uplink_->status().reason;
  ASSERT_FALSE(replaceFile(AT_FDCWD, file, "secret\n").has_error());
  EXPECT_TRUE(eventuallyState("connected")) << "the file is read again at each connect";
}

TEST_F(MqttUplinkTest, BoundsWhatWaitsForTheControlThread) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/v1/edge-1/state"}});
  std::size_t whole = 0, without_file = 0;
  take_document_ = [&](const ArrivedDocument& document, const DocumentAnswer&) {
    EXPECT_EQ(document.source, "deployment/set");
    (document.file.empty() ? without_file : whole) += 1;
  };
  startUplink(optionsFor(broker.url()));
  ASSERT_TRUE(cloud.waitForCount(1)) << "sent after the subscriptions";
  std::promise<void> go_on;
  boost::asio::post(control_, [&go_on] { go_on.get_future().wait(); });
  const std::string file(kDocumentArrivalBytesMax, 'x');
  const std::size_t fit = DocumentRoom::kBytesMax / file.size();
  for (std::size_t i = 0; i < fit + 2; ++i) cloud.publish("kante/v1/edge-1/deployment/set", file);
  EXPECT_TRUE(eventually([&] { return uplink_->status().dropped_documents == 2; }));
  go_on.set_value();
  // What was dropped is counted before it is told.
  const auto arrived = [&](std::size_t wholes) {
    return eventually([&] {
      bool all = false;
      onControl([&] { all = whole == wholes && without_file == 2; });
      return all;
    });
  };
  EXPECT_TRUE(arrived(fit));
  // There is room again.
  cloud.publish("kante/v1/edge-1/deployment/set", file);
  EXPECT_TRUE(arrived(fit + 1));
}

TEST_F(MqttUplinkTest, RefusesOptionsThatAreWrongOrUnsafe) {
  const auto refused = [&](MqttUplinkOptions options, const char* part) {
    const auto uplink = make(std::move(options));
    ASSERT_TRUE(uplink.has_error()) << part;
    EXPECT_THAT(uplink.error().text, HasSubstr(part));
  };
  refused(optionsFor("http://x"), "neither mqtts:// nor mqtt://");
  refused(optionsFor("mqtt://x:99999"), "no port from 1 to 65535");
  refused(optionsFor("mqtt://broker.example:1883"), "insecure_plain_text");
  refused(optionsFor("mqtts://broker.example"), "[uplink] ca");
  MqttUplinkOptions options = optionsFor("mqtts://broker.example");
  options.ca = "/nonexistent.pem";
  refused(options, "/nonexistent.pem");
  options = optionsFor("mqtt://127.0.0.1");
  options.topic = "kante/{gateway}";
  refused(options, "{source}");
  options.topic = "kante/+/{source}";
  refused(options, "wildcards");
  options = optionsFor("mqtt://127.0.0.1");
  options.window = 0;
  refused(options, "window");
  options = optionsFor("mqtt://127.0.0.1");
  options.commands = CommandTrust::kBroker;
  refused(options, "commands");
}

}  // namespace
}  // namespace kante
