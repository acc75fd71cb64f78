// From what runs to what should, under traffic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/kits/module_kit.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Names = std::vector<std::string>;
using Numbers = std::vector<std::uint64_t>;

Numbers upTo(std::uint64_t count) {
  Numbers numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

class Change : public ::testing::TestWithParam<PlacementUnderTest> {
 protected:
  // source → relay → $upstream
  RuntimeTarget pipeline(const std::string& source, const std::string& relay = "{}") {
    RuntimeTarget target;
    target.modules = {kit.spec("s", "source", source), kit.spec("r", "relay", relay)};
    target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
    return target;
  }
  void applied(const RuntimeTarget& target) {
    const auto result = kit.apply(target);
    ASSERT_TRUE(result.has_value()) << result.error().text;
    report = *result;
  }
  std::string refused(const RuntimeTarget& target) {
    const auto result = kit.apply(target);
    EXPECT_TRUE(result.has_error());
    return result.has_error() ? result.error().text : "";
  }
  bool gone(const std::string& module) {
    return eventually([&] { return kit.status(module).name.empty(); });
  }

  ModuleKit kit{GetParam()};
  ApplyReport report;
};

TEST_P(Change, TouchesOnlyWhatDiffers) {
  RuntimeTarget target = pipeline(R"({"count":10})");
  applied(target);
  EXPECT_EQ(report.started, (Names{"s", "r"}));
  const std::int64_t started = kit.status("s").started_wall_ns;
  target.modules[1].config = R"({"other":1})";
  target.modules.push_back(kit.spec("l", "life"));
  applied(target);
  EXPECT_EQ(report.untouched, Names{"s"});
  EXPECT_EQ(report.replaced, Names{"r"});
  EXPECT_EQ(report.started, Names{"l"});
  EXPECT_EQ(kit.status("s").started_wall_ns, started);
  target.modules.resize(2);
  applied(target);
  EXPECT_EQ(report.stopped, Names{"l"});
  EXPECT_TRUE(gone("l"));
  EXPECT_TRUE(kit.saw("l", "destroy"));
}

TEST_P(Change, ReplacesAModuleUnderTrafficWithItsStateAndLosesNothing) {
  constexpr std::uint64_t kCount = 30'000;
  RuntimeTarget target = pipeline(R"({"count":30000,"thread":1})");
  target.routes[0].queue_messages = 64;
  target.routes[0].stall_ms = 0;
  applied(target);
  for (int life = 1; life <= 8; ++life) {
    target.modules[1] = kit.spec("r", "relay", "{}", std::to_string(life));
    applied(target);
    EXPECT_EQ(report.replaced, Names{"r"});
    EXPECT_EQ(report.untouched, Names{"s"});
  }
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() >= kCount; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(kCount));
  applied({});
  ASSERT_TRUE(gone("r"));
  EXPECT_TRUE(kit.saw("r", "handled 30000")) << "each life counted on from the one before";
}

TEST_P(Change, ReplacesASourceThatGoesOnFromItsState) {
  constexpr std::uint64_t kCount = 200'000;
  RuntimeTarget target = pipeline(R"({"count":200000,"thread":1})");
  target.routes[0].queue_messages = 64;
  target.routes[0].stall_ms = 0;
  applied(target);
  for (int life = 1; life <= 5; ++life) {
    target.modules[0] = kit.spec("s", "source", R"({"count":200000})", std::to_string(life));
    applied(target);
  }
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() >= kCount; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(kCount));
  EXPECT_EQ(kit.times("s", "restored"), 5u);
  EXPECT_TRUE(kit.saw("s", "format 7"));
}

