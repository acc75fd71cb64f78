// Messages that a sender numbered are taken once, however often they come.
#include <gtest/gtest.h>

#include "host/store/number_runs.h"
#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

TEST(NumberRunsTest, JoinsNeighboursAndKeepsHoles) {
  NumberRuns runs;
  for (const std::uint64_t number : {7u, 8u, 10u, 3u, 8u}) EXPECT_TRUE(runs.add(number));
  EXPECT_EQ(runs.text(), "3,7-8,10");
  EXPECT_TRUE(runs.contains(8));
  EXPECT_FALSE(runs.contains(9));
  EXPECT_FALSE(runs.contains(2));
  EXPECT_TRUE(runs.add(9));
  EXPECT_EQ(runs.text(), "3,7-10");
  EXPECT_EQ(NumberRuns::parse(runs.text()).text(), runs.text());
}

TEST(NumberRunsTest, ReadsNothingElse) {
  for (const char* text : {"x", "1-", "0", "3-2", "4-4", "1,2", "1-3,3", "1,", "72057594037927936"})
    EXPECT_EQ(NumberRuns::parse(text).text(), "") << text;
}

TEST(NumberRunsTest, ClosesAHoleOnlyWhenItIsFarBehind) {
  NumberRuns runs;
  for (std::size_t i = 0; i < NumberRuns::kRunsMax; ++i) ASSERT_TRUE(runs.add(1 + 2 * i));
  EXPECT_FALSE(runs.add(3 + 2 * NumberRuns::kRunsMax));
  EXPECT_TRUE(runs.add(2)) << "a hole that is filled needs no room";
  EXPECT_TRUE(runs.add(3 + 2 * NumberRuns::kRunsMax));
  EXPECT_TRUE(runs.add(NumberRuns::kBehind + 100'000));
  EXPECT_TRUE(runs.contains(4));
}

class OnceOnlyTest : public StoreTest {
 protected:
  CommitResult putOnce(DurableQueue& to, const std::string& body, const std::string& series,
                       std::uint64_t number) {
    Answers answers;
    StoreExchange exchange;
    exchange.offers.push_back({&to, entryOf(body), &answers});
    exchange.once = OnceOnly{"hub/taken", "plant-2", series, number, repeated_};
    EXPECT_EQ(store_->exchange(exchange), Offer::kTaken);
    EXPECT_TRUE(answers.wait(1));
    return answers.results()[0];
  }
  std::shared_ptr<std::atomic<std::uint64_t>> repeated_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

TEST_F(OnceOnlyTest, WhatComesAgainIsAnsweredAndNotKeptAgain) {
  open();
  EXPECT_EQ(putOnce(queue(), "a", "e1", 1), CommitResult::kCommitted);
  EXPECT_EQ(putOnce(queue(), "a", "e1", 1), CommitResult::kCommitted);
  EXPECT_EQ(putOnce(queue(), "b", "e1", 2), CommitResult::kCommitted);
  EXPECT_EQ(stats(queue()).messages, 2u);
  EXPECT_EQ(repeated_->load(), 1u);
}

TEST_F(OnceOnlyTest, IsKnownAfterARestart) {
  open();
  EXPECT_EQ(putOnce(queue(), "a", "e1", 1), CommitResult::kCommitted);
  open();
  EXPECT_EQ(putOnce(queue(), "a", "e1", 1), CommitResult::kCommitted);
  EXPECT_EQ(stats(queue()).messages, 1u);
}

TEST_F(OnceOnlyTest, AnotherSeriesBeginsAnew) {
  open();
  EXPECT_EQ(putOnce(queue(), "a", "e1", 1), CommitResult::kCommitted);
  EXPECT_EQ(putOnce(queue(), "b", "e2", 1), CommitResult::kCommitted);
  EXPECT_EQ(stats(queue()).messages, 2u);
}

TEST_F(OnceOnlyTest, WhatWasRefusedMayComeAgainBehindWhatWasTaken) {
  open();
  QueueSpec spec;
  spec.messages_max = 1;
  spec.full = QueueSpec::Full::kRefuse;
  DurableQueue& full = queue("module/a/in", spec);
  EXPECT_EQ(putOnce(full, "a", "e1", 1), CommitResult::kCommitted);
  EXPECT_EQ(putOnce(full, "b", "e1", 2), CommitResult::kFull);
  EXPECT_EQ(putOnce(queue(), "c", "e1", 3), CommitResult::kCommitted);
  full.setSpec({});
  EXPECT_EQ(putOnce(full, "b", "e1", 2), CommitResult::kCommitted);
  EXPECT_EQ(putOnce(full, "b", "e1", 2), CommitResult::kCommitted);
  EXPECT_EQ(stats(full).messages, 2u);
}

}  // namespace
}  // namespace kante
