// Against a real dockerd, which all of these share; each has a gateway of its own.
#include "host/container/container_modules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <boost/json.hpp>

#include "host/base/clock.h"
#include "tests/host/container/loop.h"
#include "tests/support/dockerd.h"

namespace kante {
namespace {

using ::testing::Contains;
using testing::Dockerd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Desire = WantedContainer::Desire;
using Restart = WantedContainer::Restart;

constexpr char kForEver[] = "trap 'echo bye; exit 0' TERM; echo up; while true; do sleep 0.1; done";
// Long enough that the engine watches before, and notices before the end.
constexpr char kGreedy[] = "sleep 1; dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1; exit 9";

class ContainerModulesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Dockerd::missing(); !why.empty()) GTEST_SKIP() << why;
    dockerd = &testing::sharedDockerd();
    gateway = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    engine.emplace(loop.io, dockerd->socket());
    begin();
  }
  void TearDown() override {
    if (!modules) return;
    (void)modules->want({});
    EXPECT_TRUE(loop.until([this] { return modules->modules().empty(); }));
  }

  void begin() {
    modules.emplace(
        ContainerModules::Options{loop.io, *engine, clock, gateway, [this] { ++changes; },
                                  [this](const std::string& module, const ContainerLine& line) {
                                    lines.push_back(module + ": " + line.text);
                                  },
                                  std::chrono::milliseconds(100)});
  }
  WantedContainer module(const std::string& name, const std::string& script,
                         const std::string& image = "kante-test:1", std::uint32_t memory_mb = 0) {
    CreateOrder order;
    order.gateway = gateway;
    order.module = name;
    order.image = image;
    order.memory_mb = memory_mb;
    order.create_options = {
        {"Cmd", boost::json::array{"/bin/sh", "-c", boost::json::string(script)}}};
    const auto body = makeCreateBody(order);
    EXPECT_TRUE(body) << body.error().text;
    WantedContainer out;
    out.module = name;
    out.image = image;
    out.body = *body;
    out.stop_s = 1;
    return out;
  }
  WantedContainer module(const std::string& name, const std::string& script, Restart restart) {
    auto out = module(name, script);
    out.restart = restart;
    return out;
  }
  void want(std::vector<WantedContainer> wanted) {
    const Status status = modules->want(std::move(wanted));
    ASSERT_TRUE(status) << status.error().text;
  }
  ContainerStatus status(const std::string& name) {
    for (const auto& one : modules->modules())
      if (one.module == name) return one;
    return {};
  }
  // Waits for it; then how it is.
  ContainerStatus await(const std::string& name, ContainerState state) {
    EXPECT_TRUE(loop.until([&] { return status(name).state == state; }))
        << name << " is " << kante::name(status(name).state) << ": " << status(name).reason;
    return status(name);
  }
  std::string idOf(const std::string& module) {
    return dockerd->docker({"inspect", "-f", "{{.Id}}", containerName(gateway, module)});
  }

  Dockerd* dockerd = nullptr;
  std::string gateway;
  Loop loop;
  SystemClock clock;
  std::optional<Engine> engine;
  std::optional<ContainerModules> modules;
  int changes = 0;
  std::vector<std::string> lines;
};

TEST_F(ContainerModulesTest, MakesWhatIsWantedAndTouchesNothingElse) {
  auto idle = module("idle", kForEver);
  idle.desire = Desire::kStopped;
  want({module("a", kForEver), module("b", kForEver), idle});
  EXPECT_THAT(await("a", ContainerState::kRunning).image_id, HasSubstr("sha256:"));
  await("b", ContainerState::kRunning);
  await("idle", ContainerState::kStopped);
  ASSERT_TRUE(loop.until([&] { return lines.size() >= 2; }));
  EXPECT_THAT(lines, Contains("a: up"));
  EXPECT_TRUE(modules->engine().connected);
  const std::string a = idOf("a"), b = idOf("b");

  want({module("a", std::string(kForEver) + " # new"), module("b", kForEver), idle});
  ASSERT_TRUE(
      loop.until([&] { return status("a").state == ContainerState::kRunning && idOf("a") != a; }));
  EXPECT_EQ(idOf("b"), b);
  EXPECT_EQ(status("a").restarts, 1u);
  EXPECT_EQ(status("a").deaths, 0u);

  want({module("a", std::string(kForEver) + " # new")});
  ASSERT_TRUE(loop.until([&] { return modules->modules().size() == 1; }));
  EXPECT_EQ(dockerd->docker({"ps", "-aq", "--filter", "label=dev.kante.gateway=" + gateway}).size(),
            12u);
}

