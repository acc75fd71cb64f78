// What happens to packets: loss, delay, silence, an address that goes and comes.  Network
// namespaces with TUN devices between them; skipped where those may not be made.
#include <gmock/gmock.h>

#include <optional>

#include "tests/host/uplink/links/link_fixture.h"
#include "tests/support/bad_link.h"

namespace kante {
namespace {

using testing::BadLink;
using testing::LinkQuality;

class BadLinkTest : public LinkTest {
 protected:
  void SetUp() override {
    if (!BadLink::possible()) GTEST_SKIP() << "no network namespaces or TUN devices here";
    link_.emplace();
  }
  void TearDown() override {
    stopUplink();
    cloud_.reset();
    broker_.reset();
  }
  void startBroker(BrokerOptions options = {}, PeerOptions peer = {}) {
    options.address = BadLink::kBroker;
    peer.filters = {kTelemetry};
    link_->atBroker([&] {
      broker_.emplace(std::move(options));
      cloud_.emplace(*broker_, std::move(peer));
    });
  }
  void startAtGateway(MqttUplinkOptions options) {
    onControl([&] {
      auto uplink = make(std::move(options));
      ASSERT_FALSE(uplink.has_error()) << uplink.error().text;
      uplink_ = std::move(*uplink);
    });
    link_->atGateway([&] { ASSERT_FALSE(uplink_->start().has_error()); });
  }

  std::optional<BadLink> link_;
  std::optional<Mosquitto> broker_;
  std::optional<MqttPeer> cloud_;
};

TEST_F(BadLinkTest, SilenceIsKnownAndTheLinkIsUsedAgainWhenItReturns) {
  startBroker();
  startAtGateway(quickTo(broker_->url()));
  send(0, 100);
  ASSERT_TRUE(eventuallyState("connected"));
  link_->set({.silent = true});
  send(100, 400);
  ASSERT_TRUE(eventually([&] { return uplink_->status().state != "connected"; }));
  ASSERT_TRUE(eventuallyReason("no answer")) << uplink_->status().reason;
  link_->set({});
  EXPECT_TRUE(allCame(*cloud_, 400, uplink_->status().connects + 1));
}

TEST_F(BadLinkTest, TwoPercentLossAnd600MsLoseNothing) {
  startBroker();
  link_->set({.delay_ms = 300, .loss = 0.02});
  MqttUplinkOptions options = quickTo(broker_->url());
  options.times = LinkTimes();
  startAtGateway(options);
  // mosquitto takes 20 at once, and acknowledges over two round trips: 150 were most of the time
  // that the test has, so that a few more losses than usual were a failure.
  send(0, 60);
  EXPECT_TRUE(allCame(*cloud_, 60, 1));
  EXPECT_EQ(uplink_->status().connects, 1u);
}

TEST_F(BadLinkTest, ATlsHandshakeGetsOverALongLink) {
  TlsMaterial tls(temp_.path(), "factory");
  const auto server = tls.server("server", std::string("IP:") + BadLink::kBroker);
  startBroker({.cert = server.cert, .key = server.key}, {.ca = tls.ca()});
  link_->set({.delay_ms = 300});
  MqttUplinkOptions options = quickTo(broker_->url());
  options.times = LinkTimes();
  options.ca = tls.ca();
  startAtGateway(options);
  send(0, 50);
  EXPECT_TRUE(allCame(*cloud_, 50, 0));
  EXPECT_EQ(uplink_->status().connects, 1u);
}

TEST_F(BadLinkTest, AnAddressThatGoesEndsTheConnectionAndOneThatComesEndsTheWait) {
  startBroker();
  MqttUplinkOptions options = quickTo(broker_->url());
  options.times = LinkTimes();
  // Longer than the test would wait: only the kernel's word can bring it back.
  options.times.backoff_first_ms = options.times.backoff_max_ms =
      options.times.backoff_unreached_max_ms = 600'000;
  options.times.keep_alive_s = 600;
  options.times.user_timeout_ms = 600'000;
  startAtGateway(options);
  ASSERT_TRUE(eventuallyState("connected"));
  link_->takeAddress();
  ASSERT_TRUE(eventually([&] { return uplink_->status().state != "connected"; }));
  send(0, 20);
  link_->giveAddress();
  EXPECT_TRUE(allCame(*cloud_, 20, 1));
}

}  // namespace
}  // namespace kante
