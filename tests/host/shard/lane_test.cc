#include "host/shard/lane.h"

#include <numeric>

#include "tests/host/shard/shard_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using LaneTest = ShardFixture;
using Numbers = std::vector<std::uint64_t>;

Numbers upTo(std::uint64_t count) {
  Numbers numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

TEST_F(LaneTest, HandsOverInOrderOfArrival) {
  auto to = lane(0);
  auto by = link(to);
  Collector collector;
  on(*shards_[0], [&] {
    to->setConsumer(&collector);
    for (std::uint64_t i = 0; i < 500; ++i) send(*shards_[0], *by, i);
    EXPECT_TRUE(collector.numbers.empty()) << "never within the sender's call";
  });
  ASSERT_TRUE(eventually([&] { return collector.count.load() == 500; }));
  on(*shards_[0], [&] { to->setConsumer(nullptr); });
  EXPECT_EQ(collector.numbers, upTo(500));
  EXPECT_EQ(by->queuedMessages(), 0u);
  EXPECT_EQ(by->queuedBytes(), 0u);
}

TEST_F(LaneTest, PutsThePriorityOfTheRouteBeforeTheOrderOfArrival) {
  auto to = lane(0);
  auto late = link(to, {}, WhenFull::kBlock, Link::Crossing::kNo, 9);
  auto soon = link(to, {}, WhenFull::kBlock, Link::Crossing::kNo, 3);
  auto first = link(to, {}, WhenFull::kBlock, Link::Crossing::kNo, 0);
  Collector collector;
  on(*shards_[0], [&] {
    for (std::uint64_t i = 0; i < 3; ++i) {
      send(*shards_[0], *late, 20 + i);
      send(*shards_[0], *soon, 10 + i);
      send(*shards_[0], *first, i);
    }
    to->setConsumer(&collector);
  });
  ASSERT_TRUE(eventually([&] { return collector.count.load() == 9; }));
  on(*shards_[0], [&] { to->setConsumer(nullptr); });
  EXPECT_EQ(collector.numbers, (Numbers{0, 1, 2, 10, 11, 12, 20, 21, 22}));
}

TEST_F(LaneTest, KeepsWhatNobodyConsumes) {
  auto to = lane(0);
  auto by = link(to);
  Collector first;
  Collector second;
  on(*shards_[0], [&] {
    send(*shards_[0], *by, 0);
    EXPECT_EQ(to->size(), 1u);
    to->setConsumer(&first);
    to->release(second);  // Not the consumer: changes nothing.
    EXPECT_TRUE(to->isConsumer(first));
    to->release(first);
    to->setConsumer(&second);
  });
  ASSERT_TRUE(eventually([&] { return second.count.load() == 1; }));
  EXPECT_EQ(first.count.load(), 0u);
  on(*shards_[0], [&] { to->setConsumer(nullptr); });
}

TEST_F(LaneTest, RestsAfterAgainAndGoesOnWithTheSameMessage) {
  auto to = lane(0);
  auto by = link(to);
  Collector collector;
  collector.again = 1;
  on(*shards_[0], [&] {
    to->setConsumer(&collector);
    for (std::uint64_t i = 0; i < 3; ++i) send(*shards_[0], *by, i);
  });
  on(*shards_[0], [&] {
    EXPECT_TRUE(collector.numbers.empty());
    EXPECT_EQ(to->size(), 3u);
    EXPECT_EQ(by->queuedMessages(), 3u);
    EXPECT_EQ(by->takenCount(), 0u) << "declining is not taking";
    send(*shards_[0], *by, 3);
  });
  on(*shards_[0], [&] {
    EXPECT_TRUE(collector.numbers.empty()) << "a new message does not end the rest";
    to->resume();
  });
  ASSERT_TRUE(eventually([&] { return collector.count.load() == 4; }));
  on(*shards_[0], [&] { to->setConsumer(nullptr); });
  EXPECT_EQ(collector.numbers, upTo(4));
}

// The place that a declined message left may be taken by what its own callback sent.
TEST_F(LaneTest, LosesNothingWhenADeclinedMessageComesBackToAFullRing) {
  auto to = lane(0);
  auto by = link(to);
  Collector collector;
  collector.again = 1;
  bool sent = false;
  on(*shards_[0], [&] {
    collector.before = [&](const Delivery&) {
      if (!std::exchange(sent, true)) send(*shards_[0], *by, 16);
    };
    for (std::uint64_t i = 0; i < 16; ++i)
      send(*shards_[0], *by, i);  // As many as the ring begins with.
    to->setConsumer(&collector);
  });
  on(*shards_[0], [&] { to->resume(); });
  ASSERT_TRUE(eventually([&] { return collector.count.load() == 17; }));
  on(*shards_[0], [&] { to->setConsumer(nullptr); });
  EXPECT_EQ(collector.numbers, upTo(17));
}

TEST_F(LaneTest, DropsTheOldestOfTheRouteThatIsOver) {
  auto to = lane(0);
  auto bounded = link(to, {.messages = 3}, WhenFull::kDropOldest, Link::Crossing::kNo);
  auto other = link(to, {.messages = 100}, WhenFull::kBlock, Link::Crossing::kNo);
  Collector collector;
  on(*shards_[0], [&] {
    send(*shards_[0], *other, 100);
    for (std::uint64_t i = 0; i < 5; ++i) send(*shards_[0], *bounded, i);
    EXPECT_EQ(to->waiting(), 4u);
    to->setConsumer(&collector);
  });
  ASSERT_TRUE(eventually([&] { return collector.count.load() == 4; }));
  on(*shards_[0], [&] { to->setConsumer(nullptr); });
  EXPECT_EQ(collector.numbers, (Numbers{100, 2, 3, 4}));
  EXPECT_EQ(drops(*bounded, DropReason::kOverflow), 2u);
  EXPECT_EQ(drops(*other, DropReason::kOverflow), 0u);
}

TEST_F(LaneTest, DropsTheOldestForASenderOnAnotherShardToo) {
  auto to = lane(1);
  auto by = link(to, {.messages = 4}, WhenFull::kDropOldest);
  Collector collector;
  on(*shards_[0], [&] {
    for (std::uint64_t i = 0; i < 8; ++i) {
      ASSERT_TRUE(by->hasCredit(1) || by->takesBeyondCredit(1));
      send(*shards_[0], *by, i);
    }
    // As much again may be on its way, not more.
    EXPECT_FALSE(by->hasCredit(1) || by->takesBeyondCredit(1));
  });
  ASSERT_TRUE(eventually([&] { return to->waiting() == 4; }));
  on(*shards_[1], [&] { to->setConsumer(&collector); });
  ASSERT_TRUE(eventually([&] { return collector.count.load() == 4; }));
  on(*shards_[1], [&] { to->setConsumer(nullptr); });
  EXPECT_EQ(collector.numbers, (Numbers{4, 5, 6, 7}));
  EXPECT_EQ(drops(*by, DropReason::kOverflow), 4u);
}

TEST_F(LaneTest, CountsWhatAClosedLaneHadAndWhatStillComes) {
  auto to = lane(1);
  auto by = link(to);
  on(*shards_[1], [&] { send(*shards_[1], *by, 0); });
  on(*shards_[1], [&] { to->close(); });
  on(*shards_[0], [&] { send(*shards_[0], *by, 1); });
  ASSERT_TRUE(eventually([&] { return drops(*by, DropReason::kNoRoute) == 2; }));
  on(*shards_[1], [] {});  // It has finished what it counted.
  EXPECT_EQ(by->queuedMessages(), 0u);
  EXPECT_EQ(to->waiting(), 0u);
}

TEST_F(LaneTest, KeepsTheOrderOfEachSenderAcrossShardsUnderLoad) {
  constexpr std::uint64_t kEach = 50'000;
  auto to = lane(2);
  auto one = link(to);
  auto two = link(to);
  Collector collector;
  on(*shards_[2], [&] { to->setConsumer(&collector); });
  struct Sender : Runnable {
    Sender(Link& by, std::uint64_t from) : link(by), next(from), end(from + kEach) {}
    bool run(Shard& shard) override {
      for (int i = 0; i < 100 && next < end && link.hasCredit(100); ++i) send(shard, link, next++);
      return next < end;
    }
    Link& link;
    std::uint64_t next;
    std::uint64_t end;
  };
  Sender first(*one, 0);
  Sender second(*two, 1'000'000);
  shards_[0]->post([&] { shards_[0]->runLater(first); });
  shards_[1]->post([&] { shards_[1]->runLater(second); });
  EXPECT_TRUE(
      eventually([&] { return collector.count.load() == 2 * kEach; }, std::chrono::seconds(120)));
  on(*shards_[0], [&] { shards_[0]->deschedule(first); });
  on(*shards_[1], [&] { shards_[1]->deschedule(second); });
  on(*shards_[2], [&] { to->setConsumer(nullptr); });
  std::uint64_t next_first = 0;
  std::uint64_t next_second = 1'000'000;
  for (const std::uint64_t number : collector.numbers) {
    std::uint64_t& next = number < 1'000'000 ? next_first : next_second;
    ASSERT_EQ(number, next++);
  }
}

}  // namespace
}  // namespace kante
