// Lives elsewhere that end alone: what comes after, and what the others notice of it (nothing).
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <thread>

#include "host/placement/module_slot.h"
#include "tests/kits/module_kit.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using Numbers = std::vector<std::uint64_t>;
using By = LifeEnd::By;

Numbers upTo(std::uint64_t count) {
  Numbers numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

class Supervise : public ::testing::Test {
 protected:
  Supervise() : Supervise(ModuleKit::Options()) {}
  explicit Supervise(const ModuleKit::Options& options) : kit(apart(), options) {}

  // A source in process into a relay elsewhere into $upstream.
  RuntimeTarget pipeline(const std::string& source, const std::string& relay = "{}") {
    RuntimeTarget target;
    target.modules = {kit.spec("s", "source", source), kit.spec("r", "relay", relay)};
    target.modules[0].placement = Placement::kInProcess;
    target.routes = {ModuleKit::route("s/out", "r/in"), ModuleKit::route("r/out", "$upstream")};
    target.routes[0].stall_ms = 0;
    return target;
  }
  void applied(const RuntimeTarget& target) {
    const auto result = kit.apply(target);
    ASSERT_TRUE(result.has_value()) << result.error().text;
  }
  bool runsAgain(const std::string& module, std::uint32_t restarts) {
    return eventually([&] {
      const ModuleStatus now = kit.status(module);
      return now.restarts == restarts && now.state == ModuleState::kRunning;
    });
  }
  bool hadEvent(const std::string& event) {
    const auto events = kit.events();
    return std::find(events.begin(), events.end(), event) != events.end();
  }

  ModuleKit kit;
};

TEST_F(Supervise, BeginsAgainAtOnceWhatWasKilledFromOutside) {
  applied(pipeline(R"({"count":100})"));
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 100; }));
  const ModuleStatus before = kit.status("r");
  const std::int64_t source_started = kit.status("s").started_wall_ns;
  EXPECT_EQ(before.placement, Placement::kSandbox);
  for (std::uint32_t life = 1; life <= 25; ++life) {  // However often: it is no fault of its own.
    kit.far.of("r")->die({"killed from outside", By::kOutside, false});
    ASSERT_TRUE(runsAgain("r", life));
  }
  const ModuleStatus after = kit.status("r");
  EXPECT_NE(after.pid, before.pid);
  EXPECT_EQ(after.last_exit, "killed from outside");
  EXPECT_TRUE(hadEvent("module.crashed r"));
  EXPECT_EQ(kit.status("s").started_wall_ns, source_started);
  EXPECT_EQ(kit.status("s").restarts, 0u);
}

TEST_F(Supervise, GoesOnWithTheInputsThatWereNotHandled) {
  constexpr std::uint64_t kCount = 5000;
  applied(pipeline(R"({"count":5000,"thread":1})"));
  std::uint32_t life = 0;
  while (kit.upstream.count() < kCount - 100 && life < 20) {
    kit.far.of("r")->die({"killed from outside", By::kOutside, false});
    ASSERT_TRUE(runsAgain("r", ++life));
  }
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == kCount; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(kCount));
  EXPECT_EQ(kit.dropped("quarantine"), 0u);
}

TEST_F(Supervise, GivesBackTheCreditOfWhatADeadLifeHeld) {
  RuntimeTarget target = pipeline(R"({"count":100})");
  target.routes[0].queue_messages = 4;
  applied(target);
  for (std::uint32_t life = 1; life <= 5; ++life) {
    kit.far.of("r")->die({"killed from outside", By::kOutside, false});
    ASSERT_TRUE(runsAgain("r", life));
  }
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 100; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(100));
}

