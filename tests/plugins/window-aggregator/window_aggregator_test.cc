#include "tests/plugins/placed_module.h"

namespace {

using kante::Draft;
using kante::PlacedModule;
using kante::json::Array;
using kante::json::Value;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::int64_t kNewYear = 1'767'225'600'000'000'000;  // 2026-01-01, in nanoseconds.

Draft reading(double value, const std::string& device = "a", std::chrono::seconds at = 0s) {
  return Draft::json({{"value", value}, {"device", device}})
      .createdNs(kNewYear + std::chrono::nanoseconds(at).count());
}

const Value kByCount{{"fields", Array{"value"}}, {"window_count", 3}};
const Value kByDevice{
    {"fields", Array{"value"}}, {"window_ms", 1000}, {"key", {{"field", "device"}}}};

using WindowAggregatorTest = kante::PlacedTest;
KANTE_IN_EVERY_PLACEMENT(WindowAggregatorTest);

TEST_P(WindowAggregatorTest, SummarizesAWindowOfTime) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"fields", Array{"value"}}, {"window_ms", 1000}}), KANTE_OK)
      << host.explained();
  for (int i = 1; i <= 20; ++i)
    EXPECT_EQ(host.send("in", reading(i, "a", std::chrono::seconds(i))), KANTE_OK);
  host.advance(999ms);
  EXPECT_EQ(host.count("aggregate"), 0u);
  host.advance(1ms);
  const auto sent = host.take("aggregate");
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(
      sent[0].body(),
      R"({"window":{"start":"2026-01-01T00:00:01.000Z","end":"2026-01-01T00:00:20.000Z","count":20,)"
      R"("reason":"time"},"fields":{"value":{"count":20,"min":1,"max":20,"mean":10.5,"p95":19}}})");
  EXPECT_EQ(sent[0].view().contentType(), "application/json");
  host.advance(10s);
  EXPECT_EQ(host.count("aggregate"), 0u) << "an empty window says nothing";
}

TEST_P(WindowAggregatorTest, EndsAWindowByCount) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByCount), KANTE_OK) << host.explained();
  for (int i = 1; i <= 7; ++i) host.send("in", reading(i));
  const auto sent = host.take("aggregate");
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].json().find("/fields/value/mean")->number(), 5);
  EXPECT_EQ(*sent[1].json().find("window.reason")->string(), "count");
}

TEST_P(WindowAggregatorTest, TakesSeveralFieldsUnderNamesOfTheirOwn) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"fields", {{"t", "machine.temperature"}, {"p", "/machine/pressure"}}},
                         {"window_count", 2}}),
            KANTE_OK)
      << host.explained();
  host.send("in", Draft::json({{"machine", {{"temperature", 20}, {"pressure", 1}}}}));
  host.send("in", Draft::json({{"machine", {{"temperature", 30}, {"pressure", "none"}}}}));
  const Value body = host.take("aggregate").at(0).json();
  EXPECT_EQ(body.find("fields.t.mean")->number(), 25);
  EXPECT_EQ(body.find("fields.p.count")->integer(), 1);
}

TEST_P(WindowAggregatorTest, KeepsAWindowForEachKey) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByDevice), KANTE_OK) << host.explained();
  host.send("in", reading(1, "a"));
  host.send("in", reading(5, "b"));
  host.send("in", reading(3, "a"));
  host.advance(1s);
  const auto sent = host.take("aggregate");
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].property("key"), "b");
  EXPECT_EQ(sent[1].json().find("key")->dump(), "\"a\"");
  EXPECT_EQ(sent[1].json().find("/fields/value/mean")->number(), 2);
  host.advance(2s);
  EXPECT_EQ(host.metric("keys"), 0) << "a silent key is forgotten";
}