TEST_P(Change, GoesBackToTheStateFromBeforeAndNotToThatOfWhatRuns) {
  RuntimeTarget target = pipeline(R"({"count":10})");
  applied(target);
  const RuntimeTarget before = target;
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 10; }));
  target.modules[0] = kit.spec("s", "source", R"({"count":30})");
  applied(target);
  ASSERT_EQ(report.states.at("s")->bytes, "10");
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 30; }));
  RuntimeTarget back = before;
  back.states = report.states;
  back.goes_back = true;
  applied(back);
  EXPECT_EQ(report.replaced, Names{"s"});
  EXPECT_TRUE(eventually([&] { return kit.times("s", "restored 10 format 7") == 2; }));
  applied(target);  // As any change again: with the state of what runs.
  EXPECT_EQ(report.states.at("s")->bytes, "10");
}

TEST_P(Change, SendsWhatAReplacedModuleHadNoRoomForYet) {
  // The state of a runner comes behind what it has emitted, so that its successor overtakes
  // nothing.
  if (GetParam().lives == PlacementUnderTest::Lives::kInRunners) GTEST_SKIP();
  RuntimeTarget target;
  target.modules = {kit.spec("s", "source", R"({"count":1000,"outbox":1})")};
  target.routes = {ModuleKit::route("s/out", "$upstream")};
  kit.upstream.setBusy(true);
  applied(target);
  target.modules[0] = kit.spec("s", "source", R"({"count":1000,"outbox":1,"idle":1})", "2");
  applied(target);
  EXPECT_EQ(kit.upstream.count(), 0u);
  kit.upstream.setBusy(false);
  EXPECT_TRUE(eventually([&] { return kit.upstream.count() == 1000; })) << kit.upstream.count();
  EXPECT_EQ(kit.upstream.numbers("module/s/out"), upTo(1000));
}

TEST_P(Change, RefusesAVersionThatDoesNotTakeTheStateAndTheOldOneGoesOn) {
  RuntimeTarget target = pipeline(R"({"count":1000})");
  applied(target);
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 1000; }));
  const RuntimeTarget before = target;
  target.modules[0] = kit.spec("s", "source", R"({"count":2000,"bad_restore":1})", "2");
  EXPECT_NE(refused(target).find("refuses the state of the version before it: not my state"),
            std::string::npos);
  EXPECT_EQ(kit.status("s").state, ModuleState::kRunning);
  EXPECT_EQ(kit.status("s").digest, before.modules[0].digest);
  applied(before);
  EXPECT_EQ(report.untouched.size(), 2u);
}

TEST_P(Change, TakesEverythingBackWhenOneDoesNotStart) {
  RuntimeTarget target = pipeline(R"({"count":5000,"thread":1})");
  applied(target);
  for (const std::string config :
       {R"({"fail_create":1})", R"({"throw_create":1})", R"({"ready_ms":-1})"}) {
    RuntimeTarget next = target;
    next.modules[1] = kit.spec("r", "relay", R"({"v":2})");
    next.modules.push_back(kit.spec("bad", "life", config));
    next.modules.back().start_ms = 100;
    EXPECT_NE(refused(next).find("module bad"), std::string::npos);
    EXPECT_TRUE(gone("bad"));
    EXPECT_EQ(kit.status("r").state, ModuleState::kRunning);
  }
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 5000; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(5000));
}

TEST_P(Change, RefusesWhatItCannotRunBeforeAnythingStarts) {
  RuntimeTarget target = pipeline("{}");
  target.modules[0].placement = Placement::kContainer;
  EXPECT_NE(refused(target).find("not part of this build"), std::string::npos);
  target = pipeline("{}");
  target.routes.push_back(ModuleKit::route("s/out", "nobody/in"));
  EXPECT_NE(refused(target).find("there is no module 'nobody'"), std::string::npos);
  target = pipeline("{}");
  target.modules[0].outputs = {"other"};
  EXPECT_NE(refused(target).find("not those of its manifest"), std::string::npos);
  EXPECT_FALSE(kit.saw("r", "runs"));
  EXPECT_TRUE(gone("s"));
  EXPECT_TRUE(gone("r"));
}

