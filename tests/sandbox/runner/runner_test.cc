// A module of the kits in a real kante-runner sees what it would see in process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "tests/sandbox/runner/test_host.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> numbers(int from, int to) {
  std::vector<std::string> all;
  for (int i = from; i < to; ++i) all.push_back(std::to_string(i));
  return all;
}

// ---- start and end

TEST(RunnerTest, LoadsAModuleAndSaysItsNames) {
  TestHost host("kit-relay");
  ASSERT_EQ(host.refused(), "");
  EXPECT_THAT(host.names(), ElementsAre("in", "out"));
  EXPECT_STREQ(host.loaded().version, "1.0.0");
}

TEST(RunnerTest, RefusesWhatIsNoModuleOrAnotherOne) {
  TestHost::Options other;
  other.module_id = "dev.kante.other";
  EXPECT_EQ(TestHost("kit-relay", other).refused(),
            "module entry: says it is dev.kante.kit-relay, its manifest says dev.kante.other");
  EXPECT_EQ(TestHost("kit-bad-0").refused(), "module library has no symbol kante_module_entry");
  EXPECT_EQ(TestHost("kit-bad-1").refused(), "module entry: wrong magic number");
}

TEST(RunnerTest, EndsInOrderWithZero) {
  TestHost host("kit-life");
  host.create();
  const auto created = host.next(Frame::kCreated);
  ASSERT_TRUE(created);
  EXPECT_EQ(created->head.status, KANTE_OK);
  EXPECT_EQ(created->head.id, 0u);
  host.send({.kind = Frame::kDrain});
  EXPECT_TRUE(host.next(Frame::kDrained));
  host.send({.kind = Frame::kDestroy});
  EXPECT_EQ(host.exitCode(), 0);
  EXPECT_TRUE(host.logged("destroy"));
  EXPECT_EQ(host.countLogged("held"), 0u);
}

TEST(RunnerTest, EndsWhenItsHostIsGone) {
  TestHost host("kit-life");
  host.create();
  ASSERT_TRUE(host.next(Frame::kCreated));
  ASSERT_TRUE(host.until([&] { return host.page().sleeps.load() > 0; }));
  host.closeControl();
  EXPECT_EQ(host.exitCode(), kRunnerExitHostGone);
}

TEST(RunnerTest, EndsWhenItsHostWentWhileItWasBusy) {
  TestHost host("kit-relay");
  host.create(R"({"sleep_ms":100})");
  host.activate();
  host.input("1");
  ASSERT_TRUE(host.until([&] { return host.page().sequence.load() == 3; }));
  host.closeControl();
  EXPECT_EQ(host.exitCode(), kRunnerExitHostGone);
}

TEST(RunnerTest, EndsAlsoWithAnOutputThatWaitsForCredit) {
  TestHost host("kit-source");
  host.create(R"({"count":5000})");
  ASSERT_TRUE(host.next(Frame::kCreated));
  host.send({.kind = Frame::kDestroy});
  EXPECT_EQ(host.exitCode(), 0);
}