TEST_F(Supervise, BringsWhatThereWasNoRoomForBeforeTheDrain) {
  RuntimeTarget target = pipeline(R"({"count":20})", R"({"again":1000000000})");
  target.modules[1].stop_ms = 400;
  applied(target);
  ASSERT_TRUE(eventually([&] { return kit.status("r").queued == 20; }));
  // More than it has room for at once; and of room it speaks only when it has handled its inputs.
  kit.far.of("r")->stick();
  kit.onControl([&] {
    const auto call = kit.services.methods.at("r").lock();
    for (std::uint64_t n = 1; n <= FarLife::kEvents + 1; ++n)
      (*call)(n, "number " + std::to_string(n), *jsonMessage("1"));
  });
  kit.far.of("r")->go();
  ASSERT_TRUE(kit.sees("r", "method number 4"));
  ASSERT_TRUE(kit.stop("r").has_value());
  const std::vector<std::string> lines = kit.lines("r");
  const auto last = std::find(lines.begin(), lines.end(), "method number 5");
  const auto drain = std::find(lines.begin(), lines.end(), "handled 0");
  EXPECT_NE(drain, lines.end());
  EXPECT_LT(last, drain);
}

TEST_F(Supervise, TellsWhoCallsThatTheModuleComesBack) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life", R"({"ready_ms":2000})")};
  applied(target);
  EXPECT_EQ(kit.call("m", "any")->first, 404) << "of the module, which has no methods";
  kit.far.of("m")->die({"SIGSEGV at 0x0", By::kItself, false});
  ASSERT_TRUE(eventually([&] { return kit.status("m").last_exit == "SIGSEGV at 0x0"; }));
  const auto answer = *kit.call("m", "any");
  EXPECT_EQ(answer.first, 503);
  EXPECT_NE(answer.second.find("is being started again; it ended: SIGSEGV at 0x0"),
            std::string::npos)
      << answer.second;
  ASSERT_TRUE(runsAgain("m", 1));
  EXPECT_EQ(kit.call("m", "any")->first, 404);
  // Who stays ended is not there.
  target.modules[0].restart = Restart::kNever;
  target.modules[0].config = R"({"v":2})";
  applied(target);
  kit.far.of("m")->die({"SIGSEGV at 0x8", By::kItself, false});
  ASSERT_TRUE(eventually([&] { return kit.status("m").state == ModuleState::kFailed; }));
  EXPECT_EQ(kit.call("m", "any")->first, 404);
}

TEST_F(Supervise, FreesThePortsOfALifeThatEnded) {
  const FileDescriptor probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  {
    const FileDescriptor once(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(once.get(), raw, size), 0);
    ASSERT_EQ(::getsockname(once.get(), raw, &size), 0);
  }
  const std::string at = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  RuntimeTarget target;
  target.modules = {kit.spec("m", "asker", R"({"open":"listen:)" + at + "\"}")};
  target.modules[0].device_grants = {{DeviceKind::kListen, at}};
  applied(target);
  for (std::uint32_t life = 1; life <= 3; ++life) {
    kit.far.of("m")->die({"killed from outside", By::kOutside, false});
    ASSERT_TRUE(runsAgain("m", life));
  }
  ASSERT_EQ(::connect(probe.get(), raw, size), 0);
  ASSERT_EQ(::write(probe.get(), "hello", 5), 5);
  EXPECT_TRUE(kit.sees("m", "opened and read hello"));
  EXPECT_FALSE(kit.saw("m", "in use"));
}

TEST_F(Supervise, WaitsBeforeItBeginsAShortLifeAgain) {
  applied(pipeline(R"({"count":1})"));
  kit.far.of("r")->die({"SIGSEGV at 0x0", By::kItself, false});
  ASSERT_TRUE(eventually([&] { return kit.status("r").last_exit == "SIGSEGV at 0x0"; }));
  ASSERT_TRUE(runsAgain("r", 1));
  kit.far.of("r")->die({"SIGSEGV at 0x8", By::kItself, false});
  ASSERT_TRUE(eventually([&] { return kit.status("r").state == ModuleState::kBackoff; }));
  EXPECT_EQ(kit.status("r").pid, 0);
  ASSERT_TRUE(runsAgain("r", 2));
}

