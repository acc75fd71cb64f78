#include "host/shard/polling.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/host/shard/shard_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

// Another process's end of a ring, played by another thread: a head, and the sleep word that the
// shard sets.
struct Source final : Polled {
  explicit Source(Shard& at) : shard(at), doorbell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Source() override { ::close(doorbell); }
  void attach() {
    onShard([this] { EXPECT_FALSE(shard.polling().add(*this, doorbell).has_error()); });
  }
  void detach() {
    onShard([this] {
      shard.polling().remove(*this, doorbell);
      shard.deschedule(*this);
    });
  }

  bool hasWork() const override { return head.load(std::memory_order_acquire) != taken.load(); }
  void fallAsleep() override {
    sleep.store(++epoch, std::memory_order_relaxed);
    ++falls;
  }
  void wakeUp() override { sleep.store(0, std::memory_order_relaxed); }
  void rang() override { ++rings; }
  void tick() override { ++ticks; }
  bool run(Shard&) override {
    taken.store(head.load(std::memory_order_acquire));
    if (owes) shard.polling().owes(*this);
    return false;
  }
  void turnEnds() override {
    paid.store(taken.load());
    ++ends;
  }

  // By the other side.
  void publish() {
    head.fetch_add(1, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::uint64_t seen = sleep.load(std::memory_order_relaxed);
    if (seen == 0 || seen == rung_for) return;
    rung_for = seen;
    ring();
  }
  void ring() const { (void)!::eventfd_write(doorbell, 1); }

  template <typename Task>
  void onShard(Task task) {
    std::promise<void> done;
    shard.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  Shard& shard;
  const int doorbell;
  std::atomic<std::uint64_t> head{0};
  std::atomic<std::uint64_t> taken{0};
  std::atomic<std::uint64_t> sleep{0};
  std::atomic<std::uint64_t> falls{0};
  std::atomic<std::uint64_t> rings{0};
  std::atomic<std::uint64_t> ticks{0};
  std::atomic<bool> owes{false};
  std::atomic<std::uint64_t> ends{0};
  std::atomic<std::uint64_t> paid{0};  // What had been taken when a turn ended that owed.
  std::uint64_t epoch = 0;
  std::uint64_t rung_for = 0;
};

using PollingTest = ShardFixture;

// Each publication may be the one that finds the shard going to sleep.
TEST_F(PollingTest, LosesNoWakeUpOfAnotherProcess) {
  Source source(*shards_[0]);
  source.attach();
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    source.publish();
    if (i % 3 != 0) continue;
    ASSERT_TRUE(eventually([&] { return source.taken.load() == i; })) << i;
  }
  source.detach();
}

TEST_F(PollingTest, TellsTwoSourcesApartAndNeedsNoReadingOfDoorbells) {
  Source one(*shards_[0]);
  Source two(*shards_[0]);
  one.attach();
  two.attach();
  for (std::uint64_t i = 1; i <= 300; ++i) {
    Source& source = i % 2 == 0 ? one : two;
    const std::uint64_t falls = source.falls.load();
    ASSERT_TRUE(
        eventually([&] { return source.falls.load() > falls || source.sleep.load() != 0; }));
    source.publish();
    ASSERT_TRUE(eventually([&] { return !source.hasWork(); })) << i;
  }
  std::uint64_t unread = 0;
  EXPECT_EQ(::eventfd_read(one.doorbell, &unread), 0);
  EXPECT_GE(unread, one.rings.load());
  one.detach();
  two.detach();
}

TEST_F(PollingTest, EndsATurnForThoseThatItOwes) {
  Source source(*shards_[0]);
  source.attach();
  source.publish();
  ASSERT_TRUE(eventually([&] { return source.taken.load() == 1; }));
  source.owes = true;
  source.publish();
  EXPECT_TRUE(eventually([&] { return source.paid.load() == 2; }));
  source.detach();
}

TEST_F(PollingTest, OwesNothingToWhoIsGone) {
  Source source(*shards_[0]);
  source.attach();
  source.onShard([&] {
    source.shard.polling().owes(source);
    source.shard.polling().remove(source, source.doorbell);
  });
  source.onShard([] {});  // A turn later.
  EXPECT_EQ(source.ends.load(), 0u);
}

TEST_F(PollingTest, SleepsWhileNothingComes) {
  Source source(*shards_[0]);
  source.attach();
  source.publish();
  ASSERT_TRUE(eventually([&] { return source.sleep.load() != 0 && !source.hasWork(); }));
  // Another shard does a good deal meanwhile; this one stays where it is.
  const std::uint64_t turns = shards_[0]->turns();
  for (int i = 0; i < 1000; ++i) on(*shards_[1], [] {});
  EXPECT_LE(shards_[0]->turns(), turns + 2);
  EXPECT_GE(shards_[0]->polling().sleeps(), 1u);
  source.detach();
}

TEST_F(PollingTest, TicksWhileThereIsSomethingToPoll) {
  Source source(*shards_[0]);
  source.attach();
  EXPECT_TRUE(eventually([&] { return source.ticks.load() >= 2; }));
  source.detach();
  source.attach();
  const std::uint64_t ticks = source.ticks.load();
  EXPECT_TRUE(eventually([&] { return source.ticks.load() > ticks; }));
  source.detach();
}

TEST_F(PollingTest, ARingThatBringsNothingIsReportedAndEnds) {
  Source source(*shards_[0]);
  source.attach();
  for (std::uint64_t i = 0; i < 50; ++i) {
    const std::uint64_t falls = source.falls.load();
    source.ring();
    ASSERT_TRUE(eventually([&] { return source.falls.load() > falls; }));
  }
  EXPECT_GE(source.rings.load(), 1u);
  EXPECT_LE(source.rings.load(), 50u);
  source.detach();
  const std::uint64_t rings = source.rings.load();
  source.ring();
  on(*shards_[0], [] {});
  EXPECT_EQ(source.rings.load(), rings);
}

TEST_F(PollingTest, StillHearsItsOtherCallersWhileItPolls) {
  Source source(*shards_[0]);
  source.attach();
  std::atomic<int> ran{0};
  for (int i = 1; i <= 3000; ++i) {
    source.publish();
    shards_[0]->post([&] { ran.fetch_add(1); });
    ASSERT_TRUE(eventually([&] { return ran.load() == i; }));
  }
  source.detach();
}

TEST(PollingPolicyTest, SpinsRarelyAfterVainSpinsAndOftenAfterASuccess) {
  Reactor reactor;
  Polling polling(reactor);
  EXPECT_FALSE(polling.wantsSpin());  // Nobody to wait for.
  struct Nothing final : Polled {
    bool hasWork() const override { return false; }
    void fallAsleep() override {}
    void wakeUp() override {}
    bool run(Shard&) override { return false; }
  } nothing;
  const int doorbell = ::eventfd(0, EFD_CLOEXEC);
  ASSERT_FALSE(polling.add(nothing, doorbell).has_error());
  for (std::uint32_t i = 0; i < Polling::kVainMax; ++i) {
    EXPECT_TRUE(polling.wantsSpin());
    polling.spun(false);
  }
  std::uint32_t spins = 0;
  for (std::uint32_t i = 0; i < 10 * Polling::kSkip; ++i) {
    if (!polling.wantsSpin()) continue;
    ++spins;
    polling.spun(false);
  }
  EXPECT_EQ(spins, 10u);
  while (!polling.wantsSpin()) {
  }
  polling.spun(true);
  EXPECT_TRUE(polling.wantsSpin());
  EXPECT_EQ(polling.spinsWon(), 1u);
  EXPECT_EQ(polling.spinsLost(), 14u);
  polling.remove(nothing, doorbell);
  EXPECT_FALSE(polling.wantsSpin());
  ::close(doorbell);
}

}  // namespace
}  // namespace kante