TEST(RunnerTest, SaysWhatItHasStillToSayBeforeItEnds) {
  TestHost host("kit-asker");
  host.create();
  ASSERT_TRUE(host.next(Frame::kCreated));
  // More than the ring holds, and nobody reads until the end.
  const std::string large = "\"" + std::string(200'000, 'x') + "\"";
  host.method("report", 1, large);
  host.method("report", 2, large);
  host.send({.kind = Frame::kDestroy});
  EXPECT_EQ(host.exitCode(), 0);
  EXPECT_EQ(std::count_if(
                host.said().begin(), host.said().end(),
                [&](const auto& one) { return one.kind == Frame::kReport && one.body() == large; }),
            2);
}

TEST(RunnerTest, SaysHowManyMessagesWereHeldAtTheEnd) {
  TestHost host("kit-settler");
  host.create(R"({"pending":1,"leak":1})");
  for (int i = 0; i < 3; ++i) host.input(std::to_string(i), 100 + static_cast<unsigned>(i));
  ASSERT_TRUE(host.logged("got 2"));
  host.send({.kind = Frame::kDestroy});
  EXPECT_EQ(host.exitCode(), 0);
  EXPECT_TRUE(host.logged("held 3 messages when it was destroyed"));
}

TEST(RunnerTest, TellsTheTextOfACreateThatRefusesAndOfOneThatThrows) {
  TestHost host("kit-life");
  host.create(R"({"fail_create":1})");
  const auto created = host.next(Frame::kCreated);
  ASSERT_TRUE(created);
  EXPECT_EQ(created->head.status, KANTE_E_INVALID);
  EXPECT_EQ(created->text, "the configuration has no address");
  host.send({.kind = Frame::kDestroy});
  EXPECT_EQ(host.exitCode(), 0);
  EXPECT_EQ(host.countLogged("destroy"), 1u);  // By create() itself.

  TestHost other("kit-life");
  other.create(R"({"throw_create":1})");
  const auto thrown = other.next(Frame::kCreated);
  ASSERT_TRUE(thrown);
  EXPECT_EQ(thrown->head.status, KANTE_E_INTERNAL);
  EXPECT_EQ(thrown->text, "an exception left create()");
}

TEST(RunnerTest, SaysThatReadyWasPromisedAndWhenItCame) {
  TestHost host("kit-life");
  host.create(R"({"ready_ms":20})");
  const auto created = host.next(Frame::kCreated);
  ASSERT_TRUE(created);
  EXPECT_EQ(created->head.id, 1u);
  EXPECT_TRUE(host.next(Frame::kReady));
}

// ---- messages

TEST(RunnerTest, EmitsNothingBeforeItsRoutesAreThereAndThenAll) {
  TestHost host("kit-source");
  host.create(R"({"count":5000})");
  ASSERT_TRUE(host.next(Frame::kCreated));
  EXPECT_EQ(host.bodies().size(), 0u);
  host.activate();
  ASSERT_TRUE(host.logged("sent all"));
  EXPECT_EQ(host.bodies(), numbers(0, 5000));
  for (const auto& one : host.said()) {
    if (one.kind == Frame::kEmit) {
      ASSERT_EQ(one.head.arg, 1u);
    }
  }
}

TEST(RunnerTest, StopsAtTheCreditOfAnOutput) {
  TestHost::Options options;
  options.routes = false;
  options.ring_bytes = kRingBytesDefault;
  TestHost host("kit-source", options);
  host.create(R"({"count":5000})");
  host.activate();
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == kOutputCredit; }));
  host.send({.kind = Frame::kHealth});  // Answered once it has tried one more.
  ASSERT_TRUE(host.next(Frame::kEventEnded));
  // Less than half of it is no reason to go on.
  host.giveCredit(0, kOutputCredit / 2 - 1);
  host.method("none", 1);
  ASSERT_TRUE(host.next(Frame::kEventEnded));
  EXPECT_EQ(host.bodies().size(), std::size_t{kOutputCredit});
  host.giveCredit(0, 1);
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == kOutputCredit * 3 / 2; }));
}

TEST(RunnerTest, AThreadOfTheModuleEmitsInOrderThroughASmallRing) {
  TestHost host("kit-source");
  host.create(R"({"count":20000,"thread":1})");
  host.activate();
  ASSERT_TRUE(host.logged("sent all"));
  EXPECT_EQ(host.bodies(), numbers(0, 20'000));
}

TEST(RunnerTest, CarriesAMebibyteBothWays) {
  TestHost host("kit-relay");
  host.create();
  host.activate();
  for (int i = 0; i < 5; ++i) {
    std::string body(1 << 20, static_cast<char>('a' + i));
    body.front() = body.back() = '"';
    host.input(body);
    ASSERT_TRUE(
        host.until([&] { return host.bodies().size() == static_cast<std::size_t>(i) + 1; }));
    EXPECT_EQ(host.bodies().back(), body);
  }
}

TEST(RunnerTest, CountsHopsOfWhatIsPassedOnAndOfWhatIsSentAgain) {
  TestHost host("kit-relay");
  host.create(R"({"keep":2})");
  host.activate();
  host.input("7", 0, 3);
  ASSERT_TRUE(host.logged("repeated all"));
  std::vector<std::uint64_t> hops;
  for (const auto& one : host.said()) {
    if (one.kind == Frame::kEmit) hops.push_back(one.head.arg);
  }
  EXPECT_THAT(hops, ElementsAre(4, 4, 4));
}

TEST(RunnerTest, BringsAMessageAgainThatTheModuleCouldNotTake) {
  TestHost host("kit-relay");
  host.create(R"({"again":2})");
  host.activate();
  for (int i = 0; i < 10; ++i) host.input(std::to_string(i));
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == 10; }));
  EXPECT_EQ(host.bodies(), numbers(0, 10));
  EXPECT_TRUE(host.until([&] { return host.handled() == 10; }));
}

