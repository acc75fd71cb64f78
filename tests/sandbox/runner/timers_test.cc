#include "sandbox/runner/timers.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

TEST(TimersTest, ExpireOnceOrAgainAndAgain) {
  Timers timers;
  EXPECT_EQ(timers.nextNs(), Timers::kNever);
  timers.set(3, 100, 0);
  timers.set(63, 50, 20);
  EXPECT_EQ(timers.nextNs(), 50);
  EXPECT_FALSE(timers.take(49));
  auto expired = timers.take(50);
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->id, 63u);
  EXPECT_EQ(expired->times, 1u);
  EXPECT_EQ(timers.nextNs(), 70);
  timers.cancel(63);
  expired = timers.take(1000);
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->id, 3u);
  EXPECT_FALSE(timers.take(1000));
  EXPECT_EQ(timers.nextNs(), Timers::kNever);
}

TEST(TimersTest, TellHowOftenTheyExpiredAndStayInStep) {
  Timers timers;
  timers.set(0, 100, 10);
  const auto expired = timers.take(137);
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->times, 4u);  // At 100, 110, 120, 130.
  EXPECT_EQ(timers.nextNs(), 140);
}

TEST(TimersTest, AreReplacedAndCleared) {
  Timers timers;
  timers.set(5, 100, 0);
  timers.set(5, 200, 0);
  EXPECT_FALSE(timers.take(150));
  timers.set(6, 10, 0);
  timers.clear();
  EXPECT_FALSE(timers.take(1000));
}

}  // namespace
}  // namespace kante
