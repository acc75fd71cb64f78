#include "host/base/json_schema.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

namespace kante {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

JsonSchema schema(const char* text) {
  const auto compiled = JsonSchema::compile(json::parse(text));
  EXPECT_TRUE(compiled.has_value()) << compiled.error().text;
  return *compiled;
}

// The text of the refusal, or empty.
std::string judge(const char* by, const char* value) {
  const Status status = schema(by).validate(json::parse(value));
  return status.has_error() ? status.error().text : std::string();
}

std::string refusal(const char* of) {
  const auto compiled = JsonSchema::compile(json::parse(of));
  return compiled.has_error() ? compiled.error().text : std::string();
}

TEST(JsonSchemaTest, TypesAreHeldAndNamed) {
  EXPECT_EQ(judge(R"({"type":"integer"})", "3"), "");
  EXPECT_EQ(judge(R"({"type":"integer"})", "3.0"), "");
  EXPECT_EQ(judge(R"({"type":"number"})", "3"), "");
  EXPECT_EQ(judge(R"({"type":"integer"})", "3.5"), "/: must be integer, is a fraction");
  EXPECT_EQ(judge(R"({"type":["string","null"]})", "null"), "");
  EXPECT_EQ(judge(R"({"type":["string","null"]})", "3"), "/: must be null or string, is integer");
  EXPECT_EQ(judge(R"({"type":"boolean"})", "{}"), "/: must be boolean, is object");
}

TEST(JsonSchemaTest, MembersAreHeldByTheirPointer) {
  const char* by = R"({"type":"object","required":["period_ms"],"additionalProperties":false,
    "properties":{"period_ms":{"type":"integer","minimum":1,"maximum":1000},"a/b":{"type":"string"}}})";
  EXPECT_EQ(judge(by, R"({"period_ms":5})"), "");
  EXPECT_EQ(judge(by, "{}"), "/period_ms: is missing");
  EXPECT_EQ(judge(by, R"({"period_ms":0})"), "/period_ms: 0 is less than 1");
  EXPECT_EQ(judge(by, R"({"period_ms":1001})"), "/period_ms: 1001 is more than 1000");
  EXPECT_EQ(judge(by, R"({"period_ms":5,"a/b":1})"), "/a~1b: must be string, is integer");
  EXPECT_EQ(judge(by, R"({"period_ms":5,"periodms":1})"),
            "/periodms: unknown member, did you mean \"period_ms\"?");
}

TEST(JsonSchemaTest, FurtherMembersMayHaveASchemaOfTheirOwn) {
  const char* by =
      R"({"additionalProperties":{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}})";
  EXPECT_EQ(judge(by, R"({"a":0.5})"), "");
  EXPECT_EQ(judge(by, R"({"a":0})"), "/a: 0 is not more than 0");
  EXPECT_EQ(judge(by, R"({"a":1})"), "/a: 1 is not less than 1");
}

TEST(JsonSchemaTest, TextIsCountedInCharacters) {
  EXPECT_EQ(judge(R"({"minLength":2,"maxLength":3})", R"("äöü")"), "");
  EXPECT_EQ(judge(R"({"minLength":2})", R"("ä")"), "/: shorter than 2 characters");
  EXPECT_EQ(judge(R"({"maxLength":1})", R"("ab")"), "/: longer than 1 characters");
}

TEST(JsonSchemaTest, PatternsMatchAnywhereAndGiveUp) {
  EXPECT_EQ(judge(R"({"pattern":"^[a-z]+$"})", R"("abc")"), "");
  EXPECT_EQ(judge(R"({"pattern":"^[a-z]+$"})", R"("aBc")"),
            "/: does not match the pattern ^[a-z]+$");
  const std::string long_text = "\"" + std::string(4000, 'a') + "\"";
  EXPECT_THAT(judge(R"({"pattern":"^(a|aa|aaa)+$b"})", long_text.c_str()), HasSubstr("pattern"));
}

TEST(JsonSchemaTest, ArraysAreHeldItemByItem) {
  const char* by = R"({"type":"array","minItems":1,"maxItems":2,"items":{"enum":["a",1,null]}})";
  EXPECT_EQ(judge(by, R"(["a",1])"), "");
  EXPECT_EQ(judge(by, "[]"), "/: has fewer than 1 items");
  EXPECT_EQ(judge(by, "[1,1,1]"), "/: has more than 2 items");
  EXPECT_EQ(judge(by, R"(["a","b"])"), "/1: \"b\" is not one of \"a\", 1, null");
  EXPECT_EQ(judge(R"({"const":5})", "6"), "/: 6 is not one of 5");
}

TEST(JsonSchemaTest, DefaultsFillWhatIsMissingAtEveryDepth) {
  const auto by = schema(
      R"({"properties":{"a":{"default":1},"b":{"default":{},"properties":{"c":{"default":2}}},
    "list":{"items":{"properties":{"d":{"default":3}}}}}})");
  EXPECT_EQ(by.withDefaults(json::parse(R"({"a":9,"list":[{},{"d":4}]})")),
            json::parse(R"({"a":9,"list":[{"d":3},{"d":4}],"b":{"c":2}})"));
}

TEST(JsonSchemaTest, ASchemaThatCannotBeKeptIsRefused) {
  EXPECT_EQ(refusal(R"({"minimun":1})"),
            "/minimun: unknown schema keyword, did you mean \"minimum\"?");
  EXPECT_THAT(refusal(R"({"properties":{"a":{"$ref":"#"}}})"),
              HasSubstr("/properties/a/$ref: unknown schema keyword"));
  EXPECT_EQ(refusal("[]"), "/: a schema must be an object");
  EXPECT_EQ(refusal(R"({"type":"int"})"),
            "/type: must be null, boolean, integer, number, string, array or object");
  EXPECT_EQ(refusal(R"({"type":[]})"), "/type: must name at least one type");
  EXPECT_EQ(refusal(R"({"minimum":"1"})"), "/minimum: must be a number");
  EXPECT_EQ(refusal(R"({"minLength":-1})"), "/minLength: must be a whole number from 0");
  EXPECT_EQ(refusal(R"({"enum":[]})"), "/enum: must be an array of values");
  EXPECT_EQ(refusal(R"({"required":"a"})"), "/required: must be an array of names");
  EXPECT_THAT(refusal(R"({"pattern":"("})"), HasSubstr("/pattern: not a regular expression"));
  EXPECT_THAT(refusal(R"({"type":"integer","default":"x"})"),
              HasSubstr("/default: does not fit its own schema"));
}

TEST(JsonSchemaTest, DepthAndSizeAreBounded) {
  std::string deep = "{}";
  for (int i = 0; i < 17; ++i) deep = R"({"items":)" + deep + "}";
  EXPECT_THAT(refusal(deep.c_str()), HasSubstr("nest at most 16 deep"));
  std::string wide = R"({"properties":{)";
  for (int i = 0; i < 4096; ++i) wide += (i > 0 ? "," : "") + ("\"p" + std::to_string(i)) + "\":{}";
  EXPECT_THAT(refusal((wide + "}}").c_str()), HasSubstr("at most 4096 parts"));
  EXPECT_THAT(refusal((R"({"pattern":")" + std::string(300, 'a') + "\"}").c_str()),
              HasSubstr("longer than 256"));
}

}  // namespace
}  // namespace kante
