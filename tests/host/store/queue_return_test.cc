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

}  // namespace
}  // namespace kante
