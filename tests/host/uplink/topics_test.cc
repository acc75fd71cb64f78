#include "host/uplink/topics.h"

#include <gmock/gmock.h>

#include "host/uplink/reason.h"
#include "host/uplink/telemetry.h"
#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

TEST(TopicsTest, EncodesNamesAndKeepsLevels) {
  EXPECT_EQ(encodeLevels("module/filter/alert"), "module/filter/alert");
  EXPECT_EQ(encodeLevels("device/a b+#~\xc3\xa4"), "device/a%20b%2B%23%7E%C3%A4");
  EXPECT_EQ(gatewayTopic("edge 1", "state"), "kante/v1/edge%201/state");
}

TEST(TopicsTest, ReadsDesiredAndMethodTopics) {
  const auto desired = parseDownTopic("twin/device/car%207/module/m/desired");
  ASSERT_FALSE(desired.has_error());
  EXPECT_EQ(desired->principal, "device/car 7/module/m");
  const auto method = parseDownTopic("methods/module/filter/reset/42");
  ASSERT_FALSE(method.has_error());
  EXPECT_EQ(method->principal, "module/filter");
  EXPECT_EQ(method->method, "reset");
  EXPECT_EQ(method->request_id, "42");
}

TEST(TopicsTest, RefusesTopicsThatAreNotOurs) {
  for (const char* topic :
       {"", "twin", "twin/module/desired", "twin/module/a/b/desired", "twin/operator/x/desired",
        "twin/module//desired", "twin/module/a%2Fb/desired", "twin/module/%zz/desired",
        "twin/module/%00/desired", "methods/response/r-1", "methods/module/filter/reset",
        "methods/module/filter//r", "methods/module/filter/reset/", "state"}) {
    EXPECT_TRUE(parseDownTopic(topic).has_error()) << topic;
  }
  EXPECT_TRUE(parseDownTopic("methods/module/m/n/" + std::string(129, 'r')).has_error());
}

TEST(TopicsTest, PropertiesThatMqttCannotCarryAreEncodedAndNamed) {
  kante_property properties[2] = {{{"note", 4}, {"two\nlines", 9}}, {{"plain", 5}, {"x", 1}}};
  kante_property system[1] = {{{"messageId", 9}, {"m-1", 3}}};
  kante_message message{};
  message.id_low = 5;
  message.properties = properties;
  message.property_count = 2;
  message.system = system;
  message.system_count = 1;
  message.content_type = {"application/json", 16};
  message.content_encoding = {"utf-8", 5};
  message.created_ns = 1'760'000'000'000'000'000;
  message.expiry_ns = 100'000'000'000;
  const MessageRef reference = *buildMessage(message);
  TakenMessage taken;
  taken.number = 9;
  taken.dropped = 3;
  taken.record.message = reference.view();
  taken.record.source = SourceView::of(testSource());
  taken.record.arrived_ns = 30'000'000'000;
  taken.waited_ns = 10'500'000'000;
  TelemetryWriter writer(*TelemetryTopic::parse("up/{gateway}/{source}", "g"), "g", "e");
  const auto publication = writer.write(taken);
  ASSERT_FALSE(publication.has_error());
  EXPECT_EQ(publication->topic, "up/g/module/a/out");
  EXPECT_EQ(publication->content_type, "application/json");
  EXPECT_EQ(publication->expiry_s, 59u);
  EXPECT_THAT(publication->properties, Contains(Pair("note", "two%0Alines")));
  EXPECT_THAT(publication->properties, Contains(Pair("kante-encoded", "note")));
  EXPECT_THAT(publication->properties, Contains(Pair("plain", "x")));
  EXPECT_THAT(publication->properties, Contains(Pair("$.mid", "m-1")));
  EXPECT_THAT(publication->properties, Contains(Pair("$.ce", "utf-8")));
  EXPECT_THAT(publication->properties, Contains(Pair("$.ctime", "2025-10-09T08:53:20.000Z")));
  EXPECT_THAT(publication->properties, Contains(Pair("kante-dropped", "3")));
  EXPECT_THAT(publication->properties, Contains(Pair("kante-seq", "9")));
}

