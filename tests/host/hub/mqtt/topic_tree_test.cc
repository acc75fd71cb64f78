#include "host/hub/mqtt/topic_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "host/mqtt/topic.h"

namespace kante::hub {
namespace {

// Sessions are only compared here, never looked into.
Session& session(std::size_t number) { return *reinterpret_cast<Session*>(number * 64); }
std::size_t numberOf(const Subscriber& one) {
  return reinterpret_cast<std::size_t>(one.session) / 64;
}

std::vector<std::size_t> matched(const TopicTree& tree, std::string_view topic) {
  TopicTree::Matches matches;
  tree.match(topic, matches);
  std::vector<std::size_t> out;
  for (const Subscriber& one : matches.local) out.push_back(numberOf(one));
  std::sort(out.begin(), out.end());
  return out;
}
using Numbers = std::vector<std::size_t>;

TEST(TopicTreeTest, FindsWhatTheSpecificationSaysThatAFilterMatches) {
  TopicTree tree;
  const char* filters[] = {"sport/tennis/player1",
                           "sport/#",
                           "sport/+",
                           "+",
                           "#",
                           "/finance",
                           "+/+",
                           "/+",
                           "$SYS/#",
                           "$SYS/+/x"};
  for (std::size_t i = 0; i < std::size(filters); ++i)
    (void)tree.subscribe(filters[i], session(i + 1), {});
  for (const std::string topic : {"sport", "sport/", "sport/tennis", "sport/tennis/player1",
                                  "/finance", "$SYS", "$SYS/a/x", "$SYS/a", "a/b", "/", "a//b"}) {
    Numbers wanted;
    for (std::size_t i = 0; i < std::size(filters); ++i)
      if (mqtt::matches(filters[i], topic)) wanted.push_back(i + 1);
    EXPECT_EQ(matched(tree, topic), wanted) << topic;
  }
}

TEST(TopicTreeTest, AgreesWithOneFilterAtATime) {
  std::mt19937 random(7);
  const char* levels[] = {"a", "b", "", "+", "c"};
  const auto text = [&](bool filter) {
    std::string out;
    const auto count = 1 + random() % 5;
    for (std::size_t i = 0; i < count; ++i) {
      const char* level = levels[random() % std::size(levels)];
      if (!filter && *level == '+') level = "a";
      out += (i == 0 ? "" : "/") + std::string(level);
    }
    if (filter && random() % 4 == 0) out += "/#";
    return out.empty() ? std::string("a") : out;
  };
  TopicTree tree;
  std::map<std::size_t, std::string> filters;
  for (std::size_t step = 1; step < 3000; ++step) {
    if (random() % 3 == 0 && !filters.empty()) {
      const auto at = std::next(filters.begin(), static_cast<long>(random() % filters.size()));
      EXPECT_NE(tree.membersOf(at->second), 1u);
      (void)tree.unsubscribe(at->second, session(at->first));
      filters.erase(at);
    } else {
      filters[step] = text(true);
      (void)tree.subscribe(filters[step], session(step), {});
    }
    if (step % 10 != 0) continue;
    const std::string topic = text(false);
    Numbers wanted;
    for (const auto& [number, filter] : filters)
      if (mqtt::matches(filter, topic)) wanted.push_back(number);
    ASSERT_EQ(matched(tree, topic), wanted) << topic;
  }
  for (const auto& [number, filter] : filters) (void)tree.unsubscribe(filter, session(number));
  EXPECT_EQ(tree.nodes(), 0u) << "what nobody wants is forgotten";
  EXPECT_EQ(tree.subscriptions(), 0u);
}

TEST(TopicTreeTest, SaysWhenAFilterGetsItsFirstAndLosesItsLast) {
  TopicTree tree;
  using Change = TopicTree::Change;
  EXPECT_EQ(tree.subscribe("a/+", session(1), {}), Change::kFirst);
  EXPECT_EQ(tree.subscribe("a/+", session(1), {.qos = mqtt::Qos::k1}), Change::kNone);
  EXPECT_EQ(tree.subscribe("a/+", session(2), {}), Change::kNone);
  EXPECT_EQ(tree.unsubscribe("a/+", session(1)), Change::kNone);
  EXPECT_EQ(tree.unsubscribe("a/+", session(1)), Change::kNone) << "it is not there any more";
  EXPECT_EQ(tree.unsubscribe("a/+", session(2)), Change::kLast);
  EXPECT_EQ(tree.unsubscribe("b", session(2)), Change::kNone);
}

TEST(TopicTreeTest, KnowsWhichOtherShardsWantATopic) {
  TopicTree tree;
  tree.setRemote("a/#", 3, 1);
  tree.setRemote("a/b", 5, 1);
  TopicTree::Matches matches;
  tree.match("a/b", matches);
  EXPECT_EQ(matches.remote, 1u << 3 | 1u << 5);
  tree.match("a", matches);
  EXPECT_EQ(matches.remote, 1u << 3);
  tree.setRemote("a/#", 3, 0);
  tree.setRemote("a/b", 5, 0);
  tree.match("a/b", matches);
  EXPECT_EQ(matches.remote, 0u);
  EXPECT_EQ(tree.nodes(), 0u);
}

TEST(TopicTreeTest, KeepsTheMembersOfAGroupTogether) {
  TopicTree tree;
  (void)tree.subscribe("$share/g/a/+", session(1), {});
  (void)tree.subscribe("$share/g/a/+", session(2), {});
  (void)tree.subscribe("$share/h/a/+", session(3), {});
  tree.setRemote("$share/g/a/+", 1, 4);
  TopicTree::Matches matches;
  tree.match("a/b", matches);
  ASSERT_EQ(matches.groups.size(), 2u);
  EXPECT_TRUE(matches.local.empty());
  EXPECT_EQ(tree.group("$share/g/a/+")->members(), 6u);
  (void)tree.unsubscribe("$share/g/a/+", session(1));
  (void)tree.unsubscribe("$share/g/a/+", session(2));
  ASSERT_NE(tree.group("$share/g/a/+"), nullptr) << "another shard has members";
  tree.setRemote("$share/g/a/+", 1, 0);
  EXPECT_EQ(tree.group("$share/g/a/+"), nullptr);
  (void)tree.unsubscribe("$share/h/a/+", session(3));
  EXPECT_EQ(tree.nodes(), 0u);
}

TEST(TopicTreeTest, TakesNoMoreLevelsThanItMayWalk) {
  std::string topic = "a";
  for (std::size_t i = 1; i < Limits::kTopicLevelsMax; ++i) topic += "/a";
  EXPECT_TRUE(TopicTree::fits(topic));
  EXPECT_FALSE(TopicTree::fits(topic + "/a"));
}

}  // namespace
}  // namespace kante::hub