TEST(RunnerTest, BringsItAgainWhenThereIsRoomAndHandlesEventsMeanwhile) {
  TestHost::Options options;
  options.routes = false;
  TestHost host("kit-relay", options);
  host.create();
  for (int i = 0; i < 100; ++i) host.input(std::to_string(i));
  host.send({.kind = Frame::kHealth});
  ASSERT_TRUE(host.next(Frame::kEventEnded));
  EXPECT_EQ(host.handled(), 0u);
  host.activate();
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == 100; }));
  EXPECT_EQ(host.bodies(), numbers(0, 100));
}

TEST(RunnerTest, SaysWhoseInputFailedAndWhy) {
  TestHost host("kit-relay");
  host.create(R"({"error":1})");
  host.input("0");
  const auto ended = host.next(Frame::kEventEnded);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->head.id, std::uint32_t{KANTE_EVENT_INPUT});
  EXPECT_EQ(ended->head.status, KANTE_E_INVALID);
  EXPECT_EQ(ended->text, "module/s/out\ndoes not like 0");

  TestHost other("kit-relay");
  other.create(R"({"throw":1})");
  other.input("0");
  const auto thrown = other.next(Frame::kEventEnded);
  ASSERT_TRUE(thrown);
  EXPECT_EQ(thrown->head.status, KANTE_E_INTERNAL);
  EXPECT_EQ(thrown->text, "module/s/out\nan exception left on_event()");
}

// ---- settlement

TEST(RunnerTest, SettlesADurableInputByWhatTheCallbackAnswers) {
  TestHost host("kit-settler");
  host.create(R"({"fail":1,"poison_at":2})");
  host.activate();
  for (int i = 1; i <= 3; ++i) host.input(std::to_string(i), 50 + static_cast<unsigned>(i));
  for (int i = 1; i <= 3; ++i) {
    const auto settled = host.next(Frame::kSettle);
    ASSERT_TRUE(settled);
    EXPECT_EQ(settled->head.token, 50u + static_cast<unsigned>(i));
    EXPECT_EQ(settled->head.status, i == 2 ? KANTE_E_CORRUPT : KANTE_OK);
    EXPECT_EQ(settled->text, i == 2 ? "cannot stand 2" : "");
    EXPECT_EQ(settled->head.id, i == 2 ? 1u : 0u);
    if (i != 2) continue;
    // What is behind it goes back unseen, until the host has heard of it.
    host.send({.kind = Frame::kResume, .id = 1});
    host.input("3", 53);
  }
}

TEST(RunnerTest, SettlesOnceFromTheStrandAndFromAThread) {
  TestHost host("kit-settler");
  host.create(R"({"pending":1})");
  for (unsigned i = 0; i < 2; ++i) host.input(std::to_string(i), 70 + i);
  ASSERT_TRUE(host.logged("got 1"));
  EXPECT_TRUE(host.until([&] { return host.handled() == 2; }));
  host.method("twice", 5);
  const auto reply = host.next(Frame::kReply);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->head.status, 200);
  EXPECT_EQ(std::count_if(host.said().begin(), host.said().end(),
                          [](const auto& one) { return one.kind == Frame::kSettle; }),
            1);

  TestHost threaded("kit-settler");
  threaded.create(R"({"thread":1,"quiet":1})");
  threaded.activate();
  for (unsigned i = 0; i < 300; ++i) threaded.input(std::to_string(i), 1000 + i);
  std::size_t emitted = 0;
  for (unsigned i = 0; i < 300; ++i) {
    const auto settled = threaded.next(Frame::kSettle);
    ASSERT_TRUE(settled);
    EXPECT_EQ(settled->head.token, 1000u + i);
  }
  for (const auto& one : threaded.said()) {  // What a message led to comes before its end.
    if (one.kind == Frame::kEmit) ++emitted;
    if (one.kind == Frame::kSettle) {
      EXPECT_EQ(one.head.token, 1000 + emitted - 1);
    }
  }
}

TEST(RunnerTest, WhatIsPutOffComesAgainAndNothingOvertakesIt) {
  TestHost host("kit-settler");
  host.create(R"({"again":2,"poison_at":1})");
  host.activate();
  for (int i = 0; i < 4; ++i) host.input(std::to_string(i), 10 + static_cast<unsigned>(i));
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == 4; }));
  EXPECT_EQ(host.bodies(), numbers(0, 4));
  for (const char* line : {"got 1 earlier 0", "got 1 earlier 1", "got 1 earlier 2"})
    EXPECT_EQ(host.countLogged(line), 1u) << line;
  for (unsigned i = 0; i < 4; ++i) {
    const auto settled = host.next(Frame::kSettle);
    ASSERT_TRUE(settled);
    EXPECT_EQ(settled->head.token, 10 + i);
    EXPECT_EQ(settled->head.status, KANTE_OK);
  }
}

}  // namespace
}  // namespace kante
