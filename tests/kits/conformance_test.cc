// What every placement owes a module and the gateway.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

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

class Conformance : public ::testing::TestWithParam<PlacementUnderTest> {
 protected:
  // One module, its output "out" to $upstream.
  void run(const std::string& library, const std::string& config = "{}") {
    RuntimeTarget target;
    target.modules = {kit.spec("m", library, config)};
    target.routes = {ModuleKit::route("m/out", "$upstream")};
    const auto applied = kit.apply(target);
    ASSERT_TRUE(applied.has_value()) << applied.error().text;
  }
  // A source into a relay into $upstream.
  void runPair(const std::string& source, const std::string& relay) {
    RuntimeTarget target;
    target.modules = {kit.spec("s", "source", source), kit.spec("r", "relay", relay)};
    target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
    const auto applied = kit.apply(target);
    ASSERT_TRUE(applied.has_value()) << applied.error().text;
  }

  ModuleKit kit{GetParam()};
};

TEST_P(Conformance, LivesInTheOrderCreateEventsDrainDestroy) {
  kit.services.desired["m"] = {R"({"a":1,"$version":4})", 4};
  run("life");
  ASSERT_TRUE(kit.sees("m", "desired 4"));
  kit.shutDown();
  EXPECT_THAT(kit.lines("m"), ::testing::IsSupersetOf({std::string("create")}));
  std::vector<std::string> steps;
  for (const std::string& line : kit.lines("m")) {
    if (line == "create" || line.starts_with("desired") || line == "drain" || line == "destroy") {
      steps.push_back(line.substr(0, line.find(' ')));
    }
  }
  EXPECT_EQ(steps, (std::vector<std::string>{"create", "desired", "drain", "destroy"}));
}

TEST_P(Conformance, HasOpenedWhatItIsGranted) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "asker")};
  target.modules[0].device_grants = {{DeviceKind::kRead, "/proc/sys/kernel"},
                                     {DeviceKind::kSpace, "/"}};
  const auto applied = kit.apply(target);
  ASSERT_TRUE(applied.has_value()) << applied.error().text;
  for (int i = 0; i < 3; ++i) kit.call("m", "open", "\"read:/proc/sys/kernel/ostype\"");
  EXPECT_TRUE(eventually([&] { return kit.times("m", "opened and read Linux\n") == 3; }));
  kit.call("m", "open", "\"read:/etc/hostname\"");
  EXPECT_TRUE(kit.sees("m", "status -5 arg 0 {\"error\":\"may not open"));
  kit.call("m", "open", "\"list:/proc/sys/kernel\"");
  EXPECT_TRUE(kit.sees("m", "\"ostype\""));
  kit.call("m", "open", "\"space:/\"");
  EXPECT_TRUE(kit.sees("m", "{\"total_bytes\":"));
}

// What a token of its own choosing says is no reason to take a number for a descriptor.
TEST_P(Conformance, GetsNoDescriptorOfTheHostForAnotherAnswer) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "asker")};
  target.routes = {ModuleKit::route("m/out", "$upstream")};
  target.modules[0].device_grants = {{DeviceKind::kRead, "/proc/sys/kernel"}};
  const auto applied = kit.apply(target);
  ASSERT_TRUE(applied.has_value()) << applied.error().text;
  struct stat before {};
  ASSERT_EQ(::fstat(0, &before), 0);
  for (int i = 0; i < 20; ++i) {
    kit.call("m", "confuse", "\"read:/etc/hostname\"");
    struct stat after {};
    ASSERT_EQ(::fstat(0, &after), 0) << "the host's own is closed";
    ASSERT_EQ(after.st_ino, before.st_ino) << "and is another now";
  }
  EXPECT_TRUE(eventually([&] { return kit.times("m", "status -5 arg 0") >= 20; }));
}

TEST_P(Conformance, FindsNoExtensionThatDoesNotExist) {
  run("life");
  EXPECT_TRUE(kit.sees("m", "unknown extension missing"));
}

TEST_P(Conformance, FallsBackWhenAModuleDeclinesAnEvent) {
  run("life");
  const auto answer = kit.call("m", "anything");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->first, 404);
  EXPECT_TRUE(kit.sees("m", "declines 2"));
}

TEST_P(Conformance, GoesOnWhenDrainedIsSaidLater) {
  run("life", R"({"drained_ms":30})");
  kit.shutDown();
  EXPECT_TRUE(kit.saw("m", "drained"));
  EXPECT_TRUE(kit.saw("m", "destroy"));
}