TEST_P(WindowAggregatorTest, EndsTheOldestWindowEarlyForAKeyTooMany) {
  PlacedModule host;
  Value config = kByDevice;
  config["keys_max"] = 2;
  ASSERT_EQ(host.create(config), KANTE_OK);
  for (const char* device : {"a", "b", "a", "c"}) host.send("in", reading(1, device));
  const auto sent = host.take("aggregate");
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].property("key"), "b");
  EXPECT_EQ(host.metric("keys_evicted"), 1);
  EXPECT_EQ(host.metric("keys"), 2);
}

TEST_P(WindowAggregatorTest, CountsLateMessagesAndDropsThemIfTold) {
  for (const bool drops : {false, true}) {
    PlacedModule host;
    Value config = kByCount;
    config["window_count"] = 2;
    config["late"] = drops ? "drop" : "include";
    ASSERT_EQ(host.create(config), KANTE_OK);
    for (const auto at : {10s, 20s, 15s, 30s}) host.send("in", reading(1, "a", at));
    EXPECT_EQ(host.metric("messages_late"), 1);
    EXPECT_EQ(host.count("aggregate"), drops ? 1u : 2u);
  }
}

TEST_P(WindowAggregatorTest, SettlesDurableInputsWithTheirAggregate) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByCount), KANTE_OK);
  std::vector<std::uint64_t> tokens;
  for (const kante::Status expected : {KANTE_PENDING, KANTE_PENDING, KANTE_OK}) {
    EXPECT_EQ(host.send("in", reading(1), {.durable = true}), expected);
    tokens.push_back(host.lastToken());
  }
  EXPECT_EQ(host.count("aggregate"), 1u);
  for (const auto token : tokens) EXPECT_EQ(host.settled(token), KANTE_OK);
}

TEST_P(WindowAggregatorTest, SettlesOnlyWhenTheAggregateFoundCredit) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByCount), KANTE_OK);
  host.setCredit("aggregate", 0);
  std::vector<std::uint64_t> tokens;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(host.send("in", reading(1), {.durable = true}), KANTE_PENDING);
    tokens.push_back(host.lastToken());
  }
  for (const auto token : tokens) EXPECT_FALSE(host.settled(token));
  EXPECT_FALSE(host.drain());
  host.grant("aggregate");
  EXPECT_TRUE(host.drained());
  for (const auto token : tokens) EXPECT_EQ(host.settled(token), KANTE_OK);
}

TEST_P(WindowAggregatorTest, EndsItsWindowsBeforeTheHostStopsTheInput) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"fields", Array{"value"}}, {"window_count", 1'000'000}}), KANTE_OK);
  for (int i = 0; i < 5'000; ++i) host.send("in", reading(1), {.durable = true});
  EXPECT_EQ(host.settled(host.lastToken()), KANTE_OK);
  EXPECT_EQ(*host.take("aggregate").at(0).json().find("window.reason")->string(), "unsettled");
}

TEST_P(WindowAggregatorTest, EndsItsWindowsEarlyForLargeMessagesToo) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"window_count", 100}}), KANTE_OK) << host.explained();
  const std::string padding(900'000, 'x');
  int sent = 0;
  while (host.count("aggregate") == 0 && sent < 100) {
    host.send("in", kante::Draft::json({{"padding", padding}}), {.durable = true});
    ++sent;
  }
  EXPECT_LT(sent, 15);
  EXPECT_EQ(*host.take("aggregate").at(0).json().find("window.reason")->string(), "unsettled");
}

TEST_P(WindowAggregatorTest, KeepsAWindowOpenWhileThereIsNoRoom) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"fields", Array{"value"}}, {"window_count", 1}}), KANTE_OK);
  host.setCredit("aggregate", 0);
  const std::size_t fit = 1'024 + PlacedModule::underWay();
  for (std::size_t i = 0; i < fit + 76; ++i) EXPECT_EQ(host.send("in", reading(1)), KANTE_OK);
  host.grant("aggregate");
  const auto sent = host.take("aggregate");
  ASSERT_EQ(sent.size(), fit + 1);
  EXPECT_EQ(sent.back().json().find("window.count")->integer(), 76);
}