TEST_P(Change, StartsForNobodyWhatIsBarred) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life"), kit.spec("other", "life")};
  target.modules[0].barred = "its signer was revoked";
  target.modules[0].desire = Desire::kStopped;
  applied(target);
  for (const Status& refused : {kit.start("m"), kit.restart("m")}) {
    ASSERT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error().code, Errc::kRevoked);
    EXPECT_EQ(refused.error().text, "module m is not started: its signer was revoked");
  }
  EXPECT_TRUE(kit.restart("other").has_value());
  EXPECT_EQ(kit.status("m").state, ModuleState::kStopped);
}

// While the one before it still runs, by the old ones.
TEST_P(Change, JudgesANewVersionByItsOwnGrants) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "asker"), kit.spec("other", "asker")};
  applied(target);
  target.modules[0] = kit.spec(
      "m", "asker", R"({"invoke":"module/other","open":"read:/proc/sys/kernel/ostype"})", "2");
  target.modules[0].device_grants = {{DeviceKind::kRead, "/proc/sys/kernel"}};
  target.modules[0].method_grants = {"module/other/do"};
  applied(target);
  EXPECT_TRUE(kit.sees("m", "opened and read Linux"));
  EXPECT_TRUE(kit.sees("m", "done 2 status 0 arg 200"));
  target.modules[0] = kit.spec(
      "m", "asker", R"({"open":"read:/proc/sys/kernel/ostype","invoke":"module/other"})", "3");
  applied(target);
  EXPECT_TRUE(kit.sees("m", "done 1 status -5"));
  EXPECT_TRUE(kit.sees("m", "done 2 status -5"));
}

TEST_P(Change, TakesOneChangeAtATime) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":200})")};
  std::optional<Result<ApplyReport>> second;
  // The first is under way while m gets ready.
  std::thread first([&] { applied(target); });
  ASSERT_TRUE(kit.sees("m", "create"));
  EXPECT_EQ(kit.apply({}).error().code, Errc::kState);
  EXPECT_EQ(kit.stop("m").error().code, Errc::kState);
  EXPECT_EQ(kit.turn(), ModuleHost::Turn::kTaken);
  first.join();
}

// ---- modules in the middle of something ----

TEST_P(Change, WaitsForAModuleThatAsksForIt) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":1,"defer_ms":60000})"),
                    kit.spec("other", "life")};
  target.modules[0].defer_max_s = 60;
  applied(target);
  kit.desire("m", "{}", 1);
  ASSERT_TRUE(kit.sees("m", "defer 60000 0"));
  target.modules[1] = kit.spec("other", "life", R"({"ready_ms":1})");
  applied(target);  // Does not touch it.
  EXPECT_THAT(kit.events(), Not(Contains(HasSubstr("deferred"))));
  target.modules[0] = kit.spec("m", "life", R"({"ready_ms":1,"drained_ms":1})");
  std::thread waits([&] { applied(target); });
  ASSERT_TRUE(eventually(
      [&] { return ::testing::Value(kit.events(), Contains(HasSubstr("module.deferred"))); }));
  EXPECT_EQ(kit.turn(), ModuleHost::Turn::kTaken);
  EXPECT_EQ(kit.times("m", "create"), 1u);
  kit.desire("m", "{}", 2);  // It is done.
  waits.join();
  EXPECT_EQ(report.replaced, Names{"m"});
}

TEST_P(Change, DoesNotWaitLongerThanTheDeploymentLetsIt) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":1,"defer_ms":60000})")};
  target.modules[0].defer_max_s = 60;
  applied(target);
  kit.desire("m", "{}", 1);
  ASSERT_TRUE(kit.sees("m", "defer 60000 0"));
  target.modules[0].defer_max_s = 0;
  applied(target);  // While it runs.
  EXPECT_EQ(report.untouched, Names{"m"});
  target.modules.clear();
  applied(target);
  EXPECT_EQ(report.stopped, Names{"m"});
  EXPECT_THAT(kit.events(), Not(Contains(HasSubstr("deferred"))));
}

