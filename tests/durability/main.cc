// kante-durability: see scripts/durability and tests/durability/README.md.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>

#include "tests/durability/bridge.h"
#include "tests/durability/rig.h"

namespace {

using namespace kante::durability;

// What mosquitto loses shows long before.
constexpr std::uint64_t kPeerCutsMax = 300;

struct Arguments {
  std::string kante;
  std::string form = "kill";
  std::uint64_t cuts = 100;
  std::uint64_t seed = std::random_device()();
  bool json = false;
  bool self_test = false;
  bool really_sync = false;
  bool into_module = false;
  std::string placement = "sandbox";
  std::uint64_t stop_after = 1;
  std::uint32_t jobs = 1;
  std::uint64_t peer_cuts = 0;  // 0: no comparison.
};

[[noreturn]] void misuse(const std::string& what) {
  std::cerr << "kante-durability: " << what << " (see scripts/durability --help)\n";
  std::exit(2);
}

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&] {
      if (++i == count) misuse(word + " needs a value");
      return std::string(words[i]);
    };
    if (word == "--kante") {
      arguments.kante = value();
    } else if (word == "--form") {
      arguments.form = value();
    } else if (word == "--cuts") {
      arguments.cuts = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--seed") {
      arguments.seed = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--stop-after") {
      arguments.stop_after = std::strtoull(value().c_str(), nullptr, 10);
    } else if (word == "--jobs") {
      arguments.jobs = static_cast<std::uint32_t>(std::strtoul(value().c_str(), nullptr, 10));
    } else if (word == "--peer") {
      if (value() != "mosquitto") misuse("--peer is mosquitto");
      arguments.peer_cuts = std::max<std::uint64_t>(arguments.peer_cuts, 1);
    } else if (word == "--json") {
      arguments.json = true;
    } else if (word == "--self-test") {
      arguments.self_test = true;
    } else if (word == "--into-module") {
      arguments.into_module = true;
    } else if (word == "--placement") {
      arguments.placement = value();
    } else if (word == "--really-sync") {
      arguments.really_sync = true;
    } else {
      misuse("unknown argument '" + word + "'");
    }
  }
  if (arguments.form != "kill" && arguments.form != "power") {
    misuse("--form is kill or power, not '" + arguments.form + "'");
  }
  if (arguments.placement != "sandbox" && arguments.placement != "in-process") {
    misuse("--placement is sandbox or in-process, not '" + arguments.placement + "'");
  }
  if (arguments.cuts == 0) misuse("--cuts is a number from 1");
  if (arguments.peer_cuts != 0) arguments.peer_cuts = std::min(arguments.cuts, kPeerCutsMax);
  if (arguments.jobs == 0 || arguments.jobs > 16) misuse("--jobs is a number from 1 to 16");
  return arguments;
}

Programs programsOf(const Arguments& arguments) {
  namespace fs = std::filesystem;
  const fs::path self = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path build = self.parent_path();
  Programs programs;
  programs.kante = arguments.kante.empty() ? (self / "kante").string() : arguments.kante;
  programs.shim = (build / "durability/durability-shim.so").string();
  programs.modules = (build / "modules").string();
  programs.keys = (build / "dev-keys").string();
  for (const std::string& path :
       {programs.kante, programs.shim, programs.modules + "/durability-load.kmod"}) {
    if (!fs::exists(path)) misuse(path + " is not there: build it first");
  }
  return programs;
}

Form formOf(const Arguments& arguments) {
  return arguments.form == "kill" ? Form::kKill : Form::kPower;
}

Report runOne(const Arguments& arguments, Lie lie) {
  RigOptions options;
  options.programs = programsOf(arguments);
  options.form = formOf(arguments);
  options.cuts = arguments.cuts;
  options.seed = arguments.seed;
  options.lie = lie;
  options.into_module = arguments.into_module;
  options.placement = arguments.placement;
  options.really_sync = arguments.really_sync;
  options.stop_after_violation = arguments.stop_after;
  std::cerr << fmt::format("durability: form {}, modules {}, {} cuts, seed {}\n", arguments.form,
                           arguments.placement, arguments.cuts, arguments.seed);
  return runRigs(options, arguments.jobs);
}

// Each lie must be found; the folder that the finding kept is of no use to anybody.
int selfTest(Arguments arguments) {
  boost::json::object found;
  bool all = true;
  const auto lie = [&](const char* form, const char* name, Lie one) {
    arguments.form = form;
    const Report report = runOne(arguments, one);
    // A store that only a lying disk breaks is a finding as well, and may come first.
    const bool broke = one == Lie::kForgetSyncs && report.set_aside > 0;
    const bool seen = report.verdict.acknowledged_lost > 0 || broke;
    std::cerr << fmt::format("durability: self-test {}: {}\n", name, seen ? "found" : "NOT FOUND");
    found[name] = jsonOf(report, formOf(arguments), arguments.seed);
    all = all && seen;
    std::error_code ignored;
    for (const std::string& folder : report.kept) std::filesystem::remove_all(folder, ignored);
  };
  lie("kill", "ack_before_commit", Lie::kAckBeforeCommit);
  lie("power", "syncs_forgotten", Lie::kForgetSyncs);
  found["found_all"] = all;
  if (arguments.json) std::cout << boost::json::serialize(found) << "\n";
  return all ? 0 : 1;
}

boost::json::array runPeer(const Arguments& arguments) {
  boost::json::array reports;
  for (const Autosave autosave :
       {Autosave::kDefault, Autosave::kEachSecond, Autosave::kEachChange}) {
    const boost::json::object report =
        jsonOf(runBridge(autosave, arguments.peer_cuts, arguments.seed));
    std::cerr << "durability: " << boost::json::serialize(report) << "\n";
    reports.emplace_back(report);
  }
  return reports;
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments = parse(count, words);
  for (const int number : {SIGINT, SIGTERM}) std::signal(number, [](int) { endRigs(); });
  if (arguments.self_test) return selfTest(arguments);
  const Report report = runOne(arguments, Lie::kNone);
  boost::json::object json = jsonOf(report, formOf(arguments), arguments.seed);
  if (arguments.peer_cuts != 0) json["peers"] = runPeer(arguments);
  if (arguments.json) std::cout << boost::json::serialize(json) << "\n";
  if (report.clean()) return 0;
  std::cerr << "durability: NOT CLEAN: " << boost::json::serialize(json) << "\n";
  return 1;
}
