#include "host/hub/mqtt/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "host/hub/mqtt/rate.h"

namespace kante::hub {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

struct Alarm final : Deadline {
  explicit Alarm(const std::int64_t& now) : now_ns(now) {}
  void due() override {
    ++calls;
    late_ns = now_ns - set_ns;
  }
  const std::int64_t& now_ns;
  std::int64_t set_ns = 0;
  std::int64_t late_ns = 0;
  int calls = 0;
};

TEST(TimerWheelTest, SaysWhenThereIsSomethingToLookAt) {
  std::int64_t now = 77 * kSecond;
  TimerWheel wheel(now);
  EXPECT_EQ(wheel.nextNs(), Deadline::kNone);
  Alarm near(now), far(now), never(now);
  const std::vector<std::pair<Alarm*, std::int64_t>> alarms = {
      {&far, 300}, {&near, 3}, {&never, 5}};
  for (const auto& [alarm, seconds] : alarms) {
    alarm->set_ns = now + seconds * kSecond;
    wheel.set(*alarm, alarm->set_ns);
  }
  never.cancel();
  int looks = 0;
  for (; wheel.nextNs() != Deadline::kNone && looks < 100; ++looks) {
    ASSERT_GT(wheel.nextNs(), now);
    now = wheel.nextNs();
    wheel.advance(now);
  }
  EXPECT_LE(looks, 6) << "three alarms, one of which lies beyond the wheel's round";
  EXPECT_EQ(std::vector({near.calls, far.calls, never.calls}), std::vector({1, 1, 0}));
  EXPECT_LE(std::max(near.late_ns, far.late_ns), TimerWheel::kStepNs);
}

TEST(TimerWheelTest, CallsEachOnceNeverEarlyAndHardlyLate) {
  std::mt19937_64 random(5);
  std::int64_t now = 77 * kSecond;
  TimerWheel wheel(now);
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 0; i < 2000; ++i) {
    alarms.push_back(std::make_unique<Alarm>(now));
    Alarm& alarm = *alarms.back();
    // Some further away than the wheel is round.
    alarm.set_ns = now + static_cast<std::int64_t>(random() % (400 * kSecond));
    wheel.set(alarm, now + static_cast<std::int64_t>(random() % (400 * kSecond)));
    wheel.set(alarm, alarm.set_ns);  // Sooner or later than first said.
  }
  alarms[3]->cancel();
  alarms[4].reset();
  while (now < 500 * kSecond) {
    now += static_cast<std::int64_t>(random() % (kSecond / 2));
    wheel.advance(now);
  }
  for (std::size_t i = 0; i < alarms.size(); ++i) {
    if (!alarms[i]) continue;
    EXPECT_EQ(alarms[i]->calls, i == 3 ? 0 : 1);
    EXPECT_GE(alarms[i]->late_ns, 0);
    EXPECT_LE(alarms[i]->late_ns, 2 * TimerWheel::kStepNs + kSecond / 2);
  }
}

TEST(TimerWheelTest, CatchesUpAfterALongPause) {
  std::int64_t now = 0;
  TimerWheel wheel(now);
  Alarm alarm(now);
  wheel.set(alarm, 5 * kSecond);
  now = 100'000 * kSecond;
  wheel.advance(now);
  EXPECT_EQ(alarm.calls, 1);
}

TEST(RateTest, LetsABurstThroughAndThenSoManyASecond) {
  Rate rate(10);
  std::int64_t now = 0;
  int taken = 0;
  while (rate.take("a", now)) ++taken;
  EXPECT_EQ(taken, 20);
  EXPECT_TRUE(rate.take("b", now)) << "each for itself";
  now += kSecond;
  taken = 0;
  while (rate.take("a", now)) ++taken;
  EXPECT_EQ(taken, 10);
}

TEST(RateTest, RemembersABoundedNumberOfNames) {
  Rate rate(1);
  std::int64_t now = 0;
  for (std::size_t i = 0; i < Rate::kNamesMax; ++i) ASSERT_TRUE(rate.take(std::to_string(i), now));
  EXPECT_FALSE(rate.take("one more", now));
  now += 10 * kSecond;
  EXPECT_TRUE(rate.take("one more", now)) << "those that rested are forgotten";
  EXPECT_LT(rate.names(), 10u);
}

}  // namespace
}  // namespace kante::hub
