#include "host/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "host/base/json_patch.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr JsonBounds kBounds{1000, 4};

std::string errorOf(std::string_view text) {
  const auto parsed = parseJson(text, kBounds);
  return parsed ? "parsed" : parsed.error().text;
}

json::value parsed(std::string_view text) { return parseJson(text, {1 << 20, 100}).value(); }

TEST(ParseJson, RefusesWhatIsNotExactlyOneJsonValueAndSaysWhere) {
  EXPECT_THAT(errorOf(""), testing::HasSubstr("line 1, column 1: not JSON"));
  EXPECT_THAT(errorOf("{\n  \"a\": x}"), testing::HasSubstr("line 2, column 8"));
  EXPECT_THAT(errorOf("{} {}"), testing::HasSubstr("not JSON"));
  EXPECT_THAT(errorOf("[1,]"), testing::HasSubstr("not JSON"));
  EXPECT_THAT(errorOf("/* c */ 1"), testing::HasSubstr("not JSON"));
  EXPECT_THAT(errorOf("\"\xff\""), testing::HasSubstr("not JSON"));
  EXPECT_THAT(errorOf("1e999"), testing::HasSubstr("not JSON"));
  EXPECT_EQ(errorOf(" {\"a\": [1, 2.5, \"x\", null]} "), "parsed");
}

TEST(ParseJson, RefusesAMemberThatIsThereTwice) {
  EXPECT_THAT(errorOf(R"({"a":{"b":1,"c":{"b":2},"b":3}})"),
              testing::HasSubstr("the member \"b\" is there twice"));
  EXPECT_THAT(errorOf(R"({"ab":1,"\u0061b":2})"), testing::HasSubstr("\"ab\" is there twice"));
  EXPECT_EQ(errorOf(R"({"a":{"b":1},"b":[{"a":1},{"a":1}]})"), "parsed");
}

TEST(ParseJson, IsBoundedInSizeAndDepth) {
  EXPECT_EQ(parseJson(std::string(1001, ' '), kBounds).error().code, Errc::kLimit);
  EXPECT_EQ(errorOf("[[[[1]]]]"), "parsed");
  const auto deep = parseJson("[[[[[1]]]]]", kBounds);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, Errc::kInvalid);
  EXPECT_EQ(parseJson(std::string(900'000, '['), {1 << 20, 32}).error().code, Errc::kInvalid);
}

TEST(WriteJson, GivesEqualValuesEqualTextsAndReadsBackTheSame) {
  const auto value =
      parsed(R"({"b":[1,-2,18446744073709551615,0.1,1.0,1e300],"a":"\u0001\"ü\\\n"})");
  EXPECT_EQ(writeJson(value),
            "{\"b\":[1,-2,18446744073709551615,0.1,1.0,1e+300],\"a\":\"\\u0001\\\"ü\\\\\\n\"}");
  EXPECT_EQ(writeJson(value, MemberOrder::kSorted).substr(0, 4), "{\"a\"");
  EXPECT_EQ(parsed(writeJson(value)), value);
  EXPECT_EQ(writeJson(parsed(R"({"x":{"b":1,"a":2}})"), MemberOrder::kSorted),
            writeJson(parsed(R"({ "x":{"a":2, "b":1}})"), MemberOrder::kSorted));
}

TEST(ParseJson, ReadsEveryNumberExactly) {
  for (const char* text : {"0.1", "123.456", "1e23", "8.5e-300", "2.2250738585072014e-308", "-0.0",
                           "9007199254740993.5", "1855555446744073709551615", "4.9e-324"}) {
    const auto value = parsed(text);
    ASSERT_TRUE(value.is_double()) << text;
    EXPECT_EQ(value.get_double(), std::strtod(text, nullptr)) << text;
  }
  std::uint64_t bits = 1;
  std::string all = "[0";
  for (int i = 0; i < 10'000; ++i) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    double number = 0;
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isfinite(number)) continue;
    char text[32];
    *std::to_chars(text, text + sizeof text, number).ptr = 0;
    all += std::string(",") + text;
    const auto value = parsed(text);
    if (value.is_double()) {
      EXPECT_EQ(value.get_double(), number) << text;
    }
  }
  all += "]";
  EXPECT_EQ(writeJson(parsed(writeJson(parsed(all)))), writeJson(parsed(all)));
}

TEST(JsonPointer, EscapesItsTokens) {
  EXPECT_EQ(jsonPointer("/a", "b/c~d"), "/a/b~1c~0d");
  EXPECT_EQ(jsonPointer("", 3), "/3");
}

TEST(MergePatch, FollowsEveryExampleOfRfc7386) {
  const char* const kExamples[][3] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", "null", "null"},
      {R"({"a":"foo"})", R"("bar")", R"("bar")"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const auto& [target, patch, result] : kExamples) {
    json::value value = parsed(target);
    mergePatch(value, parsed(patch));
    EXPECT_EQ(value, parsed(result)) << target << " + " << patch << " = " << writeJson(value);
  }
}

std::string patched(std::string_view target, std::string_view patch) {
  json::value value = parsed(target);
  const Status done = jsonPatch(value, parsed(patch));
  return done ? writeJson(value) : done.error().text;
}

TEST(JsonPatch, FollowsTheExamplesOfRfc6902) {
  EXPECT_EQ(patched(R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])"),
            R"({"foo":"bar","baz":"qux"})");
  EXPECT_EQ(patched(R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"q"}])"),
            R"({"foo":["bar","q","baz"]})");
  EXPECT_EQ(patched(R"({"baz":"q","foo":"b"})", R"([{"op":"remove","path":"/baz"}])"),
            R"({"foo":"b"})");
  EXPECT_EQ(patched(R"({"foo":["a","b","c"]})", R"([{"op":"remove","path":"/foo/1"}])"),
            R"({"foo":["a","c"]})");
  EXPECT_EQ(patched(R"({"baz":"q"})", R"([{"op":"replace","path":"/baz","value":1}])"),
            R"({"baz":1})");
  EXPECT_EQ(patched(R"({"foo":{"bar":"baz","w":"f"},"qux":{"c":"g"}})",
                    R"([{"op":"move","from":"/foo/w","path":"/qux/thud"}])"),
            R"({"foo":{"bar":"baz"},"qux":{"c":"g","thud":"f"}})");
  EXPECT_EQ(patched(R"({"foo":["all","grass","cows","eat"]})",
                    R"([{"op":"move","from":"/foo/1","path":"/foo/3"}])"),
            R"({"foo":["all","cows","eat","grass"]})");
  EXPECT_EQ(
      patched(R"({"baz":"q","foo":["a",2,"c"]})", R"([{"op":"test","path":"/baz","value":"q"},)"
                                                  R"({"op":"test","path":"/foo/1","value":2}])"),
      R"({"baz":"q","foo":["a",2,"c"]})");
  EXPECT_EQ(patched(R"({"foo":["bar"]})", R"([{"op":"add","path":"/foo/-","value":["x"]}])"),
            R"({"foo":["bar",["x"]]})");
  EXPECT_EQ(patched(R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])"),
            R"({"a":{"b":1},"c":{"b":1}})");
  EXPECT_EQ(patched(R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":10}])"),
            R"({"/":9,"~1":10})");
  EXPECT_EQ(patched(R"({"a":1})", R"([{"op":"replace","path":"","value":[]}])"), "[]");
  EXPECT_EQ(patched(R"({"a":1})", R"([{"op":"add","path":"","value":2}])"), "2");
  EXPECT_EQ(patched(R"({"":1})", R"([{"op":"remove","path":"/"}])"), "{}");
}