TEST_P(Conformance, EndsAModuleThatNeverDrains) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"drained_ms":-1})")};
  target.modules[0].stop_ms = 60;
  ASSERT_TRUE(kit.apply(target).has_value());
  ASSERT_TRUE(kit.apply({}).has_value());
  EXPECT_TRUE(kit.sees("m", "did not drain in time"));
  EXPECT_TRUE(kit.sees("m", "destroy"));
  EXPECT_TRUE(kit.saw("m", "drain"));
}

TEST_P(Conformance, TellsTheTextOfACreateThatRefuses) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"fail_create":1})")};
  const auto applied = kit.apply(target);
  ASSERT_TRUE(applied.has_error());
  EXPECT_NE(applied.error().text.find("module m"), std::string::npos);
  EXPECT_NE(applied.error().text.find("the configuration has no address"), std::string::npos);
}

TEST_P(Conformance, StopsAnExceptionThatLeavesCreate) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"throw_create":1})")};
  const auto applied = kit.apply(target);
  ASSERT_TRUE(applied.has_error());
  EXPECT_NE(applied.error().text.find("exception"), std::string::npos);
}

TEST_P(Conformance, StopsAnExceptionThatLeavesAnEvent) {
  runPair(R"({"count":3})", R"({"throw":1})");
  EXPECT_TRUE(eventually([&] { return kit.times("r", "an exception left on_event()") == 3; }));
  EXPECT_EQ(kit.status("r").state, ModuleState::kRunning);
}

TEST_P(Conformance, JoinsTheTextOfAnErrorToModuleAndEvent) {
  runPair(R"({"count":1})", R"({"error":1})");
  ASSERT_TRUE(kit.sees("r", "does not like 0"));
  EXPECT_TRUE(kit.saw("r", "an input from module/s/out answered KANTE_E_INVALID (-1)"));
}

TEST_P(Conformance, WaitsForReadyWherePromised) {
  run("life", R"({"ready_ms":50})");
  EXPECT_TRUE(kit.saw("m", "ready")) << "apply() must not end before";
}

TEST_P(Conformance, RefusesAModuleThatIsNeverReady) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":-1})")};
  target.modules[0].start_ms = 50;
  const auto applied = kit.apply(target);
  ASSERT_TRUE(applied.has_error());
  EXPECT_NE(applied.error().text.find("was not ready after 50 ms"), std::string::npos);
  EXPECT_TRUE(kit.sees("m", "destroy"));
}

// ---- messages ----

TEST_P(Conformance, GivesCreditAndTakesItUpAgainWithoutLoss) {
  RuntimeTarget target;
  target.modules = {kit.spec("s", "source", R"({"count":20000})"), kit.spec("r", "relay")};
  target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
  target.routes[0].queue_messages = 16;
  ASSERT_TRUE(kit.apply(target).has_value());
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 20'000; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), range(0, 20'000));
}

TEST_P(Conformance, TakesMessagesFromAThreadOfTheModuleInTheirOrder) {
  RuntimeTarget target;
  target.modules = {kit.spec("s", "source", R"({"count":20000,"thread":1})"),
                    kit.spec("r", "relay")};
  target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
  target.routes[0].queue_messages = 16;
  ASSERT_TRUE(kit.apply(target).has_value());
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 20'000; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), range(0, 20'000));
  std::set<std::pair<std::uint64_t, std::uint64_t>> ids;
  for (const auto& taken : kit.upstream.taken()) ids.insert({taken.id.high, taken.id.low});
  EXPECT_EQ(ids.size(), 20'000u);
}

TEST_P(Conformance, WaitsForADurableSinkThatIsBusy) {
  kit.upstream.setBusy(true);
  run("source", R"({"count":100})");
  EXPECT_EQ(kit.upstream.count(), 0u);
  kit.upstream.setBusy(false);
  ASSERT_TRUE(kit.sees("m", "sent all"));
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 100; })) << "what waits in a ring";
  EXPECT_EQ(kit.upstream.numbers("module/m/out"), range(0, 100));
}

