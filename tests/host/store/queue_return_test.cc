// What was handed out and did not end: put off, failed, or cut short with the process.
#include <gmock/gmock.h>

#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

using QueueReturnTest = StoreTest;

TEST_F(QueueReturnTest, WhatIsPutOffComesAgainWithoutAnAttempt) {
  open();
  DurableQueue& q = queue("module/a/in");
  for (const char* body : {"a", "b", "c"}) put(q, entryOf(body));
  TakenBatch batch = take(q);
  ASSERT_EQ(batch.messages.size(), 3u);
  q.giveBack({batch.messages[0].token}, Return::kDelivered);
  q.giveBack({batch.messages[1].token, batch.messages[2].token}, Return::kUntouched);
  const TakenBatch again = take(q);
  EXPECT_EQ(bodies(again), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(again.messages[0].record.attempts, 0);
  EXPECT_EQ(again.messages[0].record.deliveries, 1);
  EXPECT_EQ(again.messages[1].record.deliveries, 0);
}

TEST_F(QueueReturnTest, AfterACrashWhatWasOutSaysThatItCameBefore) {
  TakeRequest request;
  request.handing = Handing::kRemembered;
  request.messages_max = 2;
  open();
  DurableQueue& q = queue("module/a/in");
  for (const char* body : {"a", "b", "c"}) put(q, entryOf(body));
  put(q, entryOf("first", 3));
  EXPECT_EQ(bodies(take(q, request)), (std::vector<std::string>{"first", "a"}));
  open();  // Nothing was given back.
  DurableQueue& second = queue("module/a/in");
  request.messages_max = 10;
  TakenBatch batch = take(second, request);
  ASSERT_EQ(bodies(batch), (std::vector<std::string>{"first", "a", "b", "c"}));
  std::vector<int> deliveries;
  for (const auto& message : batch.messages) deliveries.push_back(message.record.deliveries);
  EXPECT_EQ(deliveries, (std::vector<int>{1, 1, 0, 0}));
  // What comes again in the same life is not counted twice for the crash.
  std::vector<QueueToken> all;
  for (const auto& message : batch.messages) all.push_back(message.token);
  second.giveBack(all, Return::kUntouched);
  batch = take(second, request);
  EXPECT_EQ(batch.messages[0].record.deliveries, 1);
  open();
  batch = take(queue("module/a/in"), request);
  deliveries.clear();
  for (const auto& message : batch.messages) deliveries.push_back(message.record.deliveries);
  EXPECT_EQ(deliveries, (std::vector<int>{2, 2, 1, 1}));
}

TEST_F(QueueReturnTest, AfterAnOrderlyReturnNothingSaysThatItCameBefore) {
  TakeRequest request;
  request.handing = Handing::kRemembered;
  open();
  DurableQueue& q = queue("module/a/in");
  for (const char* body : {"a", "b"}) put(q, entryOf(body));
  const TakenBatch batch = take(q, request);
  q.giveBack({batch.messages[0].token, batch.messages[1].token}, Return::kUntouched);
  open();
  const TakenBatch again = take(queue("module/a/in"), request);
  ASSERT_EQ(again.messages.size(), 2u);
  EXPECT_EQ(again.messages[0].record.deliveries, 0);
}

TEST_F(QueueReturnTest, ADeliveryThatAnEarlierLifeDidNotSurviveIsAnAttempt) {
  open();
  StoredMessage poison;
  {
    DurableQueue& q = queue("module/a/in");
    for (const char* body : {"a", "b"}) put(q, entryOf(body));
    const TakenBatch batch = take(q);
    poison = {q.id(), batch.messages[0].token, batch.messages[0].record.message.id()};
  }
  open();
  EXPECT_TRUE(*store_->failStored(poison, 2, "crashed"));
  StoredMessage other = poison;
  ++other.id.low;
  EXPECT_FALSE(*store_->failStored(other, 2, "crashed")) << "another message has that place";
  EXPECT_EQ(take(queue("module/a/in")).messages[0].record.attempts, 1);
  open();
  EXPECT_TRUE(*store_->failStored(poison, 2, "crashed"));
  EXPECT_FALSE(*store_->failStored(poison, 2, "crashed"));
  EXPECT_EQ(bodies(take(queue("module/a/in"))), std::vector<std::string>{"b"});
  const TakenBatch set_aside = take(queue("quarantine"));
  ASSERT_EQ(bodies(set_aside), std::vector<std::string>{"a"});
  EXPECT_EQ(set_aside.messages[0].record.reason, "crashed");
  EXPECT_EQ(set_aside.messages[0].record.origin, "module/a/in");
  EXPECT_EQ(set_aside.messages[0].record.attempts, 2);
}

TEST_F(QueueReturnTest, WhatWasMadeOfAMessageIsCommittedWithItsEnd) {
  open();
  DurableQueue& from = queue("module/a/in");
  DurableQueue& to = queue("upstream");
  for (const char* body : {"a", "b"}) put(from, entryOf(body));
  const TakenBatch batch = take(from);
  Answers answers;
  StoreExchange exchange;
  // More than a group takes: it is one all the same.
  for (std::uint32_t i = 0; i < Store::kGroupMessages + 10; ++i)
    exchange.offers.push_back({&to, entryOf("made"), i == 0 ? &answers : nullptr});
  exchange.done.push_back({&from, {batch.messages[0].token, batch.messages[1].token}});
  const std::uint64_t groups = store_->status().groups;
  ASSERT_EQ(store_->exchange(exchange), Offer::kTaken);
  ASSERT_TRUE(answers.wait(1));
  EXPECT_EQ(store_->status().groups, groups + 1);
  EXPECT_EQ(stats(from).messages, 0u);
  EXPECT_EQ(stats(to).messages, Store::kGroupMessages + 10);
}

TEST_F(QueueReturnTest, AnExchangeEndsAMessageAlsoWhenAFullQueueRefusesWhatWasMadeOfIt) {
  open();
  DurableQueue& from = queue("module/a/in");
  QueueSpec full;
  full.messages_max = 1;
  full.full = QueueSpec::Full::kRefuse;
  DurableQueue& to = queue("module/b/in", full);
  put(from, entryOf("a"));
  const TakenBatch batch = take(from);
  Answers answers;
  StoreExchange exchange;
  exchange.offers.push_back({&to, entryOf("first"), nullptr});
  exchange.offers.push_back({&to, entryOf("second"), &answers});
  exchange.done.push_back({&from, {batch.messages[0].token}});
  ASSERT_EQ(store_->exchange(exchange), Offer::kTaken);
  ASSERT_TRUE(answers.wait(1));
  EXPECT_EQ(answers.results()[0], CommitResult::kFull);
  EXPECT_EQ(stats(from).messages, 0u);
  EXPECT_EQ(stats(to).messages, 1u);
}

}  // namespace
}  // namespace kante