TEST(ModuleSlot, DoublesItsPauseUpToHalfAMinute) {
  ModuleSlot slot;
  std::vector<std::uint32_t> pauses;
  for (slot.short_lives = 1; slot.short_lives < ModuleSlot::kShortLivesMax; ++slot.short_lives)
    pauses.push_back(slot.backoffMs());
  pauses.resize(11);
  EXPECT_EQ(pauses, (std::vector<std::uint32_t>{100, 200, 400, 800, 1600, 3200, 6400, 12'800,
                                                25'600, 30'000, 30'000}));
}

TEST_F(Supervise, LeavesWhatIsNeverToBeginAgain) {
  RuntimeTarget target = pipeline("{}");
  target.modules[1].restart = Restart::kNever;
  applied(target);
  kit.far.of("r")->die({"SIGSEGV at 0x0", By::kItself, false});
  ASSERT_TRUE(eventually([&] { return kit.status("r").state == ModuleState::kFailed; }));
  EXPECT_TRUE(hadEvent("module.failed r"));
  EXPECT_TRUE(kit.restart("r").has_value()) << "but a person may";
  EXPECT_EQ(kit.status("r").state, ModuleState::kRunning);
}

TEST_F(Supervise, AnswersTheCallsOfALifeThatEnded) {
  RuntimeTarget target;
  target.modules = {kit.spec("m", "asker")};
  applied(target);
  kit.far.of("m")->stick();
  std::thread killer([this] {
    EXPECT_TRUE(kit.sees("m", "runs"));
    kit.far.of("m")->die({"killed from outside", By::kOutside, false});
  });
  const auto answer = kit.call("m", "twice");
  killer.join();
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->first == 503 || answer->first == 404) << answer->first;
}

TEST_F(Supervise, StopsRemovesAndReplacesWhatJustDied) {
  RuntimeTarget target = pipeline(R"({"count":10})");
  applied(target);
  kit.far.of("r")->die({"SIGABRT", By::kItself, false});
  ASSERT_TRUE(eventually([&] { return kit.status("r").state == ModuleState::kBackoff; }));
  EXPECT_TRUE(kit.stop("r").has_value());
  EXPECT_EQ(kit.status("r").state, ModuleState::kStopped);
  EXPECT_TRUE(kit.start("r").has_value());
  kit.far.of("r")->die({"SIGABRT", By::kItself, false});
  target.modules[1].config = R"({"v":2})";
  applied(target);
  EXPECT_EQ(kit.status("r").state, ModuleState::kRunning);
  kit.far.of("r")->die({"killed from outside", By::kOutside, false});
  target.modules.pop_back();
  target.routes.clear();
  applied(target);
  EXPECT_TRUE(eventually([&] { return kit.status("r").name.empty(); }));
}

TEST_F(Supervise, ReplacesALifeThatDiesWhileItIsAskedForItsState) {
  RuntimeTarget target = pipeline(R"({"count":3000,"thread":1})");
  applied(target);
  kit.far.of("r")->stick();
  std::thread killer([this] {
    (void)eventually([&] { return kit.far.made("r") == 2; });
    for (int i = 0; i < 2; ++i) {
      const auto life = kit.far.of("r");
      if (life) life->go();
    }
  });
  target.modules[1].config = R"({"v":2})";
  target.modules[1].stop_ms = 100;  // Then it is killed, for it does not come to rest.
  applied(target);
  killer.join();
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 3000; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(3000));
}

TEST_F(Supervise, MovesAModuleUnderTrafficWithItsState) {
  constexpr std::uint64_t kCount = 30'000;
  RuntimeTarget target = pipeline(R"({"count":30000,"thread":1})");
  applied(target);
  for (int moves = 0; moves < 6; ++moves) {
    const std::size_t before = kit.upstream.count();
    ASSERT_TRUE(eventually(
        [&] { return kit.upstream.count() > before || kit.upstream.count() == kCount; }));
    target.modules[1].placement = moves % 2 == 0 ? Placement::kInProcess : Placement::kSandbox;
    applied(target);
    EXPECT_EQ(kit.status("r").placement, target.modules[1].placement);
  }
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == kCount; }));
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), upTo(kCount));
}

class SuperviseDurable : public Supervise {
 protected:
  struct Directory {
    Directory() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string path = "/tmp/kante-supervise-XXXXXX";
  };
  static Directory& directory() {
    static Directory one;
    return one;
  }
  static ModuleKit::Options options() {
    ModuleKit::Options options;
    std::filesystem::remove_all(directory().path + "/store");
    options.data_dir = directory().path;
    return options;
  }
  SuperviseDurable() : Supervise(options()) {}
  RuntimeTarget durable(const std::string& source, const std::string& settler) {
    RuntimeTarget target = pipeline(source);
    target.modules[1] = kit.spec("r", "settler", settler);
    target.routes[0] = ModuleKit::durable(target.routes[0]);
    return target;
  }
};