TEST_P(Conformance, AnswersEveryTokenOnce) {
  run("source", R"({"count":10000,"tokens":1})");
  EXPECT_TRUE(kit.sees("m", "all done"));
  EXPECT_EQ(kit.upstream.count(), 10'000u);
  EXPECT_FALSE(kit.saw("m", "lost"));
}

TEST_P(Conformance, AnswersTokensFromAThreadToo) {
  run("source", R"({"count":10000,"tokens":1,"thread":1})");
  EXPECT_TRUE(kit.sees("m", "all done"));
  EXPECT_EQ(kit.upstream.numbers("module/m/out"), range(0, 10'000));
}

TEST_P(Conformance, SaysWhatATokensMessageLost) {
  kit.upstream.setFull(true);
  run("source", R"({"count":3,"tokens":1})");
  EXPECT_TRUE(kit.sees("m", "all done"));
  EXPECT_EQ(kit.times("m", "lost"), 3u);
  EXPECT_EQ(kit.dropped("store_full"), 3u);
}

TEST_P(Conformance, CarriesAMebibyte) {
  runPair(R"({"count":20,"bytes":1048576})", "{}");
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 20; }));
  for (const auto& taken : kit.upstream.taken()) ASSERT_EQ(taken.body.size(), 1u << 20);
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), range(0, 20));
}

TEST_P(Conformance, CarriesAMebibyteThroughASmallQueue) {
  RuntimeTarget target;
  target.modules = {kit.spec("s", "source", R"({"count":5,"bytes":1048576})"),
                    kit.spec("r", "relay")};
  target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
  target.routes[0].queue_bytes = 65'536;
  target.routes[0].stall_ms = 0;
  ASSERT_TRUE(kit.apply(target).has_value());
  EXPECT_TRUE(eventually([&] { return kit.upstream.count() == 5; }));
}

TEST_P(Conformance, KeepsAMessageThatAModuleRetained) {
  // Many times more than a message may hop: what is sent again is no loop.
  runPair(R"({"count":100})", R"({"keep":40})");
  ASSERT_TRUE(kit.sees("r", "repeated all"));
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 140; }));
  const auto numbers = kit.upstream.numbers("module/r/out");
  EXPECT_EQ(std::count(numbers.begin(), numbers.end(), 0), 41);
  EXPECT_EQ(kit.dropped("loop"), 0u);
}

TEST_P(Conformance, BringsAMessageAgainThatTheModuleCouldNotTake) {
  runPair(R"({"count":10})", R"({"again":2})");
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 10; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), range(0, 10));
}

TEST_P(Conformance, BringsBackWhatTheNextSinkHadNoRoomFor) {
  kit.upstream.setBusy(true);
  runPair(R"({"count":100})", "{}");
  ASSERT_TRUE(kit.sees("s", "sent all"));
  kit.upstream.setBusy(false);
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 100; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), range(0, 100));
}

// In one process the gateway dies with it.
TEST_P(Conformance, CountsWhatWaitedForRoomWhenItDied) {
  if (GetParam().lives != PlacementUnderTest::Lives::kInRunners) GTEST_SKIP();
  kit.upstream.setBusy(true);
  run("source", R"({"count":100})");
  ASSERT_TRUE(kit.sees("m", "sent all"));
  ASSERT_EQ(::kill(kit.status("m").pid, SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return kit.dropped("ended") == 100; })) << kit.dropped("ended");
  EXPECT_TRUE(kit.sees("m", "100 messages that it sent waited for room when it ended"));
  kit.upstream.setBusy(false);
  EXPECT_TRUE(eventually([&] { return kit.upstream.count() == 100; })) << "of its next life";
}

#if !defined(KANTE_SANITIZED)
TEST_P(Conformance, CountsWhatTheSandboxRefusesAndTellsIt) {
  if (GetParam().lives != PlacementUnderTest::Lives::kInRunners) GTEST_SKIP();
  run("asker");
  ASSERT_TRUE(kit.call("m", "sockets").has_value());
  EXPECT_TRUE(kit.sees("m", "sockets answered -5"));
  EXPECT_TRUE(kit.sees("m", "called `socket`, which its sandbox refuses (3 refusals)"));
  EXPECT_TRUE(eventually([&] {
    const auto events = kit.events();
    return std::count(events.begin(), events.end(), "module.violation m") == 1;
  }));
  EXPECT_EQ(kit.status("m").restarts, 0u) << "it lives on";
}
#endif

// ---- extensions ----

TEST_P(Conformance, RefusesWhatAModuleMayNotSay) {
  run("asker");
  ASSERT_TRUE(kit.call("m", "reserved").has_value());
  EXPECT_TRUE(kit.sees("m", "reserved answered -5"));
  ASSERT_TRUE(kit.call("m", "badoutput").has_value());
  EXPECT_TRUE(kit.sees("m", "badoutput answered -4"));
  ASSERT_TRUE(kit.call("m", "badkey").has_value());
  EXPECT_TRUE(kit.sees("m", "badkey answered -1"));
  ASSERT_TRUE(kit.call("m", "badtimer").has_value());
  EXPECT_TRUE(kit.sees("m", "badtimer answered -1"));
  EXPECT_EQ(kit.upstream.count(), 0u);
}

