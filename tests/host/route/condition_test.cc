// Conditions and what they give on one message: T true, F false, U undefined.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "host/route/explain.h"
#include "host/route/route_set.h"
#include "tests/host/route/testing.h"

namespace kante {
namespace {

using route_testing::moduleSource;
using route_testing::TestMessage;

struct Case {
  const char* where;
  char expected;
};

TestMessage message() {
  TestMessage message;
  message.properties = {
      {"level", "high"},       {"temp", "72"},    {"Site", "Munich"},
      {"empty", ""},           {"neg", "-3.5"},   {"hexa", "0x10"},
      {"huge", "1e400"},       {"word", "abc"},   {"a+b", "sum"},
      {"5-3", "diff"},         {"it's", "quote"}, {"umlaut", "MÜNCHEN"},
      {"spaced", " 8 "},       {"plus", "+5"},    {"emoji", "a😀b"},
      {"e5", "name"},          {"true", "word"},  {"True", "again"},
      {"not a name", "space"}, {"a.b", "dot"},    {"longer_than_eight_characters", "found"}};
  message.system = {
      {"messageId", "m-1"}, {"cid", "c-1"}, {"messageSchema", "s"}, {"connectionDeviceId", "liar"}};
  message.body =
      R"({"temp":42.5,"n":7,"tenth":0.1,"flag":true,"off":false,"none":null,"name":"Anna",)"
      R"("date":"2024-01-02T03:04:05Z","list":[1,"two",{"x":3}],"grid":[[1,2],[3,4]],)"
      R"("obj":{"a":{"b":"deep"}},"zero":0,"esc":"a\"b\u00e9","dup":{"old":1},"dup":{"new":2},)"
      R"("big":18446744073709551615,"exp":1.5e3,"negative":-4,"Name":"other","e":"","arr":[]})";
  return message;
}

const Source& source() {
  static const Source source = moduleSource("filter", "alert");
  return source;
}

char outcomeOf(const std::string& where, TestMessage& message) {
  const auto result =
      explainRoute("FROM /* WHERE " + where + " INTO $upstream",
                   RouteInput{message.view(), &source(), 1'700'000'001'000'000'000});
  if (result.has_error()) {
    ADD_FAILURE() << where << ": " << result.error().position << ": " << result.error().text;
    return 'E';
  }
  switch (result->outcome) {
    case ExplainResult::Outcome::kMatch: return 'T';
    case ExplainResult::Outcome::kNoMatch: return 'F';
    case ExplainResult::Outcome::kUndefined: return 'U';
  }
  return '?';
}

// Each is held against the compiled matcher too, which must take the message exactly when it is T.
void check(const std::vector<Case>& cases) {
  TestMessage sample = message();
  MatchScratch scratch;
  for (const Case& one : cases) {
    EXPECT_EQ(outcomeOf(one.where, sample), one.expected) << one.where;
    RouteDefinition definition;
    definition.text = std::string("FROM /* WHERE ") + one.where + " INTO $upstream";
    auto set = RouteSet::compile({definition});
    ASSERT_TRUE(set.has_value()) << one.where;
    const RouteInput input{sample.view(), &source(), 1'700'000'001'000'000'000};
    EXPECT_EQ(set->forSource(source()).match(input, scratch).size(), one.expected == 'T' ? 1u : 0u)
        << one.where;
  }
}

TEST(Condition, ReadsPropertiesByNameWithoutCase) {
  check({{"level = 'high'", 'T'},
         {"level = 'low'", 'F'},
         {"LEVEL = 'high'", 'T'},
         {"site = 'Munich'", 'T'},
         {"Site = 'munich'", 'F'},
         {"absent = 'x'", 'U'},
         {"absent != 'x'", 'U'},
         {"empty = ''", 'T'},
         {"empty = 'x'", 'F'},
         {"'high' = level", 'T'},
         {"level = \"high\"", 'T'},
         {"level = site", 'F'},
         {"level = level", 'T'},
         {"Longer_Than_Eight_Characters = 'found'", 'T'},
         {"longer_than_eight_charActerz = 'found'", 'U'},
         {"level <> 'low'", 'T'},
         {"level != 'high'", 'F'},
         {"level < 'i'", 'T'},
         {"level > 'Z'", 'T'},
         {"level >= 'high'", 'T'},
         {"level <= 'high'", 'T'},
         {"level < 'high'", 'F'},
         {"temp < '8'", 'T'},
         {"temp > '100'", 'T'},
         {"absent < 'a'", 'U'},
         {"True = 'word'", 'T'}});
}

TEST(Condition, LexesTheLongestName) {
  check({{"a+b = 'sum'", 'T'},
         {"5-3 = 'diff'", 'T'},
         {"it's = 'quote'", 'T'},
         {"a.b = 'dot'", 'T'},
         {"e5 = 'name'", 'T'},
         {"a*b = 'x'", 'U'},
         {"a%b = 'x'", 'U'},
         {"level!='low'", 'T'},
         {"level !='low'", 'T'},
         {"level='high'", 'T'},
         {"level<>'low'", 'T'},
         {"level||'!'='high!'", 'T'},
         {"'hi'||'gh'=level", 'T'},
         {"'hi' || 'gh' = level", 'T'},
         {"as_number(temp)>-5", 'T'},
         {"as_number(temp)>=72", 'T'},
         {"as_number(temp)<=72", 'T'},
         {"as_number(temp)=72", 'T'},
         {"$body.n!=8", 'T'},
         {"/* note */ level = 'high' /* more */", 'T'},
         {"level/*x*/=/*y*/'high'", 'T'},
         {"level\t=\r\n'high'", 'T'}});
}

TEST(Condition, TakesKeywordsInAnyCaseAndLiteralsInLowerCase) {
  check({{"level = 'high' and temp = '72'", 'T'},
         {"level = 'low' oR temp = '72'", 'T'},
         {"nOt (level = 'low')", 'T'},
         {"true", 'T'},
         {"false", 'F'},
         {"true AND false", 'F'},
         {"true = true", 'T'},
         {"true = false", 'F'},
         {"true != false", 'T'},
         {"null = null", 'T'},
         {"null != null", 'F'}});
}

TEST(Condition, ReadsNumbers) {
  check({{"1 = 1.0", 'T'},
         {"0x10 = 16", 'T'},
         {"0xfF = 255", 'T'},
         {"1e3 = 1000", 'T'},
         {"1.5e-1 = 0.15", 'T'},
         {".5 = 0.5", 'T'},
         {"-.5 = -0.5", 'T'},
         {"-5 < 0", 'T'},
         {"- 5 < 0", 'T'},
         {"- - 5 = 5", 'T'},
         {"-(5) = -5", 'T'},
         {"- as_number(temp) = -72", 'T'},
         {"9007199254740993 = 9007199254740992", 'T'},
         {"1e999 > 1e308", 'T'},
         {"-1e999 < 0", 'T'},
         {"1e-999 = 0", 'T'}});
}

TEST(Condition, ReadsTextsWithEscapes) {
  check({{R"('a\'b' = "a'b")", 'T'},
         {R"("a\"b" = 'a"b')", 'T'},
         {R"('\\' = "\\")", 'T'},
         {R"('\u0041' = 'A')", 'T'},
         {R"('\u00e9' = 'é')", 'T'},
         {R"('\ud83d\ude00' = '😀')", 'T'},
         {R"(length('\\\\') = 2)", 'T'},
         {R"('FROM' = 'FROM')", 'T'},
         {R"('/* no comment */' = '/* no comment */')", 'T'}});
}

TEST(Condition, BindsOperatorsAsIoTEdgeDoes) {
  check({{"true OR true AND false", 'T'},
         {"(true OR true) AND false", 'F'},
         {"false AND false OR true", 'T'},
         {"NOT true OR true", 'T'},
         {"NOT (true OR true)", 'F'},
         {"NOT false = true", 'T'},
         {"NOT (false = true)", 'T'},
         {"NOT true = false", 'T'},
         {"NOT NOT true", 'T'},
         {"NOT NOT NOT true", 'F'},
         {"NOT is_defined(absent) = true", 'T'},
         {"1 + 2 * 3 = 7", 'T'},
         {"(1 + 2) * 3 = 9", 'T'},
         {"10 - 4 - 3 = 3", 'T'},
         {"100 / 10 / 2 = 5", 'T'},
         {"2 * 3 % 4 = 2", 'T'},
         {"1 + 1 = 2 AND 2 > 1", 'T'},
         {"1 < 2 = true", 'T'},
         {"2 > 1 = 3 > 2", 'T'},
         {"1 = 1 = true", 'T'},
         {"1 = 2 = false", 'T'},
         {"'a' || 'b' = 'ab'", 'T'},
         {"(absent ?? 'x') = 'x'", 'T'},
         {"- 2 * - 3 = 6", 'T'}});
}

TEST(Condition, ComputesWithDoubles) {
  check({{"7 % 3 = 1", 'T'},
         {"-7 % 3 = -1", 'T'},
         {"5.5 % 2 = 1.5", 'T'},
         {"1 / 2 = 0.5", 'T'},
         {"1 / 0 > 1e308", 'T'},
         {"0 / 0 = 0 / 0", 'F'},
         {"0 / 0 != 1", 'T'},
         {"0.1 + 0.2 = 0.3", 'F'},
         {"3 - 1 = 2", 'T'},
         {"as_number(temp) + as_number(absent) > 0", 'U'},
         {"as_number(temp) * 2 > 100", 'T'},
         {"as_number(word) > 0", 'U'}});
}

TEST(Condition, CombinesThreeValues) {
  const std::vector<std::string> written{"true", "false", "(absent = 'x')"};
  const std::string values = "TFU";
  const std::string conjunction = "TFUFFFUFU";
  const std::string disjunction = "TTTTFUTUU";
  for (std::size_t a = 0; a < 3; ++a) {
    for (std::size_t b = 0; b < 3; ++b) {
      const std::string both = written[a] + " AND " + written[b];
      const std::string either = written[a] + " OR " + written[b];
      check({{both.c_str(), conjunction[3 * a + b]}, {either.c_str(), disjunction[3 * a + b]}});
      const std::string same = written[a] + " = " + written[b];
      const bool known = a < 2 && b < 2;
      check({{same.c_str(), known ? (a == b ? 'T' : 'F') : 'U'}});
    }
    const std::string inverse = "NOT " + written[a];
    check({{inverse.c_str(), "FTU"[a]}});
  }
  check({{"undefined AND false", 'F'},
         {"undefined AND true", 'U'},
         {"undefined OR true", 'T'},
         {"undefined OR false", 'U'},
         {"true AND undefined", 'U'},
         {"false AND undefined", 'F'},
         {"true OR undefined", 'T'},
         {"NOT (absent = 'x')", 'U'},
         {"NOT (absent != 'x')", 'U'}});
}

TEST(Condition, TakesTheOtherSideOfWhatIsUndefined) {
  check({{"(absent ?? 'x') = 'x'", 'T'},
         {"(level ?? 'x') = 'high'", 'T'},
         {"(absent ?? missing ?? 'x') = 'x'", 'T'},
         {"(as_number(word) ?? 3) = 3", 'T'},
         {"(absent = 'x') ?? true", 'T'},
         {"(level = 'low') ?? true", 'F'},
         {"($body.none ?? 5) = 5", 'U'},
         {"is_null($body.none ?? 5)", 'T'},
         {"($body.absent ?? 5) = 5", 'T'},
         {"(undefined ?? 'x') = 'x'", 'T'},
         {"(level ?? undefined) = 'high'", 'T'},
         {"absent = 'x' ?? level = 'high'", 'T'}});
}

TEST(Condition, ReadsTheBody) {
  check({{"$body.temp = 42.5", 'T'},
         {"$body.temp > 42", 'T'},
         {"$body.tenth = 0.1", 'T'},
         {"$BODY.temp > 42", 'T'},
         {"{$body.temp} > 42", 'T'},
         {"42 < $body.temp", 'T'},
         {"$body.n = 7", 'T'},
         {"$body.n = '7'", 'U'},
         {"$body.n != '7'", 'U'},
         {"$body.name = 'Anna'", 'T'},
         {"$body.Name = 'other'", 'T'},
         {"$body.NAME = 'other'", 'U'},
         {"$body.name = 'Bob'", 'F'},
         {"$body.name > 'Al'", 'T'},
         {"$body.date = '2024-01-02T03:04:05Z'", 'T'},
         {"$body.date > '2024'", 'T'},
         {"$body.esc = 'a\"bé'", 'T'},
         {"$body.e = ''", 'T'},
         {"$body.flag", 'T'},
         {"$body.off", 'F'},
         {"NOT $body.off", 'T'},
         {"$body.flag = true", 'T'},
         {"$body.flag AND $body.off", 'F'},
         {"$body.flag AND $body.flag", 'T'},
         {"level = 'high' AND $body.flag", 'T'},
         {"$body.off OR $body.flag", 'T'},
         {"$body.temp", 'U'},
         {"$body.name", 'U'},
         {"$body.none", 'U'},
         {"$body.absent", 'U'},
         {"NOT $body.temp", 'U'},
         {"$body.temp AND true", 'U'},
         {"$body.list[0] = 1", 'T'},
         {"$body.list[1] = 'two'", 'T'},
         {"$body.list[2].x = 3", 'T'},
         {"$body.list[3] = 3", 'U'},
         {"$body.grid[0][1] = 2", 'T'},
         {"$body.grid[1][0] = 3", 'T'},
         {"$body.grid[2][0] = 3", 'U'},
         {"$body.obj.a.b = 'deep'", 'T'},
         {"$body.obj.a = 'deep'", 'U'},
         {"$body.obj.a.b.c = 'deep'", 'U'},
         {"$body.name[0] = 'A'", 'U'},
         {"$body.list.x = 3", 'U'},
         {"$body.arr[0] = 1", 'U'},
         {"$body.dup.new = 2", 'T'},
         {"$body.dup.old = 1", 'U'},
         {"$body.big = 18446744073709551615", 'T'},
         {"$body.exp = 1500", 'T'},
         {"$body.negative < 0", 'T'},
         {"- $body.negative = 4", 'T'},
         {"$body.n % 2 = 1", 'T'},
         {"$body.n + $body.n = 14", 'T'},
         {"$body.name + 1 = 2", 'U'},
         {"$body.name || '!' = 'Anna!'", 'T'},
         {"$body.n || '!' = '7!'", 'U'},
         {"$body.temp > $body.n", 'T'},
         {"$body.temp > $body.name", 'U'},
         {"$body.name = level", 'F'}});
}

// Deviations: absent is undefined, not null; unlike kinds are undefined, not ordered.
TEST(Condition, ComparesNothingWithWhatIsAbsentOrOfAnotherKind) {
  check({{"$body.absent > 5", 'U'},
         {"$body.absent < 5", 'U'},
         {"$body.absent = 5", 'U'},
         {"$body.absent != 5", 'U'},
         {"$body.absent = null", 'U'},
         {"$body.absent != null", 'U'},
         {"$body.none = null", 'T'},
         {"$body.none != null", 'F'},
         {"null = $body.none", 'T'},
         {"$body.n = null", 'F'},
         {"$body.n != null", 'T'},
         {"$body.list = null", 'U'},
         {"$body.none = 5", 'U'},
         {"$body.none < 5", 'U'},
         {"$body.flag > 0", 'U'},
         {"$body.flag < $body.off", 'U'},
         {"$body.none = $body.none", 'T'},
         {"$body.name > 5", 'U'}});
}

TEST(Condition, AsksWhatAValueIs) {
  check({{"is_defined(level)", 'T'},
         {"is_defined(absent)", 'F'},
         {"is_defined(empty)", 'T'},
         {"is_defined(undefined)", 'F'},
         {"is_defined(null)", 'T'},
         {"is_defined($body.temp)", 'T'},
         {"is_defined($body.absent)", 'F'},
         {"is_defined($body.none)", 'T'},
         {"is_defined($body.obj)", 'F'},
         {"is_defined($connectionModuleId)", 'T'},
         {"NOT is_defined($connectionModuleId)", 'F'},
         {"is_null(null)", 'T'},
         {"is_null(level)", 'F'},
         {"is_null($body.none)", 'T'},
         {"is_null($body.temp)", 'F'},
         {"is_null($body.absent)", 'F'},
         {"is_null(absent)", 'F'},
         {"is_bool(true)", 'T'},
         {"is_bool($body.flag)", 'T'},
         {"is_bool($body.temp)", 'F'},
         {"is_bool($body.obj)", 'F'},
         {"is_bool(level = 'x')", 'T'},
         {"is_bool(absent = 'x')", 'F'},
         {"is_number(5)", 'T'},
         {"is_number(temp)", 'F'},
         {"is_number(as_number(temp))", 'T'},
         {"is_number($body.n)", 'T'},
         {"is_string(temp)", 'T'},
         {"is_string(5)", 'F'},
         {"is_string($body.name)", 'T'},
         {"is_string($body.n)", 'F'},
         {"is_string(absent)", 'F'},
         {"IS_Defined(level)", 'T'}});
}

TEST(Condition, ConvertsTextsToNumbers) {
  check({{"as_number(temp) = 72", 'T'},      {"as_number(neg) = -3.5", 'T'},
         {"as_number(spaced) = 8", 'T'},     {"as_number(plus) = 5", 'T'},
         {"as_number('1e3') = 1000", 'T'},   {"as_number('.5') = 0.5", 'T'},
         {"as_number(hexa) = 16", 'U'},      {"as_number(huge) > 0", 'U'},
         {"as_number(word) = 0", 'U'},       {"as_number(empty) = 0", 'U'},
         {"as_number('72x') = 72", 'U'},     {"as_number('inf') > 0", 'U'},
         {"as_number('nan') = 0", 'U'},      {"as_number('1,000') = 1000", 'U'},
         {"as_number(5) = 5", 'T'},          {"as_number(absent) = 5", 'U'},
         {"as_number($body.n) = 7", 'T'},    {"as_number($body.name) = 7", 'U'},
         {"as_number($body.flag) = 1", 'U'}, {"as_number (temp) = 72", 'T'}});
}

TEST(Condition, CallsNumberFunctions) {
  check({{"abs(-3) = 3", 'T'},
         {"abs(3) = 3", 'T'},
         {"exp(0) = 1", 'T'},
         {"power(2, 10) = 1024", 'T'},
         {"power(4, 0.5) = 2", 'T'},
         {"square(-3) = 9", 'T'},
         {"sqrt(9) = 3", 'T'},
         {"sqrt(-1) > 0", 'F'},
         {"ceiling(1.2) = 2", 'T'},
         {"ceiling(-1.2) = -1", 'T'},
         {"floor(1.8) = 1", 'T'},
         {"floor(-1.2) = -2", 'T'},
         {"sign(-7) = -1", 'T'},
         {"sign(0) = 0", 'T'},
         {"sign(3) = 1", 'T'},
         {"sign(0 / 0) = 0", 'U'},
         {"abs($body.negative) = 4", 'T'},
         {"abs($body.name) = 4", 'U'},
         {"abs($body.absent) = 4", 'U'},
         {"abs(as_number(word)) > 0", 'U'},
         {"ABS(-1) = 1", 'T'}});
}

TEST(Condition, CallsTextFunctions) {
  check({{"concat(level, '-', temp) = 'high-72'", 'T'},
         {"concat('a', 'b') = 'ab'", 'T'},
         {"concat('a', absent) = 'a'", 'U'},
         {"concat($body.name, level) = 'Annahigh'", 'T'},
         {"concat($body.n, level) = '7high'", 'U'},
         {"length(level) = 4", 'T'},
         {"length(empty) = 0", 'T'},
         {"length(umlaut) = 7", 'T'},
         {"length(emoji) = 3", 'T'},
         {"length(absent) = 0", 'U'},
         {"lower(umlaut) = 'münchen'", 'T'},
         {"upper('straße äöü') = 'STRAßE ÄÖÜ'", 'T'},
         {"upper(level) = 'HIGH'", 'T'},
         {"lower('ΑΒΓ') = 'αβγ'", 'T'},
         {"upper('привет') = 'ПРИВЕТ'", 'T'},
         {"lower('Žižka ĄĘ') = 'žižka ąę'", 'T'},
         {"upper('ÿ×÷ё') = 'ÿ×÷Ё'", 'T'},
         {"substring('hello', 1) = 'ello'", 'T'},
         {"substring('hello', 1, 3) = 'ell'", 'T'},
         {"substring('hello', 0, 0) = ''", 'T'},
         {"substring('hello', 5) = ''", 'T'},
         {"substring('hello', 6) = ''", 'U'},
         {"substring('hello', -1) = ''", 'U'},
         {"substring('hello', 3, 3) = 'lo'", 'U'},
         {"substring('hello', 1, -1) = ''", 'U'},
         {"substring('hello', 1.9) = 'ello'", 'T'},
         {"substring(emoji, 1, 1) = '😀'", 'T'},
         {"substring(absent, 1) = 'x'", 'U'},
         {"substring('x', 0 / 0) = 'x'", 'U'},
         {"index_of('hello', 'l') = 2", 'T'},
         {"index_of('hello', 'z') = -1", 'T'},
         {"index_of('hello', '') = 0", 'T'},
         {"index_of(emoji, 'b') = 2", 'T'},
         {"index_of('', 'a') = -1", 'T'},
         {"starts_with(site, 'Mun')", 'T'},
         {"starts_with(site, 'mun')", 'F'},
         {"starts_with(lower(site), 'mun')", 'T'},
         {"starts_with(site, 'Munich and more')", 'F'},
         {"starts_with(site, '')", 'T'},
         {"starts_with(absent, 'x')", 'U'},
         {"ends_with(site, 'ich')", 'T'},
         {"ends_with(site, 'Ich')", 'F'},
         {"contains(site, 'nic')", 'T'},
         {"contains(site, 'x')", 'F'},
         {"contains($body.name, 'nn')", 'T'},
         {"contains($body.n, '7')", 'U'}});
}

TEST(Condition, ReadsSystemProperties) {
  check({{"$messageId = 'm-1'", 'T'},
         {"{$messageId} = 'm-1'", 'T'},
         {"{ $messageId } = 'm-1'", 'T'},
         {"$MESSAGEID = 'm-1'", 'T'},
         {"$cid = 'c-1'", 'T'},
         {"$messageSchema = 's'", 'T'},
         {"$contentType = 'application/json'", 'T'},
         {"$contentEncoding = 'utf-8'", 'T'},
         {"$connectionDeviceId = 'edge-1'", 'T'},
         {"$connectionDeviceId = 'liar'", 'F'},
         {"$connectionModuleId = 'filter'", 'T'},
         {"$outputName = 'alert'", 'T'},
         {"$inputName = 'x'", 'U'},
         {"$userId = 'x'", 'U'},
         {"$nonsense = 'x'", 'U'},
         {"$messageType = 'x'", 'U'},
         {"$edgeHubOriginInterface = 'internal'", 'T'},
         {"$edgeMessageId = '00112233445566778899aabbccddeeff'", 'T'},
         {"$creationTime = '2023-11-14T22:13:20.123Z'", 'T'},
         {"$creationTime > '2023'", 'T'},
         {"$enqueuedTime = '2023-11-14T22:13:21.000Z'", 'T'},
         {"is_defined($absolute-expiry-time)", 'F'},
         {"$dt-subject = 'x'", 'U'},
         {"$iothub-interface-id = 'x'", 'U'},
         {"starts_with($connectionModuleId, 'fil')", 'T'}});
}

TEST(Condition, LeavesTheRestOfADecidedAndOrOrAlone) {
  check({{"level = 'low' AND as_number(absent) > 1", 'F'},
         {"as_number(absent) > 1 AND level = 'low'", 'F'},
         {"level = 'high' OR as_number(absent) > 1", 'T'},
         {"as_number(absent) > 1 OR level = 'high'", 'T'},
         {"(level = 'high' OR level = 'low') AND site = 'Munich'", 'T'},
         {"(level = 'mid' OR level = 'low') AND site = 'Munich'", 'F'},
         {"level = 'high' AND (site = 'Munich' AND temp = '72')", 'T'},
         {"(level = 'high' AND temp = '72') AND $body.n = 7 AND $body.name = 'Anna'", 'T'},
         {"level = 'high' OR site = 'x'", 'T'},
         {"level = 'high' AND level = 'high'", 'T'},
         {"level = 'high' AND level = 'low'", 'F'}});
}

TEST(Condition, FindsNoBodyWithoutJson) {
  struct Body {
    const char* type;
    const char* encoding;
    std::string body;
    char expected;
  };
  const std::string small = R"({"n":7})";
  std::string utf16;
  for (const char c : small) utf16 += {c, '\0'};
  std::string utf16_big = "\xfe\xff";
  for (const char c : small) utf16_big += {'\0', c};
  std::string utf32;
  for (const char c : small) utf32 += {c, '\0', '\0', '\0'};
  std::string deep = R"({"n":7,"d":)" + std::string(63, '[') + std::string(63, ']') + "}";
  std::string deeper = R"({"n":7,"d":)" + std::string(64, '[') + std::string(64, ']') + "}";
  const std::vector<Body> bodies{{"application/json", "utf-8", small, 'T'},
                                 {"Application/JSON", "UTF-8", small, 'T'},
                                 {"application/json; charset=utf-8", "utf-8", small, 'T'},
                                 {"application/json", "", small, 'T'},
                                 {"", "utf-8", small, 'U'},
                                 {"text/plain", "utf-8", small, 'U'},
                                 {"application/jsonx", "utf-8", small, 'U'},
                                 {"application/json", "gzip", small, 'U'},
                                 {"application/json", "utf-8", "\xef\xbb\xbf" + small, 'T'},
                                 {"application/json", "utf-8", " " + small + "\r\n ", 'T'},
                                 {"application/json", "utf-8", small + small, 'U'},
                                 {"application/json", "utf-8", "{\"n\":7", 'U'},
                                 {"application/json", "utf-8", "{\"n\":7,}", 'U'},
                                 {"application/json", "utf-8", "", 'U'},
                                 {"application/json", "utf-8", "[7]", 'U'},
                                 {"application/json", "utf-8", "7", 'U'},
                                 {"application/json", "utf-8", "\"n\"", 'U'},
                                 {"application/json", "utf-8", "null", 'U'},
                                 {"application/json", "utf-8", "{\"n\":7,\"x\":\"\xff\"}", 'U'},
                                 {"application/json", "utf-8", R"({"\u006e":7})", 'T'},
                                 {"application/json", "utf-16", utf16, 'T'},
                                 {"application/json", "utf-16", utf16_big, 'T'},
                                 {"application/json", "utf-16", small + " ", 'U'},
                                 {"application/json", "utf-16", "{", 'U'},
                                 {"application/json", "utf-32", utf32, 'T'},
                                 {"application/json", "utf-32", small, 'U'},
                                 {"application/json", "utf-8", deep, 'T'},
                                 {"application/json", "utf-8", deeper, 'U'}};
  for (const Body& one : bodies) {
    TestMessage message;
    message.content_type = one.type;
    message.content_encoding = one.encoding;
    message.body = one.body;
    EXPECT_EQ(outcomeOf("$body.n = 7", message), one.expected)
        << one.type << " " << one.encoding << " " << one.body;
  }
}

TEST(Condition, MakesNoTextWithoutBound) {
  TestMessage message;
  message.body = R"({"s":")" + std::string(60'000, 'x') + "\"}";
  EXPECT_EQ(outcomeOf("length($body.s) = 60000", message), 'T');
  EXPECT_EQ(outcomeOf("length($body.s || 'y') = 60001", message), 'T');
  EXPECT_EQ(outcomeOf("length($body.s || $body.s) > 0", message), 'U');
  EXPECT_EQ(outcomeOf("length(lower($body.s)) = 60000", message), 'T');
  std::string many = "length(lower($body.s)) > 0";
  for (int i = 0; i < 40; ++i) many += " AND length(lower($body.s)) > 0";
  EXPECT_EQ(outcomeOf(many, message), 'U');
}

}  // namespace
}  // namespace kante
