#include "host/store/durable_queue.h"

#include <gmock/gmock.h>

#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using DurableQueueTest = StoreTest;
using Strings = std::vector<std::string>;

TEST_F(DurableQueueTest, HandsOutWhatWasOfferedWithEverythingTheHostKnew) {
  open();
  ASSERT_EQ(put(queue(), entryOf("one", 4)), CommitResult::kCommitted);
  const TakenBatch batch = take(queue());
  ASSERT_THAT(batch.messages, SizeIs(1));
  const RecordView& record = batch.messages[0].record;
  EXPECT_EQ(record.message.body(), "one");
  EXPECT_EQ(record.message.property("kind"), "test");
  EXPECT_EQ(record.source.telemetry_name, "module/a/out");
  EXPECT_EQ(record.source.principal, "module/a");
  EXPECT_EQ(record.source.output, "out");
  EXPECT_EQ(record.source.path, "/messages/modules/a/outputs/out");
  EXPECT_EQ(record.source.connection_device_id, "edge-1");
  EXPECT_EQ(record.source.connection_module_id, "a");
  EXPECT_EQ(record.arrived_ns, 77);
  EXPECT_EQ(record.hops, 3);
  EXPECT_EQ(batch.messages[0].token.priority, 4);
  EXPECT_EQ(batch.messages[0].number, 0u);
}

TEST_F(DurableQueueTest, KeepsAMessageUntilItIsAcknowledged) {
  open();
  put(queue(), entryOf("one"));
  const TakenBatch first = take(queue());
  EXPECT_EQ(queue().messages(), 1u);
  open();
  EXPECT_EQ(queue().messages(), 1u);
  EXPECT_GT(queue().bytes(), 0u);
  const TakenBatch again = take(queue());
  EXPECT_EQ(bodies(again), Strings({"one"}));
  queue().acknowledge(tokens(again));
  EXPECT_EQ(stats(queue()).messages, 0u);
  EXPECT_EQ(stats(queue()).bytes, 0u);
  open();
  EXPECT_EQ(stats(queue()).messages, 0u);
}

TEST_F(DurableQueueTest, OrdersByPriorityThenArrival) {
  open();
  put(queue(), entryOf("low 1"));
  put(queue(), entryOf("high 1", 0));
  put(queue(), entryOf("low 2"));
  put(queue(), entryOf("high 2", 0));
  EXPECT_EQ(bodies(take(queue())), Strings({"high 1", "high 2", "low 1", "low 2"}));
}

TEST_F(DurableQueueTest, WaitsForTheFirstMessage) {
  open();
  std::promise<TakenBatch> promise;
  queue().take({}, [&](Result<TakenBatch> batch) { promise.set_value(std::move(*batch)); });
  put(queue(), entryOf("late"));
  EXPECT_EQ(bodies(promise.get_future().get()), Strings({"late"}));
}

TEST_F(DurableQueueTest, HandsOutNoMoreThanAsked) {
  open();
  for (int i = 0; i < 5; ++i) put(queue(), entryOf(std::to_string(i)));
  TakeRequest two;
  two.messages_max = 2;
  EXPECT_EQ(bodies(take(queue(), two)), Strings({"0", "1"}));
  TakeRequest small;
  small.bytes_max = 1;  // One message always fits.
  EXPECT_EQ(bodies(take(queue(), small)), Strings({"2"}));
  EXPECT_EQ(bodies(take(queue())), Strings({"3", "4"}));
}

TEST_F(DurableQueueTest, LiveMessagesGoBeforeTheBacklogOfTheirPriority) {
  QueueSpec spec;
  spec.order = QueueSpec::Order::kLiveFirst;
  open();
  DurableQueue& live = queue("upstream", spec);
  put(live, entryOf("old 1"));
  put(live, entryOf("old 2"));
  put(live, entryOf("old alarm", 0));
  live.markBacklog();
  put(live, entryOf("new 1"));
  TakeRequest two;
  two.messages_max = 2;
  EXPECT_EQ(bodies(take(live, two)), Strings({"old alarm", "new 1"}));
  put(live, entryOf("new 2"));
  EXPECT_EQ(bodies(take(live, two)), Strings({"new 2", "old 1"}));
  put(live, entryOf("new 3"));
  live.markBacklog();
  put(live, entryOf("newest"));
  EXPECT_EQ(bodies(take(live)), Strings({"newest", "old 2", "new 3"}));
}

TEST_F(DurableQueueTest, GivenBackMessagesComeAgainFirstWithAnAttemptMore) {
  open();
  for (int i = 0; i < 3; ++i) put(queue(), entryOf(std::to_string(i)));
  TakeRequest two;
  two.messages_max = 2;
  queue().giveBack(tokens(take(queue(), two)));
  const TakenBatch again = take(queue());
  EXPECT_EQ(bodies(again), Strings({"0", "1", "2"}));
  EXPECT_EQ(again.messages[0].record.attempts, 1);
  EXPECT_EQ(again.messages[2].record.attempts, 0);
}