TEST_F(ContainerModulesTest, AdoptsWhatRunsAlready) {
  want({module("a", kForEver), module("old", kForEver)});
  await("a", ContainerState::kRunning);
  await("old", ContainerState::kRunning);
  ASSERT_TRUE(loop.until([&] { return lines.size() >= 2; }));
  const auto began = status("a").started_wall_ns;
  lines.clear();
  modules.reset();  // As a process that ends.
  begin();
  want({module("a", kForEver)});
  await("a", ContainerState::kRunning);
  EXPECT_EQ(status("a").started_wall_ns, began);
  EXPECT_EQ(status("a").restarts, 0u);
  ASSERT_TRUE(loop.until([&] { return modules->modules().size() == 1; }));  // Not the old one.
  dockerd->docker({"kill", "-s", "TERM", containerName(gateway, "a")});
  ASSERT_TRUE(loop.until([&] { return !lines.empty(); }));
  EXPECT_EQ(lines.front(), "a: bye");  // What was told is not told again.
}

TEST_F(ContainerModulesTest, BeginsByItsRuleWhatEnds) {
  want({module("always", "echo life; exit 3"), module("well", "exit 0", Restart::kOnFailure),
        module("once", "exit 4", Restart::kNever)});
  ASSERT_TRUE(loop.until([&] { return status("always").restarts >= 3; }));
  EXPECT_EQ(status("always").reason, "exited with 3");
  EXPECT_GE(status("always").deaths, 3u);
  EXPECT_TRUE(
      loop.until([&] { return std::count(lines.begin(), lines.end(), "always: life") >= 3; }));
  await("well", ContainerState::kStopped);
  EXPECT_EQ(await("once", ContainerState::kFailed).reason, "exited with 4");
  EXPECT_EQ(status("once").restarts, 0u);
  EXPECT_EQ(status("well").restarts, 0u);
  ASSERT_TRUE(modules->restart("once"));
  ASSERT_TRUE(loop.until([&] { return status("once").deaths == 2; }));
  EXPECT_EQ(status("once").restarts, 1u);
  EXPECT_EQ(status("well").deaths, 1u);  // However often it is looked at.
  EXPECT_EQ(modules->restart("none").error().code, Errc::kNotFound);
}

TEST_F(ContainerModulesTest, SaysWhatEndedALife) {
  want({module("killed", kForEver), module("greedy", kGreedy, "kante-test:1", 16)});
  ASSERT_TRUE(loop.until([&] { return status("greedy").deaths > 0; }));
  // Podman 4.3 notices that with control groups of version 1, and tells nobody.
  EXPECT_EQ(status("greedy").reason,
            testing::isPodman() ? "exited with 9" : "had no more memory, exited with 9");
  await("killed", ContainerState::kRunning);
  dockerd->docker({"kill", "-s", "KILL", containerName(gateway, "killed")});
  ASSERT_TRUE(loop.until([&] { return status("killed").restarts == 1; }));
  EXPECT_EQ(status("killed").reason, "ended by signal 9");
  await("killed", ContainerState::kRunning);
}

TEST_F(ContainerModulesTest, FindsThemAgainWhenTheEngineWasKilled) {
  want({module("a", kForEver), module("b", kForEver), module("gone", kForEver)});
  for (const char* name : {"a", "b", "gone"}) await(name, ContainerState::kRunning);
  const auto began = status("a").started_wall_ns;
  const int pid =
      std::stoi(dockerd->docker({"inspect", "-f", "{{.State.Pid}}", containerName(gateway, "b")}));
  dockerd->kill();
  ASSERT_TRUE(loop.until([&] { return !modules->engine().connected; }));
  EXPECT_FALSE(modules->engine().why.empty());
  EXPECT_EQ(modules->restart("a").error().code, Errc::kUnavailable);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);                    // While nobody looks.
  want({module("a", kForEver), module("b", kForEver)});  // And while nobody can remove it.
  dockerd->start();
  ASSERT_TRUE(loop.until([&] { return modules->engine().connected; }));
  ASSERT_TRUE(loop.until([&] { return status("b").restarts == 1; })) << status("b").reason;
  await("a", ContainerState::kRunning);
  EXPECT_EQ(status("a").started_wall_ns, began);
  EXPECT_EQ(status("a").restarts, 0u);
  ASSERT_TRUE(loop.until([&] { return modules->modules().size() == 2; }));
  ASSERT_TRUE(modules->restart("a"));
  ASSERT_TRUE(loop.until([&] { return status("a").restarts == 1; }));
}

TEST_F(ContainerModulesTest, LeavesAloneWhatIsNotItsOwn) {
  const std::string name = containerName(gateway, "a");
  dockerd->docker({"create", "--name", name, "kante-test:1", "/bin/true"});
  const std::string id = idOf("a");
  want({module("a", kForEver)});
  EXPECT_THAT(await("a", ContainerState::kBackoff).reason,
              HasSubstr("a container " + name + " is there and not of this gateway"));
  EXPECT_EQ(idOf("a"), id);
  dockerd->docker({"rm", name});
  await("a", ContainerState::kRunning);
}

