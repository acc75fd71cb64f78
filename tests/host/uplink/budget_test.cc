#include "host/uplink/budget.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "host/base/clock.h"
#include "host/base/trusted_clock.h"

namespace kante {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kDay = 24 * kHour;

// A disk that takes what is written when it is told to.
class BudgetTest : public ::testing::Test {
 protected:
  std::shared_ptr<Budget> make(BudgetLimits limits) {
    return std::make_shared<Budget>(
        limits, Budget::Host{clock_, &wall_, [this](std::string text, auto done) {
                               text_ = std::move(text);
                               done_ = std::move(done);
                               ++saves_;
                               if (disk_works_) settle();
                             }});
  }
  void settle(const Status& status = {}) {
    if (done_) std::exchange(done_, nullptr)(status);
  }
  // Spends one after the other until no more is let through.
  static int spendAll(Budget& budget, std::uint64_t bytes = 100) {
    for (int n = 0;; ++n) {
      budget.turn();
      budget.begin();
      if (!budget.admit(budget.costOf(bytes))) {
        budget.turn();
        if (!budget.admit(budget.costOf(bytes))) return n;
      }
      budget.handedOut();
    }
  }

  ManualClock clock_;
  bool trusted_ = true;
  TrustedClock wall_{clock_, 1'700'000'000, [] { return false; }};
  std::string text_;
  std::function<void(Status)> done_;
  bool disk_works_ = true;
  int saves_ = 0;
};

TEST_F(BudgetTest, CountsBlocksAsTheMeterDoes) {
  const auto paid = make({.messages_per_day = 10, .meter_bytes = 4096});
  EXPECT_EQ(paid->costOf(0).messages, 1u);
  EXPECT_EQ(paid->costOf(4096).messages, 1u);
  EXPECT_EQ(paid->costOf(4097).messages, 2u);
  EXPECT_EQ(make({.messages_per_day = 10, .meter_bytes = 512})->costOf(4096).messages, 8u);
}

TEST_F(BudgetTest, LetsExactlyADaysBudgetThrough) {
  const auto messages = make({.messages_per_day = 250});
  EXPECT_EQ(spendAll(*messages), 250);
  EXPECT_TRUE(messages->status().reached);
  EXPECT_EQ(messages->status().messages_used, 250u);
  const auto bytes = make({.bytes_per_day = 1000});
  EXPECT_EQ(spendAll(*bytes, 300), 3);
  EXPECT_EQ(spendAll(*bytes, 100), 1) << "what is smaller still fits";
  EXPECT_FALSE(make({})->limited());
}

TEST_F(BudgetTest, ABatchThatWasNotHandedOutCostsNothing) {
  const auto budget = make({.messages_per_day = 100});
  budget->turn();
  budget->begin();
  EXPECT_TRUE(budget->admit(budget->costOf(1)));
  budget->begin();
  budget->handedOut();
  EXPECT_EQ(budget->status().messages_used, 0u);
}

TEST_F(BudgetTest, WhatIsOverAWholeDayPassesBecauseItCannotEverBeSent) {
  const auto budget = make({.messages_per_day = 2});
  budget->begin();
  EXPECT_TRUE(budget->admit(budget->costOf(3 * 4096)));
  EXPECT_TRUE(budget->overADay(budget->costOf(3 * 4096)));
  budget->handedOut();
  EXPECT_EQ(budget->status().messages_used, 0u);
}

TEST_F(BudgetTest, NothingIsSpentThatTheDiskDoesNotKnowOf) {
  disk_works_ = false;
  const auto budget = make({.messages_per_day = 1000});
  EXPECT_EQ(spendAll(*budget), 0);
  settle(fail(Errc::kIo, "full"));
  EXPECT_EQ(spendAll(*budget), 0);
  settle();
  EXPECT_GE(spendAll(*budget), 10);
  const std::uint64_t used = budget->status().messages_used;
  // The process is gone; the next life reads what was written last.
  disk_works_ = true;
  const auto next = make({.messages_per_day = 1000});
  EXPECT_FALSE(next->load(text_).has_error());
  EXPECT_GE(next->status().messages_used, used);
  EXPECT_LE(next->status().messages_used, used + 10) << "a crash costs at most a hundredth";
}

TEST_F(BudgetTest, WritesAFewHundredTimesADayAndTheTruthAtTheEnd) {
  const auto budget = make({.messages_per_day = 8000});
  EXPECT_EQ(spendAll(*budget), 8000);
  EXPECT_LT(saves_, 300);
  const auto half = make({.messages_per_day = 100'000});
  half->turn();
  half->begin();
  EXPECT_TRUE(half->admit(half->costOf(1)));
  half->handedOut();
  half->close();
  const auto next = make({.messages_per_day = 100'000});
  EXPECT_FALSE(next->load(text_).has_error());
  EXPECT_EQ(next->status().messages_used, 1u);
}

TEST_F(BudgetTest, ANewDayIsUtcsByATrustedClock) {
  const auto budget = make({.messages_per_day = 5});
  EXPECT_EQ(spendAll(*budget), 5);
  clock_.advance(budget->status().resets_in_s * kSecond - kSecond);
  EXPECT_EQ(spendAll(*budget), 0);
  clock_.advance(2 * kSecond);
  EXPECT_EQ(spendAll(*budget), 5);
  EXPECT_EQ(clock_.wallNs() / kSecond % 86'400, 1);
}

TEST_F(BudgetTest, AClockThatStepsBackGivesNothingBack) {
  const auto budget = make({.messages_per_day = 5});
  EXPECT_EQ(spendAll(*budget), 5);
  clock_.stepWall(-3 * kDay);
  EXPECT_EQ(spendAll(*budget), 0);
  clock_.stepWall(kDay);
  EXPECT_EQ(spendAll(*budget), 0);
  clock_.advance(24 * kHour);
  EXPECT_EQ(spendAll(*budget), 5) << "after 24 hours of BOOTTIME";
}

TEST_F(BudgetTest, AClockThatWasYearsAheadDoesNotStopItForYears) {
  clock_.stepWall(3650 * kDay);
  const auto budget = make({.messages_per_day = 5});
  EXPECT_EQ(spendAll(*budget), 5);
  clock_.stepWall(-3650 * kDay);
  EXPECT_EQ(spendAll(*budget), 0);
  clock_.advance(kDay);
  EXPECT_EQ(spendAll(*budget), 5);
}

TEST_F(BudgetTest, WithoutAClockToBelieveADayIs24HoursOverRestartsToo) {
  clock_.stepWall(-clock_.wallNs());  // 1970
  auto budget = make({.messages_per_day = 5});
  EXPECT_EQ(spendAll(*budget), 5);
  clock_.advance(13 * kHour);
  EXPECT_EQ(spendAll(*budget), 0);
  budget->close();
  const std::string saved = text_;
  budget = make({.messages_per_day = 5});
  EXPECT_FALSE(budget->load(saved).has_error());
  clock_.advance(10 * kHour);
  EXPECT_EQ(spendAll(*budget), 0);
  clock_.advance(kHour);
  EXPECT_EQ(spendAll(*budget), 5);
  // Today becomes known: that is no new day.
  clock_.stepWall(1'760'000'000 * kSecond);
  EXPECT_EQ(spendAll(*budget), 0);
}

TEST_F(BudgetTest, AnUnreadableAccountMeansThatAllWasSpent) {
  for (const char* text : {"", "1 2", "x", "1 20000 3 4 -5"}) {
    const auto budget = make({.messages_per_day = 5});
    EXPECT_EQ(budget->load(text).error().code, Errc::kCorrupt) << text;
    EXPECT_EQ(spendAll(*budget), 0) << text;
    clock_.advance(kDay);
    EXPECT_EQ(spendAll(*budget), 5) << text;
  }
}

}  // namespace
}  // namespace kante
