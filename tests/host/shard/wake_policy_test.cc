#include "host/shard/wake_policy.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "tests/host/shard/shard_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

constexpr std::int64_t kShort = WakeRule::kUsual / 4;
constexpr std::int64_t kLong = WakeRule::kSumMax / 2 + WakeRule::kUsual;
constexpr std::int64_t kStep = 16'000'000;  // A thousand sleeps a second.

// A machine whose clock goes on by kStep a look, and which of two processors idles `idle_part`.
struct Machine {
  bool look(std::int64_t waited) {
    now += kStep;
    idle += static_cast<std::int64_t>(2 * idle_part * kStep);
    if (rule.letsFinish()) rule.waited(waited, now);
    if (!rule.letsFinish() && rule.isDue(now)) rule.idled(idle, now);
    return rule.letsFinish();
  }
  // How long it hurries from here on.
  std::int64_t hurries() {
    const std::int64_t from = now;
    while (!look(kShort)) {
    }
    return now - from;
  }
  void goWrong() {
    while (look(kLong)) {
    }
  }
  WakeRule rule;
  std::int64_t now = 0;
  std::int64_t idle = 0;
  double idle_part = 0.9;
};

TEST(WakeRuleTest, LetsOthersFinishWhileWaitsAreShort) {
  Machine machine;
  for (int i = 0; i < 10'000; ++i)
    EXPECT_TRUE(machine.look(i % 2 == 0 ? kShort : WakeRule::kUsual));
}

TEST(WakeRuleTest, ForgivesALongWaitNowAndThen) {
  Machine machine;
  constexpr int kApart = static_cast<int>(kLong / WakeRule::kForgiven);
  for (int i = 0; i < 20 * kApart; ++i) ASSERT_TRUE(machine.look(i % kApart == 1 ? kLong : kShort));
}

TEST(WakeRuleTest, HurriesAfterAFewLongWaits) {
  Machine machine;
  EXPECT_TRUE(machine.look(0));
  EXPECT_TRUE(machine.look(kLong));
  EXPECT_TRUE(machine.look(kLong));
  EXPECT_FALSE(machine.look(kLong));
  EXPECT_FALSE(machine.look(0));
}

TEST(WakeRuleTest, HurriesLongerEachTimeUpToALimit) {
  Machine machine;
  std::int64_t expected = WakeRule::kPauseMin;
  for (int i = 0; i < 6; ++i) {
    machine.goWrong();
    EXPECT_LE(std::abs(machine.hurries() - expected), kStep) << i;
    expected = std::min(2 * expected, WakeRule::kPauseMax);
  }
  EXPECT_EQ(expected, WakeRule::kPauseMax);
}

TEST(WakeRuleTest, ForgetsWhatWentWrongLongAgo) {
  Machine machine;
  for (int i = 0; i < 3; ++i) {
    machine.goWrong();
    (void)machine.hurries();
  }
  for (std::uint32_t i = 0; i < WakeRule::kForgotten; ++i) ASSERT_TRUE(machine.look(kShort));
  machine.goWrong();
  EXPECT_LE(std::abs(machine.hurries() - WakeRule::kPauseMin), kStep);
}

TEST(WakeRuleTest, HurriesWhileNoProcessorIdles) {
  Machine machine;
  machine.goWrong();
  machine.idle_part = 0.2;
  for (int i = 0; i < 10'000; ++i) ASSERT_FALSE(machine.look(kShort));
  machine.idle_part = 0.9;  // And no longer than one pause after that.
  EXPECT_LE(machine.hurries(), 2 * WakeRule::kPauseMin + 2 * kStep);
}

// What a thread inherits from its shard.
int policyOfANewThread() {
  int policy = -1;
  std::thread([&policy] { policy = ::sched_getscheduler(0); }).join();
  return policy;
}

// Whether the kernel keeps the account and lets a thread change its policy.
bool machineOffersIt() {
  bool offered = false;
  std::thread([&offered] {
    const sched_param none{};
    offered = ::access("/proc/thread-self/schedstat", R_OK) == 0 &&
              ::sched_getscheduler(0) == SCHED_OTHER &&
              ::sched_setscheduler(0, SCHED_BATCH, &none) == 0;
  }).join();
  return offered;
}

class WakePolicyTest : public ShardFixture {
 protected:
  void SetUp() override {
    if (!machineOffersIt()) GTEST_SKIP() << "no account of waiting, or no other policy allowed";
  }
  // One task after the other finds it asleep, until it has left the ordinary way.
  bool leavesOrdinary(Shard& shard) {
    return eventually([&] {
      on(shard, [] {});
      return shard.wakePolicy().way() != WakePolicy::Way::kOrdinary;
    });
  }
};

TEST_F(WakePolicyTest, TheThreadIsWhatItSays) {
  ASSERT_TRUE(leavesOrdinary(*shards_[0]));
  on(*shards_[0], [&] {
    const bool lets_finish = shards_[0]->wakePolicy().way() == WakePolicy::Way::kLetsFinish;
    EXPECT_EQ(::sched_getscheduler(0), lets_finish ? SCHED_BATCH : SCHED_OTHER);
  });
  EXPECT_GE(shards_[0]->wakePolicy().waitedNs(), 0);
}

TEST_F(WakePolicyTest, ThreadsOfModulesAreOrdinary) {
  ASSERT_TRUE(leavesOrdinary(*shards_[0]));
  on(*shards_[0], [&] {
    const int before = ::sched_getscheduler(0);
    {
      const WakePolicy::Ordinary ordinary;
      EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
      EXPECT_EQ(policyOfANewThread(), SCHED_OTHER);
    }
    EXPECT_EQ(::sched_getscheduler(0), before);
  });
}

TEST_F(WakePolicyTest, OfAShardThatWaitsForRunnersIsOrdinary) {
  std::thread([] {
    WakePolicy policy;
    policy.begin();
    for (std::uint32_t i = 0; i < WakeRule::kSleeps; ++i) policy.woke(false);
    EXPECT_EQ(policy.way(), WakePolicy::Way::kLetsFinish);
    EXPECT_EQ(::sched_getscheduler(0), SCHED_BATCH);
    policy.woke(true);
    EXPECT_EQ(policy.way(), WakePolicy::Way::kOrdinary);
    EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER);
  }).join();
}

TEST(WakePolicyOfAnotherTest, StaysAsItWasGiven) {
  std::thread([] {
    const sched_param none{};
    ASSERT_EQ(::sched_setscheduler(0, SCHED_BATCH, &none), 0);
    WakePolicy policy;
    policy.begin();
    for (std::uint32_t i = 0; i < 4 * WakeRule::kSleeps; ++i) policy.woke(false);
    EXPECT_EQ(policy.way(), WakePolicy::Way::kOrdinary);
    const WakePolicy::Ordinary nothing;
    EXPECT_EQ(::sched_getscheduler(0), SCHED_BATCH);
  }).join();
}

}  // namespace
}  // namespace kante
