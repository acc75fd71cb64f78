// Sources, sinks and system properties.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "host/route/explain.h"
#include "host/route/route_set.h"
#include "tests/host/route/testing.h"

namespace kante {
namespace {

using route_testing::deviceSource;
using route_testing::moduleSource;
using route_testing::TestMessage;
using route_testing::topicSource;
using route_testing::twinChangeSource;

bool listens(const std::string& from, const Source& source) {
  const auto route = compileRoute("FROM " + from + " INTO $upstream");
  EXPECT_TRUE(route.has_value()) << from;
  return route.has_value() && route->source.matches(source);
}

bool hears(const std::string& filter, const std::string& topic) {
  return listens("MqttTopic(\"" + filter + "\")", topicSource("d", topic));
}

TEST(Source, IsAPrefixAtSegmentBoundaries) {
  const Source alert = moduleSource("A", "alert");
  const Source plain = moduleSource("A");
  for (const char* from :
       {"/*", "/messages", "/messages/*", "/messages/modules", "/messages/modules/*",
        "/messages/modules/A", "/messages/modules/A/*", "/MESSAGES/Modules/a/*"}) {
    EXPECT_TRUE(listens(from, alert)) << from;
    EXPECT_TRUE(listens(from, plain)) << from;
  }
  for (const char* from :
       {"/messages/modules/A/outputs", "/messages/modules/A/outputs/*",
        "/messages/modules/A/outputs/alert", "/messages/modules/a/OUTPUTS/ALERT/*",
        "/messages/modules/*/outputs/alert", "/messages/*/*/outputs/*", "/*/modules/A"}) {
    EXPECT_TRUE(listens(from, alert)) << from;
  }
  EXPECT_FALSE(listens("/messages/modules/A/outputs/*", plain));
  EXPECT_FALSE(listens("/messages/modules/A", moduleSource("AB")));
  EXPECT_FALSE(listens("/messages/modules/AB", moduleSource("A")));
  EXPECT_FALSE(listens("/messages/modules/A/outputs/alert", moduleSource("A", "alerts")));
  EXPECT_FALSE(listens("/messages/modules/*/outputs/x", alert));
  EXPECT_FALSE(listens("/messages/*/outputs", alert));
  EXPECT_FALSE(listens("/twinChangeNotifications", alert));
}

TEST(Source, KnowsDevicesAndTwinChanges) {
  EXPECT_TRUE(listens("/*", deviceSource("car")));
  EXPECT_TRUE(listens("/messages/*", deviceSource("car")));
  EXPECT_FALSE(listens("/messages/modules/*", deviceSource("car")));
  EXPECT_TRUE(listens("/twinchangenotifications/*", twinChangeSource()));
  EXPECT_TRUE(listens("/*", twinChangeSource()));
  EXPECT_FALSE(listens("/messages/*", twinChangeSource()));
}

TEST(Source, MatchesTopicsAsMqttDoes) {
  EXPECT_TRUE(hears("factory/+/temp", "factory/7/temp"));
  EXPECT_TRUE(hears("factory/+/temp", "factory//temp"));
  EXPECT_FALSE(hears("factory/+/temp", "factory/7/8/temp"));
  EXPECT_FALSE(hears("factory/+/temp", "factory/7/Temp"));
  EXPECT_FALSE(hears("factory/+", "factory"));
  EXPECT_TRUE(hears("factory/+", "factory/"));
  EXPECT_TRUE(hears("#", "a/b"));
  EXPECT_TRUE(hears("a/#", "a"));
  EXPECT_TRUE(hears("a/#", "a/b/c"));
  EXPECT_TRUE(hears("a/+/#", "a/b"));
  EXPECT_FALSE(hears("a/+/#", "a"));
  EXPECT_FALSE(hears("#", "$SYS/x"));
  EXPECT_FALSE(hears("+/x", "$SYS/x"));
  EXPECT_TRUE(hears("$SYS/#", "$SYS/x"));
  EXPECT_TRUE(hears("/a", "/a"));
  EXPECT_FALSE(hears("a", "/a"));
  EXPECT_TRUE(hears("+/+", "/a"));
}

TEST(Source, KeepsPathsAndTopicsApart) {
  EXPECT_FALSE(listens("/*", topicSource("d", "a/b")));
  EXPECT_FALSE(listens("MqttTopic('#')", deviceSource("d")));
  Source both = topicSource("d", "a/b");
  both.path = "/messages";
  EXPECT_TRUE(listens("/messages/*", both));
  EXPECT_TRUE(listens("MqttTopic('a/+')", both));
}

TEST(SourcePattern, FindsTopicsThatTwoFiltersShare) {
  const auto overlap = [](const std::string& a, const std::string& b) {
    const bool ab = SourcePattern::topic(a)->overlapsFilter(b);
    EXPECT_EQ(ab, SourcePattern::topic(b)->overlapsFilter(a)) << a << " " << b;
    return ab;
  };
  EXPECT_TRUE(overlap("a/b", "a/b"));
  EXPECT_TRUE(overlap("a/+", "+/b"));
  EXPECT_TRUE(overlap("#", "a/b/c"));
  EXPECT_TRUE(overlap("a/#", "a"));
  EXPECT_TRUE(overlap("a/#", "+/+/c"));
  EXPECT_FALSE(overlap("a/b", "a/c"));
  EXPECT_FALSE(overlap("a/+", "a"));
  EXPECT_FALSE(overlap("a/+", "a/b/c"));
  EXPECT_FALSE(overlap("a/#", "b/#"));
}

TEST(Sink, SaysWhereMessagesGo) {
  EXPECT_EQ(compileRoute("FROM /* INTO $UPSTREAM")->sink.kind, Sink::Kind::kUpstream);
  const auto route = compileRoute("FROM /* INTO brokeredendpoint('/Modules/Filter/Inputs/in-1')");
  ASSERT_TRUE(route.has_value());
  EXPECT_EQ(route->sink.kind, Sink::Kind::kModule);
  EXPECT_EQ(route->sink.module, "Filter");
  EXPECT_EQ(route->sink.input, "in-1");
  EXPECT_EQ(route->sink.text, "BrokeredEndpoint(\"/modules/Filter/inputs/in-1\")");
}

TEST(Sink, FillsPlaceholders) {
  TestMessage message;
  message.properties = {{"level", "high"}, {"bad", "a/b"}, {"plus", "+"}, {"empty", ""}};
  const Source source = deviceSource("car-7");
  const auto topicOf = [&](const std::string& text) -> std::string {
    const auto topic = TopicTemplate::parse(text);
    EXPECT_TRUE(topic.has_value()) << text;
    std::string out;
    return topic->fill({message.view(), &source, 0}, out) ? out : "none";
  };
  EXPECT_EQ(topicOf("alerts"), "alerts");
  EXPECT_EQ(topicOf("alerts/{$connectionDeviceId}"), "alerts/car-7");
  EXPECT_EQ(topicOf("{LEVEL}/x-{$CONNECTIONDEVICEID}-y"), "high/x-car-7-y");
  EXPECT_EQ(topicOf("a/{absent}"), "none");
  EXPECT_EQ(topicOf("a/{bad}"), "none");
  EXPECT_EQ(topicOf("a/{plus}"), "none");
  EXPECT_EQ(topicOf("a/{empty}"), "none");
  EXPECT_EQ(topicOf("a/{$connectionModuleId}"), "none");
  EXPECT_TRUE(TopicTemplate::parse("a/b")->isConstant());
  EXPECT_FALSE(TopicTemplate::parse("a/{b}")->isConstant());
  EXPECT_EQ(TopicTemplate::parse("a/{b}/c-{d}/e")->filter(), "a/+/+/e");
}

TEST(Sink, NeverMakesATopicOfTheHostsOwn) {
  TestMessage message;
  message.properties = {{"p", "$SYS"}, {"long", std::string(1'100, 'x')}};
  const Source source = deviceSource("d");
  std::string out;
  EXPECT_FALSE(TopicTemplate::parse("{p}/x")->fill({message.view(), &source, 0}, out));
  EXPECT_FALSE(TopicTemplate::parse("{long}")->fill({message.view(), &source, 0}, out));
}

bool matches(const std::string& where, TestMessage& message, const Source& source) {
  const auto result =
      explainRoute("FROM /* WHERE " + where + " INTO $upstream", {message.view(), &source, 0});
  EXPECT_TRUE(result.has_value()) << where;
  return result.has_value() && result->outcome == ExplainResult::Outcome::kMatch;
}

TEST(SystemProperty, TellsLeavesFromModules) {
  TestMessage message;
  EXPECT_TRUE(matches("NOT is_defined($connectionModuleId)", message, deviceSource("car")));
  EXPECT_FALSE(matches("NOT is_defined($connectionModuleId)", message, moduleSource("m")));
  EXPECT_TRUE(matches("$connectionDeviceId = 'car'", message, deviceSource("car")));
  EXPECT_TRUE(matches("$edgeHubOriginInterface = 'downstream'", message, deviceSource("car")));
  EXPECT_TRUE(matches("NOT is_defined($outputName)", message, moduleSource("m")));
}

TEST(SystemProperty, IsNeverForgedByTheMessage) {
  TestMessage message;
  message.properties = {{"$connectionDeviceId", "boss"}, {"connectionDeviceId", "boss"}};
  message.system = {{"connectionDeviceId", "boss"}, {"connectionModuleId", "boss"},
                    {"outputName", "boss"},         {"messageType", "twinChangeNotification"},
                    {"rpSenderDeviceId", "boss"},   {"edgeHubOriginInterface", "internal"},
                    {"enqueuedTime", "1999"}};
  const Source car = deviceSource("car");
  EXPECT_TRUE(matches("$connectionDeviceId = 'car'", message, car));
  for (const char* name :
       {"connectionModuleId", "outputName", "messageType", "rpSenderDeviceId", "enqueuedTime"}) {
    EXPECT_TRUE(matches(std::string("NOT is_defined($") + name + ")", message, car)) << name;
  }
  EXPECT_TRUE(matches("$edgeHubOriginInterface = 'downstream'", message, car));
}

TEST(SystemProperty, HasAnIdWhetherTheAuthorSaidOneOrNot) {
  TestMessage message;
  EXPECT_TRUE(
      matches("$messageId = '00112233445566778899aabbccddeeff'", message, deviceSource("d")));
  message.system = {{"messageId", "mine"}};
  EXPECT_TRUE(matches("$messageId = 'mine'", message, deviceSource("d")));
}

TEST(TwinChange, AsksForAPathInThePatch) {
  TestMessage message;
  message.system = {{"messageType", "twinChangeNotification"}, {"rpSenderModuleId", "pump"}};
  message.body = R"({"speed":{"set":5},"gone":null})";
  const Source source = twinChangeSource();
  EXPECT_TRUE(matches("$messageType = 'twinChangeNotification'", message, source));
  EXPECT_TRUE(matches("$rpSenderModuleId = 'pump'", message, source));
  for (const char* path : {"speed", "speed.set", "gone", "properties.reported.speed",
                           "reported.speed.set", "'speed'"}) {
    EXPECT_TRUE(matches(std::string("twin_change_includes(") + path + ")", message, source))
        << path;
  }
  EXPECT_FALSE(matches("twin_change_includes(properties.reported.absent)", message, source));
  EXPECT_TRUE(matches("NOT twin_change_includes(absent)", message, source));
  EXPECT_FALSE(matches("twin_change_includes(speed)", message, deviceSource("d")));
  EXPECT_FALSE(matches("NOT twin_change_includes(speed)", message, deviceSource("d")));
  message.body = R"({"properties":{"reported":{"speed":5}}})";
  EXPECT_TRUE(matches("twin_change_includes(properties.reported.speed)", message, source));
}

}  // namespace
}  // namespace kante
