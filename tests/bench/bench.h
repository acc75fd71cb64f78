// What the benchmarks share: a result with its reference, and a gateway core without its edges.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/placement/local_module_host.h"
#include "tests/bench/modules/bench_module.h"

namespace kante::bench {

// The reference of a figure that must be 0.
inline constexpr const char* kNone = "none allowed";

struct Figure {
  std::string name;
  std::string unit;
  double value = 0;
  std::string reference;
  double reference_value = 0;
  double target = 0;  // Of the ratio; 0: none.
  enum class Better { kHigher, kLower } better = Better::kHigher;

  double ratio() const { return reference_value == 0 ? 0 : value / reference_value; }
  bool met() const {
    if (reference == kNone) return value == 0;
    if (target == 0) return true;
    return better == Better::kHigher ? ratio() >= target : ratio() <= target;
  }
};

double median(std::vector<double> values);
inline constexpr int kRounds = 7;

// Shards, lanes, routes and the two bench modules, loaded from their files through the real ABI.
class Core {
 public:
  enum class Sandbox : bool { kNo, kYes };  // With a launcher, and $upstream as a mailbox.
  Core(std::uint32_t shards, ModuleServices& services, Sandbox sandbox = Sandbox::kNo);
  ~Core();
  // Applies and waits; ends the program with the error's text if it fails.
  void apply(const RuntimeTarget& target);
  ModuleHost& host() { return *host_; }
  // Of the module loaded from this digest in this process.
  BenchFigures& figures(const std::string& digest = "bench-sink");
  // With a sandbox: the next body that a module sent to $upstream.
  std::string nextUpstream();
  // For modules that are made from now on.
  void limit(const std::string& name, std::uint32_t cpu_percent);
  std::map<std::string, int> pids();

 private:
  struct Loop;
  struct Runners;
  std::unique_ptr<Loop> loop_;
  Log log_{Log::Format::kText, LogLevel::kWarn};
  std::unique_ptr<CrashPage> page_;
  std::map<std::string, std::shared_ptr<const LoadedModule>> loaded_;
  std::unique_ptr<Runners> runners_;
  std::unique_ptr<ModuleHost> host_;
};

ModuleSpec sourceSpec(const std::string& config);
ModuleSpec sinkSpec(const std::string& name, const std::string& config);
// Services of a gateway where nobody asks.
std::unique_ptr<ModuleServices> noServices();

// References: messages a second of 256 bytes from one thread to another, in order, none lost.
double zmqInproc(std::uint64_t messages);
double nngInproc(std::uint64_t messages);

std::vector<Figure> benchBus();
std::vector<Figure> benchRoutes();
std::vector<Figure> benchStore();
std::vector<Figure> benchSandbox();
std::vector<Figure> benchSandboxAsleep();  // Its parts that take seconds.
std::vector<Figure> benchSandboxNeighbour();
std::vector<Figure> benchSandboxThroughput();
std::vector<Figure> benchMqtt(const std::string& kante);
std::vector<Figure> benchMqttLatency(
    const std::string& kante);  // Its part that takes half a minute.
std::vector<Figure> benchSessions(const std::string& kante);
std::vector<Figure> benchStartup(const std::string& kante);
std::vector<Figure> benchFootprint(const std::string& kante);

}  // namespace kante::bench
