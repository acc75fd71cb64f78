// What a consumer may ask of a take beside its size: how much backlog, which neighbours, a gate.
#include "tests/host/store/store_fixture.h"

#include <gmock/gmock.h>

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using TakeRequestTest = StoreTest;

Entry from(const std::string& source, const std::string& body, std::uint8_t priority = 9) {
  static std::map<std::string, Source> sources;
  Source& made = sources[source];
  made.principal = made.telemetry_name = source;
  Entry entry = entryOf(body, priority);
  entry.hop.source = &made;
  return entry;
}

TEST_F(TakeRequestTest, HandsOutOnlySoMuchBacklogAndLiveBesideIt) {
  open();
  QueueSpec spec;
  spec.order = QueueSpec::Order::kLiveFirst;
  DurableQueue& upstream = queue("upstream", spec);
  for (const char* body : {"1", "2", "3"}) put(upstream, entryOf(body));
  upstream.markBacklog();
  for (const char* body : {"4", "5"}) put(upstream, entryOf(body));
  TakeRequest request = numbered();
  request.backlog_max = 1;
  const TakenBatch batch = take(upstream, request);
  EXPECT_THAT(bodies(batch), ElementsAre("4", "5", "1"));
  EXPECT_EQ(batch.backlog, 1u);
  EXPECT_TRUE(batch.messages[2].backlog);
  EXPECT_FALSE(batch.messages[0].backlog);
  request.backlog_max = 0;
  put(upstream, entryOf("6"));
  EXPECT_THAT(bodies(take(upstream, request)), ElementsAre("6"));
}

TEST_F(TakeRequestTest, InAFifoQueueWhatComesLaterWaitsBehindTheBacklog) {
  open();
  DurableQueue& upstream = queue();
  for (const char* body : {"1", "2"}) put(upstream, entryOf(body));
  upstream.markBacklog();
  put(upstream, entryOf("3"));
  TakeRequest request = numbered();
  request.backlog_max = 1;
  EXPECT_THAT(bodies(take(upstream, request)), ElementsAre("1"));
  request.backlog_max = 2;
  EXPECT_THAT(bodies(take(upstream, request)), ElementsAre("2", "3"));
}

TEST_F(TakeRequestTest, NumbersNeighboursOfOneSourceInARowWithinPriorityAndAge) {
  open();
  DurableQueue& upstream = queue();
  for (const auto& [source, body] :
       {std::pair{"a", "a1"}, {"b", "b1"}, {"a", "a2"}, {"c", "c1"}, {"b", "b2"}}) {
    put(upstream, from(source, body));
  }
  put(upstream, from("b", "first", 0));
  TakeRequest request = numbered();
  request.grouping = TakeRequest::Grouping::kBySource;
  const TakenBatch batch = take(upstream, request);
  EXPECT_THAT(bodies(batch), ElementsAre("first", "a1", "a2", "b1", "b2", "c1"));
  for (std::size_t i = 0; i < batch.messages.size(); ++i)
    EXPECT_EQ(batch.messages[i].number, i + 1);
}

class CountingGate final : public TakeGate {
 public:
  void begin() override { passed_ = 0; }
  bool admit(const TakenMessage&) override { return ++passed_ <= let; }
  int let = 2;

 private:
  int passed_ = 0;
};

TEST_F(TakeRequestTest, WhatTheGateHoldsKeepsNoNumberAndAllBehindItWaits) {
  open();
  DurableQueue& upstream = queue();
  const auto gate = std::make_shared<CountingGate>();
  for (const char* body : {"1", "2", "3", "4"}) put(upstream, entryOf(body));
  TakeRequest request = numbered();
  request.gate = gate;
  const TakenBatch first = take(upstream, request);
  EXPECT_THAT(bodies(first), ElementsAre("1", "2"));
  EXPECT_TRUE(first.held);
  EXPECT_EQ(upstream.nextNumber(), 3u);
  gate->let = 0;
  const TakenBatch none = take(upstream, request);
  EXPECT_THAT(bodies(none), IsEmpty());
  EXPECT_TRUE(none.held) << "the consumer hears of it, or it would wait without knowing for what";
  // What has a number already is asked about, too.
  upstream.giveBack(tokens(first));
  EXPECT_THAT(bodies(take(upstream, request)), IsEmpty());
  gate->let = 4;
  EXPECT_THAT(bodies(take(upstream, request)), ElementsAre("1", "2", "3", "4"));
}

TEST_F(TakeRequestTest, DropsTheLowestPriorityAndOfItTheOldestButNothingWithANumber) {
  open();
  DurableQueue& upstream = queue();
  put(upstream, entryOf("numbered", 9));
  EXPECT_THAT(bodies(take(upstream, numbered(1))), ElementsAre("numbered"));
  put(upstream, entryOf("best", 0));
  for (const char* body : {"old", "new"}) put(upstream, entryOf(body, 9));
  upstream.dropBeyond(2, StoreDrop::kBudget);
  EXPECT_EQ(stats(upstream).dropped[static_cast<std::size_t>(StoreDrop::kBudget)], 1u);
  const TakenBatch rest = take(upstream, numbered());
  EXPECT_THAT(bodies(rest), ElementsAre("best", "new"));
  EXPECT_EQ(rest.messages[0].dropped, 1u) << "kante-dropped";
}

}  // namespace
}  // namespace kante