TEST_P(Conformance, AnswersMethodsOnceFromAnyThread) {
  run("asker");
  EXPECT_EQ(kit.call("m", "unknown").value().first, 404);
  EXPECT_EQ(kit.call("m", "fail").value().first, 500);
  EXPECT_EQ(kit.call("m", "thread").value().first, 203);
  const auto answer = kit.call("m", "twice").value();
  EXPECT_EQ(answer.first, 200);
  EXPECT_EQ(answer.second, R"({"from":"asker"})");
  EXPECT_TRUE(kit.sees("m", "second reply -9"));
}

TEST_P(Conformance, StoresReportsAndInvokes) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "asker"), kit.spec("other", "asker")};
  target.modules[0].method_grants = {"module/other/do"};
  ASSERT_TRUE(kit.apply(target).has_value());
  (void)kit.call("m", "get");
  EXPECT_TRUE(kit.sees("m", "done 1 status -4"));
  (void)kit.call("m", "put", R"({"v":7})");
  EXPECT_TRUE(kit.sees("m", "done 2 status 0"));
  (void)kit.call("m", "get");
  EXPECT_TRUE(kit.sees("m", R"(done 3 status 0 arg 0 {"v":7})"));
  (void)kit.call("m", "report", R"({"r":1})");
  EXPECT_TRUE(kit.sees("m", "done 4 status 0 arg 1"));
  kit.onControl([&] { EXPECT_EQ(kit.services.reported["m"], R"({"r":1})"); });
  (void)kit.call("m", "invoke module/other", "1");
  EXPECT_TRUE(kit.sees("m", R"(done 5 status 0 arg 200 {"from":"asker"})"));
  (void)kit.call("other", "invoke module/m", "1");
  EXPECT_TRUE(kit.sees("other", "done 2 status -5")) << "without a grant";
}

TEST_P(Conformance, SaysAgainToTooManyOpenRequests) {
  kit.onControl([&] { kit.services.hold_answers = true; });
  run("asker");
  (void)kit.call("m", "many");
  EXPECT_TRUE(kit.sees("m", "asked 1024"));
  EXPECT_TRUE(kit.sees("m", "many answered -3"));
  kit.onControl([&] {
    for (const auto& answer : std::exchange(kit.services.held, {}))
      answer(KANTE_OK, MessageRef(), 0);
  });
  kit.onControl([&] { kit.services.hold_answers = false; });
  EXPECT_TRUE(kit.sees("m", "done "));
}

TEST_P(Conformance, SaysAgainToRequestsThatAreTooLargeTogether) {
  kit.onControl([&] { kit.services.hold_answers = true; });
  run("asker");
  (void)kit.call("m", "large");
  EXPECT_TRUE(kit.sees("m", "asked 15")) << "of a mebibyte and its envelope, in 16 MiB";
  EXPECT_TRUE(kit.sees("m", "large answered -3"));
  const auto held = [&] {
    std::size_t count = 0;
    kit.onControl([&] { count = kit.services.held.size(); });
    return count;
  };
  ASSERT_TRUE(eventually([&] { return held() == 15; }));
  kit.onControl([&] {
    for (const auto& answer : std::exchange(kit.services.held, {}))
      answer(KANTE_OK, MessageRef(), 0);
  });
  EXPECT_TRUE(kit.sees("m", "done 2000014 status 0"));
  (void)kit.call("m", "large");
  EXPECT_TRUE(eventually([&] { return held() == 15; })) << "as many as before";
}

TEST_P(Conformance, LeavesOutResultsThatAreTooLargeTogether) {
  if (GetParam().lives == PlacementUnderTest::Lives::kInRunners) GTEST_SKIP();  // Needs a file.
  kit.onControl([&] { kit.services.hold_answers = true; });
  run("asker");
  (void)kit.call("m", "many");
  ASSERT_TRUE(eventually([&] {
    std::size_t count = 0;
    kit.onControl([&] { count = kit.services.held.size(); });
    return count == 1024;
  }));
  char dir[] = "/tmp/kit-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/go";
  kit.onControl([&] {  // While it is busy.
    (*kit.services.methods.at("m").lock())(1, "until", *jsonMessage("\"" + path + "\""));
    const MessageRef large = *jsonMessage("\"" + std::string((1u << 20) - 2, 'x') + "\"");
    for (int i = 0; i < 20; ++i) {
      kit.services.held.front()(KANTE_OK, large, 0);
      kit.services.held.pop_front();
    }
  });
  std::ofstream(path) << "go";
  EXPECT_TRUE(kit.sees("m", "until answered 0"));
  std::filesystem::remove_all(dir);
  EXPECT_TRUE(kit.sees("m", "done 1000014 status 0"));
  EXPECT_TRUE(kit.sees("m", "done 1000015 status -6"));
  EXPECT_TRUE(kit.sees("m", "done 1000019 status -6"));
  kit.onControl([&] {
    kit.services.held.front()(KANTE_OK, *jsonMessage("1"), 0);
    kit.services.held.clear();
  });
  EXPECT_TRUE(kit.sees("m", "done 1000020 status 0"));
}

