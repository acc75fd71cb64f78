// Durable routes into modules: every message ends once it is settled, and comes again until then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <numeric>

#include "host/placement/intake.h"
#include "tests/kits/module_kit.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using Numbers = std::vector<std::uint64_t>;

Numbers range(std::uint64_t from, std::uint64_t to) {
  Numbers numbers(to - from);
  std::iota(numbers.begin(), numbers.end(), from);
  return numbers;
}

std::string counting(int count) { return R"({"count":)" + std::to_string(count) + "}"; }

class Settlement : public ::testing::TestWithParam<PlacementUnderTest> {
 protected:
  ~Settlement() override {
    kit_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
  // A host over the same data, after the one before it ended.
  ModuleKit& kit(std::uint32_t shards = 1) {
    if (!kit_) {
      ModuleKit::Options options;
      options.data_dir = dir_;
      options.shards = shards;
      kit_ = std::make_unique<ModuleKit>(GetParam(), options);
    }
    return *kit_;
  }
  void restart() { kit_.reset(); }

  // A source, durable into a settler "m", which goes into $upstream.
  RuntimeTarget target(const std::string& source, const std::string& settler,
                       const std::string& copy = "") {
    RuntimeTarget target;
    target.modules = {kit().spec("s", "source", source), kit().spec("m", "settler", settler, copy)};
    target.routes = {ModuleKit::durable(ModuleKit::route("s/out", "m/in")),
                     ModuleKit::route("m/out", "$upstream")};
    return target;
  }
  void apply(RuntimeTarget wanted) {
    const auto applied = kit().apply(std::move(wanted));
    ASSERT_TRUE(applied.has_value()) << applied.error().text;
  }
  void run(int count, const std::string& settler) { apply(target(counting(count), settler)); }
  void runIdle(const std::string& settler, const std::string& copy = "") {
    apply(target(R"({"idle":1})", settler, copy));
  }
  bool upstreamHas(const Numbers& numbers) {
    return eventually([&] { return kit().upstream.numbers("module/m/out") == numbers; });
  }
  // Waits until this many are in the queue on disk.
  bool queueHolds(std::size_t count) {
    return eventually([&] { return kit().inspect("module/m/in").size() == count; });
  }
  std::vector<std::string> got() {
    std::vector<std::string> lines;
    for (const std::string& line : kit().lines("m")) {
      if (line.starts_with("got ")) lines.push_back(line.substr(4));
    }
    return lines;
  }
  static std::vector<std::string> each(const Numbers& numbers, int earlier) {
    std::vector<std::string> lines;
    for (const auto number : numbers)
      lines.push_back(std::to_string(number) + " earlier " + std::to_string(earlier));
    return lines;
  }
  // Runs it in a process of its own, which then ends as by a power cut.
  void crashAfter(const std::function<void()>& work) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      work();
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  std::string dir_ = [] {
    char name[] = "/tmp/kante-kit-XXXXXX";
    return std::string(::mkdtemp(name));
  }();
  std::unique_ptr<ModuleKit> kit_;
};

TEST_P(Settlement, OkEndsAMessageAndWhatWasMadeOfItGoesOn) {
  run(150, "{}");
  EXPECT_TRUE(upstreamHas(range(0, 150)));
  EXPECT_TRUE(queueHolds(0));
  EXPECT_FALSE(kit().saw("m", "no token"));
  EXPECT_EQ(got(), each(range(0, 150), 0));
  EXPECT_EQ(kit().routeStatus("s_out-m_in").messages, 150u);
}

TEST_P(Settlement, PendingKeepsItUntilItIsSettled) {
  run(10, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 9 "));
  EXPECT_TRUE(queueHolds(10));
  EXPECT_EQ(kit().call("m", "settle")->first, 200);
  EXPECT_TRUE(queueHolds(0));
  EXPECT_EQ(got().size(), 10u);
}

TEST_P(Settlement, ATokenIsSettledOnceAndAnUnknownOneIsNotFound) {
  run(2, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 1 "));
  EXPECT_EQ(kit().call("m", "twice")->first, 200);
  EXPECT_TRUE(queueHolds(1));
}

TEST_P(Settlement, AModulesOwnThreadSettlesAfterWhatItEmitted) {
  run(500, R"({"thread":1,"quiet":1})");
  EXPECT_TRUE(upstreamHas(range(0, 500)));
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, WhatTheModuleHasSettledItselfIsOverWhateverItAnswers) {
  run(100, R"({"both":1,"quiet":1})");
  EXPECT_TRUE(queueHolds(0));
  EXPECT_EQ(kit().dropped("quarantine"), 0u);
}

TEST_P(Settlement, WhatIsPutOffComesAgainAndNothingOvertakesIt) {
  run(20, R"({"again":3,"poison_at":5})");
  EXPECT_TRUE(upstreamHas(range(0, 20)));
  EXPECT_TRUE(queueHolds(0));
  const auto lines = got();
  for (const char* line : {"5 earlier 0", "5 earlier 1", "5 earlier 2", "5 earlier 3"})
    EXPECT_EQ(std::count(lines.begin(), lines.end(), line), 1) << line;
  EXPECT_EQ(kit().dropped("quarantine"), 0u);
}

TEST_P(Settlement, WhatFailsIsNotOvertaken) {
  run(20, R"({"fail":1,"poison_at":5})");
  ASSERT_TRUE(kit().sees("m", "got 19 "));
  const auto lines = got();
  const auto at = [&](const std::string& line) {
    return std::find(lines.begin(), lines.end(), line) - lines.begin();
  };
  EXPECT_LT(at("5 earlier 4"), at("6 earlier 0"));
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) { return line.starts_with("6 "); }),
            1)
      << "it was never delivered before";
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, OneThatWasKeptMayStillBePutOff) {
  run(5, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 4 "));
  EXPECT_EQ(kit().call("m", "again")->first, 200);
  EXPECT_TRUE(kit().sees("m", "got 0 earlier 1"));
  EXPECT_EQ(kit().call("m", "settle")->first, 200);
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, AfterFiveFailuresAMessageIsInQuarantineWithTheReason) {
  run(20, R"({"fail":1,"poison_at":5})");
  Numbers others = range(0, 20);
  std::erase(others, 5u);
  EXPECT_TRUE(upstreamHas(others));
  EXPECT_TRUE(queueHolds(0));
  const auto set_aside = kit().inspect("quarantine");
  ASSERT_EQ(set_aside.size(), 1u);
  EXPECT_EQ(set_aside[0].body, "5");
  EXPECT_EQ(set_aside[0].attempts, Intake::kAttemptsMax);
  EXPECT_EQ(set_aside[0].source, "module/s/out");
  EXPECT_EQ(set_aside[0].reason, "module/m answered KANTE_E_CORRUPT (-8): cannot stand 5");
  EXPECT_EQ(kit().dropped("quarantine"), 1u);
  EXPECT_EQ(kit().routeStatus("s_out-m_in").dropped, 1u);
  EXPECT_TRUE(eventually([&] {
    const auto events = kit().events();
    return std::find(events.begin(), events.end(), "message.quarantined m") != events.end();
  }));
}

TEST_P(Settlement, AnUpgradeGetsWhatIsUnsettledFirstAndInOrder) {
  run(10, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 9 "));
  apply(target(R"({"start":10,"count":20})", "{}", "2"));
  EXPECT_TRUE(upstreamHas(range(0, 20)));
  EXPECT_TRUE(queueHolds(0));
  auto expected = each(range(0, 10), 0);
  for (const auto& line : each(range(0, 10), 1)) expected.push_back(line);
  for (const auto& line : each(range(10, 20), 0)) expected.push_back(line);
  EXPECT_EQ(got(), expected);
}

TEST_P(Settlement, AModuleThatIsRestartedGetsItAgain) {
  run(10, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 9 "));
  ASSERT_TRUE(kit().restart("m").has_value());
  EXPECT_TRUE(kit().sees("m", "got 9 earlier 1"));
  EXPECT_TRUE(queueHolds(10));
}

TEST_P(Settlement, ADrainLeavesInTheQueueWhatIsUnsettled) {
  run(10, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 9 "));
  ASSERT_TRUE(kit().stop("m").has_value());
  EXPECT_TRUE(kit().saw("m", "drain with 10"));
  EXPECT_TRUE(queueHolds(10));
  ASSERT_TRUE(kit().start("m").has_value());
  EXPECT_TRUE(kit().sees("m", "got 9 earlier 1"));
}

TEST_P(Settlement, WhatIsSettledInADrainDoesNotComeAgain) {
  run(10, R"({"pending":1,"settle_at_drain":1})");
  ASSERT_TRUE(kit().sees("m", "got 9 "));
  ASSERT_TRUE(kit().stop("m").has_value());
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, AHostOverTheSameDataGoesOnWithWhatIsUnsettled) {
  run(10, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 9 "));
  restart();
  runIdle("{}");
  EXPECT_TRUE(upstreamHas(range(0, 10)));
  EXPECT_EQ(got(), each(range(0, 10), 1));
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, ACrashLosesNothingAndSaysWhatHadCome) {
  crashAfter([&] {
    run(150, R"({"pending":1,"quiet":1})");
    eventually([&] { return kit().status("m").messages_in == 150 && queueHolds(150); });
  });
  crashAfter([&] {
    runIdle(R"({"pending":1})");
    kit().sees("m", "got 149 earlier 1");
  });
  runIdle("{}");
  EXPECT_TRUE(upstreamHas(range(0, 150)));
  EXPECT_EQ(got(), each(range(0, 150), 2));
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, InputStopsAtTheBoundOfWhatIsUnsettledAndSaysSo) {
  constexpr int kBound = Intake::kUnsettledMessagesMax;
  run(kBound + 500, R"({"pending":1,"quiet":1})");
  ASSERT_TRUE(eventually([&] {
    const auto events = kit().events();
    return std::find(events.begin(), events.end(), "module.unsettled m") != events.end();
  }));
  EXPECT_TRUE(queueHolds(kBound + 500));
  EXPECT_EQ(kit().status("m").messages_in, static_cast<std::uint64_t>(kBound));
  EXPECT_EQ(kit().call("m", "settle")->first, 200);
  EXPECT_TRUE(eventually([&] { return kit().status("m").messages_in == kBound + 500; }));
  EXPECT_EQ(kit().call("m", "settle")->first, 200);
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, OrderHoldsOverTheQueueManyShardsAndAThread) {
  kit(3);
  apply(target(R"({"count":30000,"thread":1})", R"({"quiet":1})"));
  EXPECT_TRUE(upstreamHas(range(0, 30'000)));
  EXPECT_TRUE(queueHolds(0));
  EXPECT_EQ(kit().dropped("store_full"), 0u);
}

TEST_P(Settlement, AnEmitsDoneComesWhenItIsOnDisk) {
  apply(target(R"({"count":200,"tokens":1})", R"({"quiet":1})"));
  EXPECT_TRUE(kit().sees("s", "all done"));
  EXPECT_EQ(kit().times("s", "lost"), 0u);
}

TEST_P(Settlement, AFullQueueThatRefusesCostsOnlyItsOwnSink) {
  RuntimeTarget wanted = target(counting(50), "{}");
  wanted.modules[1].desire = Desire::kStopped;
  wanted.routes[0].queue_given = true;
  wanted.routes[0].queue_messages = 10;
  wanted.routes[0].full = RouteFull::kRefuse;
  wanted.routes.push_back(ModuleKit::route("s/out", "$upstream"));
  apply(wanted);
  EXPECT_TRUE(eventually([&] { return kit().upstream.count() == 50; }));
  EXPECT_TRUE(eventually([&] { return kit().dropped("store_full") == 40; }));
  EXPECT_EQ(kit().routeStatus("s_out-m_in").dropped, 40u);
  EXPECT_TRUE(queueHolds(10));
  ASSERT_TRUE(kit().start("m").has_value());
  EXPECT_TRUE(upstreamHas(range(0, 10)));
}

TEST_P(Settlement, WhatExpiresInTheQueueIsCounted) {
  RuntimeTarget wanted = target(counting(10), "{}");
  wanted.modules[1].desire = Desire::kStopped;
  wanted.routes[0].ttl_s = 1;
  apply(wanted);
  EXPECT_TRUE(eventually([&] { return kit().dropped("ttl") == 10; }));
  ASSERT_TRUE(kit().start("m").has_value());
  EXPECT_TRUE(queueHolds(0));
  EXPECT_EQ(kit().routeStatus("s_out-m_in").dropped, 10u);
}

TEST_P(Settlement, OfTwoRoutesIntoOneInputTheDurableOneTakesAll) {
  RuntimeTarget wanted = target(counting(100), "{}");
  RouteSpec memory = ModuleKit::route("s/out", "m/in");
  memory.name = "memory";
  memory.priority = 3;
  wanted.routes.push_back(memory);
  apply(wanted);
  EXPECT_TRUE(upstreamHas(range(0, 100)));
  EXPECT_FALSE(kit().saw("m", "no token"));
}

TEST_P(Settlement, WhatADurableRouteLeftIsHandedOverByTheMemoryRouteThatFollows) {
  RuntimeTarget wanted = target(counting(10), "{}");
  wanted.modules[1].desire = Desire::kStopped;
  apply(wanted);
  ASSERT_TRUE(queueHolds(10));
  wanted = target(counting(10), "{}");
  wanted.routes[0].durable = false;
  apply(wanted);
  EXPECT_TRUE(upstreamHas(range(0, 10)));
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, AQueueWhoseModuleIsGoneIsKeptAndDetached) {
  run(10, R"({"pending":1})");
  ASSERT_TRUE(kit().sees("m", "got 9 "));
  RuntimeTarget without;
  without.modules = {kit().spec("s", "source", R"({"idle":1})")};
  apply(without);
  EXPECT_TRUE(eventually([&] {
    const auto queues = kit().store().queues();
    return std::any_of(queues->begin(), queues->end(), [](const QueueStats& queue) {
      return queue.name == "module/m/in" && queue.messages == 10 && queue.detached;
    });
  }));
  runIdle("{}");
  EXPECT_TRUE(upstreamHas(range(0, 10)));
  EXPECT_TRUE(queueHolds(0));
}

TEST_P(Settlement, WithoutAStoreADurableRouteIsRefused) {
  ModuleKit without(GetParam());
  RuntimeTarget wanted;
  wanted.modules = {without.spec("s", "source", R"({"idle":1})"), without.spec("m", "settler")};
  wanted.routes = {ModuleKit::durable(ModuleKit::route("s/out", "m/in"))};
  const auto applied = without.apply(wanted);
  ASSERT_TRUE(applied.has_error());
  EXPECT_THAT(applied.error().text,
              ::testing::HasSubstr("route s_out-m_in: a durable route needs"));
}

INSTANTIATE_TEST_SUITE_P(Kit, Settlement, ::testing::ValuesIn(placementsUnderTest()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kante
