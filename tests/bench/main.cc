// kante-bench NAME [--json]: figures beside their references, from one run.
#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "tests/bench/bench.h"

namespace {

using kante::bench::Figure;

void printJson(const std::string& bench, const std::vector<Figure>& figures) {
  boost::json::array results;
  for (const Figure& figure : figures) {
    results.push_back({{"name", figure.name},
                       {"unit", figure.unit},
                       {"value", figure.value},
                       {"reference", figure.reference},
                       {"reference_value", figure.reference_value},
                       {"ratio", figure.ratio()},
                       {"target", figure.target},
                       {"met", figure.met()}});
  }
  std::cout << boost::json::serialize(boost::json::object{{"bench", bench}, {"results", results}})
            << "\n";
}

void printTable(const std::string& bench, const std::vector<Figure>& figures) {
  fmt::print("{}\n", bench);
  for (const Figure& figure : figures) {
    const std::string verdict =
        figure.target == 0 && figure.reference != kante::bench::kNone
            ? ""
            : fmt::format("  target {:.2f}  {}", figure.target, figure.met() ? "met" : "MISSED");
    fmt::print("  {:<56} {:>14.1f} {:<9} {:>12} {:>14.1f}  ratio {:>7.2f}{}\n", figure.name,
               figure.value, figure.unit, figure.reference, figure.reference_value, figure.ratio(),
               verdict);
  }
}

int usage() {
  std::fprintf(stderr,
               "usage: kante-bench "
               "bus|sandbox|sandbox-asleep|sandbox-neighbour|sandbox-throughput|mqtt|mqtt-latency|"
               "sessions|routes|"
               "store|startup|"
               "footprint [--json]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return usage();
  const std::string bench = argv[1];
  const bool json = argc > 2 && std::strcmp(argv[2], "--json") == 0;
  if (argc > (json ? 3 : 2)) return usage();
  const std::string kante =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "kante").string();
  std::vector<Figure> figures;
  if (bench == "bus") {
    figures = kante::bench::benchBus();
  } else if (bench == "sandbox") {
    figures = kante::bench::benchSandbox();
  } else if (bench == "sandbox-throughput") {
    figures = kante::bench::benchSandboxThroughput();
  } else if (bench == "sandbox-neighbour") {
    figures = kante::bench::benchSandboxNeighbour();
  } else if (bench == "sandbox-asleep") {
    figures = kante::bench::benchSandboxAsleep();
  } else if (bench == "routes") {
    figures = kante::bench::benchRoutes();
  } else if (bench == "store") {
    figures = kante::bench::benchStore();
  } else if (bench == "mqtt") {
    figures = kante::bench::benchMqtt(kante);
  } else if (bench == "mqtt-latency") {
    figures = kante::bench::benchMqttLatency(kante);
  } else if (bench == "sessions") {
    figures = kante::bench::benchSessions(kante);
  } else if (bench == "startup") {
    figures = kante::bench::benchStartup(kante);
  } else if (bench == "footprint") {
    figures = kante::bench::benchFootprint(kante);
  } else {
    return usage();
  }
  if (json) {
    printJson(bench, figures);
  } else {
    printTable(bench, figures);
  }
  return 0;
}
