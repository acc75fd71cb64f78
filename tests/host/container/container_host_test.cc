// The host of both: the order of a change, and the way back.  With a real dockerd where containers
// have to run.
#include "host/container/container_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/metrics.h"
#include "tests/host/container/loop.h"
#include "tests/support/dockerd.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kForEver[] = R"({"Cmd":["/bin/sh","-c","while true; do sleep 0.1; done"]})";
constexpr char kFails[] = R"({"Cmd":["/bin/sh","-c","exit 7"]})";

// Modules that are no containers: says what it was asked.
class Others final : public ModuleHost {
 public:
  void apply(RuntimeTarget target, Applied applied) override {
    applied_targets.push_back(target);
    if (before_answer) before_answer();
    if (!refuse.empty()) return applied(fail(Errc::kInvalid, refuse));
    ApplyReport report;
    for (const ModuleSpec& spec : target.modules) report.started.push_back(spec.name);
    applied(std::move(report));
  }
  void restart(const std::string&, Done done) override { done({}); }
  void stop(const std::string&, Done done) override { done({}); }
  void start(const std::string&, Done done) override { done({}); }
  void move(const std::string&, Placement, const std::string&, Done done) override { done({}); }
  Room roomFor(const RuntimeTarget&) const override { return Room::kEnough; }
  Status check(const RuntimeTarget&) override { return {}; }
  void saveAll(SavedAll saved) override { saved(Saved()); }
  void resume() override {}
  void shutDown(std::function<void()> done) override { done(); }
  std::vector<ModuleStatus> modules() const override { return {}; }
  std::vector<RouteStatus> routes() const override { return {}; }
  DropCounts dropped() const override { return {}; }
  std::size_t loadsUsed() const override { return 0; }
  std::size_t loadsMax() const override { return 1; }
  void collect(MetricWriter&) const override {}

  std::vector<RuntimeTarget> applied_targets;
  std::function<void()> before_answer;
  std::string refuse;
};

class ContainerHostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    gateway = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  void TearDown() override {
    if (!host) return;
    (void)apply({});
    EXPECT_TRUE(loop.until([this] { return left == entered; }));
  }

  void begin(const std::string& socket) {
    engine.emplace(loop.io, socket);
    host = std::make_unique<ContainerHost>(ContainerHost::Options{
        loop.io, others, *engine, clock, log, gateway,
        [this](const ModuleSpec& module) -> Result<ContainerPlace> {
          if (module.name == no_place) return fail(Errc::kIo, "the password cannot be read");
          entered.insert(module.name);
          left.erase(module.name);
          return ContainerPlace{.network = "none", .environment = {}, .binds = {}, .hosts = {}};
        },
        [this](const std::string& module) { left.insert(module); }, nullptr,
        [this](const std::string& kind, const std::string& module, const std::string&) {
          events.push_back(kind + " " + module);
        }});
  }
  // False: the test is to be skipped.
  bool beginWithEngine() {
    if (!testing::Dockerd::missing().empty()) return false;
    begin(testing::sharedDockerd().socket());
    return true;
  }

  static ModuleSpec container(const std::string& name, const char* options = kForEver,
                              std::vector<std::string> after = {}) {
    ModuleSpec spec;
    spec.name = name;
    spec.placement = Placement::kContainer;
    spec.container.image = "kante-test:1";
    spec.container.create_options = options;
    spec.start_after = std::move(after);
    spec.stop_ms = 100;
    return spec;
  }
  static ModuleSpec native(const std::string& name, std::vector<std::string> after = {}) {
    ModuleSpec spec;
    spec.name = name;
    spec.start_after = std::move(after);
    return spec;
  }
  static RuntimeTarget of(std::vector<ModuleSpec> modules) {
    RuntimeTarget target;
    target.modules = std::move(modules);
    return target;
  }
  Result<ApplyReport> apply(RuntimeTarget target) {
    std::optional<Result<ApplyReport>> said;
    host->apply(std::move(target),
                [&said](Result<ApplyReport> report) { said = std::move(report); });
    EXPECT_TRUE(loop.until([&said] { return said.has_value(); }));
    return std::move(*said);
  }
  ModuleStatus status(const std::string& name) {
    for (const auto& one : host->modules())
      if (one.name == name) return one;
    return {};
  }
  static std::vector<std::string> namesOf(const RuntimeTarget& target) {
    std::vector<std::string> out;
    for (const ModuleSpec& spec : target.modules) out.push_back(spec.name);
    return out;
  }

  Loop loop;
  SystemClock clock;
  Log log{Log::Format::kSilent};
  std::string gateway;
  Others others;
  std::optional<Engine> engine;
  std::set<std::string> entered, left;
  std::string no_place;  // Who is nobody for the hub.
  std::vector<std::string> events;
  std::unique_ptr<ContainerHost> host;
};

