// A queue whose last route is gone: kept, shown, drained when a route names it again, forgotten
// when empty.
#include <algorithm>
#include <string>

#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

// In memory: thousands of queues are thousands of commits.
class DetachedQueueTest : public StoreTest {
 protected:
  DetachedQueueTest() : StoreTest("/dev/shm") {}
  const QueueStats* listed(const std::string& name) {
    auto queues = store_->queues();
    EXPECT_FALSE(queues.has_error());
    list_ = std::move(*queues);
    const auto at = std::find_if(list_.begin(), list_.end(),
                                 [&](const QueueStats& queue) { return queue.name == name; });
    return at == list_.end() ? nullptr : &*at;
  }
  static std::size_t dropped(const QueueStats& queue, StoreDrop reason) {
    return queue.dropped[static_cast<std::size_t>(reason)];
  }

 private:
  std::vector<QueueStats> list_;
};

TEST_F(DetachedQueueTest, IsKeptShownAndDrainedWhenItIsNamedAgain) {
  open();
  DurableQueue& input = queue("module/a/in");
  put(input, entryOf("kept"));
  EXPECT_FALSE(listed("module/a/in")->detached);
  store_->detach(input);
  ASSERT_NE(listed("module/a/in"), nullptr);
  EXPECT_TRUE(listed("module/a/in")->detached);
  ASSERT_EQ(store_->shown().size(), 1u);
  EXPECT_TRUE(store_->shown()[0].detached);
  EXPECT_EQ(bodies(take(queue("module/a/in"))), std::vector<std::string>({"kept"}));
  EXPECT_FALSE(listed("module/a/in")->detached);
}

TEST_F(DetachedQueueTest, EveryQueueIsDetachedUntilSomebodyNamesIt) {
  open();
  put(queue("module/a/in"), entryOf("kept"));
  open();
  EXPECT_TRUE(listed("module/a/in")->detached);
  EXPECT_EQ(bodies(take(queue("module/a/in"))), std::vector<std::string>({"kept"}));
}

TEST_F(DetachedQueueTest, LosesItsMessagesToTheirTtlAndToAPurge) {
  open();
  put(queue("a"), entryOf("short", 9, 5'000'000'000));
  put(queue("a"), entryOf("long"));
  open();
  clock_.advance(6'000'000'000);
  store_->find("absent");  // A group, in which what expired goes.
  ASSERT_NE(listed("a"), nullptr);
  EXPECT_EQ(listed("a")->messages, 1u);
  EXPECT_EQ(dropped(*listed("a"), StoreDrop::kTtl), 1u);
  std::promise<std::uint64_t> purged;
  (*store_->find("a"))->purge([&](Result<std::uint64_t> count) { purged.set_value(*count); });
  EXPECT_EQ(purged.get_future().get(), 1u);
  EXPECT_EQ(listed("a"), nullptr) << "empty and unused: forgotten";
  EXPECT_TRUE(store_->shown().empty());
}

TEST_F(DetachedQueueTest, TakesTheSpecOfTheRouteThatComesBack) {
  open();
  DurableQueue& input = queue("a");
  put(input, entryOf("1"));
  put(input, entryOf("2"));
  store_->detach(input);
  QueueSpec spec;
  spec.messages_max = 2;
  spec.full = QueueSpec::Full::kRefuse;
  queue("a", spec);
  EXPECT_EQ(put(input, entryOf("3")), CommitResult::kFull);
}

TEST_F(DetachedQueueTest, MakesRoomForOthersWhenItIsEmpty) {
  open();
  DurableQueue& kept = queue("kept");
  put(kept, entryOf("x"));
  store_->detach(kept);
  DurableQueue& numbers = queue("numbers");
  put(numbers, entryOf("x"));
  const TakenBatch batch = take(numbers, numbered());
  numbers.acknowledge(tokens(batch));
  store_->detach(numbers);
  DurableQueue& used = queue("used");
  DurableQueue& first = queue("q-0");
  store_->detach(first);
  for (std::uint32_t i = 1; i + 3 < Store::kQueuesMax; ++i) {
    store_->detach(queue("q-" + std::to_string(i)));
  }
  ASSERT_NE(listed("numbers"), nullptr) << "its numbers have to go on";
  EXPECT_FALSE(store_->queue("one-more").has_error());
  EXPECT_EQ(listed("q-0"), nullptr);
  EXPECT_TRUE(store_->find("q-1").has_error()) << "forgotten";
  EXPECT_EQ(listed("kept")->messages, 1u);
  EXPECT_EQ(numbers.nextNumber(), 2u);
  EXPECT_EQ(put(used, entryOf("x")), CommitResult::kCommitted);
  // A handle to what was forgotten still works: the queue is there again.
  EXPECT_EQ(put(first, entryOf("late")), CommitResult::kCommitted);
  open();
  EXPECT_EQ(bodies(take(queue("q-0"))), std::vector<std::string>({"late"}));
  EXPECT_EQ(listed("numbers")->next_number, 2u);
  EXPECT_EQ(bodies(take(queue("used"))), std::vector<std::string>({"x"}));
}

TEST_F(DetachedQueueTest, QuarantineHasItsBoundsWhoeverAsksForIt) {
  open();
  DurableQueue& aside = queue(kQuarantineQueue);
  store_->detach(aside);
  QueueSpec spec;
  spec.messages_max = 1;
  spec.full = QueueSpec::Full::kRefuse;
  aside.setSpec(spec);
  EXPECT_EQ(put(aside, entryOf("1")), CommitResult::kCommitted);
  EXPECT_EQ(put(aside, entryOf("2")), CommitResult::kCommitted);
  EXPECT_FALSE(listed(kQuarantineQueue)->detached);
}

}  // namespace
}  // namespace kante
