// What a match costs: nanoseconds a message, median and least of several rounds, variants
// interleaved so that they see the same machine.  A tool for people who change host/route;
// kante-bench measures the whole way.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "host/route/route_set.h"
#include "tests/host/route/testing.h"

namespace {

using kante::MatchScratch;
using kante::MessageView;
using kante::RouteDefinition;
using kante::RouteInput;
using kante::RouteSet;
using kante::Source;
using kante::SourceRoutes;
using kante::route_testing::moduleSource;
using kante::route_testing::TestMessage;

constexpr int kRounds = 41;
constexpr int kMessages = 16;  // Few enough for the first cache, as those of a shard are.

struct Variant {
  std::string name;
  RouteSet set;
  SourceRoutes routes;
  std::vector<TestMessage> messages;
  std::vector<MessageView> views;
  std::size_t matches = 0;  // A message.
  int times = 20'000;
  std::vector<double> ns;
};

const Source kSource = moduleSource("sensor", "out");

TestMessage message(const std::string& level, int number) {
  TestMessage message;
  message.properties = {{"machine", "press-17"}, {"level", level}};
  message.body = R"({"machine":{"temperature":)" + std::to_string(20 + number) +
                 R"(.5,"pressure":1.01},"ambient":{"temperature":21.1,"humidity":25},)"
                 R"("timeCreated":"2024-01-01T00:00:00Z","label":"id)" +
                 std::to_string(number) + "\",\"note\":\"" + std::string(60, 'x') + "\"}";
  return message;
}

Variant variant(const std::string& name, const std::vector<std::string>& texts,
                const std::function<std::string(int)>& level) {
  Variant result;
  result.name = name;
  std::vector<RouteDefinition> definitions;
  for (const std::string& text : texts) {
    RouteDefinition definition;
    definition.name = "r" + std::to_string(definitions.size());
    definition.text = text;
    definitions.push_back(definition);
  }
  auto set = RouteSet::compile(definitions);
  if (set.has_error()) {
    std::fprintf(stderr, "%s\n", set.error().text().c_str());
    std::exit(1);
  }
  result.set = *set;
  result.routes = result.set.forSource(kSource);
  for (int i = 0; i < kMessages; ++i) result.messages.push_back(message(level(i), i));
  for (TestMessage& one : result.messages) result.views.push_back(one.view());
  return result;
}

std::vector<std::string> many(int count, const std::function<std::string(int)>& where) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i)
    texts.push_back("FROM /messages/* WHERE " + where(i) + " INTO $upstream");
  return texts;
}

// Of this thread alone, so that a neighbour on the core does not count.
double cpuNs() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void run(Variant& variant, MatchScratch& scratch) {
  std::size_t matches = 0;
  const double start = cpuNs();
  for (int i = 0; i < variant.times; ++i) {
    const RouteInput input{variant.views[static_cast<std::size_t>(i % kMessages)], &kSource, 0};
    matches += variant.routes.match(input, scratch).size();
  }
  variant.ns.push_back((cpuNs() - start) / variant.times);
  variant.matches = matches;
}

std::vector<Variant> variants() {
  const auto high = [](int i) { return i % 2 == 0 ? "high" : "low"; };
  const auto one_of_many = [](int i) { return "line-" + std::to_string(i * 15); };
  const auto id = [](int i) { return "'line-" + std::to_string(i) + "'"; };
  std::vector<Variant> all;
  all.push_back(variant("no route", {"FROM /messages/modules/other INTO $upstream"}, high));
  all.push_back(variant("1 unconditional", {"FROM /messages/* INTO $upstream"}, high));
  std::vector<std::string> others{"FROM /messages/* INTO $upstream"};
  for (int i = 0; i < 999; ++i)
    others.push_back("FROM /messages/modules/m" + std::to_string(i) + " INTO $upstream");
  all.push_back(variant("1 unconditional, 999 of other sources", others, high));
  all.push_back(
      variant("1 WHERE level = 'high'", many(1, [](int) { return "level = 'high'"; }), high));
  all.push_back(variant("4 WHERE level = '…'", many(4, [&](int i) { return "level = " + id(i); }),
                        one_of_many));
  all.push_back(variant("1,000 WHERE level = '…', one matches",
                        many(1000, [&](int i) { return "level = " + id(i); }), one_of_many));
  all.push_back(variant(
      "1,000 WHERE level = '…' AND machine = '…'",
      many(1000, [&](int i) { return "machine = 'press-17' AND level = " + id(i); }), one_of_many));
  all.push_back(
      variant("1 WHERE level != 'high'", many(1, [](int) { return "level != 'high'"; }), high));
  all.push_back(variant("1 WHERE as_number(level) > 80",
                        many(1, [](int) { return "as_number(level) > 80"; }),
                        [](int i) { return std::to_string(i * 2); }));
  all.push_back(variant("1 WHERE $connectionModuleId = 'sensor'",
                        many(1, [](int) { return "$connectionModuleId = 'sensor'"; }), high));
  all.push_back(variant("1 WHERE $body.machine.temperature > 50",
                        many(1, [](int) { return "$body.machine.temperature > 50"; }), high));
  all.push_back(variant(
      "10 WHERE $body.machine.temperature > n",
      many(10, [](int i) { return "$body.machine.temperature > " + std::to_string(20 + 5 * i); }),
      high));
  all.push_back(variant(
      "1,000 WHERE $body.label = '…'",
      many(1000, [](int i) { return "$body.label = 'id" + std::to_string(i) + "'"; }), high));
  all.push_back(variant("1,000 WHERE level != '…' (one by one)",
                        many(1000, [&](int i) { return "level != " + id(i); }), one_of_many));
  all.back().times = 500;
  return all;
}

}  // namespace

// route_bench [TEXT]: only variants whose name contains it.
int main(int argc, char** argv) {
  std::vector<Variant> all = variants();
  const std::string only = argc > 1 ? argv[1] : "";
  std::erase_if(all, [&](const Variant& one) { return one.name.find(only) == std::string::npos; });
  MatchScratch scratch;
  for (int round = 0; round < kRounds; ++round) {
    for (Variant& one : all) run(one, scratch);
  }
  std::printf("%-44s %9s %9s %9s\n", "routes of one source", "median ns", "least ns", "matches");
  for (Variant& one : all) {
    std::sort(one.ns.begin(), one.ns.end());
    std::printf("%-44s %9.1f %9.1f %9.2f\n", one.name.c_str(), one.ns[kRounds / 2], one.ns[0],
                static_cast<double>(one.matches) / one.times);
  }
  return 0;
}