TEST_P(Change, AModuleIsGrantedNoMoreThanTheDeploymentLetsIt) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":1,"defer_ms":1001})"),
                    kit.spec("n", "life", R"({"ready_ms":1,"defer_ms":1})")};
  target.modules[0].defer_max_s = 1;
  applied(target);
  kit.desire("m", "{}", 1);
  kit.desire("n", "{}", 1);
  EXPECT_TRUE(kit.sees("m", "defer 1001 " + std::to_string(KANTE_E_LIMIT)));
  EXPECT_TRUE(kit.sees("n", "defer 1 " + std::to_string(KANTE_E_LIMIT)));
  target.modules.clear();
  applied(target);
  EXPECT_THAT(kit.events(), Not(Contains(HasSubstr("deferred"))));
}

// A person who says so knows why.
TEST_P(Change, AnOperatorDoesNotWait) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":1,"defer_ms":60000})")};
  target.modules[0].defer_max_s = 60;
  applied(target);
  kit.desire("m", "{}", 1);
  ASSERT_TRUE(kit.sees("m", "defer 60000 0"));
  EXPECT_TRUE(kit.stop("m").has_value());
  EXPECT_THAT(kit.events(), Not(Contains(HasSubstr("deferred"))));
}

// ---- order of starting ----

TEST_P(Change, StartsAfterWhatMustBeReadyFirst) {
  RuntimeTarget target;
  target.modules = {kit.spec("a", "life"), kit.spec("b", "life", R"({"ready_ms":50})")};
  target.modules[0].start_after = {"b"};
  applied(target);
  const auto all = kit.log.kept("module/a");
  ASSERT_FALSE(all.empty());
  std::int64_t ready_at = 0;
  for (const LogLine& line : kit.log.kept("module/b")) {
    if (line.text == "ready") ready_at = line.wall_ns;
  }
  EXPECT_GE(all.front().wall_ns, ready_at);
  EXPECT_NE(ready_at, 0);
}

TEST_P(Change, RefusesACircleOfStartAfter) {
  RuntimeTarget target;
  target.modules = {kit.spec("a", "life"), kit.spec("b", "life")};
  target.modules[0].start_after = {"b"};
  target.modules[1].start_after = {"a"};
  EXPECT_NE(refused(target).find("start_after"), std::string::npos);
}

TEST_P(Change, ChangesAModuleWhoseForerunnerRunsAlready) {
  RuntimeTarget target;
  target.modules = {kit.spec("a", "life"), kit.spec("b", "life")};
  target.modules[1].start_after = {"a"};
  applied(target);
  target.modules[1].config = R"({"v":2})";
  applied(target);
  EXPECT_EQ(report.replaced, Names{"b"});
  ASSERT_FALSE(kit.stop("a").has_error());
  EXPECT_FALSE(kit.restart("b").has_error()) << "what a person stopped is not waited for";
}

// ---- stop, start, restart ----

TEST_P(Change, StopsWithDrainAndKeepsTheQueueForAStart) {
  RuntimeTarget target = pipeline(R"({"count":50})");
  applied(target);
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 50; }));
  ASSERT_FALSE(kit.stop("r").has_error());
  EXPECT_EQ(kit.status("r").state, ModuleState::kStopped);
  EXPECT_TRUE(kit.saw("r", "handled 50"));
  EXPECT_EQ(kit.status("r").messages_in, 50u);
  ASSERT_FALSE(kit.restart("s").has_error());  // Sends its 50 again, into a queue that waits.
  ASSERT_TRUE(eventually([&] { return kit.status("r").queued == 50; }));
  ASSERT_FALSE(kit.start("r").has_error());
  EXPECT_TRUE(eventually([&] { return kit.upstream.count() == 100; }));
  EXPECT_EQ(kit.status("s").restarts, 1u);
}

