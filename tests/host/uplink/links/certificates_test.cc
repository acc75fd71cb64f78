// Certificates that end, and new ones on disk, while the gateway is connected.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/host/uplink/links/link_fixture.h"

namespace kante {
namespace {

using testing::CertificateLife;
using ::testing::HasSubstr;

class CertificatesTest : public LinkTest {
 protected:
  CertificatesTest() : tls_(temp_.path(), "factory"), server_(tls_.server("server")) {}

  MqttUplinkOptions with(const TlsMaterial::Pair& client, const Mosquitto& broker) {
    MqttUplinkOptions options = quickTo(broker.url());
    options.ca = tls_.ca();
    options.cert = client.cert;
    options.key = client.key;
    return options;
  }
  BrokerOptions strict() {
    return {.cert = server_.cert, .key = server_.key, .client_ca = tls_.ca()};
  }

  TlsMaterial tls_;
  TlsMaterial::Pair server_;
};

TEST_F(CertificatesTest, WarnsBeforeItsOwnEndsAndUsesTheNewOneFromDiskInTime) {
  const auto client = tls_.client("client", "edge-1", {-3600, 120});
  Mosquitto broker(strict());
  MqttPeer cloud(
      broker, {.filters = {"kante/v1/#"}, .ca = tls_.ca(), .cert = client.cert, .key = client.key});
  startUplink(with(client, broker));
  ASSERT_TRUE(eventuallyState("connected"));
  ASSERT_TRUE(eventuallyAlarm("expires at")) << uplink_->status().alarm;
  EXPECT_THAT(uplink_->status().alarm, HasSubstr(client.cert));
  EXPECT_EQ(uplink_->status().connects, 1u);
  send(0, 50);
  tls_.client("client", "edge-1");
  ASSERT_TRUE(eventually([&] { return uplink_->status().connects == 2; }));
  send(50, 100);
  ASSERT_TRUE(eventually([&] { return uplink_->status().alarm.empty(); }));
  ASSERT_TRUE(waitForNumbers(cloud, 101)) << "and the state, which has no number";
  EXPECT_FALSE(std::any_of(
      cloud.messages().begin(), cloud.messages().end(),
      [](const Received& one) { return one.payload.find("offline") != std::string::npos; }))
      << "who renews a connection is not away";
}

TEST_F(CertificatesTest, ANewOneThatCannotBeUsedLeavesTheOldOne) {
  const auto client = tls_.client("client", "edge-1");
  Mosquitto broker(strict());
  startUplink(with(client, broker));
  ASSERT_TRUE(eventuallyState("connected"));
  ASSERT_FALSE(replaceFile(AT_FDCWD, client.key, "half a file\n").has_error());
  ASSERT_TRUE(eventuallyAlarm("what was read before is used")) << uplink_->status().alarm;
  EXPECT_THAT(uplink_->status().alarm, HasSubstr(client.key));
  broker.stop();
  broker.start();
  EXPECT_TRUE(eventually([&] { return uplink_->status().connects == 2; }));
}

TEST_F(CertificatesTest, SaysThatItsOwnEndedUntilANewOneIsThere) {
  const auto client = tls_.client("client", "edge-1", {-3600, -60});
  Mosquitto broker(strict());
  startUplink(with(client, broker));
  ASSERT_TRUE(eventuallyReason("expired at")) << uplink_->status().reason;
  EXPECT_THAT(uplink_->status().alarm, HasSubstr("expired at"));
  tls_.client("client", "edge-1");
  EXPECT_TRUE(eventuallyState("connected"));
  EXPECT_TRUE(eventually([&] { return uplink_->status().alarm.empty(); }));
}

TEST_F(CertificatesTest, TrustsANewCaFromDisk) {
  const auto client = tls_.client("client", "edge-1");
  TlsMaterial other(temp_.path(), "other");
  const auto server = other.server("other-server");
  Mosquitto broker({.cert = server.cert, .key = server.key});
  startUplink(with(client, broker));
  ASSERT_TRUE(eventuallyReason("a captive portal")) << uplink_->status().reason;
  EXPECT_THAT(uplink_->status().reason, HasSubstr("issued by other"));
  std::filesystem::copy_file(other.ca(), tls_.ca(),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(eventuallyState("connected"));
}

TEST_F(CertificatesTest, SaysWhenTheBrokersOwnIsNotValid) {
  const auto client = tls_.client("client", "edge-1");
  const auto ended = tls_.server("ended", "DNS:localhost", {-3600, -60});
  Mosquitto broker({.cert = ended.cert, .key = ended.key});
  startUplink(with(client, broker));
  EXPECT_TRUE(eventuallyReason("certificate has expired at")) << uplink_->status().reason;
  const auto early = tls_.server("early", "DNS:localhost", {3600, 7200});
  Mosquitto young({.cert = early.cert, .key = early.key});
  startUplink(with(client, young));
  EXPECT_TRUE(eventuallyReason("certificate is not yet valid before")) << uplink_->status().reason;
}

}  // namespace
}  // namespace kante