TEST(JsonPatch, NamesTheOperationThatFailedAndChangesNothing) {
  using testing::HasSubstr;
  using testing::StartsWith;
  const char kDoc[] = R"({"a":[1,2],"b":{"c":1}})";
  EXPECT_THAT(patched(kDoc, "{}"), HasSubstr("array of operations"));
  EXPECT_THAT(patched(kDoc, "[1]"), StartsWith("/0: an operation"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"add"}])"), StartsWith("/0/path: expected a string"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"grow","path":"/a"}])"), StartsWith("/0/op: \"grow\""));
  EXPECT_THAT(patched(kDoc, R"([{"op":"add","path":"/a"}])"), StartsWith("/0/value: missing"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"add","path":"a","value":1}])"), HasSubstr("begins with"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"add","path":"/~2","value":1}])"), HasSubstr("0 or 1"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"add","path":"/x/y","value":1}])"), HasSubstr("nothing is"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"add","path":"/a/3","value":1}])"), HasSubstr("nothing is"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"add","path":"/a/01","value":1}])"), HasSubstr("nothing is"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"remove","path":"/a/-"}])"), HasSubstr("nothing is"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"replace","path":"/z","value":1}])"), HasSubstr("nothing"));
  EXPECT_THAT(patched(kDoc, R"([{"op":"move","from":"/b","path":"/b/c/d"}])"),
              HasSubstr("which is moved"));
  json::value value = parsed(kDoc);
  const Status failed = jsonPatch(value, parsed(R"([{"op":"remove","path":"/a"},)"
                                                R"({"op":"test","path":"/b/c","value":2}])"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kConflict);
  EXPECT_THAT(failed.error().text, StartsWith("/1/path: "));
  EXPECT_EQ(value, parsed(kDoc));
}

TEST(JsonPatch, CannotGrowADocumentWithoutBound) {
  std::string copies = "[";
  for (int i = 0; i < 40; ++i)
    copies += R"({"op":"copy","from":"","path":"/c)" + std::to_string(i) + "\"},";
  copies.back() = ']';
  json::value value = parsed("{}");
  EXPECT_EQ(jsonPatch(value, parsed(copies)).error().code, Errc::kLimit);
  std::string deeper = "[";
  for (int i = 0; i < 100; ++i) deeper += R"({"op":"copy","from":"/a","path":"/a/a"},)";
  deeper.back() = ']';
  value = parsed(R"({"a":{}})");
  EXPECT_EQ(jsonPatch(value, parsed(deeper)).error().code, Errc::kLimit);
}

}  // namespace
}  // namespace kante
