// What compiles, what does not, and at which character.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "host/route/route_set.h"

namespace kante {
namespace {

struct Refused {
  std::string route;
  std::size_t position;
  const char* says;  // Part of the sentence.
};

void expectRefused(const std::vector<Refused>& cases) {
  for (const Refused& one : cases) {
    const auto route = compileRoute(one.route);
    ASSERT_TRUE(route.has_error()) << one.route;
    EXPECT_EQ(route.error().position, one.position) << one.route << "\n" << route.error().text;
    EXPECT_NE(route.error().text.find(one.says), std::string::npos) << one.route << "\n"
                                                                    << route.error().text;
  }
}

// The condition alone; positions count from its first character.
void expectConditionRefused(const std::vector<Refused>& cases) {
  const std::string before = "FROM /* WHERE ";
  for (const Refused& one : cases) {
    expectRefused(
        {{before + one.route + " INTO $upstream", before.size() + one.position, one.says}});
  }
}

void expectCompiles(const std::vector<std::string>& routes) {
  for (const std::string& text : routes) {
    const auto route = compileRoute(text);
    EXPECT_TRUE(route.has_value()) << text << "\n"
                                   << route.error().position << ": " << route.error().text;
  }
}

TEST(Parser, TakesTheExamplesOfTheDocumentation) {
  expectCompiles(
      {"FROM /* INTO $upstream",
       "SELECT * FROM /* INTO $upstream",
       "select * from /* into $Upstream",
       "FROM /messages/modules/ml/outputs/score WHERE $body.score >= 0.8 AND $body.label != 'ok' "
       "INTO $upstream",
       "FROM /messages/* WHERE NOT is_defined($connectionModuleId) INTO "
       "BrokeredEndpoint(\"/modules/decode/inputs/raw\")",
       "FROM /twinChangeNotifications INTO BrokeredEndpoint(\"/modules/audit/inputs/twin\")",
       "SELECT * FROM /messages/modules/a/outputs/* WHERE NOT (as_number(level) <= 3) INTO "
       "$upstream",
       "FROM /messages/modules/opc WHERE {$contentType} = 'application/json' AND "
       "starts_with(lower(site), 'muc') "
       "INTO $upstream",
       "FROM MqttTopic(\"factory/+/temp\") INTO MqttTopic(\"alerts/{$connectionDeviceId}\")",
       "FROM mqtttopic('#') WHERE level = 'high' INTO brokeredendpoint('/Modules/m/Inputs/i')",
       "  \t\r\nFROM\n/messages/*\nINTO\n$upstream\n",
       "FROM /messages/modules/select/outputs/from INTO $upstream",
       "FROM /messages/modules/5/outputs/true INTO $upstream",
       "FROM /messages/modules/*/outputs/alert INTO $upstream",
       "FROM /a/*/b/*/c INTO $upstream",
       "FROM /* comment */ /messages/* INTO $upstream",
       "FROM /* WHERE a = '1' /* comment */ INTO $upstream /* end */",
       "FROM /messages/* INTO $upstream /* end */",
       "/* first */ FROM /* INTO $upstream",
       "FROM /* WHERE twin_change_includes(properties.reported.speed) INTO $upstream",
       "FROM /* WHERE twin_change_includes('speed') INTO $upstream"});
}

TEST(Parser, SaysWhatTheFrameMisses) {
  expectRefused(
      {{"", 0, "expected FROM"},
       {"   ", 3, "the route ends here"},
       {"FORM /* INTO $upstream", 0, "expected FROM, found FORM"},
       {"SELECT x FROM /* INTO $upstream", 7, "* behind SELECT"},
       {"SELECT FROM /* INTO $upstream", 7, "* behind SELECT"},
       {"FROM", 4, "expected a source"},
       {"FROM INTO $upstream", 5, "expected a source"},
       {"FROM messages INTO $upstream", 5, "expected a source"},
       {"FROM /messages/*", 16, "WHERE or INTO"},
       {"FROM /messages/* WERE x", 17, "WHERE or INTO, found WERE"},
       {"FROM /messages/* INTO", 21, "expected a sink"},
       {"FROM /messages/* INTO upstream", 22, "expected a sink"},
       {"FROM /messages/* INTO $up", 22, "expected a sink"},
       {"FROM /messages/* INTO $upstream x", 32, "the end of the route"},
       {"FROM /messages/* INTO $upstream INTO $upstream", 32, "the end of the route"},
       {"FROM /messages/* WHERE INTO $upstream", 23, "expected a value"},
       {"FROM /messages/* WHERE a = 'b'", 30, "an operator or INTO"},
       {"FROM /messages/* WHERE a = 'b' c INTO $upstream", 31, "an operator or INTO, found c"},
       {"FROM /messages/ INTO $upstream", 15, "a name or *"},
       {"FROM / INTO $upstream", 6, "a name or *"},
       {"FROM /messages//x INTO $upstream", 15, "a name or *"},
       {"FROM /messages/mod* INTO $upstream", 15, "whole part"},
       {"FROM /messages /* INTO $upstream", 15, "WHERE or INTO"},
       {"FROM /messages/* /* WHERE or INTO", 17, "WHERE or INTO, found /"}});
}

TEST(Parser, ChecksTheNamesInSinks) {
  const std::string before = "FROM /* INTO ";
  for (const char* argument :
       {"", "x", "/", "/modules/m", "/modules/m/inputs", "/modules/m/inputs/",
        "/modules/m/inputs/i/", "/modules/m/inputs/i/x", "/modules//inputs/i", "/module/m/inputs/i",
        "/modules/m/outputs/i", "//modules/m/inputs/i", "/modules/m m/inputs/i",
        "/modules/-m/inputs/i", "/modules/m/inputs/i i", "/modules/$edgeHub/inputs/i"}) {
    expectRefused({{before + "BrokeredEndpoint(\"" + argument + "\")", 30, ""}});
  }
  for (const char* argument : {"", "a/+", "a/#", "$SYS/x", "a/{", "a/}", "a/{}", "a/{$}", "a/{x",
                               "a/{$body.x}", "a/{b/c}"}) {
    expectRefused({{before + "MqttTopic(\"" + argument + "\")", 23, ""}});
  }
  expectRefused({{before + "BrokeredEndpoint", 29, "( as in"},
                 {before + "BrokeredEndpoint()", 30, "a text in quotes"},
                 {before + "BrokeredEndpoint('/modules/m/inputs/i'", 51, ") as in"},
                 {before + "BrokeredEndpoint(modules)", 30, "a text in quotes"},
                 {before + "Topic('x')", 13, "expected a sink"}});
}

TEST(Parser, ChecksMqttFilters) {
  for (const char* filter : {"", "a+", "+a/b", "a/#/b", "#a", "a/b#"}) {
    expectRefused(
        {{std::string("FROM MqttTopic(\"") + filter + "\") INTO $upstream", 15, "MQTT filter"}});
  }
  expectRefused(
      {{"FROM MqttTopic('" + std::string(1'100, 'x') + "') INTO $upstream", 15, "1024 bytes"}});
  std::string deep = "x";
  for (int i = 0; i < 64; ++i) deep += "/x";
  expectRefused({{"FROM MqttTopic('" + deep + "') INTO $upstream", 15, "64 levels"}});
}

TEST(Parser, PointsAtBrokenTokens) {
  expectConditionRefused({{"a = 'open", 4, "no closing '"},
                          {"a = \"open", 4, "no closing \""},
                          {R"(a = 'x\n')", 6, "an escape is"},
                          {R"(a = 'x\u12')", 6, "an escape is"},
                          {R"(a = '\u0000')", 5, "no character"},
                          {R"(a = '\ud800')", 5, "no character"},
                          {R"(a = '\ud800\u0041')", 5, "no character"},
                          {"a @ b", 2, "no sign '@'"},
                          {"a ; b", 2, "no sign ';'"},
                          {"a[0] = 'x'", 1, "no sign '['"},
                          {"a : b", 2, "no sign ':'"},
                          {"a \\ b", 2, "no sign"},
                          {"a ? b", 2, "no sign '?'"},
                          {"a\xc2\xa0= 'x'", 1, "invisible"},
                          {"a\x01= 'x'", 1, "invisible"},
                          {"ü = 'ä' é = 'x'", 8, "an operator or INTO"}});
}

TEST(Parser, HelpsThoseWhoKnowAnotherLanguage) {
  expectConditionRefused({{"a = 'x' && b = 'y'", 8, "write AND"},
                          {"a == 'x'", 3, "expected a value"},
                          {"!is_defined(a)", 0, "write NOT"},
                          {"a LIKE 'x%'", 2, "starts_with"},
                          {"a IN ('x')", 2, "OR a ="},
                          {"a IS NULL", 2, "is_defined"},
                          {"as_number(a) -5 > 3", 13, "a - 5"}});
}

TEST(Parser, PointsAtBrokenExpressions) {
  expectConditionRefused({{"(a = 'x'", 9, "an operator or )"},
                          {"a = 'x')", 7, "an operator or INTO"},
                          {"()", 1, "expected a value"},
                          {"a =", 4, "expected a value"},
                          {"a = = 'x'", 4, "expected a value"},
                          {"AND a = 'x'", 0, "expected a value"},
                          {"a = 'x' OR", 11, "expected a value"},
                          {"NOT", 4, "expected a value"},
                          {"-", 2, "expected a value"},
                          {"{a} = 'x'", 1, "$system property"},
                          {"{$a = 'x'", 4, "expected }"},
                          {"$body = 1", 0, "a path behind $body"},
                          {"$body. = 1", 0, "a path behind $body"},
                          {"$bodyx = 1", 0, "a path behind $body"},
                          {"$body[0] = 1", 0, "a path behind $body"},
                          {"$body..a = 1", 6, "member's name"},
                          {"$body.a. = 1", 8, "member's name"},
                          {"$body.a[x] = 1", 7, "element's number"},
                          {"$body.a[] = 1", 7, "element's number"},
                          {"$body.a[-1] = 1", 7, "element's number"},
                          {"$body.a[0]b = 1", 10, "expected ."},
                          {"$body.a[99999999999] = 1", 7, "element's number"},
                          {"$body.a]b = 1", 7, "expected ."},
                          {"$cid[0] = 'x'", 4, "brackets"},
                          {"$twin.tags.a = 'x'", 0, "twins cannot"},
                          {"twin_change_includes(5)", 21, "a path like"},
                          {"twin_change_includes()", 21, "a path like"},
                          {"twin_change_includes(a, b)", 22, ") behind the path"},
                          {"twin_change_includes(a..b)", 21, "member's name"}});
}

TEST(Parser, ChecksCalls) {
  expectConditionRefused({{"foo(a)", 0, "no function foo"},
                          {"is_definde(a)", 0, "did you mean is_defined?"},
                          {"a = 'x' AND lenght(a) = 3", 12, "did you mean length?"},
                          {"is_defined()", 0, "takes 1 argument, not 0"},
                          {"is_defined(a, b)", 0, "takes 1 argument, not 2"},
                          {"concat(a) = 'x'", 0, "takes 2 to 32 arguments, not 1"},
                          {"substring(a) = 'x'", 0, "takes 2 to 3 arguments"},
                          {"substring(a, 1, 2, 3) = 'x'", 0, "takes 2 to 3 arguments"},
                          {"power(1) = 1", 0, "takes 2 arguments"},
                          {"is_defined(a,)", 13, "expected a value"},
                          {"is_defined(,a)", 11, "expected a value"},
                          {"is_defined(a b)", 13, "a comma or )"},
                          {"is_defined(a", 13, "a comma or )"}});
}

TEST(Parser, ChecksTypesBeforeAnythingRuns) {
  expectConditionRefused({{"temp > 80", 5, "write as_number(temp)"},
                          {"80 < temp", 3, "write as_number(temp)"},
                          {"temp = 80", 5, "write as_number(temp)"},
                          {"$messageId = 5", 11, "write as_number($messageId)"},
                          {"level = null", 6, "is_defined"},
                          {"null = level", 5, "is_defined"},
                          {"level != null", 6, "is_defined"},
                          {"5 = null", 2, "cannot be compared"},
                          {"level = undefined", 8, "nothing equals undefined"},
                          {"$body.x = undefined", 10, "nothing equals undefined"},
                          {"undefined = undefined", 0, "nothing equals undefined"},
                          {"NOT undefined", 4, "expected true or false"},
                          {"NOT level", 4, "expected true or false"},
                          {"NOT level = 'x'", 4, "expected true or false"},
                          {"level AND true", 0, "expected true or false"},
                          {"true OR 'x'", 8, "expected true or false"},
                          {"true AND 5", 9, "expected true or false"},
                          {"true = 'x'", 5, "cannot be compared"},
                          {"true = 1", 5, "cannot be compared"},
                          {"true < false", 0, "have an order"},
                          {"null < 5", 0, "have an order"},
                          {"$body.x < null", 10, "have an order"},
                          {"undefined < 5", 0, "have an order"},
                          {"level + 1 = 2", 0, "write as_number(level)"},
                          {"1 + level = 2", 4, "write as_number(level)"},
                          {"'a' - 1 = 2", 0, "expected a number"},
                          {"true * 1 = 2", 0, "expected a number"},
                          {"- level = 2", 2, "write as_number(level)"},
                          {"1 || 'a' = '1a'", 0, "expected a text"},
                          {"'a' || 1 = 'a1'", 7, "expected a text"},
                          {"abs(level) = 1", 4, "write as_number(level)"},
                          {"length(5) = 1", 7, "expected a text"},
                          {"lower(true) = 'x'", 6, "expected a text"},
                          {"as_number(true) = 1", 10, "a number or a text"},
                          {"concat('a', 5) = 'x'", 12, "expected a text"},
                          {"substring(a, b) = 'x'", 13, "write as_number(b)"},
                          {"starts_with(a, 5)", 15, "expected a text"},
                          {"level ?? 5 = 5", 6, "of one kind"},
                          {"level", 0, "a condition is true or false"},
                          {"5", 0, "a condition is true or false"},
                          {"null", 0, "a condition is true or false"},
                          {"undefined", 0, "a condition is true or false"},
                          {"'x' || 'y'", 0, "a condition is true or false"},
                          {"length(level)", 0, "a condition is true or false"},
                          {"is_null(5) = 5", 11, "cannot be compared"}});
}

TEST(Parser, TakesBodyValuesWhereAnyKindMayStand) {
  for (const char* where :
       {"$body.a % 2 = 0", "- $body.a = 2", "true AND $body.a", "$body.a OR true", "NOT $body.a",
        "$body.a = 'x'", "$body.a = 5", "$body.a = true", "$body.a = null", "level = $body.a",
        "$body.a < 'x'", "abs($body.a) = 1", "concat($body.a, $body.b) = 'x'",
        "as_number($body.a) > 5", "$body.a[0][1].b = 5", "$body.a ?? 5 = 5 ?? true"}) {
    EXPECT_TRUE(compileRoute(std::string("FROM /* WHERE ") + where + " INTO $upstream").has_value())
        << where;
  }
}

TEST(Parser, CountsCharactersNotBytes) {
  expectRefused({{"FROM /mü/* WERE x", 11, "WERE"}, {"FROM /😀/* WERE x", 10, "WERE"}});
}

TEST(Parser, RefusesWhatIsNoText) {
  expectRefused({{"FROM \xff/* INTO $upstream", 5, "UTF-8"},
                 {"FROM /ü\xc3(x INTO $upstream", 7, "UTF-8"},
                 {std::string("FROM /\0x INTO $upstream", 23), 6, "UTF-8"}});
}

std::string nested(std::size_t depth) {
  return "FROM /* WHERE " + std::string(depth, '(') + "a = 'x'" + std::string(depth, ')') +
         " INTO $upstream";
}

TEST(Parser, IsLinearInParenthesesAndBoundsThem) {
  expectCompiles({nested(1), nested(14), nested(kRouteDepthMax)});
  expectRefused({{nested(kRouteDepthMax + 1), 14 + kRouteDepthMax, "64 deep"},
                 {nested(1'500), 14 + kRouteDepthMax, "64 deep"}});
  std::string calls;
  for (std::size_t i = 0; i < kRouteDepthMax; ++i) calls += "abs(";
  expectCompiles(
      {"FROM /* WHERE " + calls + "1" + std::string(kRouteDepthMax, ')') + " = 1 INTO $upstream"});
  expectRefused({{"FROM /* WHERE abs(" + calls + "1" + std::string(kRouteDepthMax + 1, ')') +
                      " = 1 INTO $upstream",
                  14 + 4 * kRouteDepthMax + 3, "64 deep"}});
}

TEST(Parser, NeedsNoRecursionForLongChains) {
  std::string sum = "1";
  while (sum.size() < 3'900) sum += " + 1";
  std::string nots;
  while (nots.size() < 3'900) nots += "NOT ";
  std::string minus;
  while (minus.size() < 3'900) minus += "- ";
  std::string ands = "a = 'b'";
  while (ands.size() < 3'900) ands += " AND a = 'b'";
  expectCompiles({"FROM /* WHERE " + sum + " = 1 INTO $upstream",
                  "FROM /* WHERE " + nots + "true INTO $upstream",
                  "FROM /* WHERE " + minus + "1 = 1 INTO $upstream",
                  "FROM /* WHERE " + ands + " INTO $upstream"});
}

TEST(Parser, BoundsTheLength) {
  const std::string text = "FROM /* INTO $upstream";
  expectCompiles({text + std::string(kRouteCharactersMax - text.size(), ' ')});
  expectRefused({{text + std::string(kRouteCharactersMax - text.size() + 1, ' '),
                  kRouteCharactersMax, "4096"},
                 {std::string(1'000'000, '('), kRouteCharactersMax, "4096"}});
}

TEST(Parser, BoundsTheValuesThatWait) {
  std::string many;
  for (int i = 0; i < 40; ++i) {
    many += "concat(";
    for (int argument = 0; argument < 20; ++argument) many += "a,";
  }
  many += "a" + std::string(40, ')');
  const auto route = compileRoute("FROM /* WHERE " + many + " = 'x' INTO $upstream");
  ASSERT_TRUE(route.has_error());
  EXPECT_NE(route.error().text.find("too complex"), std::string::npos) << route.error().text;
}

TEST(PointAt, DrawsACaretUnderThePosition) {
  EXPECT_EQ(pointAt("FROM x", RouteError("", 5)), "FROM x\n     ^");
  EXPECT_EQ(pointAt("FROM\nü x", RouteError("", 7)), "FROM ü x\n       ^");
  EXPECT_EQ(pointAt("ab", RouteError("", 99)), "ab\n  ^");
  const std::string far =
      pointAt(std::string(500, 'x') + "!" + std::string(500, 'y'), RouteError("", 500));
  EXPECT_EQ(far.find('\n'), 3 + 76 + 3);  // An ellipsis has three bytes.
  EXPECT_EQ(far.substr(far.find('\n') + 1), std::string(51, ' ') + "^");
}

}  // namespace
}  // namespace kante