TEST_F(DurableQueueTest, NumbersFromOneWithoutAHole) {
  open();
  for (int i = 0; i < 4; ++i) put(queue(), entryOf(std::to_string(i)));
  const TakenBatch first = take(queue(), numbered(3));
  const TakenBatch second = take(queue(), numbered(3));
  ASSERT_THAT(first.messages, SizeIs(3));
  ASSERT_THAT(second.messages, SizeIs(1));
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(first.messages[i].number, i + 1);
  EXPECT_EQ(second.messages[0].number, 4u);
  EXPECT_EQ(queue().nextNumber(), 5u);
}

TEST_F(DurableQueueTest, WhatHasANumberKeepsItOverARestart) {
  open();
  for (int i = 0; i < 4; ++i) put(queue(), entryOf(std::to_string(i)));
  const std::string epoch = store_->epoch();
  EXPECT_THAT(epoch, SizeIs(32));
  const TakenBatch first = take(queue(), numbered(3));
  queue().acknowledge({first.messages[1].token});
  stats(queue());
  open();
  EXPECT_EQ(store_->epoch(), epoch);
  const TakenBatch again = take(queue(), numbered());
  EXPECT_EQ(bodies(again), Strings({"0", "2", "3"}));
  EXPECT_EQ(again.messages[0].number, 1u);
  EXPECT_EQ(again.messages[1].number, 3u);
  EXPECT_EQ(again.messages[2].number, 4u);
}

