// Sets of routes, their indexes, and that an index never changes the answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "host/route/route_set.h"
#include "tests/host/route/testing.h"

namespace kante {
namespace {

using route_testing::deviceSource;
using route_testing::moduleSource;
using route_testing::TestMessage;
using route_testing::topicSource;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

RouteSet compile(const std::vector<std::string>& texts) {
  std::vector<RouteDefinition> definitions;
  for (const std::string& text : texts) {
    RouteDefinition definition;
    definition.name = "r" + std::to_string(definitions.size());
    definition.text = text;
    definition.index = 100 + definitions.size();
    definitions.push_back(definition);
  }
  auto set = RouteSet::compile(definitions);
  EXPECT_TRUE(set.has_value()) << (set.has_error() ? set.error().text() : "");
  return *set;
}

std::vector<std::uint32_t> match(const SourceRoutes& routes, TestMessage& message,
                                 const Source& source, MatchScratch& scratch) {
  const auto found = routes.match({message.view(), &source, 0}, scratch);
  return {found.begin(), found.end()};
}

TEST(RouteSet, NamesTheRouteThatDoesNotCompile) {
  const auto set =
      RouteSet::compile({{"good", "FROM /* INTO $upstream"}, {"bad", "FROM /* INTO $up"}});
  ASSERT_TRUE(set.has_error());
  EXPECT_EQ(set.error().definition, 1u);
  EXPECT_EQ(set.error().name, "bad");
  EXPECT_EQ(set.error().error.position, 13u);
  EXPECT_EQ(set.error().text().rfind("route bad: character 13: expected a sink", 0), 0u)
      << set.error().text();
}

TEST(RouteSet, BoundsTheNumberOfRoutes) {
  const RouteDefinition one{"r", "FROM /messages/modules/m/* WHERE a = 'b' INTO $upstream"};
  EXPECT_TRUE(RouteSet::compile(std::vector<RouteDefinition>(kRoutesMax, one)).has_value());
  EXPECT_TRUE(RouteSet::compile(std::vector<RouteDefinition>(kRoutesMax + 1, one)).has_error());
}

TEST(RouteSet, KeepsWhatTheCallerSaid) {
  const RouteSet set =
      compile({"FROM /* INTO $upstream",
               "FROM /* WHERE a = 'b' INTO BrokeredEndpoint('/modules/m/inputs/i')",
               "FROM /messages/* INTO $UPSTREAM",
               "FROM /* INTO brokeredendpoint(\"/modules/m/inputs/i\")"});
  ASSERT_EQ(set.routes().size(), 4u);
  EXPECT_EQ(set.routes()[1].definition.name, "r1");
  EXPECT_EQ(set.routes()[1].definition.index, 101u);
  EXPECT_EQ(set.routes()[1].sink.module, "m");
  EXPECT_FALSE(set.routes()[0].conditional);
  EXPECT_TRUE(set.routes()[1].conditional);
  EXPECT_EQ(set.sinkCount(), 2u);
  EXPECT_EQ(set.routes()[0].sink_number, set.routes()[2].sink_number);
  EXPECT_EQ(set.routes()[1].sink_number, set.routes()[3].sink_number);
}

TEST(SourceRoutes, MatchNothingByDefault) {
  TestMessage message;
  const Source source = deviceSource("d");
  MatchScratch scratch;
  EXPECT_THAT(match(SourceRoutes(), message, source, scratch), IsEmpty());
  EXPECT_THAT(match(RouteSet().forSource(source), message, source, scratch), IsEmpty());
}

TEST(SourceRoutes, AnswerInTheOrderOfDefinition) {
  const RouteSet set = compile(
      {"FROM /* WHERE level = 'high' INTO $upstream", "FROM /* INTO $upstream",
       "FROM /* WHERE level != 'low' INTO $upstream", "FROM /* WHERE level = 'low' INTO $upstream",
       "FROM /* WHERE 'high' = level INTO $upstream", "FROM /* WHERE true INTO $upstream",
       "FROM /* WHERE site = 'x' AND level = 'high' INTO $upstream",
       "FROM /messages/modules/other INTO $upstream"});
  const Source source = moduleSource("m", "o");
  const SourceRoutes routes = set.forSource(source);
  TestMessage message;
  message.properties = {{"level", "high"}, {"site", "x"}};
  MatchScratch scratch;
  EXPECT_THAT(match(routes, message, source, scratch), ElementsAre(0, 1, 2, 4, 5, 6));
  EXPECT_THAT(routes.always(), ElementsAre(1, 5));
  EXPECT_THAT(routes.candidates(), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_FALSE(routes.isUnconditional());
  message.properties = {};
  EXPECT_THAT(match(routes, message, source, scratch), ElementsAre(1, 5));
}

TEST(SourceRoutes, SayWhenNoConditionIsLeft) {
  const RouteSet set = compile(
      {"FROM /messages/* INTO $upstream", "FROM /messages/modules/a WHERE x = 'y' INTO $upstream"});
  EXPECT_TRUE(set.forSource(moduleSource("b")).isUnconditional());
  EXPECT_FALSE(set.forSource(moduleSource("a")).isUnconditional());
  EXPECT_THAT(set.forSource(topicSource("d", "x/y")).candidates(), IsEmpty());
}

TEST(SourceRoutes, OutliveTheirSet) {
  SourceRoutes routes;
  const Source source = deviceSource("d");
  routes = compile({"FROM /* WHERE level = 'high' INTO $upstream"}).forSource(source);
  TestMessage message;
  message.properties = {{"level", "high"}};
  MatchScratch scratch;
  EXPECT_THAT(match(routes, message, source, scratch), ElementsAre(0));
}

TEST(SourceRoutes, FindOneOfAThousandByValue) {
  std::vector<std::string> texts;
  for (int i = 0; i < 1'000; ++i) {
    const std::string number = std::to_string(i);
    texts.push_back("FROM /* WHERE line = 'line-" + number + "' INTO $upstream");
    texts.push_back("FROM /* WHERE $body.id = 'id-" + number + "' AND $body.ok INTO $upstream");
    texts.push_back("FROM /* WHERE (kind = 'k" + number +
                    "' OR kind = 'all') AND line = 'line-5' INTO $upstream");
  }
  const RouteSet set = compile(texts);
  const Source source = deviceSource("d");
  const SourceRoutes routes = set.forSource(source);
  MatchScratch scratch;
  for (const int i : {0, 7, 999}) {
    TestMessage message;
    message.properties = {{"line", "line-" + std::to_string(i)}};
    message.body = "{\"id\":\"id-" + std::to_string(i) + "\",\"ok\":true}";
    const auto n = static_cast<std::uint32_t>(3 * i);
    EXPECT_THAT(match(routes, message, source, scratch), ElementsAre(n, n + 1));
    message.body = "{\"id\":\"id-" + std::to_string(i) + "\",\"ok\":false}";
    EXPECT_THAT(match(routes, message, source, scratch), ElementsAre(n));
  }
  TestMessage all;
  all.properties = {{"line", "line-5"}, {"kind", "all"}};
  EXPECT_EQ(match(routes, all, source, scratch).size(), 1'001u);
}

TEST(SourceRoutes, ShareAScratchBetweenSets) {
  MatchScratch scratch;
  const Source source = deviceSource("d");
  TestMessage message;
  message.properties = {{"a", "1"}, {"b", "2"}};
  const RouteSet first = compile({"FROM /* WHERE a = '1' INTO $upstream"});
  const RouteSet second =
      compile({"FROM /* WHERE b = '1' INTO $upstream", "FROM /* WHERE b = '2' INTO $upstream"});
  const SourceRoutes one = first.forSource(source);
  const SourceRoutes two = second.forSource(source);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(match(one, message, source, scratch), ElementsAre(0));
    EXPECT_THAT(match(two, message, source, scratch), ElementsAre(1));
  }
}

// ---- random routes and messages
// --------------------------------------------------------------------------------

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::string route() {
    static const std::vector<std::string> sources{"/*", "/messages/*", "/messages/modules/a",
                                                  "/messages/modules/*/outputs/x",
                                                  "MqttTopic('t/#')"};
    std::string text = "FROM " + pick(sources);
    if (below(8) != 0) text += " WHERE " + condition(3);
    return text + " INTO $upstream";
  }

  TestMessage message() {
    TestMessage message;
    for (const char* name : {"p", "q", "r"}) {
      if (below(4) != 0) message.properties.emplace_back(name, value());
    }
    message.body = "{\"x\":" + json() + ",\"y\":{\"z\":" + json() + "},\"x\":" + json() + "}";
    if (below(10) == 0) message.body = "no json";
    if (below(10) == 0) message.content_type = "text/plain";
    return message;
  }

  unsigned below(unsigned bound) {
    return std::uniform_int_distribution<unsigned>(0, bound - 1)(random_);
  }

 private:
  const std::string& pick(const std::vector<std::string>& from) {
    return from[below(static_cast<unsigned>(from.size()))];
  }
  std::string value() {
    static const std::vector<std::string> values{"a", "b", "", "7", "longer than eight", "A"};
    return pick(values);
  }
  std::string json() {
    static const std::vector<std::string> values{
        "\"a\"", "\"b\"", "7", "true", "false", "null", "[1]", "{\"z\":\"a\"}", "\"\\u0061\""};
    return pick(values);
  }
  std::string operand() {
    static const std::vector<std::string> operands{
        "p",       "q",         "Q",           "r", "$connectionModuleId", "$contentType",
        "$body.x", "$body.y.z", "$body.absent"};
    return pick(operands);
  }
  std::string leaf() {
    switch (below(8)) {
      case 0: return operand() + " != '" + value() + "'";
      case 1: return operand() + " < '" + value() + "'";
      case 2: return "is_defined(" + operand() + ")";
      case 3: return "starts_with(" + operand() + ", '" + value() + "')";
      case 4: return "'" + value() + "' = " + operand();
      case 5: return "as_number(" + operand() + ") > 5";
      default: return operand() + " = '" + value() + "'";
    }
  }
  std::string condition(int depth) {
    if (depth == 0) return leaf();
    switch (below(5)) {
      case 0: return "(" + condition(depth - 1) + " AND " + condition(depth - 1) + ")";
      case 1: return "(" + condition(depth - 1) + " OR " + condition(depth - 1) + ")";
      case 2: return condition(depth - 1) + " AND " + leaf();
      case 3: return "NOT (" + condition(depth - 1) + ")";
      default: return leaf();
    }
  }

  std::mt19937 random_;
};

TEST(SourceRoutes, AgreeWithEvaluationOneByOne) {
  std::size_t matched = 0;
  MatchScratch scratch;
  MatchScratch reference;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    Generator generator(seed);
    std::vector<std::string> texts;
    const unsigned count = seed % 10 == 0 ? 200 : 12;
    for (unsigned i = 0; i < count; ++i) texts.push_back(generator.route());
    const RouteSet set = compile(texts);
    for (const Source& source :
         {moduleSource("a", "x"), moduleSource("b"), deviceSource("d"), topicSource("d", "t/u")}) {
      const SourceRoutes routes = set.forSource(source);
      for (int i = 0; i < 25; ++i) {
        TestMessage message = generator.message();
        const auto expected = set.matchOneByOne({message.view(), &source, 0}, reference);
        EXPECT_THAT(match(routes, message, source, scratch), ElementsAreArray(expected))
            << "seed " << seed;
        matched += expected.size();
      }
    }
  }
  EXPECT_GT(matched, 5'000u);
}

}  // namespace
}  // namespace kante
