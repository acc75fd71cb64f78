// What a whole gateway costs: the time until it works, and the memory that it holds when idle.
#include <chrono>
#include <thread>

#include "tests/bench/bench.h"
#include "tests/bench/gateway_process.h"

namespace kante::bench {

namespace {
// Long enough that start-up work is over and the sensor has ticked again.
constexpr std::chrono::milliseconds kSettle{1500};
}  // namespace

std::vector<Figure> benchStartup(const std::string& kante) {
  std::vector<double> cold, warm, broker;
  for (int round = 0; round < kRounds; ++round) {
    GatewayProcess gateway(kante, 0);
    cold.push_back(gateway.start());  // Admits three bundles first.
    gateway.stop();
    warm.push_back(gateway.start());  // Has its deployment and its bundles.
    gateway.stop();
    broker.push_back(measureMosquitto().start_ms);
  }
  using enum Figure::Better;
  return {
      {"exec to first message at a sink, 3 signed modules", "ms", median(warm), "goal", 50, 1.0,
       kLower},
      {"the same against mosquitto's CONNACK", "ms", median(warm), "mosquitto", median(broker), 0,
       kLower},
      {"first start ever: bundles verified, unpacked, stored", "ms", median(cold), "mosquitto",
       median(broker), 0, kLower},
  };
}

std::vector<Figure> benchFootprint(const std::string& kante) {
  constexpr int kExtra = 32;
  std::vector<double> three, many, broker;
  for (int round = 0; round < 3; ++round) {
    GatewayProcess small(kante, 0);
    (void)small.start();
    std::this_thread::sleep_for(kSettle);
    three.push_back(small.pssKib());
    small.stop();
    GatewayProcess large(kante, kExtra);
    (void)large.start();
    std::this_thread::sleep_for(kSettle);
    many.push_back(large.pssKib());
    large.stop();
    broker.push_back(measureMosquitto().pss_kib);
  }
  using enum Figure::Better;
  const double each = (median(many) - median(three)) / kExtra;
  return {
      {"idle host, store, 3 in-process modules, PSS", "KiB", median(three), "goal", 10 * 1024.0,
       1.0, kLower},
      {"each further in-process instance, PSS", "KiB", each, "goal", 50, 1.0, kLower},
      {"against mosquitto, PSS", "KiB", median(three), "mosquitto", median(broker), 0, kLower},
  };
}

}  // namespace kante::bench