TEST_P(Change, RestartsWithoutTheState) {
  RuntimeTarget target = pipeline(R"({"count":10})");
  applied(target);
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 10; }));
  ASSERT_FALSE(kit.restart("s").has_error());
  EXPECT_TRUE(eventually([&] { return kit.upstream.count() == 20; })) << "it began at 0 again";
  EXPECT_FALSE(kit.saw("s", "restored"));
  EXPECT_EQ(kit.restart("nobody").error().code, Errc::kNotFound);
}

TEST_P(Change, ServesMethodsAndDesiredOfTheNewLife) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "asker"), kit.spec("l", "life")};
  applied(target);
  EXPECT_EQ(kit.call("m", "thread").value().first, 203);
  target.modules[0] = kit.spec("m", "asker", "{}", "2");
  target.modules[1] = kit.spec("l", "life", R"({"v":2})");
  applied(target);
  EXPECT_EQ(kit.call("m", "thread").value().first, 203);
  kit.desire("l", R"({"d":1})", 9);
  EXPECT_TRUE(kit.sees("l", "desired 9"));
  ASSERT_FALSE(kit.stop("m").has_error());
  EXPECT_EQ(kit.call("m", "thread").value().first, 404);
}

TEST_P(Change, BacksOffAndGivesUpWhereTheOthersRun) {
  RuntimeTarget target;
  target.modules = {kit.spec("bad", "life", R"({"fail_create":1})"), kit.spec("good", "life"),
                    kit.spec("after", "life")};
  target.modules[2].start_after = {"bad"};
  target.on_start_failure = OnStartFailure::kBackOff;
  applied(target);
  EXPECT_EQ(report.started, Names{"good"});
  EXPECT_EQ(kit.status("bad").state, ModuleState::kBackoff);
  EXPECT_NE(kit.status("bad").last_exit.find("no address"), std::string::npos);
  EXPECT_EQ(kit.status("after").state, ModuleState::kBackoff);
  EXPECT_FALSE(kit.saw("after", "create"));
  EXPECT_TRUE(eventually([&] { return kit.status("bad").restarts >= 3; })) << "tried again";
  EXPECT_TRUE(kit.restart("bad").has_error());
  // It may just be trying again by itself.
  EXPECT_TRUE(eventually([&] { return kit.status("bad").state == ModuleState::kBackoff; }))
      << "a refused restart changes nothing";
  target.modules[0].restart = Restart::kNever;
  target.modules[0].config = R"({"fail_create":2})";
  applied(target);
  EXPECT_EQ(kit.status("bad").state, ModuleState::kFailed);
  EXPECT_EQ(kit.status("good").state, ModuleState::kRunning);
}

TEST_P(Change, WaitsForTheStartAfterABackOffInsteadOfRefusing) {
  RuntimeTarget target;
  target.modules = {kit.spec("never", "source", R"({"lifecycle":1,"idle":1})"),
                    kit.spec("good", "life")};
  target.modules[0].start_ms = 300;
  target.on_start_failure = OnStartFailure::kBackOff;
  applied(target);
  ASSERT_TRUE(eventually([&] { return kit.status("never").state == ModuleState::kStarting; }));
  EXPECT_FALSE(kit.restart("good").has_error());
  target.modules.erase(target.modules.begin());
  applied(target);
  EXPECT_EQ(report.stopped.size() + report.untouched.size(), 1u);
}

// ---- removal ----

TEST_P(Change, HandlesWhatIsQueuedBeforeARemovedModuleEnds) {
  kit.upstream.setBusy(true);
  RuntimeTarget target = pipeline(R"({"count":100})");
  applied(target);
  ASSERT_TRUE(kit.sees("s", "sent all"));
  RuntimeTarget next;
  next.modules = {target.modules[0]};
  applied(next);
  kit.upstream.setBusy(false);
  ASSERT_TRUE(gone("r"));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(100));
  EXPECT_EQ(kit.dropped("no_route"), 0u);
}

