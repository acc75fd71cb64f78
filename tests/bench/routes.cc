// How throughput stands when there are many routes, of which one matches.
#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "tests/bench/bench.h"

namespace kante::bench {

namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* kSink = R"(INTO BrokeredEndpoint("/modules/sink/inputs/in"))";

RouteSpec routeSpec(std::string name, std::string text) {
  RouteSpec route;
  route.name = std::move(name);
  route.text = std::move(text);
  return route;
}

// One route from the source, and `others` from modules that are not there.
std::vector<RouteSpec> manySources(int others) {
  std::vector<RouteSpec> routes{
      routeSpec("hit", fmt::format("FROM /messages/modules/source/* {}", kSink))};
  for (int i = 0; i < others; ++i) {
    routes.push_back(routeSpec(fmt::format("other-{}", i),
                               fmt::format("FROM /messages/modules/absent-{}/* {}", i, kSink)));
  }
  return routes;
}

// `count` conditions on one property, of which one is true.
std::vector<RouteSpec> manyConditions(int count) {
  std::vector<RouteSpec> routes{routeSpec(
      "hit", fmt::format("FROM /messages/modules/source/* WHERE level = 'high' {}", kSink))};
  for (int i = 1; i < count; ++i) {
    routes.push_back(routeSpec(
        fmt::format("other-{}", i),
        fmt::format("FROM /messages/modules/source/* WHERE level = 'value-{}' {}", i, kSink)));
  }
  return routes;
}

double throughput(Core& core, const std::vector<RouteSpec>& routes, std::uint64_t messages) {
  core.apply({});
  RuntimeTarget target;
  target.modules = {sinkSpec("sink", "{}"),
                    sourceSpec(fmt::format(R"({{"count":0,"bytes":256,"properties":2}})"))};
  target.routes = routes;
  core.apply(target);  // Routes are compiled here, outside the clock.
  target.modules[1].config = fmt::format(R"({{"count":{},"bytes":256,"properties":2}})", messages);
  const auto began = Clock::now();
  core.apply(target);
  while (core.figures().received.load(std::memory_order_acquire) < messages) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return static_cast<double>(messages) /
         std::chrono::duration<double>(Clock::now() - began).count();
}

}  // namespace

std::vector<Figure> benchRoutes() {
  constexpr std::uint64_t kMessages = 5'000'000;
  const auto services = noServices();
  Core core(1, *services);
  const auto one = manySources(0), thousand = manySources(999);
  const auto where = manyConditions(1), wheres = manyConditions(1000);
  (void)throughput(core, one, 100'000);
  std::vector<double> t_one, t_thousand, t_where, t_wheres;
  for (int round = 0; round < kRounds; ++round) {
    t_one.push_back(throughput(core, one, kMessages));
    t_thousand.push_back(throughput(core, thousand, kMessages));
    t_where.push_back(throughput(core, where, kMessages));
    t_wheres.push_back(throughput(core, wheres, kMessages));
  }
  using enum Figure::Better;
  return {
      {"1,000 routes, one matches", "msg/s", median(t_thousand), "1 route", median(t_one), 0.8,
       kHigher},
      {"1 route with WHERE on a property", "msg/s", median(t_where), "1 route", median(t_one), 0,
       kHigher},
      {"1,000 routes with WHERE on one property", "msg/s", median(t_wheres), "1 route",
       median(t_one), 0.5, kHigher},
  };
}

}  // namespace kante::bench