TEST_F(SuperviseDurable, BringsDurableInputsAgainInTheirOrder) {
  applied(durable(R"({"count":200})", R"({"quiet":1})"));
  for (std::uint32_t life = 1; life <= 3; ++life) {
    kit.far.of("r")->die({"killed from outside", By::kOutside, false});
    ASSERT_TRUE(runsAgain("r", life));
  }
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() >= 200; }));
  ASSERT_TRUE(eventually([&] { return kit.inspect("module/r/in").empty(); }));
  const Numbers numbers = kit.upstream.numbers("module/r/out");
  EXPECT_EQ(numbers, upTo(200));
}

TEST_F(SuperviseDurable, PutsTheMessageItKeepsDyingOnIntoQuarantine) {
  // Puts the first off for ever, so that is what it is handling at each of its ends.
  applied(durable(R"({"count":3})", R"({"again":1000000,"poison_at":0})"));
  const auto has_it = [this] {  // This life has.
    const std::vector<std::string> lines = kit.lines("r");
    const auto began = std::find(lines.rbegin(), lines.rend(), "runs");
    return std::any_of(lines.rbegin(), began,
                       [](const std::string& line) { return line.starts_with("got 0 "); });
  };
  for (std::uint32_t life = 1; life <= 5; ++life) {
    ASSERT_TRUE(eventually(has_it));
    kit.far.of("r")->die({"killed from outside", By::kOutside, true});
    ASSERT_TRUE(runsAgain("r", life));
  }
  ASSERT_TRUE(eventually([&] { return kit.inspect("quarantine").size() == 1; }));
  EXPECT_NE(
      kit.inspect("quarantine")[0].reason.find("ended while it handled it: killed from outside"),
      std::string::npos);
  ASSERT_TRUE(eventually([&] { return kit.upstream.count() == 2; })) << "the others go on";
  EXPECT_EQ(kit.upstream.numbers("module/r/out"), (Numbers{1, 2}));
}

TEST_F(SuperviseDurable, KeepsTheMessageFromMemoryThatItDiedOn) {
  RuntimeTarget target = pipeline("{}");
  target.modules[0] = kit.spec("s", "source", R"({"count":5})");
  target.modules[0].placement = Placement::kInProcess;
  target.modules[1] = kit.spec("r", "relay", R"({"again":1000000})");  // Never handles one.
  applied(target);
  ASSERT_TRUE(eventually([&] { return kit.status("r").queued == 5; }));
  kit.far.of("r")->die({"SIGSEGV at 0x0 in event INPUT", By::kItself, true});
  ASSERT_TRUE(eventually([&] { return kit.inspect("quarantine").size() == 1; }));
  EXPECT_NE(kit.inspect("quarantine")[0].reason.find("SIGSEGV at 0x0 in event INPUT"),
            std::string::npos);
  EXPECT_EQ(kit.dropped("quarantine"), 1u);
  ASSERT_TRUE(eventually([&] { return kit.status("r").queued == 4; }));
}

TEST(SuperviseWithout, RefusesWhatTheMachineCannotConfine) {
  PlacementUnderTest none = apart();
  none.host = [](ModuleHostOptions options) {
    options.sandbox = nullptr;
    options.sandbox_missing = "there is no sandbox on this machine; do this";
    return makeModuleHost(std::move(options));
  };
  ModuleKit kit(none);
  RuntimeTarget target;
  target.modules = {kit.spec("m", "life"), kit.spec("n", "life")};
  target.modules[1].placement = Placement::kInProcess;
  const auto refused = kit.apply(target);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().text, "module m: there is no sandbox on this machine; do this");
  EXPECT_EQ(kit.check(target).error().text, refused.error().text);
  target.on_start_failure = OnStartFailure::kBackOff;  // At a start of the host the others run.
  ASSERT_TRUE(kit.apply(target).has_value());
  EXPECT_EQ(kit.status("n").state, ModuleState::kRunning);
  EXPECT_EQ(kit.status("m").state, ModuleState::kBackoff);
}

}  // namespace
}  // namespace kante
