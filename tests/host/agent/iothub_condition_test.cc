#include "host/agent/iothub_condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace kante {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const Tags kTags{{"site", "muc"}, {"building", "9"}, {"location.plant", "43"}, {"test", "true"}};

bool here(const std::string& text) {
  const auto condition = parseIotHubCondition(text);
  EXPECT_TRUE(condition) << text << ": " << condition.error().text;
  if (!condition) return false;
  // What is journalled means the same.
  const auto again = parseTarget(toJson(*condition), "");
  EXPECT_TRUE(again) << again.error().text;
  EXPECT_EQ(*again, *condition) << text;
  return holds(*condition, {"edge-1", kTags});
}

Error refused(const std::string& text) {
  const auto condition = parseIotHubCondition(text);
  EXPECT_FALSE(condition) << text;
  return condition ? Error() : condition.error();
}

TEST(IotHubConditionTest, TagsAreComparedWithWhatTheGatewayHas) {
  EXPECT_TRUE(here("tags.site='muc'"));
  EXPECT_TRUE(here("TAGS.site = \"muc\""));
  EXPECT_FALSE(here("tags.site='MUC'"));
  EXPECT_TRUE(here("tags.building=9"));
  EXPECT_TRUE(here("tags.location.plant = '43'"));
  EXPECT_TRUE(here("tags.test = TRUE"));
  EXPECT_TRUE(here("tags.site <> 'ber'"));
  EXPECT_TRUE(here("tags.site != 'ber'"));
  EXPECT_FALSE(here("tags.site <> 'muc'"));
  EXPECT_TRUE(here("tags.site IN ['ber', 'muc']"));
  EXPECT_FALSE(here("tags.site NOT IN ['ber', 'muc']"));
  EXPECT_FALSE(here("tags.site nin ['ber', 'muc']"));
  EXPECT_TRUE(here("tags.site nin ['ber']"));
}

TEST(IotHubConditionTest, ATagThatIsNotThereIsNeitherEqualNorAnother) {
  EXPECT_FALSE(here("tags.line = '4'"));
  EXPECT_FALSE(here("tags.line <> '4'"));
  EXPECT_FALSE(here("NOT tags.line = '4'"));
  EXPECT_FALSE(here("NOT tags.line IN ['4', '5']"));
  EXPECT_FALSE(here("is_defined(tags.line)"));
  EXPECT_TRUE(here("NOT is_defined(tags.line) AND IS_DEFINED(tags.site)"));
}

TEST(IotHubConditionTest, AndBindsTighterThanOrAndNotReachesIn) {
  EXPECT_TRUE(here("tags.site='muc' OR tags.site='ber' AND tags.building=1"));
  EXPECT_FALSE(here("(tags.site='muc' OR tags.site='ber') AND tags.building=1"));
  EXPECT_FALSE(here("NOT (tags.site='muc' OR tags.building=1)"));
  EXPECT_TRUE(here("NOT (tags.site='ber' OR tags.building=1)"));
  EXPECT_TRUE(here("NOT (tags.site='muc' AND tags.building=1)"));
  EXPECT_TRUE(here("not not tags.site='muc'"));
}

TEST(IotHubConditionTest, ADeviceIsTheGateway) {
  EXPECT_TRUE(here("deviceId = 'edge-1'"));
  EXPECT_FALSE(here("deviceid <> 'edge-1'"));
  EXPECT_TRUE(here("deviceId <> 'edge-2' AND tags.site='muc'"));
  EXPECT_TRUE(here("deviceId IN ['edge-2','edge-1']"));
}

TEST(IotHubConditionTest, NothingAndAStarAreAlways) {
  EXPECT_TRUE(here(""));
  EXPECT_TRUE(here("  "));
  EXPECT_TRUE(here(" * "));
  EXPECT_TRUE(isAlways(*parseIotHubCondition("*")));
}

TEST(IotHubConditionTest, QuotesInTexts) {
  EXPECT_EQ(parseIotHubCondition("tags.a='it''s'")->text, "a=it's");
  EXPECT_EQ(parseIotHubCondition(R"(tags.a="a\"b")")->text, "a=a\"b");
}

TEST(IotHubConditionTest, WhatAGatewayCannotBeAskedIsNamedWithItsPlace) {
  EXPECT_EQ(refused("tags.site='muc' AND properties.reported.fw = '2'").text,
            "character 21: \"properties.reported.fw\" is nothing that a layer may ask for; there "
            "are tags.NAME and deviceId");
  EXPECT_EQ(refused("properties.reported.fw = '2'").code, Errc::kUnsupported);
  EXPECT_THAT(refused("capabilities.iotEdge = true").text, StartsWith("character 1: "));
  EXPECT_THAT(refused("tags.building > 9").text, StartsWith("character 15: \">\": tags are texts"));
  EXPECT_THAT(refused("tags.a = null").text, HasSubstr("is_defined(tags.a)"));
  EXPECT_THAT(refused("starts_with(tags.a, 'x')").text, HasSubstr("no function but is_defined"));
}

TEST(IotHubConditionTest, FaultsAreNamedWithTheirPlace) {
  EXPECT_THAT(refused("tags.site").text, StartsWith("character 10: expected ="));
  EXPECT_THAT(refused("tags.site = muc").text, StartsWith("character 13: expected a text"));
  EXPECT_THAT(refused("tags.site = 'muc").text, StartsWith("character 13: a text without its end"));
  EXPECT_THAT(refused("(tags.site = 'muc'").text, HasSubstr("expected \")\""));
  EXPECT_THAT(refused("tags.site = 'a' tags.b = 'c'").text, HasSubstr("expected AND, OR"));
  EXPECT_THAT(refused("tags.site IN []").text, StartsWith("character 15: expected a text"));
  EXPECT_THAT(refused("AND").text, HasSubstr("is nothing that a layer may ask for"));
  EXPECT_THAT(refused("* AND tags.a = 'b'").text, HasSubstr("nothing follows *"));
  EXPECT_THAT(refused("tags.$x = 'a'").text, HasSubstr("no gateway has a tag"));
  EXPECT_THAT(refused("deviceId = 'a b'").text, HasSubstr("no gateway has the id"));
}

TEST(IotHubConditionTest, AreBounded) {
  EXPECT_EQ(refused(std::string(5000, ' ')).code, Errc::kLimit);
  EXPECT_EQ(refused(std::string(100, '(') + "deviceId='a'").code, Errc::kLimit);
  std::string many = "deviceId='a'";
  for (int i = 0; i < 260; ++i) many += " OR tags.a=1";
  EXPECT_EQ(refused(many).code, Errc::kLimit);
}

}  // namespace
}  // namespace kante
