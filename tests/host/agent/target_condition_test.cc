#include "host/agent/target_condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace kante {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const Tags kTags{{"site", "muc"}, {"line", "4"}};

bool here(const std::string& text) {
  const auto condition = parseTarget(boost::json::parse(text).as_object(), "");
  EXPECT_TRUE(condition) << text << ": " << condition.error().text;
  if (!condition) return false;
  const auto again = parseTarget(toJson(*condition), "");
  EXPECT_TRUE(again);
  EXPECT_EQ(*again, *condition) << text;
  return holds(*condition, {"edge-1", kTags});
}

std::string refused(const std::string& text) {
  const auto read = parseTarget(boost::json::parse(text).as_object(), "/target");
  return read ? "taken" : read.error().text;
}

TEST(TargetConditionTest, EachFormAsksWhatItSays) {
  EXPECT_TRUE(here(R"({"tag":"site=muc"})"));
  EXPECT_TRUE(here(R"({"tag":"site"})"));
  EXPECT_FALSE(here(R"({"tag":"site=ber"})"));
  EXPECT_TRUE(here(R"({"tags":["site=muc","line"]})"));
  EXPECT_FALSE(here(R"({"tags":["site=muc","line=5"]})"));
  EXPECT_TRUE(here(R"({"tags":[]})"));
  EXPECT_TRUE(here(R"({"gateway":"edge-1"})"));
  EXPECT_FALSE(here(R"({"gateway":"edge-2"})"));
  EXPECT_TRUE(here(R"({"not":{"gateway":"edge-2"}})"));
  EXPECT_TRUE(here(R"({"any":[{"gateway":"edge-2"},{"tag":"line=4"}]})"));
  EXPECT_FALSE(here(R"({"all":[{"gateway":"edge-2"},{"tag":"line=4"}]})"));
  EXPECT_TRUE(here(R"({"all":[{"not":{"tag":"x"}},{"any":[{"tags":["line=4","site"]}]}]})"));
}

TEST(TargetConditionTest, EachMistakeIsRefusedWithItsPointer) {
  EXPECT_THAT(refused("{}"), StartsWith("/target: needs one of"));
  EXPECT_THAT(refused(R"({"tag":"a","gateway":"b"})"), StartsWith("/target: needs one of"));
  EXPECT_THAT(refused(R"({"tagg":"a"})"), HasSubstr("did you mean"));
  EXPECT_THAT(refused(R"({"gateway":"a b"})"), StartsWith("/target/gateway: "));
  EXPECT_THAT(refused(R"({"any":[]})"), StartsWith("/target/any: "));
  EXPECT_THAT(refused(R"({"all":[{"not":3}]})"), StartsWith("/target/all/0/not: "));
  EXPECT_THAT(refused(R"({"all":["a"]})"), StartsWith("/target/all/0: expected an object"));
  EXPECT_THAT(refused(R"({"not":{"tag":""}})"), StartsWith("/target/not: a tag is"));
}

TEST(TargetConditionTest, AreBounded) {
  std::string deep = R"({"tag":"a"})";
  for (int i = 0; i < 16; ++i) deep = R"({"not":)" + deep + "}";
  EXPECT_THAT(refused(deep), HasSubstr("nested too deep"));
  std::string wide = R"({"any":[{"tag":"a"})";
  for (int i = 0; i < 256; ++i) wide += R"(,{"tag":"a"})";
  EXPECT_THAT(refused(wide + "]}"), HasSubstr("too many parts"));
}

}  // namespace
}  // namespace kante
