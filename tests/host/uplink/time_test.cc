// What the uplink makes of a wall clock that is wrong: certificates and the mark on messages.
#include <ctime>

#include "tests/host/uplink/uplink_fixture.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kHour_s = 3600;

// The certificates are valid from an hour ago for a day; what the gateway believes is told.
class UplinkTimeTest : public UplinkTest {
 protected:
  UplinkTimeTest() {
    const auto pair = tls_.server("server");
    broker_ = std::make_unique<Mosquitto>(BrokerOptions{.cert = pair.cert, .key = pair.key});
  }
  ~UplinkTimeTest() override { stopUplink(); }

  void start(std::int64_t wall_s, std::int64_t build_s, bool synchronised = false) {
    told_.stepWall(wall_s * kSecondNs - told_.wallNs());
    wall_ = std::make_unique<TrustedClock>(told_, build_s, [synchronised] { return synchronised; });
    MqttUplinkOptions options = optionsFor(broker_->url());
    options.ca = tls_.ca();
    startUplink(options);
  }

  void putAt(const std::string& body, std::int64_t arrived_ns) {
    Answers answers;
    Entry entry = entryOf(body);
    entry.hop.arrived_ns = arrived_ns;
    ASSERT_EQ(queue().offer(entry, &answers, 1), Offer::kTaken);
    ASSERT_TRUE(answers.wait(1));
  }

  TlsMaterial tls_{temp_.path(), "factory"};
  std::unique_ptr<Mosquitto> broker_;
  ManualClock told_;
  const std::int64_t now_s_ = SystemClock().wallNs() / kSecondNs;
};

TEST_F(UplinkTimeTest, ConnectsIn1970AndMarksMessagesUntilTheClockIsSet) {
  MqttPeer cloud(*broker_, {.filters = {"kante/v1/+/telemetry/#"}, .ca = tls_.ca()});
  start(100, now_s_ - 2 * kHour_s);
  putAt("early", told_.wallNs());
  ASSERT_TRUE(waitForNumbers(cloud, 1));
  EXPECT_EQ(cloud.messages().at(0).property("kante-time"), "untrusted");
  EXPECT_GE(wall_->read().floor_s, now_s_ - kHour_s - 60)
      << "the broker's certificate was accepted";
  EXPECT_EQ(wall_->read().floor_from, FloorFrom::kCertificate);
  told_.stepWall(now_s_ * kSecondNs - told_.wallNs());
  putAt("late", told_.wallNs());
  ASSERT_TRUE(waitForNumbers(cloud, 2));
  EXPECT_EQ(cloud.messages().at(1).property("kante-time"), "");
  putAt("stamped before the clock was set", 200 * kSecondNs);
  ASSERT_TRUE(waitForNumbers(cloud, 3));
  EXPECT_EQ(cloud.messages().at(2).property("kante-time"), "untrusted");
}

TEST_F(UplinkTimeTest, IsNotConnectedWhenTheCertificateHadExpiredAtTheFloor) {
  start(100, now_s_ + 25 * kHour_s);
  EXPECT_TRUE(eventuallyReason("certificate has expired"));
}

TEST_F(UplinkTimeTest, BelievesATrustedClockThatSaysExpiredOrNotYetValid) {
  start(now_s_ + 25 * kHour_s, now_s_ - 48 * kHour_s);
  EXPECT_TRUE(eventuallyReason("certificate has expired"));
  start(now_s_ - 24 * kHour_s, now_s_ - 48 * kHour_s);
  EXPECT_TRUE(eventuallyReason("certificate is not yet valid"));
}

TEST_F(UplinkTimeTest, IsConnectedAgainWhenAClockTenYearsAheadIsCorrectedBySynchronisation) {
  start(now_s_ + 87'600 * kHour_s, now_s_ - 48 * kHour_s, true);
  EXPECT_TRUE(eventuallyReason("certificate has expired"));
  ASSERT_TRUE(wall_->tick().has_value());
  told_.stepWall(now_s_ * kSecondNs - told_.wallNs());
  EXPECT_TRUE(eventuallyState("connected"));
}

}  // namespace
}  // namespace kante
