// sandboxed module → route → sandboxed module, round trips beside a bare eventfd ping-pong, and
// what a runner costs.
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "tests/bench/bench.h"
#include "tests/bench/gateway_process.h"

namespace kante::bench {

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

RouteSpec route(const std::string& name, const std::string& from, const std::string& into) {
  RouteSpec made;
  made.name = name;
  made.text = fmt::format("FROM /messages/modules/{} INTO {}", from, into);
  return made;
}
std::string endpoint(const std::string& input) {
  const auto slash = input.find('/');
  return fmt::format("BrokeredEndpoint(\"/modules/{}/inputs/{}\")", input.substr(0, slash),
                     input.substr(slash + 1));
}

ModuleSpec sourceNamed(const std::string& name, Placement placement, const std::string& config) {
  ModuleSpec spec = sourceSpec(config);
  spec.name = name;
  spec.placement = placement;
  return spec;
}
ModuleSpec sinkNamed(const std::string& name, Placement placement, const std::string& config) {
  ModuleSpec spec = sinkSpec(name, config);
  spec.placement = placement;
  return spec;
}

// Adds a source and a sink that reports to $upstream after so many messages.
void addPair(RuntimeTarget& target, const std::string& suffix, Placement placement,
             std::uint64_t messages) {
  target.modules.push_back(
      sinkNamed("sink" + suffix, placement, fmt::format(R"({{"report_at":{}}})", messages)));
  target.modules.push_back(
      sourceNamed("source" + suffix, placement,
                  fmt::format(R"({{"count":{},"bytes":256,"properties":2}})", messages)));
  target.modules.back().start_after = {"sink" + suffix};
  target.routes.push_back(
      route("bus" + suffix, "source" + suffix + "/outputs/out", endpoint("sink" + suffix + "/in")));
  target.routes.push_back(
      route("report" + suffix, "sink" + suffix + "/outputs/answer", "$upstream"));
}

struct Report {
  double per_second = 0;
  double first_ns = 0, last_ns = 0;
  std::uint64_t wrong = 0;  // Lost or out of order.
};

Report nextReport(Core& core, std::uint64_t messages) {
  const auto json = boost::json::parse(core.nextUpstream()).as_object();
  Report report;
  report.first_ns = json.at("first_ns").to_number<double>();
  report.last_ns = json.at("last_ns").to_number<double>();
  report.per_second = static_cast<double>(messages - 1) * 1e9 / (report.last_ns - report.first_ns);
  report.wrong = json.at("out_of_order").to_number<std::uint64_t>() +
                 (messages - json.at("received").to_number<std::uint64_t>());
  return report;
}

Report throughput(Core& core, Placement placement, std::uint64_t messages) {
  core.apply({});
  RuntimeTarget target;
  addPair(target, "", placement, messages);
  core.apply(target);
  return nextReport(core, messages);
}

// ---- round trips

struct Trips {
  double p50_us = 0;
  double p99_us = 0;
};

Trips tripsOf(std::vector<double> us) {
  std::sort(us.begin(), us.end());
  return {us[us.size() / 2], us[us.size() * 99 / 100]};
}

double ticksPerUs() {
  const auto began = Clock::now();
  const std::uint64_t ticks = benchTicks();
  while (Clock::now() - began < std::chrono::milliseconds(20)) {
  }
  return static_cast<double>(benchTicks() - ticks) / (secondsSince(began) * 1e6);
}

// A module in this process asks one in a runner, one message at a time; there is a pause between
// them that puts both ends to sleep, or none.
Trips roundTrip(Core& core, std::uint64_t messages, std::uint32_t pause_us) {
  core.apply({});
  RuntimeTarget target;
  target.modules = {
      sinkNamed("sink", Placement::kSandbox, R"({"answer":true})"),
      sourceNamed("source", Placement::kInProcess,
                  fmt::format(R"({{"count":{},"bytes":256,"paced":true,"pause_us":{}}})", messages,
                              pause_us))};
  target.modules[1].start_after = {"sink"};
  target.routes = {route("there", "source/outputs/out", endpoint("sink/in")),
                   route("back", "sink/outputs/answer", endpoint("source/next"))};
  core.apply(target);
  BenchFigures& figures = core.figures("bench-source");
  while (figures.received.load(std::memory_order_acquire) < messages)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const double scale = ticksPerUs();
  std::vector<double> us;
  for (std::uint32_t i = figures.samples.load() / 10; i < figures.samples.load(); ++i)
    us.push_back(figures.sample_ticks[i] / scale);
  return tripsOf(std::move(us));
}

void waitFor(int fd) {
  pollfd ready{fd, POLLIN, 0};
  (void)::poll(&ready, 1, -1);
  eventfd_t ignored = 0;
  (void)::eventfd_read(fd, &ignored);
}

// Two processes and two eventfds, nothing else; the same pause.
Trips pingPong(std::uint64_t messages, std::uint32_t pause_us) {
  const int there = ::eventfd(0, EFD_NONBLOCK);
  const int back = ::eventfd(0, EFD_NONBLOCK);
  const pid_t child = ::fork();
  if (child == 0) {
    for (std::uint64_t i = 0; i < messages; ++i) {
      waitFor(there);
      (void)::eventfd_write(back, 1);
    }
    ::_exit(0);
  }
  std::vector<double> us;
  for (std::uint64_t i = 0; i < messages; ++i) {
    if (pause_us != 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
    const auto began = Clock::now();
    (void)::eventfd_write(there, 1);
    waitFor(back);
    us.push_back(secondsSince(began) * 1e6);
  }
  (void)::waitpid(child, nullptr, 0);
  ::close(there);
  ::close(back);
  return tripsOf(std::move(us));
}

// ---- what it costs

// From the order to the first message of a sandboxed module at a sink in this process.
double startToFirstMs(Core& core) {
  core.apply({});
  RuntimeTarget sink;
  sink.modules = {sinkNamed("sink", Placement::kInProcess, R"({"report_at":1})")};
  sink.routes = {route("report", "sink/outputs/answer", "$upstream")};
  core.apply(sink);
  RuntimeTarget target = sink;
  target.modules.push_back(
      sourceNamed("source", Placement::kSandbox, R"({"count":1,"bytes":256})"));
  target.routes.push_back(route("bus", "source/outputs/out", endpoint("sink/in")));
  const auto began = Clock::now();
  core.apply(target);
  (void)core.nextUpstream();
  return secondsSince(began) * 1000;
}

// User and system time of a process so far, in milliseconds.
double cpuMs(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) * 1000 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct Crowd {
  double start_s = 0;
  double idle_cpu_ms = 0;     // A second, of all runners and of this process.
  double runner_pss_kib = 0;  // Median of a runner.
  double all_pss_mib = 0;     // Of all runners and of this process.
  double per_second = 0;      // Through all pairs together.
  std::uint64_t wrong = 0;
};

Crowd crowd(Core& core, int modules, std::uint64_t messages) {
  Crowd out;
  core.apply({});
  RuntimeTarget idle;
  for (int i = 0; i < modules; ++i) {
    idle.modules.push_back(
        sinkNamed("idle" + std::to_string(i), Placement::kSandbox, R"({"answer":true})"));
  }
  auto began = Clock::now();
  core.apply(idle);
  out.start_s = secondsSince(began);
  const std::map<std::string, int> pids = core.pids();
  const auto used = [&] {
    double ms = cpuMs(::getpid());
    for (const auto& [name, pid] : pids) ms += pid > 0 ? cpuMs(pid) : 0;
    return ms;
  };
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const double before = used();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  out.idle_cpu_ms = (used() - before) / 3;
  std::vector<double> pss;
  for (const auto& [name, pid] : pids) {
    if (pid > 0) pss.push_back(pssKib(pid));
  }
  out.runner_pss_kib = median(pss);
  out.all_pss_mib = pssKib(::getpid()) / 1024;
  for (const double kib : pss) out.all_pss_mib += kib / 1024;
  core.apply({});
  RuntimeTarget busy;
  for (int i = 0; i < modules / 2; ++i)
    addPair(busy, std::to_string(i), Placement::kSandbox, messages);
  core.apply(busy);
  double first = 0, last = 0;
  for (int i = 0; i < modules / 2; ++i) {
    const Report report = nextReport(core, messages);
    first = first == 0 ? report.first_ns : std::min(first, report.first_ns);
    last = std::max(last, report.last_ns);
    out.wrong += report.wrong;
  }
  out.per_second = static_cast<double>(messages) * (modules / 2) * 1e9 / (last - first);
  core.apply({});
  return out;
}

// What the other routes carry beside a module that sends without end, within its tenth of a core.
Report besideHostile(Core& core, std::uint64_t messages) {
  constexpr std::uint64_t kFloodMin = 10'000;
  core.apply({});
  core.limit("flood", 10);
  core.limit("drain", 10);
  RuntimeTarget hostile;
  hostile.modules = {sourceNamed("flood", Placement::kSandbox,
                                 R"({"count":1000000000000,"bytes":256,"properties":2})"),
                     sinkNamed("drain", Placement::kSandbox, "{}")};
  hostile.routes = {route("flood", "flood/outputs/out", endpoint("drain/in"))};
  core.apply(hostile);
  addPair(hostile, "", Placement::kInProcess, messages);
  core.apply(hostile);
  Report report = nextReport(core, messages);
  // Else there was nothing to be disturbed by.
  for (const RouteStatus& each : core.host().routes()) {
    if (each.name == "flood" && each.messages < kFloodMin)
      report.wrong += kFloodMin - each.messages;
  }
  return report;
}

constexpr std::uint32_t kPauseUs = 500;
constexpr std::uint64_t kMessages = 2'000'000;

}  // namespace

std::vector<Figure> benchSandboxThroughput() {
  const auto services = noServices();
  Core core(2, *services, Core::Sandbox::kYes);
  std::vector<double> through;
  std::uint64_t wrong = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Report report = throughput(core, Placement::kSandbox, kMessages);
    through.push_back(report.per_second);
    wrong += report.wrong;
  }
  using enum Figure::Better;
  return {{"sandbox-route-sandbox, 256 B, 2 properties", "msg/s", median(through), "goal", 4e6, 1.0,
           kHigher},
          {"lost or out of order", "messages", static_cast<double>(wrong), kNone, 0, 0, kLower}};
}

