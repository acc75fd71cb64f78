#include "host/route/cycle.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace kante {
namespace {

const std::vector<ModuleOutputs> kModules{{"a", {"x", "y"}}, {"b", {"x"}}, {"c", {}}};

std::string into(const std::string& module) {
  return " INTO BrokeredEndpoint('/modules/" + module + "/inputs/in')";
}

std::string cycle(const std::vector<std::string>& texts, std::vector<std::uint32_t> blocking = {}) {
  std::vector<RouteDefinition> definitions;
  for (const std::string& text : texts) {
    RouteDefinition definition;
    definition.text = text;
    definitions.push_back(definition);
  }
  const auto set = RouteSet::compile(definitions);
  EXPECT_TRUE(set.has_value()) << (set.has_error() ? set.error().text() : "");
  if (blocking.empty()) {
    blocking.resize(texts.size());
    std::iota(blocking.begin(), blocking.end(), 0u);
  }
  return findBlockingCycle(*set, blocking, kModules).value_or("none");
}

TEST(BlockingCycle, IsFoundThroughModules) {
  EXPECT_EQ(cycle({"FROM /messages/modules/a/outputs/x" + into("b"),
                   "FROM /messages/modules/b" + into("c")}),
            "none");
  EXPECT_EQ(cycle({"FROM /messages/modules/a/outputs/x" + into("b"),
                   "FROM /messages/modules/b" + into("a")}),
            "a → b → a");
  EXPECT_EQ(cycle({"FROM /messages/modules/a" + into("b"), "FROM /messages/modules/b" + into("c"),
                   "FROM /messages/modules/c" + into("b")}),
            "b → c → b");
  EXPECT_EQ(cycle({"FROM /messages/modules/c" + into("c")}), "c → c");
  EXPECT_EQ(cycle({"FROM /messages/modules/a" + into("b"), "FROM /messages/modules/a" + into("c"),
                   "FROM /messages/modules/b" + into("c")}),
            "none");
}

TEST(BlockingCycle, IgnoresConditions) {
  EXPECT_EQ(cycle({"FROM /messages/modules/a WHERE false" + into("a")}), "a → a");
}

TEST(BlockingCycle, ExpandsWildcards) {
  EXPECT_EQ(cycle({"FROM /messages/modules/*" + into("b")}), "b → b");
  EXPECT_EQ(cycle({"FROM /*" + into("c")}), "c → c");
  EXPECT_EQ(cycle({"FROM /messages/modules/*/outputs/y" + into("a")}), "a → a");
  EXPECT_EQ(cycle({"FROM /messages/modules/*/outputs/y" + into("b")}), "none");
  EXPECT_EQ(cycle({"FROM /messages/modules/C/outputs/any" + into("c")}), "none");
}

TEST(BlockingCycle, FollowsTopics) {
  EXPECT_EQ(cycle({"FROM /messages/modules/a INTO MqttTopic('t/{level}')",
                   "FROM MqttTopic('t/+')" + into("b"), "FROM /messages/modules/b" + into("a")}),
            "a → MqttTopic(\"t/{level}\") → b → a");
  EXPECT_EQ(cycle({"FROM /messages/modules/a INTO MqttTopic('t/x')",
                   "FROM MqttTopic('t/y')" + into("a")}),
            "none");
  EXPECT_EQ(cycle({"FROM MqttTopic('t/#') INTO MqttTopic('t/x')"}),
            "MqttTopic(\"t/x\") → MqttTopic(\"t/x\")");
}

TEST(BlockingCycle, LooksAtBlockingRoutesOnly) {
  const std::vector<std::string> texts{"FROM /messages/modules/a" + into("b"),
                                       "FROM /messages/modules/b" + into("a")};
  EXPECT_EQ(cycle(texts, {0}), "none");
  EXPECT_EQ(cycle(texts, {1}), "none");
  EXPECT_EQ(cycle(texts, {0, 1}), "a → b → a");
}

TEST(BlockingCycle, NeverGoesUpstreamOrToModulesNobodyKnows) {
  EXPECT_EQ(cycle({"FROM /* INTO $upstream"}), "none");
  EXPECT_EQ(cycle({"FROM /messages/modules/ghost" + into("a"),
                   "FROM /messages/modules/a" + into("ghost")}),
            "none");
}

}  // namespace
}  // namespace kante
