// A life of an agent whose process can be killed between any two of its writes.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "tests/host/agent/agent_kit.h"

namespace kante::test {

// Every write goes to a file at once, and the process is killed at step number `deadly`.
class FileMap final : public DurableMap {
 public:
  explicit FileMap(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
  }
  Result<std::map<std::string, std::string>> readAll() override {
    std::map<std::string, std::string> all;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      KANTE_TRY(bytes, readFile(file.path(), 1 << 20));
      KANTE_TRY(key, percentDecode(file.path().filename().string()));
      all[key] = bytes;
    }
    return all;
  }
  Status put(const std::string& key, const std::string& value) override {
    step();
    KANTE_TRY(folder, openDirectory(folder_));
    return replaceFile(folder.get(), percentEncode(key), value);
  }
  Status erase(const std::string& key) override {
    step();
    std::filesystem::remove(folder_ + "/" + percentEncode(key));
    return {};
  }
  void sync(std::function<void(Status)> done) override {
    step();
    done({});
  }
  int deadly = 0;  // 0: never.
  int steps = 0;

 private:
  void step() {
    if (++steps == deadly) ::kill(::getpid(), SIGKILL);
  }
  std::string folder_;
};

struct Life {
  explicit Life(Gateway& from, int deadly = 0)
      : gateway(from), journal(from.dir.path() + "/journal") {
    journal.deadly = deadly;
    bundles.emplace(BundleStore::open(gateway.dir.fd()).value());
    twins = Twins::open(twin_map).value();
    agent = Agent::open({*bundles, host, *twins, journal, gateway.clock, gateway.log,
                         [this] { return policyFor(*gateway.trust); }, Upstream::kServed,
                         Agent::Handover{{}, {}, [this] { left = true; }}, nullptr,
                         "module x brought it down"})
                .value();
  }
  bool apply(const std::string& text) {
    bool committed = false;
    agent->apply(gateway.request(text),
                 [&](const Result<ApplyOutcome>& outcome) { committed = outcome.has_value(); });
    return committed;
  }
  Gateway& gateway;
  bool left = false;
  FileMap journal;
  MemoryMap twin_map;
  RecordingHost host;
  std::optional<BundleStore> bundles;
  std::unique_ptr<Twins> twins;
  std::unique_ptr<Agent> agent;
};

}  // namespace kante::test
