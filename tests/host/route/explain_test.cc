// The sentences of kante route test, and the message files it reads.
#include <gtest/gtest.h>

#include <string>

#include "host/route/explain.h"
#include "host/route/sample_message.h"
#include "tests/host/route/testing.h"

namespace kante {
namespace {

using route_testing::moduleSource;
using route_testing::TestMessage;
using route_testing::topicSource;

TestMessage message() {
  TestMessage message;
  message.properties = {{"level", "low"}, {"temp", "72"}, {"word", "abc"}};
  message.body = R"({"n":7,"name":"Anna","obj":{},"none":null,"flag":false})";
  return message;
}

ExplainResult explain(const std::string& route, TestMessage sample = message(),
                      const Source& source = moduleSource("filter", "alert")) {
  auto result = explainRoute(route, {sample.view(), &source, 0});
  EXPECT_TRUE(result.has_value()) << route << ": "
                                  << (result.has_error() ? result.error().text : "");
  return result.has_value() ? *result : ExplainResult{};
}

std::string because(const std::string& where) {
  return explain("FROM /* WHERE " + where + " INTO $upstream").because;
}

TEST(Explain, NamesTheComparisonAndItsValues) {
  EXPECT_EQ(because("as_number(temp) > 80"), "as_number(temp) > 80: 72 > 80 is false");
  EXPECT_EQ(because("as_number(temp) < 80"), "as_number(temp) < 80: 72 < 80 is true");
  EXPECT_EQ(because("level = 'high'"), "level = 'high': 'low' = 'high' is false");
  EXPECT_EQ(because("level <> 'high'"), "level <> 'high': 'low' != 'high' is true");
  EXPECT_EQ(because("$body.none = null"), "$body.none = null: null = null is true");
  EXPECT_EQ(because("starts_with(level, 'lo')"),
            "starts_with(level, 'lo'): starts_with('low', 'lo') is true");
  EXPECT_EQ(because("is_defined(absent)"), "is_defined(absent): is_defined(undefined) is false");
  EXPECT_EQ(because("$body.flag"), "$body.flag is false");
  EXPECT_EQ(because("true"), "the condition says true");
}

TEST(Explain, NamesThePartThatDecided) {
  EXPECT_EQ(because("level = 'low' AND as_number(temp) > 80"),
            "as_number(temp) > 80: 72 > 80 is false");
  EXPECT_EQ(because("level = 'high' OR temp = '72'"), "temp = '72': '72' = '72' is true");
  EXPECT_EQ(because("level = 'low' AND temp = '72'"),
            "level = 'low': 'low' = 'low' is true; temp = '72': '72' = '72' is true");
  EXPECT_EQ(because("NOT (level = 'low')"),
            "NOT (level = 'low') is false, for level = 'low': 'low' = 'low' is true");
  EXPECT_EQ(because("(level = 'x' OR level = 'y') AND temp = '72'"),
            "level = 'x': 'low' = 'x' is false; level = 'y': 'low' = 'y' is false");
  std::string many = "level = 'a'";
  for (int i = 0; i < 9; ++i) many += " OR level = 'a'";
  EXPECT_NE(because(many).find("; and so 6 more"), std::string::npos) << because(many);
}

TEST(Explain, SaysWhyAValueIsUndefined) {
  EXPECT_EQ(because("absent = 'x'"),
            "absent = 'x' is undefined: the message has no property absent");
  EXPECT_EQ(because("$userId = 'x'"), "$userId = 'x' is undefined: the message has no $userId");
  EXPECT_EQ(because("$conectionDeviceId = 'x'"),
            "$conectionDeviceId = 'x' is undefined: the message has no $conectionDeviceId (did you "
            "mean $connectionDeviceId?)");
  EXPECT_EQ(because("as_number(word) > 1"),
            "as_number(word) > 1 is undefined: as_number(word) has no value for 'abc'");
  EXPECT_EQ(because("$body.absent > 1"),
            "$body.absent > 1 is undefined: the body has no $body.absent");
  EXPECT_EQ(because("$body.obj > 1"),
            "$body.obj > 1 is undefined: $body.obj is an object or array");
  EXPECT_EQ(because("$body.n = '7'"),
            "$body.n = '7' is undefined: 7 is a number and '7' is a text");
  EXPECT_EQ(because("$body.n"), "$body.n is 7, neither true nor false");
  EXPECT_EQ(because("starts_with(absent, 'x')"),
            "starts_with(absent, 'x') is undefined: the message has no property absent");
  EXPECT_EQ(because("twin_change_includes(a)"), "the message is no twin change");
  EXPECT_EQ(because("level = 'low' AND absent = 'x'"),
            "absent = 'x' is undefined: the message has no property absent");
}

TEST(Explain, SaysWhyTheBodyCannotBeRead) {
  const std::string route = "FROM /* WHERE $body.n = 7 INTO $upstream";
  TestMessage sample = message();
  sample.content_type = "text/plain";
  EXPECT_EQ(explain(route, sample).because,
            "$body.n = 7 is undefined: the content type is 'text/plain', not application/json");
  sample = message();
  sample.content_encoding = "gzip";
  EXPECT_NE(explain(route, sample).because.find("the content encoding is 'gzip'"),
            std::string::npos);
  sample = message();
  sample.body = "{";
  EXPECT_NE(explain(route, sample).because.find("no valid JSON"), std::string::npos);
  sample.body = "[1]";
  EXPECT_NE(explain(route, sample).because.find("but no object"), std::string::npos);
}

TEST(Explain, GivesResultAndSinks) {
  const ExplainResult match =
      explain("FROM /* WHERE level = 'low' INTO BrokeredEndpoint('/modules/m/inputs/i')");
  EXPECT_STREQ(name(match.outcome), "match");
  EXPECT_EQ(match.sinks, std::vector<std::string>{"BrokeredEndpoint(\"/modules/m/inputs/i\")"});
  const ExplainResult none = explain("FROM /* WHERE level = 'high' INTO $upstream");
  EXPECT_STREQ(name(none.outcome), "no match");
  EXPECT_TRUE(none.sinks.empty());
  EXPECT_STREQ(name(explain("FROM /* WHERE absent = 'x' INTO $upstream").outcome), "undefined");
}

TEST(Explain, SpeaksOfTheSourceWhenThatDecides) {
  EXPECT_EQ(
      explain("FROM /messages/* INTO $upstream").because,
      "the source /messages/modules/filter/outputs/alert is in /messages/* and there is no WHERE");
  EXPECT_EQ(explain("FROM /messages/modules/x INTO $upstream").because,
            "the source /messages/modules/filter/outputs/alert is not in /messages/modules/x");
  EXPECT_EQ(explain("FROM MqttTopic('a/+') INTO $upstream").because,
            "the message came over no topic, so MqttTopic('a/+') never matches it");
  EXPECT_EQ(
      explain("FROM MqttTopic('a/+') INTO $upstream", message(), topicSource("d", "b")).because,
      "the topic b does not match MqttTopic('a/+')");
}

TEST(Explain, FillsTheTopicOfASink) {
  EXPECT_EQ(explain("FROM /* INTO MqttTopic('alerts/{level}')").sinks,
            std::vector<std::string>{"MqttTopic(\"alerts/low\")"});
  const ExplainResult unfilled = explain("FROM /* INTO MqttTopic('alerts/{absent}')");
  EXPECT_TRUE(unfilled.sinks.empty());
  EXPECT_NE(unfilled.because.find("makes no topic of it"), std::string::npos);
}

// ---- message files
// ---------------------------------------------------------------------------------------------

TEST(SampleMessage, KnowsTheSenderFromItsPath) {
  const auto module =
      SampleMessage::parse(R"({"source":"/messages/modules/a/outputs/x/","body":{}})");
  ASSERT_TRUE(module.has_value()) << module.error().text;
  EXPECT_EQ(module->source().path, "/messages/modules/a/outputs/x");
  EXPECT_EQ(module->source().connection_module_id, "a");
  EXPECT_EQ(module->source().output, "x");
  const auto device =
      SampleMessage::parse(R"({"source":"/messages","system":{"connectionDeviceId":"car"}})");
  EXPECT_EQ(device->source().principal, "device/car");
  EXPECT_EQ(device->source().connection_module_id, "");
  const auto topic = SampleMessage::parse(R"({"topic":"a/b"})");
  EXPECT_EQ(topic->source().topic, "a/b");
}

TEST(SampleMessage, TakesTheBodyInThreeForms) {
  EXPECT_EQ(
      SampleMessage::parse(R"({"source":"/messages","body":{"a": 1}})")->input().message.body(),
      R"({"a":1})");
  EXPECT_EQ(
      SampleMessage::parse(R"({"source":"/messages","body":"a text"})")->input().message.body(),
      "a text");
  EXPECT_EQ(SampleMessage::parse(R"({"source":"/messages","body_base64":"AAE="})")
                ->input()
                .message.body(),
            std::string_view("\0\1", 2));
}

TEST(SampleMessage, ReadsPropertiesAndTypes) {
  const auto sample = SampleMessage::parse(
      R"({"source":"/messages","properties":{"a":"b"},"system":{"messageId":"m","contentEncoding":"utf-8"},)"
      R"("content_type":"application/json"})");
  ASSERT_TRUE(sample.has_value()) << sample.error().text;
  const MessageView view = sample->input().message;
  EXPECT_EQ(view.property("a"), "b");
  EXPECT_EQ(view.systemProperty("messageId"), "m");
  EXPECT_EQ(view.contentType(), "application/json");
  EXPECT_EQ(view.contentEncoding(), "utf-8");
}

TEST(SampleMessage, NamesWhatIsWrongByItsPointer) {
  const auto error = [](const std::string& json) {
    const auto sample = SampleMessage::parse(json);
    return sample.has_error() ? sample.error().text : "none";
  };
  EXPECT_EQ(error("{"), "is no JSON: incomplete JSON");
  EXPECT_EQ(error("[]").rfind("must be a JSON object", 0), 0u);
  EXPECT_EQ(error("{}").rfind("/source: is missing", 0), 0u);
  EXPECT_EQ(error(R"({"source":5})"), "/source: must be a text");
  EXPECT_EQ(error(R"({"source":"messages"})"), "/source: must begin with a slash");
  EXPECT_EQ(
      error(R"({"source":"/messages","properties":[]})").rfind("/properties: must be an object", 0),
      0u);
  EXPECT_EQ(error(R"({"source":"/messages","properties":{"a/b~":72}})"),
            R"(/properties/a~1b~0: must be a text, as every property of a message is: write "72")");
  EXPECT_EQ(error(R"({"source":"/messages","content_typ":"x"})"),
            "/content_typ: is no member of a message; did you mean content_type?");
  EXPECT_EQ(
      error(R"({"source":"/messages","body":1,"body_base64":"AA=="})").rfind("/body_base64", 0),
      0u);
  EXPECT_EQ(error(R"({"source":"/messages","body_base64":"?"})").rfind("/body_base64", 0), 0u);
  EXPECT_EQ(error(R"({"source":"/messages","body":")" + std::string(1'048'577, 'x') + "\"}")
                .rfind("/body", 0),
            0u);
  EXPECT_EQ(error(R"({"source":"/messages","properties":{"":"x"}})").rfind("/properties/", 0), 0u);
  EXPECT_EQ(
      error(R"({"source":"/messages","properties":{"a":"\u0000"}})").rfind("/properties/a", 0), 0u);
  std::string many = R"({"source":"/messages","properties":{"x":"y")";
  for (int i = 0; i < 64; ++i) many += ",\"" + std::to_string(i) + "\":\"\"";
  EXPECT_EQ(error(many + "}}").rfind("/properties: has more than 64", 0), 0u);
}

}  // namespace
}  // namespace kante
