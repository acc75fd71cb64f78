#include "host/base/secret_references.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

namespace kante {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SecretReferencesTest : public testing::Test {
 protected:
  Secrets secrets() {
    return [this](const std::string& name) -> const std::string* {
      const auto found = values_.find(name);
      return found == values_.end() ? nullptr : &found->second;
    };
  }
  std::string substituted(const std::string& text) {
    boost::json::value value = boost::json::parse(text);
    const Status done = substituteSecrets(value, secrets(), "/config");
    return done ? boost::json::serialize(value) : done.error().text;
  }
  std::map<std::string, std::string> values_ = {{"A", "one"}, {"B", "${secret:A}"}};
};

TEST_F(SecretReferencesTest, TextsOfAnyDepthGetTheValues) {
  EXPECT_EQ(substituted(R"({"a":["x ${secret:A}, ${secret:A}!",{"${secret:A}":5}]})"),
            R"({"a":["x one, one!",{"${secret:A}":5}]})");
  EXPECT_EQ(substituted(R"({"a":{"$secret":"A"}})"), R"({"a":"one"})");
  EXPECT_EQ(substituted(R"("${secret:B}")"), R"("${secret:A}")") << "a value is no text to look at";
  EXPECT_EQ(substituted(R"({"$secret":"A","b":1})"), R"({"$secret":"A","b":1})");
  EXPECT_EQ(substituted(R"("${x} $secret:A")"), R"("${x} $secret:A")");
}

TEST_F(SecretReferencesTest, WhatIsMissingIsSaidWithPointerAndName) {
  EXPECT_THAT(substituted(R"({"a":["${secret:C}"]})"),
              HasSubstr("/config/a/0: there is no secret \"C\""));
  EXPECT_THAT(substituted(R"({"a":{"$secret":"C"}})"), HasSubstr("/config/a: there is no secret"));
  EXPECT_THAT(substituted(R"({"a":"${secret:A"})"), HasSubstr("/config/a: what stands for"));
  EXPECT_THAT(substituted(R"({"a":"${secret:}"})"), HasSubstr("/config/a: what stands for"));
}

TEST_F(SecretReferencesTest, TheNamesAreKnown) {
  EXPECT_THAT(
      secretsIn(boost::json::parse(R"({"a":"${secret:Y}${secret:X}","b":{"$secret":"Z"}})")),
      ElementsAre("X", "Y", "Z"));
}

}  // namespace
}  // namespace kante