TEST_F(ContainerModulesTest, SaysWhyAnImageIsNotThere) {
  auto never = module("never", kForEver, "kante-missing:1");
  never.pull = WantedContainer::Pull::kNever;
  want({never, module("away", kForEver, "127.0.0.1:9/x:1"), module("broken", kForEver)});
  EXPECT_THAT(await("never", ContainerState::kBackoff).reason,
              HasSubstr("image kante-missing:1 is not there and is never pulled"));
  EXPECT_THAT(await("away", ContainerState::kBackoff).reason, HasSubstr("pull image 127.0.0.1:9"));
  dockerd->docker({"tag", "kante-test:1", "kante-missing:1"});
  await("never", ContainerState::kRunning);  // Tried again, and there it is.
  want({module("away", kForEver)});
  await("away", ContainerState::kRunning);
}

TEST_F(ContainerModulesTest, StopsAllAndBeginsThemLater) {
  want({module("a", kForEver, Restart::kNever), module("b", kForEver)});
  await("a", ContainerState::kRunning);
  await("b", ContainerState::kRunning);
  std::optional<Status> stopped;
  modules->stopAll([&](Status status) { stopped = std::move(status); });
  ASSERT_TRUE(loop.until([&] { return stopped.has_value(); }));
  EXPECT_TRUE(*stopped);
  EXPECT_EQ(dockerd->docker({"ps", "-q", "--filter", "label=dev.kante.gateway=" + gateway}), "");
  EXPECT_EQ(status("a").deaths, 0u);
  modules.reset();
  begin();
  want({module("a", kForEver, Restart::kNever), module("b", kForEver)});
  await("a", ContainerState::kRunning);
  await("b", ContainerState::kRunning);
}

TEST_F(ContainerModulesTest, RemovesImagesThatNobodyNames) {
  for (const char* tag : {"kante-old:1", "kante-kept:1", "kante-used:1"})
    dockerd->docker({"tag", "kante-test:1", tag});
  want({module("a", kForEver, "kante-used:1")});
  await("a", ContainerState::kRunning);
  const auto gone = loop.result<std::vector<std::string>>([this](auto then) {
    modules->sweepImages({"kante-old:1", "kante-kept:1", "kante-used:1"}, {"kante-kept:1"}, then);
    return Engine::Call();
  });
  ASSERT_TRUE(gone) << gone.error().text;
  EXPECT_THAT(*gone, ElementsAre("kante-old:1"));
  const std::string left = dockerd->docker({"images", "--format", "{{.Repository}}"});
  EXPECT_THAT(left, HasSubstr("kante-kept"));
  EXPECT_THAT(left, ::testing::Not(HasSubstr("kante-old")));
}

TEST_F(ContainerModulesTest, BoundsWhatAFloodOfLinesCosts) {
  want({module("a",
               "trap 'exit 0' TERM; i=0; while [ $i -lt 5000 ]; do echo line; i=$((i+1)); done; "
               "while true; do echo end; sleep 0.5; done")});
  ASSERT_TRUE(loop.until([&] { return !lines.empty() && lines.back() == "a: end"; }));
  EXPECT_LT(lines.size(), 5000u);
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("lines left out: too many a second)") != std::string::npos;
  }));
}

TEST(ContainerModules, WaitForAnEngineThatIsNotThere) {
  Loop loop;
  SystemClock clock;
  Engine engine(loop.io, "/nowhere/engine.sock");
  int changes = 0;
  ContainerModules modules({loop.io, engine, clock, "g", [&changes] { ++changes; }, {}});
  WantedContainer wanted;
  wanted.module = "a";
  ASSERT_TRUE(modules.want({wanted}));
  EXPECT_EQ(modules.want({wanted, wanted}).error().code, Errc::kInvalid);
  EXPECT_EQ(modules.want(std::vector<WantedContainer>(513, wanted)).error().code, Errc::kLimit);
  ASSERT_TRUE(loop.until([&] { return changes >= 3; }));
  EXPECT_FALSE(modules.engine().connected);
  EXPECT_THAT(modules.engine().why, HasSubstr("no container engine at /nowhere/engine.sock"));
  ASSERT_EQ(modules.modules().size(), 1u);
  EXPECT_EQ(modules.modules().front().state, ContainerState::kUnknown);
  std::optional<Status> stopped;
  modules.stopAll([&](Status status) { stopped = std::move(status); });
  ASSERT_TRUE(loop.until([&] { return stopped.has_value(); }));
  EXPECT_EQ(stopped->error().code, Errc::kUnavailable);
}

}  // namespace
}  // namespace kante