TEST(TopicsTest, AnOriginTravelsBesideTheGatewaysOwnNumber) {
  kante_message message{};
  message.id_low = 5;
  const MessageRef reference = *buildMessage(message);
  Source source = testSource();
  source.origin_gateway = "leaf-1";
  source.origin_epoch = "0e";
  TakenMessage taken;
  taken.number = 9;
  taken.record.message = reference.view();
  taken.record.source = SourceView::of(source);
  taken.record.origin_number = 41;
  taken.record.hops = 3;
  const TelemetryTopic topic = *TelemetryTopic::parse("{source}", "g");
  TelemetryWriter broker(topic, "g", "e");
  const auto said = broker.write(taken);
  ASSERT_FALSE(said.has_error());
  EXPECT_THAT(said->properties, Contains(Pair("kante-gateway", "g")));
  EXPECT_THAT(said->properties, Contains(Pair("kante-epoch", "e")));
  EXPECT_THAT(said->properties, Contains(Pair("kante-seq", "9")));
  EXPECT_THAT(said->properties, Contains(Pair("kante-origin-gateway", "leaf-1")));
  EXPECT_THAT(said->properties, Contains(Pair("kante-origin-epoch", "0e")));
  EXPECT_THAT(said->properties, Contains(Pair("kante-origin-seq", "41")));
  EXPECT_THAT(said->properties, Not(Contains(Key("kante-hops"))));
  TelemetryWriter parent(topic, "g", "e", TelemetryWriter::Hops::kSaid);
  EXPECT_THAT(parent.write(taken)->properties, Contains(Pair("kante-hops", "3")));
  taken.record.origin_number = 0;
  EXPECT_THAT(parent.write(taken)->properties, Not(Contains(Key("kante-origin-seq"))));
}

// IOTHUB.md 2.6: keys and values percent-encoded, `=` between them, `&` between pairs, `/` before.
TEST(TopicsTest, WithMqtt311ALastLevelCarriesTheSameAsIotHubsPropertyBag) {
  kante_property properties[2] = {{{"note", 4}, {"two\nlines", 9}},
                                  {{"a/b+#=&", 7}, {"\xc3\xa4 ?", 4}}};
  kante_property system[1] = {{{"cid", 3}, {"c-1", 3}}};
  kante_message message{};
  message.id_low = 5;
  message.properties = properties;
  message.property_count = 2;
  message.system = system;
  message.system_count = 1;
  message.content_type = {"application/json", 16};
  message.content_encoding = {"utf-8", 5};
  message.expiry_ns = 1'760'000'000'000'000'000;
  const MessageRef reference = *buildMessage(message);
  TakenMessage taken;
  taken.number = 9;
  taken.dropped = 3;
  taken.record.message = reference.view();
  taken.record.source = SourceView::of(testSource());
  TelemetryWriter writer(*TelemetryTopic::parse("up/{gateway}/{source}", "g"), "g", "e");
  writer.setForm(TelemetryForm::kMqtt311);
  const auto publication = writer.write(taken);
  ASSERT_FALSE(publication.has_error());
  EXPECT_EQ(publication->topic,
            "up/g/module/a/out/note=two%0Alines&a%2Fb%2B%23%3D%26=%C3%A4%20%3F&%24.cid=c-1&"
            "%24.ce=utf-8&kante-gateway=g&kante-epoch=e&kante-seq=9&kante-dropped=3&"
            "kante-id=00000000000000000000000000000005&%24.ct=application%2Fjson&"
            "%24.exp=2025-10-09T08%3A53%3A20.000Z");
  EXPECT_TRUE(publication->properties.empty());
  EXPECT_TRUE(publication->content_type.empty());
  EXPECT_EQ(publication->expiry_s, 0u);
  writer.setForm(TelemetryForm::kMqtt5);
  EXPECT_EQ(writer.write(taken)->topic, "up/g/module/a/out");
}

TEST(TopicsTest, ABagThatATopicHasNoRoomForCannotBeSent) {
  const std::string value(40'000, '/');  // Three bytes each.
  kante_property property{{"long", 4}, {value.data(), value.size()}};
  kante_message message{};
  message.properties = &property;
  message.property_count = 1;
  const MessageRef reference = *buildMessage(message);
  TakenMessage taken;
  taken.record.message = reference.view();
  TelemetryWriter writer(*TelemetryTopic::parse("{source}", "g"), "g", "e");
  EXPECT_FALSE(writer.write(taken).has_error());
  writer.setForm(TelemetryForm::kMqtt311);
  EXPECT_EQ(writer.write(taken).error().code, Errc::kLimit);
}

TEST(TopicsTest, APropertyLongerThanMqttsStringsCannotBeSent) {
  const std::string longer(70'000, 'x');
  kante_property property{{"long", 4}, {longer.data(), longer.size()}};
  kante_message message{};
  message.properties = &property;
  message.property_count = 1;
  const MessageRef reference = *buildMessage(message);
  TakenMessage taken;
  taken.record.message = reference.view();
  TelemetryWriter writer(*TelemetryTopic::parse("{source}", "g"), "g", "e");
  EXPECT_EQ(writer.write(taken).error().code, Errc::kLimit);
}

TEST(ReasonTest, OnlyThreeReasonsAreForGood) {
  EXPECT_EQ(judge(0x00), Verdict::kDone);
  EXPECT_EQ(judge(0x10), Verdict::kDone);
  for (int code = 0x80; code <= 0xff; ++code) {
    const bool never = code == 0x90 || code == 0x95 || code == 0x99;
    EXPECT_EQ(judge(static_cast<std::uint8_t>(code)), never ? Verdict::kNever : Verdict::kLater)
        << code;
  }
}

}  // namespace
}  // namespace kante