std::vector<Figure> benchSandboxAsleep() {
  const auto services = noServices();
  Core core(2, *services, Core::Sandbox::kYes);
  std::vector<double> asleep, asleep99, bare;
  for (int round = 0; round < kRounds; ++round) {
    bare.push_back(pingPong(2000, kPauseUs).p50_us);
    const Trips slow = roundTrip(core, 2000, kPauseUs);
    asleep.push_back(slow.p50_us);
    asleep99.push_back(slow.p99_us);
  }
  using enum Figure::Better;
  return {
      {"round trip asleep, p50", "us", median(asleep), "eventfd", median(bare), 1.2, kLower},
      {"round trip asleep, p99", "us", median(asleep99), "eventfd-p50", median(bare), 0, kLower}};
}

std::vector<Figure> benchSandboxNeighbour() {
  const auto services = noServices();
  std::vector<Figure> figures;
  std::uint64_t wrong = 0;
  for (const std::uint32_t shards : {2u, 1u}) {
    Core core(shards, *services, Core::Sandbox::kYes);
    (void)throughput(core, Placement::kInProcess, 100'000);
    std::vector<double> alone, beside;
    for (int round = 0; round < kRounds; ++round) {
      const Report undisturbed = throughput(core, Placement::kInProcess, 3 * kMessages);
      const Report disturbed = besideHostile(core, 3 * kMessages);
      alone.push_back(undisturbed.per_second);
      beside.push_back(disturbed.per_second);
      wrong += undisturbed.wrong + disturbed.wrong;
    }
    figures.push_back({fmt::format("in-process routes beside a flood at 10 % CPU, {}",
                                   shards == 1 ? "one shard" : "two shards"),
                       "msg/s", median(beside), "alone", median(alone), 0.95,
                       Figure::Better::kHigher});
  }
  figures.push_back({"lost or out of order", "messages", static_cast<double>(wrong), kNone, 0, 0,
                     Figure::Better::kLower});
  return figures;
}

std::vector<Figure> benchSandbox() {
  constexpr int kCrowd = 100;
  const auto services = noServices();
  Core core(2, *services, Core::Sandbox::kYes);
  (void)throughput(core, Placement::kSandbox, 100'000);
  (void)throughput(core, Placement::kInProcess, 100'000);
  std::vector<double> through, asleep, asleep99, bare, awake, awake99, start, alone, beside;
  std::uint64_t wrong = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Report sandboxed = throughput(core, Placement::kSandbox, kMessages);
    through.push_back(sandboxed.per_second);
    bare.push_back(pingPong(2000, kPauseUs).p50_us);
    const Trips slow = roundTrip(core, 2000, kPauseUs);
    asleep.push_back(slow.p50_us);
    asleep99.push_back(slow.p99_us);
    const Trips fast = roundTrip(core, 100'000, 0);
    awake.push_back(fast.p50_us);
    awake99.push_back(fast.p99_us);
    start.push_back(startToFirstMs(core));
    const Report undisturbed = throughput(core, Placement::kInProcess, 3 * kMessages);
    const Report disturbed = besideHostile(core, 3 * kMessages);
    alone.push_back(undisturbed.per_second);
    beside.push_back(disturbed.per_second);
    wrong += sandboxed.wrong + undisturbed.wrong + disturbed.wrong;
  }
  const Crowd many = crowd(core, kCrowd, 20'000);
  wrong += many.wrong;
  using enum Figure::Better;
  return {
      {"sandbox-route-sandbox, 256 B, 2 properties", "msg/s", median(through), "goal", 4e6, 1.0,
       kHigher},
      {"round trip asleep, p50", "us", median(asleep), "eventfd", median(bare), 1.2, kLower},
      {"round trip asleep, p99", "us", median(asleep99), "eventfd-p50", median(bare), 0, kLower},
      {"round trip awake, p50", "us", median(awake), "goal", 3, 1.0, kLower},
      {"round trip awake, p99", "us", median(awake99), "goal-p50", 3, 0, kLower},
      {"order to first message of a sandboxed module", "ms", median(start), "goal", 40, 1.0,
       kLower},
      {"in-process routes beside a flooding module at 10 % CPU", "msg/s", median(beside), "alone",
       median(alone), 0.95, kHigher},
      {"idle runner, PSS, of 100", "KiB", many.runner_pss_kib, "goal", 1536, 1.0, kLower},
      {"100 sandboxed modules: host and runners, PSS", "MiB", many.all_pss_mib, "goal", 150, 1.0,
       kLower},
      {"100 sandboxed modules: start", "s", many.start_s, "goal", 4, 1.0, kLower},
      {"100 idle sandboxed modules: CPU of host and runners", "ms/s", many.idle_cpu_ms, "goal", 10,
       1.0, kLower},
      {"50 sandboxed pairs at once, 256 B", "msg/s", many.per_second, "one pair", median(through),
       0, kHigher},
      {"lost or out of order", "messages", static_cast<double>(wrong), kNone, 0, 0, kLower},
  };
}

}  // namespace kante::bench
