// Back from quarantine into the queue that a message came from.
#include <gmock/gmock.h>

#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

constexpr char kId[] = "00000000000000010000000000000002";  // Of every textMessage().

class RequeueTest : public StoreTest {
 protected:
  // One message of this priority in `quarantine`, from the queue.
  void setAside(DurableQueue& from, const std::string& body, std::uint8_t priority = 9) {
    put(from, entryOf(body, priority, 60'000'000'000));
    const TakenBatch batch = take(from);
    from.quarantine(batch.messages.at(0).token, "it will not have it");
    stats(from);
  }
};

TEST_F(RequeueTest, GoesBackWithItsPriorityAndWithoutItsPast) {
  open();
  DurableQueue& input = queue("module/a/in");
  setAside(input, "again", 3);
  const auto origin = store_->requeue(kId);
  ASSERT_FALSE(origin.has_error()) << origin.error().text;
  EXPECT_EQ(*origin, "module/a/in");
  EXPECT_EQ(queue(kQuarantineQueue).messages(), 0u);
  const TakenBatch batch = take(input);
  ASSERT_EQ(bodies(batch), std::vector<std::string>({"again"}));
  const TakenMessage& message = batch.messages[0];
  EXPECT_EQ(message.token.priority, 3);
  EXPECT_EQ(message.record.attempts, 0);
  EXPECT_EQ(message.record.expires_ns, 0);
  EXPECT_EQ(message.record.reason, "");
  EXPECT_EQ(message.record.origin, "");
  EXPECT_EQ(message.record.source.telemetry_name, "module/a/out");
}

TEST_F(RequeueTest, SaysThatThereIsNoSuchMessage) {
  open();
  const auto none = store_->requeue(kId);
  ASSERT_TRUE(none.has_error());
  EXPECT_EQ(none.error().code, Errc::kNotFound);
  setAside(queue("module/a/in"), "x");
  EXPECT_EQ(store_->requeue("ffff").error().code, Errc::kNotFound);
  EXPECT_EQ(queue(kQuarantineQueue).messages(), 1u);
}

TEST_F(RequeueTest, SaysThatItsQueueIsGone) {
  open();
  DurableQueue& input = queue("module/a/in");
  setAside(input, "x");
  store_->detach(input);
  const auto gone = store_->requeue(kId);
  ASSERT_TRUE(gone.has_error());
  EXPECT_EQ(gone.error().code, Errc::kNotFound);
  EXPECT_THAT(gone.error().text, HasSubstr("module/a/in"));
  EXPECT_EQ(queue(kQuarantineQueue).messages(), 1u);
  queue("module/a/in");
  EXPECT_FALSE(store_->requeue(kId).has_error());
}

TEST_F(RequeueTest, SaysThatItCameFromNoQueue) {
  open();
  Entry entry = entryOf("crash");
  ASSERT_FALSE(store_->quarantine(entry, "module a crashed: SIGSEGV", "").has_error());
  const auto refused = store_->requeue(kId);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, Errc::kState);
  std::promise<std::vector<InspectedMessage>> promise;
  queue(kQuarantineQueue).inspect(10, [&](auto found) { promise.set_value(*found); });
  const auto found = promise.get_future().get();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].reason, "module a crashed: SIGSEGV");
  EXPECT_EQ(found[0].source, "module/a/out");
}

TEST_F(RequeueTest, StaysInQuarantineWhenItsQueueIsFull) {
  open();
  QueueSpec spec;
  spec.messages_max = 1;
  spec.full = QueueSpec::Full::kRefuse;
  DurableQueue& input = queue("module/a/in", spec);
  setAside(input, "x");
  put(input, entryOf("other"));
  const auto full = store_->requeue(kId);
  ASSERT_TRUE(full.has_error());
  EXPECT_EQ(full.error().code, Errc::kLimit);
  EXPECT_EQ(queue(kQuarantineQueue).messages(), 1u);
  EXPECT_EQ(bodies(take(input)), std::vector<std::string>({"other"}));
}

// ---- what else must be right about messages that are out ----

using QueueEdgeTest = RequeueTest;

TEST_F(QueueEdgeTest, AnAcknowledgementAfterGivingBackLosesNothingAndReportsNothingLost) {
  open();
  DurableQueue& upstream = queue();
  for (const char* body : {"1", "2"}) put(upstream, entryOf(body));
  const TakenBatch batch = take(upstream, numbered());
  upstream.giveBack(tokens(batch));
  upstream.giveBack(tokens(batch));  // Twice is once.
  upstream.acknowledge({batch.messages[0].token});
  const TakenBatch again = take(upstream, numbered());
  EXPECT_EQ(bodies(again), std::vector<std::string>({"2"}));
  EXPECT_TRUE(again.lost.empty());
  EXPECT_EQ(again.messages[0].number, 2u);
}

TEST_F(QueueEdgeTest, WhatComesBackAfterItsTimeExpiresThoughNobodyTakesIt) {
  open();
  DurableQueue& input = queue("module/a/in");
  put(input, entryOf("late", 9, 1'000'000'000));
  const TakenBatch batch = take(input);
  clock_.advance(2'000'000'000);
  EXPECT_EQ(stats(input).messages, 1u) << "it is on its way";
  input.giveBack(tokens(batch));
  stats(input);  // The end of that group, in which it goes.
  EXPECT_EQ(stats(input).messages, 0u);
  EXPECT_EQ(input.dropped(StoreDrop::kTtl), 1u);
}

}  // namespace
}  // namespace kante