TEST_P(Change, CountsWhatARemovedModuleDidNotGetDoneInTime) {
  kit.upstream.setBusy(true);
  RuntimeTarget target = pipeline(R"({"count":100})");
  target.modules[1].stop_ms = 100;
  applied(target);
  ASSERT_TRUE(kit.sees("s", "sent all"));
  RuntimeTarget next;
  next.modules = {target.modules[0]};
  applied(next);
  ASSERT_TRUE(gone("r"));
  EXPECT_TRUE(kit.saw("r", "handled ")) << "DRAIN comes even when the queue is not empty";
  // A runner has emitted what its host then finds no room for.
  EXPECT_TRUE(
      eventually([&] { return kit.dropped("no_route") + kit.dropped("store_full") == 100; }));
}

TEST_P(Change, SurvivesSenderAndReceiverThatLeaveTogether) {
  for (int round = 0; round < 20; ++round) {
    RuntimeTarget target = pipeline(R"({"count":1000000,"thread":1})");
    target.routes[0].queue_messages = 8;
    applied(target);
    applied({});
  }
  EXPECT_TRUE(gone("s"));
  EXPECT_TRUE(gone("r"));
}

TEST_P(Change, WantsANameAgainWhileItsLastLifeDrains) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"drained_ms":300})")};
  applied(target);
  applied({});
  EXPECT_EQ(kit.status("m").state, ModuleState::kDraining);
  applied(target);
  EXPECT_EQ(kit.status("m").state, ModuleState::kRunning);
  ASSERT_TRUE(eventually([&] { return kit.times("m", "destroy") == 1; }));
  EXPECT_EQ(kit.status("m").state, ModuleState::kRunning);
}

TEST_P(Change, KeepsTheCountsOfARouteThatStays) {
  RuntimeTarget target = pipeline(R"({"count":10})");
  applied(target);
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 10; }));
  target.modules.push_back(kit.spec("l", "life"));
  applied(target);
  EXPECT_EQ(kit.routeStatus("s_out-r_in").messages, 10u);
}

INSTANTIATE_TEST_SUITE_P(Placements, Change, ::testing::ValuesIn(placementsUnderTest()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ChangeLimits, LoadsNoMoreLibrariesThanItMay) {
  ModuleKit::Options options;
  options.loads_max = 2;
  ModuleKit kit(placementsUnderTest()[0], options);
  RuntimeTarget target;
  target.modules = {kit.spec("a", "life"), kit.spec("b", "life", "{}", "2")};
  ASSERT_TRUE(kit.apply(target).has_value());
  target.modules.push_back(kit.spec("c", "life", "{}", "3"));
  const auto refused = kit.apply(target);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, Errc::kLimit);
  EXPECT_NE(refused.error().text.find("in_process_loads_max"), std::string::npos);
  target.modules[2] = kit.spec("c", "life", "{}", "2");
  EXPECT_TRUE(kit.apply(target).has_value()) << "one digest is one load";
}

TEST(ChangeEnd, EndsModulesOfAHostThatIsDestroyedWithoutShutDown) {
  ModuleKit kit(placementsUnderTest()[0]);
  RuntimeTarget target;
  target.modules = {kit.spec("s", "source", R"({"count":100000000,"thread":1})"),
                    kit.spec("r", "relay"), kit.spec("l", "life")};
  target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
  ASSERT_TRUE(kit.apply(target).has_value());
  kit.destroyHost();
  EXPECT_TRUE(kit.saw("l", "destroy"));
}

TEST(ChangeEnd, ShutsDownInTheMiddleOfAChange) {
  ModuleKit kit(placementsUnderTest()[0]);
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":-1})")};
  std::thread waiting([&] { EXPECT_EQ(kit.apply(target).error().code, Errc::kState); });
  ASSERT_TRUE(kit.sees("m", "create"));
  kit.shutDown();
  waiting.join();
  EXPECT_TRUE(kit.saw("m", "destroy"));
}

}  // namespace
}  // namespace kante
