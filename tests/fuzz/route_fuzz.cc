// Any text as a route (or, one a line, a set of routes): compiles or is refused within bounds; what
// compiles gives the same answer with its indexes, one by one, and explained.

// fuzz-links: kante_route

// fuzz-replay: 300

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/route/cycle.h"
#include "host/route/explain.h"
#include "host/route/route_set.h"
#include "tests/host/route/testing.h"

namespace {

using namespace kante;

struct Sample {
  route_testing::TestMessage message;
  Source source;
};

std::vector<Sample>& samples() {
  static std::vector<Sample> all = [] {
    std::vector<Sample> made(5);
    made[0].source = route_testing::moduleSource("filter", "alert");
    made[0].message.properties = {{"level", "high"}, {"temp", "72"}, {"a+b", "x"}};
    made[0].message.body =
        R"({"a":1,"list":[1,{"x":"y"}],"name":"Ann\u00e4","none":null,"flag":true,"a":2.5})";
    made[1].source = route_testing::deviceSource("car-7");
    made[1].message.system = {{"messageId", "m"}, {"cid", "c"}};
    made[1].message.body = "no json";
    made[2].source = route_testing::topicSource("d", "factory/1/temp");
    made[2].message.content_type = "text/plain";
    made[3].source = route_testing::twinChangeSource();
    made[3].message.body = R"({"properties":{"reported":{"speed":5}}})";
    made[4].source = route_testing::moduleSource("empty");
    made[4].message.body = "";
    return made;
  }();
  return all;
}

void checkSet(const std::vector<RouteDefinition>& definitions) {
  static MatchScratch scratch;
  static MatchScratch reference;
  const auto set = RouteSet::compile(definitions);
  if (set.has_error()) {
    KANTE_ASSERT(set.error().error.position <= definitions[set.error().definition].text.size());
    return;
  }
  for (Sample& sample : samples()) {
    const RouteInput input{sample.message.view(), &sample.source, 1};
    const std::vector<std::uint32_t> expected = set->matchOneByOne(input, reference);
    const SourceRoutes routes = set->forSource(sample.source);
    const auto found = routes.match(input, scratch);
    KANTE_ASSERT(std::vector<std::uint32_t>(found.begin(), found.end()) == expected);
    const auto explained = explainRoute(definitions[0].text, input);
    const bool first = !expected.empty() && expected[0] == 0;
    KANTE_ASSERT((explained->outcome == ExplainResult::Outcome::kMatch) == first);
    KANTE_ASSERT(!explained->because.empty());
  }
  std::vector<std::uint32_t> blocking;
  for (std::uint32_t i = 0; i < set->routes().size(); ++i) blocking.push_back(i);
  const std::vector<ModuleOutputs> modules{{"filter", {"alert"}}, {"a", {}}};
  (void)findBlockingCycle(*set, blocking, modules);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto route = kante::compileRoute(text);
  if (route.has_error()) (void)kante::pointAt(text, route.error());
  std::vector<kante::RouteDefinition> definitions;
  for (std::size_t at = 0; at <= text.size() && definitions.size() < 16;) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    kante::RouteDefinition definition;
    definition.text = std::string(text.substr(at, end - at));
    definitions.push_back(definition);
    checkSet({definition});
    at = end + 1;
  }
  checkSet(definitions);
  return 0;
}