TEST_F(DurableQueueTest, DropsWhatExpiredBeforeItHadANumberAndCountsIt) {
  open();
  put(queue(), entryOf("short", 9, 1'000'000'000));
  put(queue(), entryOf("long", 9, 60'000'000'000));
  clock_.advance(2'000'000'000);
  const TakenBatch batch = take(queue(), numbered());
  EXPECT_EQ(bodies(batch), Strings({"long"}));
  EXPECT_EQ(batch.messages[0].dropped, 1u);
  clock_.advance(120'000'000'000);
  put(queue(), entryOf("another"));
  EXPECT_EQ(stats(queue()).messages, 2u) << "a numbered message never expires";
  EXPECT_EQ(stats(queue()).dropped[static_cast<std::size_t>(StoreDrop::kTtl)], 1u);
}

TEST_F(DurableQueueTest, TheMessagesOwnExpiryCountsToo) {
  open();
  Entry entry = entryOf("x", 9, 60'000'000'000);
  entry.message = textMessage("x", clock_.wallNs() + 1'000'000'000);
  put(queue(), std::move(entry));
  EXPECT_EQ(stats(queue()).messages, 1u);
  clock_.advance(2'000'000'000);
  put(queue(), entryOf("y"));
  EXPECT_EQ(stats(queue()).messages, 1u);
}

TEST_F(DurableQueueTest, AStepOfTheWallClockExpiresNothing) {
  open();
  put(queue(), entryOf("x", 9, 60'000'000'000));
  clock_.stepWall(std::int64_t{3600} * 1'000'000'000);
  put(queue(), entryOf("y"));
  EXPECT_EQ(bodies(take(queue())), Strings({"x", "y"}));
}

TEST_F(DurableQueueTest, DropsTheOldestOfTheLowestPriorityWhenFull) {
  open();
  QueueSpec spec;
  spec.messages_max = 3;
  DurableQueue& small = queue("upstream", spec);
  put(small, entryOf("a", 5));
  put(small, entryOf("b", 7));
  put(small, entryOf("c", 7));
  EXPECT_EQ(put(small, entryOf("d", 5)), CommitResult::kCommitted);
  EXPECT_EQ(put(small, entryOf("e", 9)), CommitResult::kCommitted);
  EXPECT_EQ(bodies(take(small)), Strings({"a", "d", "c"}));
  EXPECT_EQ(small.dropped(StoreDrop::kStoreFull), 2u);
}

TEST_F(DurableQueueTest, DropsNothingThatIsOnItsWay) {
  open();
  QueueSpec spec;
  spec.messages_max = 2;
  DurableQueue& small = queue("upstream", spec);
  put(small, entryOf("a"));
  put(small, entryOf("b"));
  const TakenBatch batch = take(small, numbered());
  EXPECT_THAT(batch.messages, SizeIs(2));
  EXPECT_EQ(put(small, entryOf("c")), CommitResult::kFull);
  small.acknowledge(tokens(batch));
  EXPECT_EQ(put(small, entryOf("d")), CommitResult::kCommitted);
}

TEST_F(DurableQueueTest, RefusesWhenFullAndTakesAgainWhenThereIsRoom) {
  open();
  QueueSpec spec;
  spec.messages_max = 2;
  spec.full = QueueSpec::Full::kRefuse;
  DurableQueue& small = queue("upstream", spec);
  put(small, entryOf("a"));
  put(small, entryOf("b"));
  EXPECT_EQ(put(small, entryOf("c")), CommitResult::kFull);
  Entry entry = entryOf("d");
  EXPECT_EQ(small.offer(entry), Offer::kFull);
  EXPECT_TRUE(entry.message) << "what was not taken stays with its owner";
  small.acknowledge(tokens(take(small)));
  stats(small);
  EXPECT_EQ(put(small, std::move(entry)), CommitResult::kCommitted);
  EXPECT_EQ(bodies(take(small)), Strings({"d"}));
}

TEST_F(DurableQueueTest, StaysWithinTheStoresBytesWhateverIsOffered) {
  open();
  const std::string body(100'000, 'x');
  for (int i = 0; i < 100; ++i) EXPECT_EQ(put(queue(), entryOf(body)), CommitResult::kCommitted);
  EXPECT_LE(store_->status().bytes, store_->status().max_bytes);
  EXPECT_GT(queue().messages(), 30u);
  EXPECT_EQ(queue().messages() + queue().dropped(StoreDrop::kStoreFull), 100u);
}

TEST_F(DurableQueueTest, MovesToQuarantineWithNumberAndReason) {
  open();
  put(queue(), entryOf("bad"));
  const TakenBatch batch = take(queue(), numbered());
  queue().quarantine(batch.messages[0].token, "topic name invalid (0x90)");
  EXPECT_EQ(stats(queue()).messages, 0u);
  std::promise<std::vector<InspectedMessage>> promise;
  queue("quarantine").inspect(10, [&](auto found) { promise.set_value(*found); });
  const auto found = promise.get_future().get();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].reason, "topic name invalid (0x90)");
  EXPECT_EQ(found[0].number, 1u);
  EXPECT_EQ(found[0].body, "bad");
  EXPECT_EQ(found[0].source, "module/a/out");
  EXPECT_EQ(found[0].id, "00000000000000010000000000000002");
  EXPECT_THAT(found[0].properties,
              ElementsAre(std::pair<std::string, std::string>("kind", "test")));
}

TEST_F(DurableQueueTest, PurgesWhatHasNoNumber) {
  open();
  for (int i = 0; i < 5; ++i) put(queue(), entryOf(std::to_string(i)));
  take(queue(), numbered(2));
  std::promise<std::uint64_t> promise;
  queue().purge([&](Result<std::uint64_t> purged) { promise.set_value(*purged); });
  EXPECT_EQ(promise.get_future().get(), 3u);
  EXPECT_EQ(stats(queue()).messages, 2u);
  EXPECT_EQ(queue().dropped(StoreDrop::kPurged), 3u);
}

TEST_F(DurableQueueTest, PurgesMuchInPartsAndLeavesWhatComesMeanwhile) {
  open();
  constexpr std::uint64_t kMany = 2500;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    Entry entry = entryOf(std::to_string(i));
    ASSERT_EQ(queue().offer(entry, nullptr, 0), Offer::kTaken);
  }
  put(queue(), entryOf("last"));
  std::promise<std::uint64_t> promise;
  queue().purge([&](Result<std::uint64_t> purged) { promise.set_value(*purged); });
  // Behind the first part in the store's mailbox, and before the last.
  EXPECT_EQ(put(queue(), entryOf("new", 0)), CommitResult::kCommitted);
  EXPECT_EQ(promise.get_future().get(), kMany + 1);
  EXPECT_EQ(bodies(take(queue())), std::vector<std::string>({"new"}));
  EXPECT_EQ(queue().dropped(StoreDrop::kPurged), kMany + 1);
}

TEST_F(DurableQueueTest, TellsTheAgeOfItsOldest) {
  open();
  put(queue(), entryOf("old"));
  clock_.advance(5'000'000'000);
  put(queue(), entryOf("new", 0));
  EXPECT_EQ(stats(queue()).oldest_ns, 5'000'000'000);
}

TEST_F(DurableQueueTest, IsBusyRatherThanUnbounded) {
  open();
  std::promise<void> hold;
  auto held = hold.get_future().share();
  DurableQueue* const full = &queue();
  full->stats([held](QueueStats) { held.wait(); });  // Keeps the store's thread.
  std::uint32_t taken = 0;
  for (;; ++taken) {
    Entry entry = entryOf("x");
    if (full->offer(entry) == Offer::kBusy) break;
  }
  EXPECT_EQ(taken, Store::kMailboxMessages);
  std::promise<void> room;
  store_->whenRoom([&] { room.set_value(); });
  hold.set_value();
  room.get_future().wait();
  Entry entry = entryOf("y");
  EXPECT_EQ(full->offer(entry), Offer::kTaken);
}

}  // namespace
}  // namespace kante