TEST_F(ContainerHostTest, WithoutContainersNobodyLooksForAnEngine) {
  begin("/nowhere/docker.sock");
  const auto report = apply(of({native("a")}));
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_THAT(report->started, ElementsAre("a"));
  EXPECT_FALSE(host->isUsed());
  loop.io.restart();
  EXPECT_EQ(loop.io.poll(), 0u);
}

TEST_F(ContainerHostTest, WithoutAnEngineAContainerIsRefusedAndNothingChanges) {
  begin("/nowhere/docker.sock");
  const auto report = apply(of({native("a"), container("c")}));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().text, HasSubstr("module c: a container needs an engine"));
  EXPECT_THAT(report.error().text, HasSubstr("/nowhere/docker.sock"));
  EXPECT_THAT(others.applied_targets, IsEmpty());
  EXPECT_THAT(left, ElementsAre("c"));  // Nobody is left behind in the registry.
}

TEST_F(ContainerHostTest, AtAStartTheOthersRunWithoutTheEngine) {
  begin("/nowhere/docker.sock");
  RuntimeTarget target = of({native("a"), container("c")});
  target.on_start_failure = OnStartFailure::kBackOff;
  const auto report = apply(target);
  ASSERT_TRUE(report) << report.error().text;
  ASSERT_EQ(others.applied_targets.size(), 1u);
  EXPECT_THAT(namesOf(others.applied_targets[0]), ElementsAre("a"));
  EXPECT_EQ(status("c").state, ModuleState::kBackoff);
  EXPECT_THAT(status("c").last_exit, HasSubstr("the container engine is away"));
  host.reset();  // Its container cannot go as long as there is no engine.
}

TEST_F(ContainerHostTest, AtAStartOneWithoutAPlaceDoesNotKeepTheOthersDown) {
  begin("/nowhere/docker.sock");
  no_place = "c";
  RuntimeTarget target = of({native("a"), container("c")});
  EXPECT_EQ(apply(target).error().text, "module c: the password cannot be read");
  target.on_start_failure = OnStartFailure::kBackOff;
  const auto report = apply(target);
  ASSERT_TRUE(report) << report.error().text;
  ASSERT_EQ(others.applied_targets.size(), 1u);
  EXPECT_EQ(status("c").state, ModuleState::kFailed);
  EXPECT_EQ(status("c").last_exit, "the password cannot be read");
  EXPECT_THAT(events, ElementsAre("module.failed c"));
  ASSERT_TRUE(apply(of({native("a")})));
  EXPECT_THAT(host->modules(), IsEmpty());
  host.reset();
}

TEST_F(ContainerHostTest, AChainThereAndBackIsRefused) {
  begin("/nowhere/docker.sock");
  const auto report = apply(of({native("a"), container("c", kForEver, {"a"}), native("b", {"c"})}));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().text, HasSubstr("module b waits for the container c"));
  EXPECT_FALSE(host->check(of({native("a"), container("c", kForEver, {"a"}), native("b", {"c"})})));
}

TEST_F(ContainerHostTest, ComesInTheOrderOfWhatWaitsForWhat) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  std::vector<ModuleState> then;
  others.before_answer = [&] { then = {status("first").state, status("last").state}; };
  const auto report =
      apply(of({native("a", {"first"}), container("first"), container("last", kForEver, {"a"})}));
  others.before_answer = nullptr;
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_THAT(then, ElementsAre(ModuleState::kRunning, ModuleState::kStarting));
  EXPECT_EQ(status("last").state, ModuleState::kRunning);
  EXPECT_THAT(report->started, ElementsAre("a", "first", "last"));
  EXPECT_THAT(others.applied_targets[0].modules[0].start_after, IsEmpty());
  EXPECT_THAT(events, ElementsAre("module.started first", "module.started last"));
}

TEST_F(ContainerHostTest, WhatStaysIsNotTouched) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  ASSERT_TRUE(apply(of({container("stays"), container("goes")})));
  const std::int64_t since = status("stays").started_wall_ns;
  const auto report = apply(of({container("stays"), native("a")}));
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_THAT(report->untouched, ElementsAre("stays"));
  EXPECT_THAT(report->stopped, ElementsAre("goes"));
  EXPECT_EQ(status("stays").started_wall_ns, since);
  EXPECT_TRUE(loop.until([this] { return left.contains("goes"); }));
}

