// The process ends between any two writes of a change; the next start finds the old deployment or
// the new one, whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

using test::document;
using test::Gateway;

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
  explicit Life(Gateway& from) : gateway(from), journal(from.dir.path() + "/journal") {
    bundles.emplace(BundleStore::open(gateway.dir.fd()).value());
    twins = Twins::open(twin_map).value();
    agent = Agent::open({*bundles, host, *twins, journal, gateway.clock, gateway.log,
                         [this] { return test::policyFor(*gateway.trust); }, Upstream::kServed})
                .value();
  }
  bool apply(const std::string& text) {
    bool committed = false;
    agent->apply(gateway.request(text),
                 [&](const Result<ApplyOutcome>& outcome) { committed = outcome.has_value(); });
    return committed;
  }
  Gateway& gateway;
  FileMap journal;
  MemoryMap twin_map;
  test::RecordingHost host;
  std::optional<BundleStore> bundles;
  std::unique_ptr<Twins> twins;
  std::unique_ptr<Agent> agent;
};

const std::string kSecond = document(2, R"("config":{"a":2})");

// Applies version 2 over version 1 in a process of its own that dies at `deadly`; whether it died.
bool diesAt(Gateway& gateway, int deadly) {
  const pid_t child = ::fork();
  if (child == 0) {
    Life life(gateway);
    life.agent->start([](const Result<ApplyOutcome>&) {});
    life.journal.steps = 0;
    life.journal.deadly = deadly;
    ::_exit(life.apply(kSecond) ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) {
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    return true;
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return false;
}

TEST(AgentCrash, AtAnyInstantLeavesTheOldDeploymentOrTheNew) {
  bool old_seen = false;
  bool new_seen = false;
  bool died = true;
  for (int deadly = 1; died && deadly < 50; ++deadly) {
    SCOPED_TRACE("killed at step " + std::to_string(deadly));
    Gateway gateway;
    ASSERT_TRUE(Life(gateway).apply(document(1)));
    died = diesAt(gateway, deadly);
    Life life(gateway);
    Result<ApplyOutcome> started = fail(Errc::kState, "not answered");
    life.agent->start([&](Result<ApplyOutcome> outcome) { started = std::move(outcome); });
    ASSERT_TRUE(started) << started.error().text;
    const auto version = life.agent->status().version;
    ASSERT_TRUE(version == 1 || version == 2);
    EXPECT_EQ(life.host.targets.at(0).modules.at(0).config, version == 1 ? "{}" : R"({"a":2})");
    for (const auto& entry : life.agent->history())
      EXPECT_EQ(entry.state, entry.version <= version ? "committed" : "rolled-back");
    (version == 1 ? old_seen : new_seen) = true;
    if (version == 1) {
      EXPECT_TRUE(life.apply(kSecond));  // What was cut off can be tried again.
    }
    EXPECT_EQ(life.agent->status().version, 2u);
  }
  EXPECT_TRUE(old_seen);
  EXPECT_TRUE(new_seen);
  EXPECT_FALSE(died);
}

}  // namespace
}  // namespace kante
