#include <gtest/gtest.h>
#include <kante/json.hpp>

namespace {

using kante::json::Array;
using kante::json::Object;
using kante::json::ParseError;
using kante::json::Value;

std::string roundTrip(std::string_view text) { return kante::json::parse(text).dump(); }

// Where and why a text is refused; empty when it is taken.
std::string refusal(std::string_view text, const kante::json::Limits& limits = {}) {
  ParseError error;
  if (kante::json::tryParse(text, &error, limits)) return {};
  return std::to_string(error.offset) + ": " + error.text;
}

TEST(JsonTest, ReadsAndWritesEveryKindOfValue) {
  for (const char* text : {"null", "true", "false", "0", "-1", "1.5", "\"\"", "\"a\"", "[]", "{}",
                           "[1,[2,[3]],{}]", R"({"a":null,"b":[true,false],"c":{"d":"e"}})"}) {
    EXPECT_EQ(roundTrip(text), text);
  }
  EXPECT_EQ(roundTrip(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"), R"({"a":[1,2]})");
}

TEST(JsonTest, KeepsIntegersOf64Bits) {
  EXPECT_EQ(kante::json::parse("9223372036854775807").integer(), INT64_MAX);
  EXPECT_EQ(kante::json::parse("-9223372036854775808").integer(), INT64_MIN);
  const Value beyond = kante::json::parse("9223372036854775808");
  EXPECT_FALSE(beyond.isInteger());
  EXPECT_EQ(beyond.number(), 9223372036854775808.0);
  EXPECT_EQ(Value(UINT64_MAX).number(), 18446744073709551615.0);
  EXPECT_FALSE(kante::json::parse("1.0").isInteger());
}

TEST(JsonTest, WritesDoublesShortAndExact) {
  for (const double value : {0.1, 1e300, -2.5e-308, 5e-324, 31.4, 1.0 / 3}) {
    EXPECT_EQ(kante::json::parse(Value(value).dump()).number(), value);
  }
  EXPECT_EQ(Value(0.1).dump(), "0.1");
  EXPECT_EQ(roundTrip("-0e-7"), "-0.0");
  EXPECT_EQ(roundTrip("-0.0"), "-0.0");
  EXPECT_EQ(Value(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Value(std::nan("")).dump(), "null");
}

TEST(JsonTest, TellsTooLargeFromTooSmall) {
  for (const char* text : {"1e400", "-1e400", "0.5e400", "1e99999999999999999999", "0.0001e400"}) {
    EXPECT_EQ(refusal(text), "0: a number beyond the range of a double") << text;
  }
  EXPECT_EQ(refusal(std::string(400, '9') + "e-10"), "0: a number beyond the range of a double");
  for (const char* text : {"1e-400", "0.5e-400", "1e-99999999999999999999", "0e400", "0.0e-999"}) {
    EXPECT_EQ(kante::json::parse(text).number(), 0.0) << text;
  }
  EXPECT_EQ(kante::json::parse("0." + std::string(400, '0') + "1").number(), 0.0);
}

TEST(JsonTest, RefusesWhatIsNoJsonAndSaysWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "0: the text ends where a value should stand"},
      {"  ", "2: the text ends where a value should stand"},
      {"nul", "0: a value should stand here"},
      {"nulll", "4: text after the value"},
      {"1 2", "2: text after the value"},
      {"01", "0: a number with a leading zero"},
      {"-", "0: a value should stand here"},
      {"+1", "0: a value should stand here"},
      {".5", "0: a value should stand here"},
      {"1.", "0: a digit should follow the point of a number"},
      {"1e", "0: a digit should follow the exponent of a number"},
      {"NaN", "0: a value should stand here"},
      {"[1,]", "3: a value should stand here"},
      {"[1 2]", "3: a comma or ] should stand here"},
      {"[1", "2: a comma or ] should stand here"},
      {"{\"a\":1,}", "7: a member name in quotes should stand here"},
      {"{a:1}", "1: a member name in quotes should stand here"},
      {"{\"a\" 1}", "5: a colon should stand here"},
      {"{\"a\":1 \"b\":2}", "7: a comma or } should stand here"},
      {"{\"a\":1,\"a\":2}", "13: the name \"a\" twice"},
      {"{\"\\u0000\":1}", "9: a member name with U+0000"},
      {"\"a", "2: a string without its end"},
      {"\"\\", "2: a string without its end"},
      {"\"\\x\"", "3: an escape that JSON does not know"},
      {"\"\\u12g4\"", "3: four hexadecimal digits should follow \\u"},
      {"\"\\u-123\"", "3: four hexadecimal digits should follow \\u"},
      {"\"\\ud800\"", "7: half of a surrogate pair"},
      {"\"\\ud800\\u0041\"", "13: half of a surrogate pair"},
      {"\"\\udc00\"", "7: half of a surrogate pair"},
      {"\"a\nb\"", "2: a control character in a string"},
      {"\"\xc0\xaf\"", "0: a string that is no UTF-8"},
      {"\"\xed\xa0\x80\"", "0: a string that is no UTF-8"},
      {"\"\xff\"", "0: a string that is no UTF-8"},
      {"'a'", "0: a value should stand here"},
      {"// a\n1", "0: a value should stand here"},
      {"\xef\xbb\xbf{}", "0: a value should stand here"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(refusal(text), expected) << text;
}

TEST(JsonTest, ReadsEscapes) {
  EXPECT_EQ(*kante::json::parse(R"("\"\\\/\b\f\n\r\t")").string(), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(*kante::json::parse(R"("\u00e4\u20AC\ud83d\ude00")").string(), "ä€😀");
  EXPECT_EQ(*kante::json::parse(R"("\u0000")").string(), std::string(1, '\0'));
  EXPECT_EQ(Value("a\"\\\n\x01ä").dump(), "\"a\\\"\\\\\\n\\u0001ä\"");
}

TEST(JsonTest, KeepsItsLimits) {
  EXPECT_EQ(refusal(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(refusal(std::string(65, '[') + std::string(65, ']')), "64: nested deeper than 64");
  EXPECT_EQ(refusal("[1,2,3]", {.values_max = 3}), "5: more than 3 values");
  EXPECT_EQ(refusal("[1,2,3]", {.bytes_max = 6}), "0: more than 6 bytes");
  EXPECT_EQ(refusal(std::string(1'000'000, '[')), "64: nested deeper than 64");
}

TEST(JsonTest, FindsByPointerAndByDottedPath) {
  const Value value =
      kante::json::parse(R"({"a":{"b":[10,{"c":1}]},"x/y":2,"m~n":3,"":4,"d.e":5})");
  EXPECT_EQ(value.find("/a/b/1/c")->integer(), 1);
  EXPECT_EQ(value.find("a.b.1.c")->integer(), 1);
  EXPECT_EQ(value.find("/x~1y")->integer(), 2);
  EXPECT_EQ(value.find("/m~0n")->integer(), 3);
  EXPECT_EQ(value.find("/")->integer(), 4);
  EXPECT_EQ(value.find("/d.e")->integer(), 5);
  EXPECT_EQ(value.find(""), &value);
  for (const char* path :
       {"/a/c", "a.b.2", "/a/b/01", "/a/b/-", "a.b.x", "/a/b/0/c", "d.e", "a..b"}) {
    EXPECT_EQ(value.find(path), nullptr) << path;
  }
}

TEST(JsonTest, BuildsValues) {
  Value value{{"a", 1}, {"b", {{"c", "text"}}}, {"d", Array{1, "two", nullptr}}};
  value["e"] = true;
  value["a"] = 2.5;
  EXPECT_EQ(value.dump(), R"({"a":2.5,"b":{"c":"text"},"d":[1,"two",null],"e":true})");
  EXPECT_TRUE(value.object()->erase("d"));
  EXPECT_FALSE(value.object()->erase("d"));
  Value fresh;
  fresh["x"]["y"] = 1;
  EXPECT_EQ(fresh.dump(), R"({"x":{"y":1}})");
  EXPECT_THROW(Value(5)["x"], kante::Failure);
}

TEST(JsonTest, CopiesDeepMovesEmptyAndComparesByMeaning) {
  const Value one = kante::json::parse(R"({"a":[1,{"b":2.0}],"c":"d"})");
  Value copy = one;
  EXPECT_EQ(copy, one);
  (*copy.object())["a"].array()->pop_back();
  EXPECT_FALSE(copy == one);
  const Value moved = std::move(copy);
  EXPECT_TRUE(copy.isNull());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(kante::json::parse(R"({"c":"d","a":[1,{"b":2}]})"), one);
  EXPECT_FALSE(Value(1) == Value("1"));
}

TEST(JsonTest, MergesAsRfc7396Says) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const auto& [target, patch, expected] : cases) {
    Value value = kante::json::parse(target);
    kante::json::mergePatch(value, kante::json::parse(patch));
    EXPECT_EQ(value.dump(), expected);
  }
}

TEST(JsonTest, ParsesAnObjectOfManyNamesInTime) {
  std::string text = "{";
  for (int i = 0; i < 60'000; ++i) text += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  EXPECT_EQ(refusal(text + "}"), "");
}

}  // namespace
