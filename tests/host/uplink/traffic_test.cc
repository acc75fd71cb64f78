#include "host/uplink/traffic.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

// Ten a second of one source, one a second of another, for so long.
std::int64_t run(Traffic& traffic, std::int64_t from_ns, int seconds, std::uint64_t& counter) {
  for (int s = 0; s < seconds; ++s) {
    for (int i = 0; i < 11; ++i) {
      const char* source = i < 10 ? "module/sensor/out" : "module/filter/alert";
      traffic.sent({source, 600, 300}, from_ns);
      traffic.published(600, from_ns);
      ++counter;
    }
    from_ns += kSecond;
    traffic.count(counter, counter, from_ns);
  }
  return from_ns;
}

TEST(TrafficTest, ScalesWhatWasMeasuredToADayAndSaysHowLongThatWas) {
  Traffic traffic;
  std::uint64_t counter = 1000;  // Of earlier days.
  traffic.count(counter, counter, kSecond);
  const TrafficReport report = traffic.report(run(traffic, kSecond, 60, counter));
  EXPECT_DOUBLE_EQ(report.basis_s, 60);
  EXPECT_NEAR(report.messages_per_day, 11 * 86'400, 1);
  EXPECT_NEAR(report.bytes_per_day, 11 * 86'400 * 600.0, 600);
  EXPECT_NEAR(report.blocks.paid, 11 * 86'400, 1);
  EXPECT_NEAR(report.blocks.free, 22 * 86'400, 2) << "600 bytes are two blocks of 512";
  EXPECT_NEAR(report.sent_per_s, 11, 0.01);
  EXPECT_NEAR(report.packed.paid, 2 * 86'400, 1) << "one a source and second";
  ASSERT_EQ(report.top.size(), 2u);
  EXPECT_EQ(report.top[0].source, "module/sensor/out");
  EXPECT_NEAR(report.top[0].share, 10.0 / 11, 1e-9);
}

TEST(TrafficTest, CountsWhatArrivesWhileNothingCanBeSent) {
  Traffic traffic;
  std::uint64_t counter = 0;
  traffic.count(counter, counter, kSecond);
  std::int64_t now_ns = run(traffic, kSecond, 10, counter);
  const std::uint64_t sent = counter;
  now_ns += 10 * kSecond;
  traffic.count(counter + 110, sent, now_ns);
  const TrafficReport report = traffic.report(now_ns);
  EXPECT_NEAR(report.messages_per_day, 11 * 86'400, 1);
  EXPECT_NEAR(report.blocks.paid, 11 * 86'400, 1);
  EXPECT_NEAR(report.sent_per_s, 5.5, 0.01);
  EXPECT_LT(report.drainSeconds(110), 0) << "more comes than goes";
}

TEST(TrafficTest, SaysHowLongDrainingTakes) {
  TrafficReport report;
  report.sent_per_s = 30;
  report.messages_per_day = 10 * 86'400;
  EXPECT_DOUBLE_EQ(report.drainSeconds(1000), 50);
  EXPECT_DOUBLE_EQ(report.drainSeconds(0), 0);
}

TEST(TrafficTest, ForgetsWhatIsOlderThanAnHour) {
  Traffic traffic;
  std::uint64_t counter = 0;
  traffic.count(0, 0, kSecond);
  std::int64_t now_ns = run(traffic, kSecond, 60, counter);
  for (int i = 0; i < 13; ++i) {
    now_ns += Traffic::kSliceNs;
    traffic.count(counter, counter, now_ns);
  }
  const TrafficReport report = traffic.report(now_ns);
  EXPECT_LE(report.basis_s, 3600);
  EXPECT_EQ(report.messages_per_day, 0);
}

TEST(TrafficTest, PutsSourcesBeyondItsBoundTogether) {
  Traffic traffic;
  traffic.count(0, 0, kSecond);
  for (int i = 0; i < 200; ++i) {
    const std::string source = "device/" + std::to_string(i);
    traffic.sent({source, 100, 100}, kSecond);
  }
  traffic.count(200, 0, 2 * kSecond);
  const TrafficReport report = traffic.report(2 * kSecond);
  EXPECT_EQ(report.top.size(), Traffic::kTopMax);
  EXPECT_EQ(report.top[0].source, "others");
}

}  // namespace
}  // namespace kante
