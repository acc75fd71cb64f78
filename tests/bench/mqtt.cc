// The broker beside mosquitto: CPU a message, messages a second, latency; load from processes of
// their own.
#include <fmt/format.h>

#include "tests/bench/bench.h"
#include "tests/bench/mqtt_load.h"

namespace kante::bench {

namespace {

struct Scene {
  const char* name;
  Load load;
};

// Both brokers in turn, kRounds times.
struct Outcome {
  std::vector<double> ours_cpu, theirs_cpu, ours_rate, theirs_rate, ours_p50, theirs_p50, ours_p99,
      theirs_p99;
  std::uint64_t lost = 0;
};

Outcome compare(const BrokerProcess& ours, const BrokerProcess& theirs, const Load& load) {
  Outcome out;
  Load warm = load;
  warm.messages = load.messages / 10;
  (void)runLoad(ours.port(), ours.pid(), warm);
  (void)runLoad(theirs.port(), theirs.pid(), warm);
  for (int round = 0; round < kRounds; ++round) {
    const LoadResult a = runLoad(ours.port(), ours.pid(), load);
    const LoadResult b = runLoad(theirs.port(), theirs.pid(), load);
    out.ours_cpu.push_back(a.cpu_us);
    out.theirs_cpu.push_back(b.cpu_us);
    out.ours_rate.push_back(a.per_second);
    out.theirs_rate.push_back(b.per_second);
    out.ours_p50.push_back(a.p50_us);
    out.theirs_p50.push_back(b.p50_us);
    out.ours_p99.push_back(a.p99_us);
    out.theirs_p99.push_back(b.p99_us);
    out.lost += a.lost;
  }
  return out;
}

// A session that outlives its client, with 1,000 in flight: what is acknowledged to the publisher
// is on disk, or its receiver has it.  While the receiver reads along hardly anything gets to the
// disk; while it is away everything does.
void benchDurable(const BrokerProcess& ours, const BrokerProcess& theirs,
                  std::vector<Figure>& figures) {
  using enum Figure::Better;
  Load load{1, 1, 1, 100'000};
  load.lasting = true;
  const Outcome out = compare(ours, theirs, load);
  const BrokerProcess saving("", "", BrokerProcess::Saves::kEachSecond);
  std::vector<double> saved;
  for (int round = 0; round < kRounds; ++round)
    saved.push_back(runLoad(saving.port(), saving.pid(), load).per_second);
  figures.push_back({"durable, QoS 1, the receiver reads along: throughput", "msg/s",
                     median(out.ours_rate), "mosquitto without persistence",
                     median(out.theirs_rate), 4.0, kHigher});
  figures.push_back({"the same", "msg/s", median(out.ours_rate), "mosquitto that saves each second",
                     median(saved), 0, kHigher});
  figures.push_back({"the same: broker CPU a message", "us", median(out.ours_cpu), "mosquitto",
                     median(out.theirs_cpu), 0, kLower});
  load.messages = 10'000;  // They wait for it, all of them.
  load.away = true;
  const Outcome away = compare(ours, theirs, load);
  figures.push_back({"durable, QoS 1, the receiver is away: throughput", "msg/s",
                     median(away.ours_rate), "mosquitto without persistence",
                     median(away.theirs_rate), 4.0, kHigher});
}

// One message each millisecond, so that all have gone to sleep when it comes.  Messages lost.
std::uint64_t benchLatency(const BrokerProcess& ours, const BrokerProcess& theirs,
                           std::vector<Figure>& figures) {
  using enum Figure::Better;
  Load paced{1, 1, 0, 2000};
  paced.pause_us = 1000;
  const Outcome out = compare(ours, theirs, paced);
  figures.push_back({"latency at 1,000 messages a second, p50", "us", median(out.ours_p50),
                     "mosquitto", median(out.theirs_p50), 1.0, kLower});
  figures.push_back({"latency at 1,000 messages a second, p99", "us", median(out.ours_p99),
                     "mosquitto", median(out.theirs_p99), 0, kLower});
  figures.push_back({"the same: broker CPU a message", "us", median(out.ours_cpu), "mosquitto",
                     median(out.theirs_cpu), 0, kLower});
  return out.lost;
}

}  // namespace

std::vector<Figure> benchMqttLatency(const std::string& kante) {
  const BrokerProcess ours(kante);
  const BrokerProcess theirs("");
  std::vector<Figure> figures;
  (void)benchLatency(ours, theirs, figures);
  return figures;
}

std::vector<Figure> benchMqtt(const std::string& kante) {
  const BrokerProcess ours(kante);
  const BrokerProcess theirs("");
  std::vector<Figure> figures;
  std::uint64_t lost = 0;
  using enum Figure::Better;
  const Scene scenes[] = {
      {"one to one, QoS 0", {1, 1, 0, 200'000}},  {"ten to one, QoS 0", {10, 1, 0, 200'000}},
      {"one to ten, QoS 0", {1, 10, 0, 50'000}},  {"one to one, QoS 1", {1, 1, 1, 100'000}},
      {"ten to one, QoS 1", {10, 1, 1, 100'000}}, {"one to ten, QoS 1", {1, 10, 1, 20'000}},
  };
  for (const Scene& scene : scenes) {
    const Outcome out = compare(ours, theirs, scene.load);
    lost += out.lost;
    const bool alone = scene.load.publishers == 1 && scene.load.subscribers == 1;
    figures.push_back({fmt::format("{}: broker CPU a message", scene.name), "us",
                       median(out.ours_cpu), "mosquitto", median(out.theirs_cpu), 0.1, kLower});
    figures.push_back({fmt::format("{}: throughput", scene.name), "msg/s", median(out.ours_rate),
                       "mosquitto", median(out.theirs_rate), alone ? 8.0 : 0, kHigher});
  }
  lost += benchLatency(ours, theirs, figures);
  benchDurable(ours, theirs, figures);
  figures.push_back({"lost", "messages", static_cast<double>(lost), kNone, 0, 0, kLower});
  return figures;
}

}  // namespace kante::bench