// An answer may come when the one who asked is gone, and its host with it.
TEST_P(Conformance, SurvivesAnswersThatComeTooLate) {
  kit.onControl([&] { kit.services.hold_answers = true; });
  run("asker");
  for (int i = 0; i < 10; ++i) (void)kit.call("m", i % 2 == 0 ? "get" : "report", "1");
  ASSERT_TRUE(eventually([&] {
    std::size_t held = 0;
    kit.onControl([&] { held = kit.services.held.size(); });
    return held == 10;
  }));
  ASSERT_TRUE(kit.apply({}).has_value());
  const auto answer_some = [&](std::size_t count) {
    for (; count > 0; --count) {
      kit.services.held.front()(KANTE_OK, MessageRef(), 0);
      kit.services.held.pop_front();
    }
  };
  kit.onControl([&] { answer_some(3); });
  ASSERT_TRUE(eventually([&] { return kit.status("m").name.empty(); }));
  kit.onControl([&] { answer_some(3); });
  kit.shutDown();
  kit.onControl([&] { answer_some(4); });
}

TEST_P(Conformance, KeepsTimersThatCoalesceAndStopWhenCancelled) {
  run("asker");
  (void)kit.call("m", "timer");
  EXPECT_TRUE(eventually([&] { return kit.times("m", "timer 5 times") >= 5; }));
  (void)kit.call("m", "cancel");
  ASSERT_TRUE(kit.sees("m", "cancel answered 0"));
  const std::size_t before = kit.times("m", "timer 5 times");
  (void)kit.call("m", "twice");
  EXPECT_EQ(kit.times("m", "timer 5 times"), before);
}

TEST_P(Conformance, LimitsHowMuchAModuleLogs) {
  run("asker");
  (void)kit.call("m", "chatty");
  EXPECT_LE(kit.times("m", "chatter"), 260u);
  EXPECT_GE(kit.times("m", "chatter"), 190u);
}

TEST_P(Conformance, BringsTheNewestDesiredDocument) {
  run("life");
  for (std::uint64_t version = 1; version <= 50; ++version) {
    kit.desire("m", "{\"v\":" + std::to_string(version) + "}", version);
  }
  EXPECT_TRUE(kit.sees("m", R"(desired 50 {"v":50})"));
}

TEST_P(Conformance, NamesTheEventThatAModuleRefuses) {
  run("life", R"({"refuse":1})");
  kit.desire("m", "{}", 1);
  EXPECT_TRUE(kit.sees("m", "event DESIRED answered KANTE_E_INVALID (-1)"));
}

// ---- reload ----

TEST_P(Conformance, LoadsOneDigestOnceForManyLives) {
  for (int life = 0; life < 5; ++life) {
    run("life");
    ASSERT_TRUE(kit.apply({}).has_value());
    ASSERT_TRUE(eventually([&] { return kit.status("m").name.empty(); }));
  }
  EXPECT_EQ(kit.times("m", "destroy"), 5u);
}

TEST_P(Conformance, RunsTwoInstancesOfOneLibrary) {
  RuntimeTarget target;
  target.modules = {kit.spec("a", "source", R"({"count":1000})"),
                    kit.spec("b", "source", R"({"count":1000,"start":500,"thread":1})")};
  target.routes = {ModuleKit::route("a/out", "$upstream"), ModuleKit::route("b/out", "$upstream")};
  ASSERT_TRUE(kit.apply(target).has_value());
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 1500; }));
  EXPECT_EQ(kit.upstream.numbers("module/a/out"), range(0, 1000));
  EXPECT_EQ(kit.upstream.numbers("module/b/out"), range(500, 1000));
}

INSTANTIATE_TEST_SUITE_P(Placements, Conformance, ::testing::ValuesIn(placementsUnderTest()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kante
