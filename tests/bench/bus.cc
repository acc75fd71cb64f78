// module → route → module on one shard, through the real ABI, beside ZeroMQ and nng inproc.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/bench/bench.h"

namespace kante::bench {

namespace {

using Clock = std::chrono::steady_clock;

RuntimeTarget pairTarget(std::uint64_t messages, std::uint32_t properties) {
  RuntimeTarget target;
  target.modules = {sinkSpec("sink", "{}"),
                    sourceSpec(fmt::format(R"({{"count":{},"bytes":256,"properties":{}}})",
                                           messages, properties))};
  target.modules[1].start_after = {"sink"};
  RouteSpec route;
  route.name = "bus";
  route.text =
      R"(FROM /messages/modules/source/outputs/out INTO BrokeredEndpoint("/modules/sink/inputs/in"))";
  target.routes = {route};
  return target;
}

void waitFor(BenchFigures& figures, std::uint64_t messages) {
  while (figures.received.load(std::memory_order_acquire) < messages) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

struct Throughput {
  double per_second = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t slow_seals = 0;  // Beyond the first message, which shows the layout.
};

// The source's figures begin when it is activated, so the clock starts before apply(); loading is
// done in a first, uncounted round.
Throughput kanteBus(Core& core, std::uint64_t messages, std::uint32_t properties) {
  core.apply({});
  const auto began = Clock::now();
  core.apply(pairTarget(messages, properties));
  BenchFigures& figures = core.figures();
  waitFor(figures, messages);
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  std::uint64_t slow = 0;
  for (const ModuleStatus& module : core.host().modules()) {
    if (module.name == "source") slow = module.slow_seals - 1;
  }
  return {static_cast<double>(messages) / seconds, figures.out_of_order.load(), slow};
}

double ticksPerNs() {
  const auto began = Clock::now();
  const std::uint64_t ticks = benchTicks();
  while (Clock::now() - began < std::chrono::milliseconds(50)) {
  }
  const double ns = std::chrono::duration<double, std::nano>(Clock::now() - began).count();
  return static_cast<double>(benchTicks() - ticks) / ns;
}

struct Hops {
  double p50_ns = 0;
  double p99_ns = 0;
};

Hops hopLatency(Core& core, std::uint64_t messages) {
  core.apply({});
  RuntimeTarget target = pairTarget(messages, 2);
  target.modules[0].config = R"({"answer":true})";
  target.modules[1].config =
      fmt::format(R"({{"count":{},"bytes":256,"properties":2,"paced":true}})", messages);
  RouteSpec back;
  back.name = "back";
  back.text =
      R"(FROM /messages/modules/sink/outputs/answer INTO BrokeredEndpoint("/modules/source/inputs/next"))";
  target.routes.push_back(back);
  core.apply(target);
  BenchFigures& figures = core.figures();
  waitFor(figures, messages);
  std::vector<std::uint32_t> ticks(figures.sample_ticks,
                                   figures.sample_ticks + figures.samples.load());
  std::sort(ticks.begin(), ticks.end());
  const double scale = ticksPerNs();
  return {ticks[ticks.size() / 2] / scale, ticks[ticks.size() * 99 / 100] / scale};
}

}  // namespace

std::vector<Figure> benchBus() {
  constexpr std::uint64_t kMessages = 5'000'000;
  const auto services = noServices();
  Core core(1, *services);
  (void)kanteBus(core, 100'000, 2);  // Loads the modules and fills the pool.
  std::vector<double> two, none, zmq, nng, p50, p99;
  std::uint64_t out_of_order = 0, slow = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Throughput with_two = kanteBus(core, kMessages, 2);
    zmq.push_back(zmqInproc(1'000'000));
    const Throughput with_none = kanteBus(core, kMessages, 0);
    nng.push_back(nngInproc(100'000));
    const Hops hops = hopLatency(core, 200'000);
    two.push_back(with_two.per_second);
    none.push_back(with_none.per_second);
    out_of_order += with_two.out_of_order + with_none.out_of_order;
    slow += with_two.slow_seals + with_none.slow_seals;
    p50.push_back(hops.p50_ns);
    p99.push_back(hops.p99_ns);
  }
  using enum Figure::Better;
  // ZeroMQ has two threads on two cores, the bus one: to be no slower is the goal.
  return {
      {"module-route-module, 256 B, 2 properties", "msg/s", median(two), "zmq-inproc", median(zmq),
       1.0, kHigher},
      {"module-route-module, 256 B, 2 properties, against nng", "msg/s", median(two), "nng-inproc",
       median(nng), 20.0, kHigher},
      {"module-route-module, 256 B, no property", "msg/s", median(none), "zmq-inproc", median(zmq),
       1.0, kHigher},
      {"module-route-module, absolute", "msg/s", median(two), "goal", 10e6, 1.0, kHigher},
      {"hop p50, one at a time", "ns", median(p50), "goal", 200, 1.0, kLower},
      {"hop p99, one at a time", "ns", median(p99), "goal-p50", 200, 0, kLower},
      {"seals off the fast path", "messages", static_cast<double>(slow), kNone, 0, 0, kLower},
      {"lost or out of order", "messages", static_cast<double>(out_of_order), kNone, 0, 0, kLower},
  };
}

}  // namespace kante::bench
