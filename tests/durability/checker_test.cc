#include "tests/durability/checker.h"

#include <gtest/gtest.h>

namespace kante::durability {
namespace {

constexpr std::uint64_t kRun = 77;

// Messages 1, 2, 3 … of one source, numbered as the test says.
struct Seen {
  Checker checker;
  void arrives(std::uint64_t seq, std::uint64_t number, std::uint64_t dropped = 0,
               const char* epoch = "e1") {
    const std::string body = bodyOf({kRun, 1, number}, 50);
    const std::string id = "id" + std::to_string(number);
    checker.arrived({epoch, seq, dropped, id, body});
  }
  void acknowledged(std::uint64_t number) { checker.acknowledged({kRun, number, 1, 0}); }
};

TEST(Checker, IsCleanWhenAllNumbersComeInOrderAndAllAcknowledgedArrived) {
  Seen seen;
  seen.checker.expect(4, SourceOrder::kFifo);
  for (std::uint64_t n = 1; n <= 5; ++n) seen.arrives(n, n);
  for (std::uint64_t n = 1; n <= 5; ++n) seen.acknowledged(n);
  seen.arrives(4, 4);
  seen.arrives(5, 5);
  seen.checker.drained();
  const Verdict verdict = seen.checker.verdict();
  EXPECT_TRUE(verdict.clean());
  EXPECT_EQ(verdict.numbers, 5u);
  EXPECT_EQ(verdict.duplicates, 2u);
  EXPECT_EQ(verdict.duplicates_reach_max, 2u);
  EXPECT_EQ(verdict.acknowledged, 5u);
}

TEST(Checker, FindsAHole) {
  Seen seen;
  seen.arrives(1, 1);
  seen.arrives(3, 3);
  EXPECT_EQ(seen.checker.verdict().missing, 1u);
  EXPECT_FALSE(seen.checker.verdict().clean());
}

TEST(Checker, FindsAFirstArrivalBehindALaterOne) {
  Seen seen;
  seen.arrives(1, 1);
  seen.arrives(3, 3);
  seen.arrives(2, 2);
  EXPECT_EQ(seen.checker.verdict().out_of_order, 1u);
  EXPECT_EQ(seen.checker.verdict().missing, 0u);
}

TEST(Checker, FindsARepetitionFromBeyondTheWindow) {
  Seen seen;
  seen.checker.expect(2, SourceOrder::kAny);
  for (std::uint64_t n = 1; n <= 3; ++n) seen.arrives(n, n);
  seen.arrives(2, 2);
  EXPECT_EQ(seen.checker.verdict().duplicates_beyond_window, 0u);
  seen.arrives(1, 1);
  EXPECT_EQ(seen.checker.verdict().duplicates_beyond_window, 1u);
}

TEST(Checker, FindsAnotherMessageUnderTheSameNumber) {
  Seen seen;
  seen.arrives(1, 1);
  seen.arrives(1, 2);
  EXPECT_EQ(seen.checker.verdict().changed, 1u);
}

TEST(Checker, FindsTheSameMessageUnderAnotherNumber) {
  Seen seen;
  seen.arrives(1, 1);
  seen.arrives(2, 1);
  EXPECT_EQ(seen.checker.verdict().renumbered, 1u);
}

TEST(Checker, FindsABodyThatNobodyWrote) {
  Seen seen;
  std::string body = bodyOf({kRun, 1, 1}, 50);
  body.back() = body.back() == '!' ? '?' : '!';
  seen.checker.arrived({"e1", 1, 0, "id", body});
  EXPECT_EQ(seen.checker.verdict().changed, 1u);
}

TEST(Checker, FindsAMessageThatOvertookOneOfItsSourceWhenTheOrderIsFifo) {
  Seen any;
  any.arrives(1, 2);
  any.arrives(2, 1);
  EXPECT_TRUE(any.checker.verdict().clean());
  Seen fifo;
  fifo.checker.expect(10, SourceOrder::kFifo);
  fifo.arrives(1, 2);
  fifo.arrives(2, 1);
  EXPECT_EQ(fifo.checker.verdict().source_out_of_order, 1u);
}

TEST(Checker, FindsAnAcknowledgedMessageThatDidNotArrive) {
  Seen seen;
  seen.arrives(1, 1);
  seen.acknowledged(1);
  seen.acknowledged(2);
  seen.checker.drained();
  EXPECT_EQ(seen.checker.verdict().acknowledged_lost, 1u);
  seen.checker.drained();
  EXPECT_EQ(seen.checker.verdict().acknowledged_lost, 1u) << "counted once";
}

TEST(Checker, TakesWhatThePolicyDroppedForAnExplanationAndNoMoreThanThat) {
  Seen seen;
  seen.acknowledged(1);
  seen.acknowledged(2);
  seen.acknowledged(3);
  seen.arrives(1, 3, 2);
  seen.checker.drained();
  EXPECT_EQ(seen.checker.verdict().acknowledged_lost, 0u);
  EXPECT_EQ(seen.checker.verdict().dropped_by_policy, 2u);
  // An old drop explains no new loss.
  seen.acknowledged(4);
  seen.arrives(2, 5, 2);
  seen.checker.drained();
  EXPECT_EQ(seen.checker.verdict().acknowledged_lost, 1u);
}

TEST(Checker, FindsAnAcknowledgedMessageThatNeverCameToTheModule) {
  Seen seen;
  seen.checker.expectDelivery(1);
  for (std::uint64_t n = 1; n <= 3; ++n) seen.arrives(n, n);
  for (std::uint64_t n = 1; n <= 3; ++n) seen.acknowledged(n);
  seen.checker.delivered({kRun, 1, 1, 0});
  seen.checker.delivered({kRun, 3, 1, 0});
  seen.checker.delivered({kRun, 3, 1, 0});
  seen.checker.drained();
  EXPECT_EQ(seen.checker.verdict().delivery_lost, 1u);
  EXPECT_EQ(seen.checker.verdict().redelivered, 1u);
  EXPECT_EQ(seen.checker.verdict().delivered_out_of_order, 0u);
  seen.checker.delivered({kRun, 2, 1, 0});
  EXPECT_EQ(seen.checker.verdict().delivered_out_of_order, 1u);
}

TEST(Checker, KeepsEpochsApart) {
  Seen seen;
  seen.arrives(1, 1, 0, "e1");
  seen.arrives(1, 2, 0, "e2");
  const Verdict verdict = seen.checker.verdict();
  EXPECT_TRUE(verdict.clean());
  EXPECT_EQ(verdict.epochs, 2u);
}

}  // namespace
}  // namespace kante::durability
