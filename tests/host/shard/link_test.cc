#include "host/shard/link.h"

#include "tests/host/shard/shard_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

constexpr std::int64_t kMs = 1'000'000;

class LinkTest : public ShardFixture {
 protected:
  std::shared_ptr<Link> small(LinkLimits limits, WhenFull when_full = WhenFull::kBlock) {
    return link(lane(0), limits, when_full);
  }
};

TEST_F(LinkTest, GivesCreditByMessagesAndByBytes) {
  auto by = small({.messages = 3, .bytes = 100});
  EXPECT_TRUE(by->hasCredit(100));
  by->queued(60);
  EXPECT_TRUE(by->hasCredit(40));
  EXPECT_FALSE(by->hasCredit(41));
  by->queued(1);
  by->queued(1);
  EXPECT_FALSE(by->hasCredit(0)) << "three messages are three messages";
  by->taken(60);
  EXPECT_TRUE(by->hasCredit(98));
}

TEST_F(LinkTest, LetsAMessageLargerThanTheLimitPassAlone) {
  auto by = small({.messages = 3, .bytes = 100});
  EXPECT_TRUE(by->hasCredit(1000));
  by->queued(1000);
  EXPECT_FALSE(by->hasCredit(1));
  by->taken(1000);
  EXPECT_TRUE(by->hasCredit(1000));
}

TEST_F(LinkTest, WakesABlockedSenderAtHalfOfTheCredit) {
  auto by = small({.messages = 4, .bytes = 1000});
  for (int i = 0; i < 4; ++i) by->queued(10);
  int woken = 0;
  by->wait(10, 0, [&] { ++woken; });
  by->taken(10);
  EXPECT_EQ(woken, 0);
  by->taken(10);
  EXPECT_EQ(woken, 1);
  by->taken(10);
  EXPECT_EQ(woken, 1) << "once";
}

TEST_F(LinkTest, WakesOnlyWhenTheWaitingMessageFits) {
  auto by = small({.messages = 100, .bytes = 100});
  by->queued(30);
  by->queued(15);
  EXPECT_FALSE(by->hasCredit(80));
  int woken = 0;
  by->wait(80, 0, [&] { ++woken; });
  EXPECT_EQ(woken, 0) << "half is free, but not enough";
  by->taken(30);
  EXPECT_EQ(woken, 1);
}

TEST_F(LinkTest, WakesAtOnceWhereThereIsRoomByNow) {
  auto by = small({.messages = 4});
  by->queued(10);
  int woken = 0;
  by->wait(10, 0, [&] { ++woken; });
  EXPECT_EQ(woken, 1);
}

TEST_F(LinkTest, IsStalledOnceItTookNothingWhileSomebodyWaited) {
  auto by = small({.messages = 2, .stall_ms = 100});
  by->queued(1);
  by->queued(1);
  by->checkStall(1000 * kMs);
  EXPECT_FALSE(by->stalled()) << "nobody waits";
  int woken = 0;
  by->wait(1, 1000 * kMs, [&] { ++woken; });
  by->checkStall(1099 * kMs);
  EXPECT_FALSE(by->stalled());
  EXPECT_EQ(woken, 0);
  by->checkStall(1100 * kMs);
  EXPECT_TRUE(by->stalled());
  EXPECT_EQ(woken, 1) << "its senders go on without it";
  EXPECT_FALSE(by->takesBeyondCredit(1));
  by->wait(1, 1101 * kMs, [&] { ++woken; });
  EXPECT_EQ(woken, 2) << "nobody waits for a stalled sink";
  by->taken(1);
  by->checkStall(1200 * kMs);
  EXPECT_FALSE(by->stalled()) << "it takes again";
}

TEST_F(LinkTest, IsNotStalledWhileItTakesNowAndThen) {
  auto by = small({.messages = 4, .stall_ms = 100});
  for (int i = 0; i < 4; ++i) by->queued(1);
  by->wait(1, 0, [] {});
  for (std::int64_t at = 90; at <= 900; at += 90) {
    by->taken(1);
    by->queued(1);
    by->checkStall(at * kMs);
    EXPECT_FALSE(by->stalled());
  }
}

TEST_F(LinkTest, DecliningIsNotTaking) {
  auto by = small({.messages = 4, .stall_ms = 100});
  for (int i = 0; i < 4; ++i) by->queued(1);
  by->wait(1, 0, [] {});
  for (std::int64_t at = 30; at <= 120; at += 30) {
    by->taken(1);
    by->returned(1);
    by->checkStall(at * kMs);
  }
  EXPECT_TRUE(by->stalled());
}

TEST_F(LinkTest, IsNeverStalledWhereStallMsIsZero) {
  auto by = small({.messages = 1, .stall_ms = 0});
  by->queued(1);
  by->wait(1, 0, [] {});
  by->checkStall(3600'000 * kMs);
  EXPECT_FALSE(by->stalled());
}

TEST_F(LinkTest, BlockingTakesOneMoreFromASenderThatLostARace) {
  auto by = small({.messages = 1});
  by->queued(1);
  EXPECT_TRUE(by->takesBeyondCredit(1));
  EXPECT_FALSE(small({.messages = 1}, WhenFull::kDropNewest)->takesBeyondCredit(1));
}

// One side blocks and waits, the other takes: no wake-up may be lost.
TEST_F(LinkTest, LosesNoWakeUpBetweenShards) {
  constexpr std::uint64_t kMessages = 100'000;
  auto to = lane(1);
  auto by = link(to, {.messages = 4, .stall_ms = 0});
  Collector collector;
  on(*shards_[1], [&] { to->setConsumer(&collector); });
  struct Sender : Runnable {
    bool run(Shard& shard) override {
      while (next < kMessages) {
        if (!by->hasCredit(200)) {
          by->wait(200, 0,
                   [this, &shard] { shard.post([this, &shard] { shard.runLater(*this); }); });
          return false;
        }
        send(shard, *by, next++);
      }
      return false;
    }
    Link* by = nullptr;
    std::uint64_t next = 0;
  } sender;
  sender.by = by.get();
  shards_[0]->post([&] { shards_[0]->runLater(sender); });
  EXPECT_TRUE(
      eventually([&] { return collector.count.load() == kMessages; }, std::chrono::seconds(120)));
  on(*shards_[0], [&] { shards_[0]->deschedule(sender); });
  on(*shards_[1], [&] { to->setConsumer(nullptr); });
}

}  // namespace
}  // namespace kante
