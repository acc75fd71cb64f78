#include "host/mqtt/topic.h"

#include <gtest/gtest.h>

namespace kante::mqtt {
namespace {

TEST(MqttTopicTest, KnowsNamesFromFilters) {
  EXPECT_TRUE(isTopicName("a//b"));
  EXPECT_FALSE(isTopicName(""));
  EXPECT_FALSE(isTopicName("a/+"));
  for (const char* good : {"#", "+", "/", "a/#", "+/b/#", "a/+/c", "//"})
    EXPECT_TRUE(isTopicFilter(good)) << good;
  for (const char* bad : {"", "a#", "a/#/b", "a+", "a/+b", "#/"})
    EXPECT_FALSE(isTopicFilter(bad)) << bad << " [MQTT-4.7.1-1] [MQTT-4.7.1-2]";
}

TEST(MqttTopicTest, MatchesLevelByLevel) {
  // The examples of 4.7.1.
  EXPECT_TRUE(matches("sport/tennis/player1/#", "sport/tennis/player1"));
  EXPECT_TRUE(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
  EXPECT_TRUE(matches("sport/tennis/+", "sport/tennis/player2"));
  EXPECT_FALSE(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
  EXPECT_FALSE(matches("sport/+", "sport"));
  EXPECT_TRUE(matches("sport/+", "sport/"));
  EXPECT_TRUE(matches("+/+", "/finance"));
  EXPECT_TRUE(matches("/+", "/finance"));
  EXPECT_FALSE(matches("+", "/finance"));
  EXPECT_TRUE(matches("#", "a/b"));
  EXPECT_FALSE(matches("a/b", "a"));
  EXPECT_FALSE(matches("A", "a"));
}

TEST(MqttTopicTest, AWildcardInFrontDoesNotMatchTheServersOwn) {
  EXPECT_FALSE(matches("#", "$SYS/x")) << "[MQTT-4.7.2-1]";
  EXPECT_FALSE(matches("+/monitor", "$SYS/monitor"));
  EXPECT_TRUE(matches("$SYS/#", "$SYS/x"));
}

TEST(MqttTopicTest, ASharedFilterHasAGroupAndAFilter) {
  ASSERT_TRUE(isShared("$share/g/a/+"));
  const auto shared = sharedFilter("$share/g/a/+");
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->group, "g");
  EXPECT_EQ(shared->filter, "a/+");
  for (const char* bad : {"$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a"})
    EXPECT_FALSE(sharedFilter(bad)) << bad << " [MQTT-4.8.2-1] [MQTT-4.8.2-2]";
}

}  // namespace
}  // namespace kante::mqtt
