#include "host/uplink/forwarder.h"

#include "tests/host/uplink/stub_broker.h"
#include "tests/host/uplink/uplink_fixture.h"

namespace kante {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

using ForwarderTest = UplinkTest;

std::size_t count(StubBroker& broker, const std::string& part) {
  std::size_t n = 0;
  for (const auto& publish : broker.seen())
    n += publish.topic.find(part) != std::string::npos ? 1 : 0;
  return n;
}

TEST_F(ForwarderTest, RemovesNothingThatTheBrokerDoesNotAcknowledge) {
  StubBroker broker([](const auto&) { return std::nullopt; });
  MqttUplinkOptions options = optionsFor(broker.url());
  options.window = 5;
  send(0, 50);  // Before it begins: more than half a window in flight, it takes no more.
  startUplink(options);
  ASSERT_TRUE(eventually([&] {
    return count(broker, "telemetry") == 5 && uplink_->status().in_flight == 5;
  })) << count(broker, "telemetry")
      << " came, at most the window is in flight: " << uplink_->status().in_flight;
  EXPECT_EQ(queue().messages(), 50u);
  EXPECT_EQ(uplink_->status().acknowledged, 0u);
}

TEST_F(ForwarderTest, RepeatsWhatIsInFlightAfterAReconnectWithTheSameNumbers) {
  std::atomic<bool> answering{false};
  StubBroker broker([&](const auto&) -> std::optional<std::uint8_t> {
    if (!answering) return std::nullopt;
    return 0;
  });
  startUplink(optionsFor(broker.url()));
  send(0, 5);
  ASSERT_TRUE(eventually([&] { return count(broker, "telemetry") == 5; }));
  answering = true;
  broker.hangUp();
  send(5, 6);  // Something to hang up on.
  ASSERT_TRUE(eventuallyEmpty());
  std::map<std::string, int> times;
  for (const auto& publish : broker.seen()) {
    const std::size_t at = publish.rest.find("kante-seq");
    ++times[publish.rest.substr(at + 9, 3)];
  }
  EXPECT_THAT(times, SizeIs(6)) << "six messages, six numbers";
}

TEST_F(ForwarderTest, PutsIntoQuarantineWhatTheBrokerWillNeverTakeAndReportsItsNumber) {
  std::atomic<int> n{0};
  StubBroker broker(
      [&](const auto&) -> std::optional<std::uint8_t> { return n++ == 1 ? 0x99 : 0; });
  startUplink(optionsFor(broker.url()));
  send(0, 3);
  ASSERT_TRUE(eventuallyEmpty());
  ASSERT_TRUE(eventually([&] { return count(broker, "/lost") == 1; }));
  for (const auto& publish : broker.seen()) {
    if (publish.topic.ends_with("/lost")) {
      EXPECT_THAT(publish.rest, HasSubstr("\"seq\":2"));
      EXPECT_THAT(publish.rest, HasSubstr(store_->epoch()));
      EXPECT_THAT(publish.rest, HasSubstr("(0x99)"));
    }
  }
  EXPECT_EQ(uplink_->status().refused, 1u);
  EXPECT_EQ((*store_->queue("quarantine"))->messages(), 1u);
}

TEST_F(ForwarderTest, GivesNothingUpWhenTheBrokerRefusesForNow) {
  std::atomic<int> refusals{2};
  StubBroker broker(
      [&](const auto&) -> std::optional<std::uint8_t> { return refusals-- > 0 ? 0x87 : 0; });
  startUplink(optionsFor(broker.url()));
  send(0, 1);
  ASSERT_TRUE(eventually([&] { return !uplink_->status().alarm.empty(); }));
  EXPECT_THAT(uplink_->status().alarm, HasSubstr("Not authorized"));
  EXPECT_EQ(queue().messages(), 1u);
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_EQ(uplink_->status().refused, 0u);
  EXPECT_EQ(uplink_->status().seq, 1u) << "sent again with the number it had";
  EXPECT_EQ(count(broker, "telemetry"), 3u);
  EXPECT_TRUE(eventually([&] { return uplink_->status().alarm.empty(); }));
}

TEST_F(ForwarderTest, GivesNumbersToNoMoreThanIsSentAtOnce) {
  StubBroker broker([](const auto&) { return std::nullopt; });
  startUplink(optionsFor(broker.url()));
  send(0, 1000);
  ASSERT_TRUE(eventually([&] { return count(broker, "telemetry") >= 8; }));
  const UplinkStatus status = uplink_->status();
  EXPECT_LT(status.seq, 30u) << "a broker that has not answered yet gets 4 KB";
  EXPECT_LE(status.seq, status.in_flight + 8);
}

TEST_F(ForwarderTest, HoldsTheBacklogToItsRateAndNotWhatComesLater) {
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); });
  send(0, 500);
  MqttUplinkOptions options = optionsFor(broker.url());
  options.backlog_per_s = 5;
  startUplink(options);
  ASSERT_TRUE(eventuallyState("connected"));
  ASSERT_TRUE(eventually([&] { return count(broker, "telemetry") >= 1; }));
  send(500, 600);
  ASSERT_TRUE(eventually([&] { return count(broker, "telemetry") >= 101; }));
  // All that is live came before most of what waited; five a second cannot have been 300 by now.
  EXPECT_GT(queue().messages(), 200u);
}

TEST_F(ForwarderTest, AMessageOverTheBrokersMaximumGoesIntoQuarantine) {
  // CONNACK property 0x27: maximum packet size, 2,000 bytes.
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); },
                    std::string("\x05\x27\0\0\x07\xd0", 6));
  startUplink(optionsFor(broker.url()));
  ASSERT_TRUE(eventuallyState("connected"));
  put(std::string(5000, 'x'));
  send(0, 1);
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_EQ(count(broker, "telemetry"), 1u);
  ASSERT_TRUE(eventually([&] { return count(broker, "/lost") == 1; }));
  EXPECT_EQ((*store_->queue("quarantine"))->messages(), 1u);
}

}  // namespace
}  // namespace kante