TEST_F(ContainerHostTest, OneThatFailsIsTakenBackBeforeTheOthersChange) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  ASSERT_TRUE(apply(of({container("c")})));
  others.applied_targets.clear();
  const auto report = apply(of({container("c", kFails), container("new"), native("a")}));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().text, HasSubstr("module c: exited with 7"));
  EXPECT_THAT(others.applied_targets, IsEmpty());
  EXPECT_TRUE(loop.until([this] { return status("c").state == ModuleState::kRunning; }));
  EXPECT_TRUE(loop.until([this] { return left.contains("new"); }));
}

TEST_F(ContainerHostTest, WhenTheOthersRefuseContainersAreTakenBack) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  others.refuse = "no such input";
  const auto report = apply(of({container("c"), native("a")}));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().text, "no such input");
  others.refuse.clear();
  EXPECT_TRUE(loop.until([this] { return left.contains("c"); }));
  EXPECT_THAT(host->modules(), IsEmpty());
}

TEST_F(ContainerHostTest, WhenALateOneFailsTheOthersGoBack) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  ASSERT_TRUE(apply(of({native("old")})));
  const auto report = apply(of({native("a"), container("late", kFails, {"a"})}));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().text, HasSubstr("module late: exited with 7"));
  ASSERT_EQ(others.applied_targets.size(), 3u);
  EXPECT_THAT(namesOf(others.applied_targets[2]), ElementsAre("old"));
  EXPECT_TRUE(others.applied_targets[2].goes_back);
  EXPECT_EQ(others.applied_targets[2].on_start_failure, OnStartFailure::kBackOff);
}

TEST_F(ContainerHostTest, AnImageThatCannotBeHadIsRefusedWhileAllRunsOn) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  ASSERT_TRUE(apply(of({container("c")})));
  const std::int64_t since = status("c").started_wall_ns;
  ModuleSpec other = container("c");
  other.container.image = "localhost:1/none:1";
  const auto report = apply(of({other}));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().text, HasSubstr("localhost:1/none:1"));
  EXPECT_EQ(status("c").started_wall_ns, since);
}

TEST_F(ContainerHostTest, IsStoppedAndStartedByOrder) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  ASSERT_TRUE(apply(of({container("c")})));
  const auto order = [this](auto what) {
    return loop.result<void>([&](auto done) {
      what(std::move(done));
      return nullptr;
    });
  };
  ASSERT_TRUE(order([this](auto done) { host->stop("c", std::move(done)); }));
  EXPECT_EQ(status("c").state, ModuleState::kStopped);
  ASSERT_TRUE(order([this](auto done) { host->start("c", std::move(done)); }));
  EXPECT_EQ(status("c").state, ModuleState::kRunning);
  const std::int64_t since = status("c").started_wall_ns;
  ASSERT_TRUE(order([this](auto done) { host->restart("c", std::move(done)); }));
  EXPECT_NE(status("c").started_wall_ns, since);
  const auto moved =
      order([this](auto done) { host->move("c", Placement::kSandbox, "", std::move(done)); });
  EXPECT_THAT(moved.error().text, HasSubstr("deploy \"c\""));
}

TEST_F(ContainerHostTest, RunsOnIntoTheNextLifeAndEndsWithTheGateway) {
  if (!beginWithEngine()) GTEST_SKIP() << testing::Dockerd::missing();
  const auto down = [this] {
    bool done = false;
    host->shutDown([&done] { done = true; });
    EXPECT_TRUE(loop.until([&done] { return done; }));
    host.reset();
  };
  ASSERT_TRUE(apply(of({container("c")})));
  const std::int64_t since = status("c").started_wall_ns;
  host->saveAll([](const Result<ModuleHost::Saved>&) {});
  down();
  begin(testing::sharedDockerd().socket());
  RuntimeTarget target = of({container("c")});
  target.on_start_failure = OnStartFailure::kBackOff;
  ASSERT_TRUE(apply(target));
  EXPECT_EQ(status("c").started_wall_ns, since);
  down();
  const std::string left_there = testing::sharedDockerd().docker(
      {"inspect", "--format", "{{.State.Running}}", containerName(gateway, "c")});
  EXPECT_EQ(left_there, "false");
  testing::sharedDockerd().docker({"rm", "-f", containerName(gateway, "c")});
}

}  // namespace
}  // namespace kante
