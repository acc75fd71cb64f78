#include "host/shard/shard.h"

#include <thread>

#include "host/message/pool.h"
#include "tests/host/shard/shard_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using ShardTest = ShardFixture;

TEST_F(ShardTest, RunsTasksInOrderOfPosting) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) shards_[0]->post([&order, i] { order.push_back(i); });
  on(*shards_[0], [] {});
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST_F(ShardTest, KnowsItsThread) {
  EXPECT_EQ(Shard::current(), nullptr);
  on(*shards_[1], [&] {
    EXPECT_EQ(Shard::current(), shards_[1].get());
    EXPECT_TRUE(shards_[1]->onThisThread());
    EXPECT_FALSE(shards_[0]->onThisThread());
    EXPECT_NE(MessagePool::ofThisThread(), nullptr);
  });
}

TEST_F(ShardTest, IdsOfTwoShardsDiffer) {
  EXPECT_NE(shards_[0]->stamp().id_high, shards_[1]->stamp().id_high);
}

// Each post may be the one that finds the shard going to sleep.
TEST_F(ShardTest, LosesNoWakeUp) {
  std::atomic<std::uint64_t> ran{0};
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    shards_[0]->post([&] { ran.fetch_add(1); });
    if (i % 3 != 0) continue;
    ASSERT_TRUE(eventually([&] { return ran.load() == i; })) << i;
  }
  on(*shards_[0], [] {});  // The last ones count into this frame too.
}

TEST_F(ShardTest, LosesNoTaskOfManyThreads) {
  std::atomic<std::uint64_t> ran{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) shards_[0]->post([&] { ran.fetch_add(1); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  on(*shards_[0], [] {});
  EXPECT_EQ(ran.load(), 20'000u);
}

// A message goes round three shards; each hop finds the next one asleep.
TEST_F(ShardTest, WakesEachOtherForSingleMessages) {
  constexpr std::uint64_t kRounds = 3000;
  struct Relay : Consumer {
    Outcome consume(Delivery& delivery) override {
      const std::uint64_t number = numberOf(delivery) + 1;
      last->store(number);
      if (number < kRounds) send(*Shard::current(), *next, number);
      return Outcome::kDone;
    }
    Link* next = nullptr;
    std::atomic<std::uint64_t>* last = nullptr;
  };
  std::atomic<std::uint64_t> last{0};
  std::array<Relay, 3> relays;
  std::vector<std::shared_ptr<Lane>> ring;
  std::vector<std::shared_ptr<Link>> links;
  for (std::uint32_t i = 0; i < 3; ++i) ring.push_back(lane(i));
  for (std::uint32_t i = 0; i < 3; ++i) links.push_back(link(ring[(i + 1) % 3]));
  for (std::uint32_t i = 0; i < 3; ++i) {
    relays[i].next = links[i].get();
    relays[i].last = &last;
    on(*shards_[i], [&, i] { ring[i]->setConsumer(&relays[i]); });
  }
  on(*shards_[0], [&] { send(*shards_[0], *links[0], 0); });
  EXPECT_TRUE(eventually([&] { return last.load() == kRounds; }, std::chrono::seconds(60)));
  for (std::uint32_t i = 0; i < 3; ++i) on(*shards_[i], [&, i] { ring[i]->setConsumer(nullptr); });
}

struct Counting : Runnable {
  bool run(Shard&) override {
    ++runs;
    return more;
  }
  int runs = 0;
  bool more = false;
};

TEST_F(ShardTest, RunsLaterNeverAtOnceAndOnlyOnce) {
  Counting counting;
  on(*shards_[0], [&] {
    shards_[0]->runLater(counting);
    shards_[0]->runLater(counting);
    EXPECT_EQ(counting.runs, 0);
  });
  on(*shards_[0], [] {});
  EXPECT_EQ(counting.runs, 1);
}

TEST_F(ShardTest, DoesNotRunWhatWasDescheduled) {
  std::array<Counting, 3> all;
  on(*shards_[0], [&] {
    for (Counting& one : all) shards_[0]->runLater(one);
    shards_[0]->deschedule(all[1]);
    shards_[0]->deschedule(all[1]);
    shards_[0]->deschedule(all[2]);
    shards_[0]->runLater(all[2]);
  });
  on(*shards_[0], [] {});
  EXPECT_EQ(all[0].runs, 1);
  EXPECT_EQ(all[1].runs, 0);
  EXPECT_EQ(all[2].runs, 1);
}

TEST_F(ShardTest, TakesTasksWhileARunnableNeverEnds) {
  Counting endless;
  endless.more = true;
  on(*shards_[0], [&] { shards_[0]->runLater(endless); });
  for (int i = 0; i < 100; ++i) on(*shards_[0], [] {});
  on(*shards_[0], [&] { shards_[0]->deschedule(endless); });
  EXPECT_GT(endless.runs, 0);
}

TEST(ShardEnd, RunsWhatWasPostedBeforeStopAndWhatThatPosts) {
  CallbackSlot slot;
  auto shard = std::make_shared<Shard>(0, &slot);
  shard->start();
  int ran = 0;
  shard->post([&] {
    ++ran;
    shard->post([&] {
      ++ran;
      shard->post([&] { ++ran; });
    });
  });
  shard->stop();
  EXPECT_EQ(ran, 3);
}

TEST(ShardEnd, DiscardsWhatIsPostedOrSentAfterwards) {
  std::array<CallbackSlot, 2> slots;
  auto ended = std::make_shared<Shard>(0, slots.data());
  auto other = std::make_shared<Shard>(1, &slots[1]);
  ended->start();
  other->start();
  auto to = std::make_shared<Lane>("lane", ended);
  LinkPlan plan;
  plan.lane = to;
  plan.counts = std::make_shared<RouteCounts>();
  Link by(plan, Link::Crossing::kYes);
  ended->stop();
  auto held = std::make_shared<int>(1);
  ended->post([held] { FAIL(); });
  EXPECT_EQ(held.use_count(), 1);
  other->post([&] {
    auto message = jsonMessage("1");
    by.queued(static_cast<std::uint32_t>(message->bytes()));
    to->offer(*other, {std::move(*message), Hop{}, 0, &by});
  });
  other->stop();
}

}  // namespace
}  // namespace kante