TEST_P(WindowAggregatorTest, SendsItsOpenWindowsWhenItStops) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByDevice), KANTE_OK);
  host.send("in", reading(1, "a"));
  host.send("in", reading(1, "b"), {.durable = true});
  const auto token = host.lastToken();
  EXPECT_TRUE(host.drain());
  EXPECT_EQ(host.count("aggregate"), 2u);
  EXPECT_EQ(host.settled(token), KANTE_OK);
}

TEST_P(WindowAggregatorTest, CarriesOpenWindowsOverAndCountsNothingTwice) {
  PlacedModule old_version;
  ASSERT_EQ(old_version.create(kByDevice), KANTE_OK);
  old_version.send("in", reading(1, "a"));
  old_version.send("in", reading(7, "durable"), {.durable = true});
  const auto token = old_version.lastToken();
  const auto state = old_version.save();
  ASSERT_TRUE(state);
  EXPECT_EQ(old_version.settled(token), KANTE_OK);
  EXPECT_EQ(old_version.take("aggregate").at(0).property("key"), "durable");
  EXPECT_TRUE(old_version.drain());
  EXPECT_EQ(old_version.count("aggregate"), 0u) << "the window of a is the successor's";

  PlacedModule next;
  ASSERT_EQ(next.create(kByDevice), KANTE_OK);
  ASSERT_EQ(next.restore(*state), KANTE_OK) << next.explained();
  next.send("in", reading(3, "a"));
  next.advance(1s);
  EXPECT_EQ(next.take("aggregate").at(0).json().find("/fields/value/mean")->number(), 2);
}

TEST_P(WindowAggregatorTest, GoesOnWithItsWindowsWhenTheSuccessorFailed) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByDevice), KANTE_OK);
  host.send("in", reading(1));
  ASSERT_TRUE(host.save());
  host.send("in", reading(3));
  host.drain();
  EXPECT_EQ(host.take("aggregate").at(0).json().find("/fields/value/mean")->number(), 2);
}

TEST_P(WindowAggregatorTest, RefusesStateThatIsNotItsOwn) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByDevice), KANTE_OK);
  EXPECT_EQ(host.restore({2, "{}"}), KANTE_E_INVALID);
  EXPECT_EQ(host.restore({1, "{}"}), KANTE_E_INVALID);
  EXPECT_EQ(host.restore({1, R"({"windows":[{"key":"a"}]})"}), KANTE_E_INVALID);
  EXPECT_THAT(host.explained(), HasSubstr("/count is missing"));
}

TEST_P(WindowAggregatorTest, CountsMessagesWithoutTheField) {
  PlacedModule host;
  ASSERT_EQ(host.create(kByCount), KANTE_OK);
  for (int i = 0; i < 3; ++i) host.send("in", Draft::json({{"other", 1}}));
  EXPECT_EQ(host.metric("messages_without_field"), 3);
  EXPECT_EQ(host.take("aggregate").at(0).json().find("/fields/value")->dump(), R"({"count":0})");
  EXPECT_EQ(host.send("in", Draft("text/plain", "?")), KANTE_E_INVALID);
}

TEST_P(WindowAggregatorTest, RefusesAConfigurationAndNamesThePlace) {
  const std::pair<Value, const char*> cases[] = {
      {{{"window_ms", 0}}, "/window_ms and window_count should not both be 0"},
      {{{"fields", Array{}}}, "/fields should name 1 to 16 fields"},
      {{{"fields", Array{"a", 1}}}, "/fields should be a string"},
      {{{"fields", {{"t", 5}}}}, "/fields/t should be a string"},
      {{{"late", "maybe"}}, "/late should be one of include, drop"},
      {{{"window", 5}}, "/window is not known"},
  };
  for (const auto& [config, text] : cases) {
    PlacedModule host;
    EXPECT_EQ(host.create(config), KANTE_E_INVALID);
    EXPECT_THAT(host.explained(), HasSubstr(text));
  }
}

}  // namespace
