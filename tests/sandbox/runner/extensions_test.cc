// The extensions, and how a life hands over to the next, through a real kante-runner.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/sandbox/runner/test_host.h"

namespace kante {
namespace {

std::size_t count(const TestHost& host, Frame kind) {
  return static_cast<std::size_t>(
      std::count_if(host.said().begin(), host.said().end(),
                    [kind](const TestHost::Said& one) { return one.kind == kind; }));
}

struct Asker {
  Asker() { host.create(); }
  // Calls it and waits until it says "NAME answered STATUS".
  void call(const std::string& name, const std::string& arguments = "null") {
    host.method(name, ++token, arguments);
    EXPECT_TRUE(host.logged(name + " answered ")) << name;
  }
  bool answered(const std::string& name, int status) {
    return host.logged(name + " answered " + std::to_string(status));
  }
  TestHost host{"kit-asker"};
  std::uint64_t token = 100;
};

// ---- methods

TEST(RunnerExtensions, AnswersMethodsOnceFromAnyThread) {
  Asker asker;
  TestHost& host = asker.host;
  host.method("unknown", 1);
  const auto unknown = host.next(Frame::kEventEnded);
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->head.id, std::uint32_t{KANTE_EVENT_METHOD});
  EXPECT_EQ(unknown->head.token, 1u);
  EXPECT_EQ(unknown->head.status, KANTE_E_UNSUPPORTED);
  host.method("thread", 2);
  auto reply = host.next(Frame::kReply);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->head.token, 2u);
  EXPECT_EQ(reply->head.status, 203);
  host.method("twice", 3);
  EXPECT_TRUE(host.logged("second reply -9"));
  reply = host.next(Frame::kReply);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->head.status, 200);
  EXPECT_EQ(reply->body(), R"({"from":"asker"})");
  EXPECT_EQ(count(host, Frame::kReply), 2u);
}

// ---- requests

TEST(RunnerExtensions, AsksAndHearsTheAnswer) {
  Asker asker;
  TestHost& host = asker.host;
  asker.call("put", R"({"v":7})");
  const auto put = host.next(Frame::kStoragePut);
  ASSERT_TRUE(put);
  EXPECT_EQ(put->text, "key");
  EXPECT_EQ(put->body(), R"({"v":7})");
  asker.call("report", R"({"r":1})");
  const auto report = host.next(Frame::kReport);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->body(), R"({"r":1})");
  asker.call("invoke module/other", "1");
  const auto invoke = host.next(Frame::kInvoke);
  ASSERT_TRUE(invoke);
  EXPECT_EQ(invoke->text, "module/otherdo");
  EXPECT_EQ(invoke->head.arg, 200u | std::uint64_t{12} << 32);
  const MessageRef result = bodyMessage("[1]");
  host.send({.kind = Frame::kDone,
             .status = KANTE_OK,
             .token = invoke->head.token,
             .arg = 204,
             .words = result.words(),
             .word_count = result.wordCount()});
  EXPECT_TRUE(host.logged("done 3 status 0 arg 204 [1]"));
  host.send({.kind = Frame::kDone, .status = KANTE_E_CANCELED, .token = put->head.token});
  EXPECT_TRUE(host.logged("done 1 status -9 arg 0"));
}

TEST(RunnerExtensions, SaysAgainToTooManyOpenRequests) {
  Asker asker;
  TestHost& host = asker.host;
  asker.call("many");
  EXPECT_TRUE(host.logged("asked 1024"));
  EXPECT_TRUE(asker.answered("many", KANTE_E_AGAIN));
  ASSERT_TRUE(host.until([&] { return count(host, Frame::kStorageGet) == 1024; }));
  host.send({.kind = Frame::kDone, .token = 1'000'000});
  ASSERT_TRUE(host.logged("done 1000000"));
  host.method("get", 7);
  EXPECT_TRUE(asker.answered("get", KANTE_OK));
  host.method("erase", 8);
  EXPECT_TRUE(asker.answered("erase", KANTE_E_AGAIN));
}

TEST(RunnerExtensions, RefusesWhatAModuleMayNotSay) {
  Asker asker;
  asker.call("reserved");
  EXPECT_TRUE(asker.answered("reserved", KANTE_E_DENIED));
  asker.call("badoutput");
  EXPECT_TRUE(asker.answered("badoutput", KANTE_E_NOT_FOUND));
  asker.call("badkey");
  EXPECT_TRUE(asker.answered("badkey", KANTE_E_INVALID));
  asker.call("badtimer");
  EXPECT_TRUE(asker.answered("badtimer", KANTE_E_INVALID));
  EXPECT_EQ(count(asker.host, Frame::kEmit), 0u);
}

TEST(RunnerExtensions, KeepsTimersAndStopsThemWhenCancelled) {
  Asker asker;
  TestHost& host = asker.host;
  asker.call("timer");
  EXPECT_TRUE(host.until([&] { return host.countLogged("timer 5 times") >= 5; }));
  asker.call("cancel");
  ASSERT_TRUE(asker.answered("cancel", KANTE_OK));
  const std::size_t before = host.countLogged("timer 5 times");
  host.method("unknown", 1);
  ASSERT_TRUE(host.until([&] {
    return host.said().back().kind == Frame::kEventEnded && host.said().back().head.token == 1;
  }));
  EXPECT_EQ(host.countLogged("timer 5 times"), before);
}

TEST(RunnerExtensions, TellsAMetricAndWhatWasRecorded) {
  Asker asker;
  TestHost& host = asker.host;
  asker.call("metric");
  const auto defined = host.next(Frame::kDefineMetric);
  ASSERT_TRUE(defined);
  EXPECT_EQ(defined->head.id, 0u);
  EXPECT_EQ(defined->head.arg, 1u);
  EXPECT_EQ(defined->text, "degrees");
  const auto recorded = host.next(Frame::kRecordMetric);
  ASSERT_TRUE(recorded);
  EXPECT_EQ(std::bit_cast<double>(recorded->head.arg), 21.5);
}

TEST(RunnerExtensions, LimitsHowMuchAModuleLogs) {
  Asker asker;
  TestHost& host = asker.host;
  asker.host.method("chatty", 1);
  ASSERT_TRUE(host.next(Frame::kEventEnded));
  EXPECT_LE(host.countLogged("chatter"), 260u);
  EXPECT_GE(host.countLogged("chatter"), 190u);
}

TEST(RunnerExtensions, HealthIsAnsweredWithItsText) {
  TestHost host("kit-life");
  host.create(R"({"unhealthy":1})");
  host.send({.kind = Frame::kHealth});
  const auto ended = host.next(Frame::kEventEnded);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->head.id, std::uint32_t{KANTE_EVENT_HEALTH});
  EXPECT_EQ(ended->head.status, KANTE_E_STATE);
  EXPECT_EQ(ended->text, "the fan stands still");
}

// ---- from one life to the next

TEST(RunnerExtensions, RestoresComesBeforeTheDesiredPropertiesAndMayBeRefused) {
  TestHost host("kit-source");
  host.create(R"({"count":9,"idle":1})");
  std::vector<std::uint64_t> state(1);
  std::memcpy(state.data(), "6", 1);
  host.send(stateFrame(Frame::kRestore, 0, 7, state.data(), 1));
  const auto restored = host.next(Frame::kRestored);
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->head.status, KANTE_OK);
  EXPECT_TRUE(host.logged("restored 6 format 7"));

  TestHost other("kit-source");
  other.create(R"({"bad_restore":1,"idle":1})");
  other.send(stateFrame(Frame::kRestore, 0, 7, state.data(), 1));
  const auto refused = other.next(Frame::kRestored);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->head.status, KANTE_E_INVALID);
  EXPECT_EQ(refused->text, "not my state");
}

TEST(RunnerExtensions, SavesItsStateAndHoldsEventsUntilItGoesOn) {
  TestHost host("kit-relay");
  host.create(R"({"again":1})");
  host.activate();
  // Put off, so given back; what comes again is the host's matter.
  host.input("1");
  host.send({.kind = Frame::kSave, .token = 9});
  const auto saved = host.next(Frame::kSaved);
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->head.token, 9u);
  EXPECT_EQ(saved->head.arg, 1u);
  EXPECT_EQ(saved->state, "0");
  const auto ended = host.next(Frame::kEventEnded);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->head.id, std::uint32_t{KANTE_EVENT_SAVE});
  EXPECT_EQ(ended->head.status, KANTE_OK);
  EXPECT_EQ(host.handled(), 0u);
  host.send({.kind = Frame::kResume});
  host.input("2");
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == 1; }));
  EXPECT_EQ(host.bodies()[0], "2");
  EXPECT_TRUE(host.until([&] { return host.handled() == 1; }));
}

TEST(RunnerExtensions, AModuleWithoutStateSaysSo) {
  TestHost host("kit-life");
  host.create();
  host.send({.kind = Frame::kSave, .token = 9});
  const auto ended = host.next(Frame::kEventEnded);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->head.token, 9u);
  EXPECT_EQ(ended->head.status, KANTE_E_UNSUPPORTED);
}

TEST(RunnerExtensions, WhatItHadNoRoomForGoesOutWhileItDrains) {
  TestHost::Options options;
  options.routes = false;
  TestHost host("kit-source", options);
  host.create(R"({"count":600,"outbox":1})");
  host.activate();
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == kOutputCredit; }));
  host.send({.kind = Frame::kSave, .token = 9});
  ASSERT_TRUE(host.next(Frame::kSaved));
  // Held: room is not told.
  host.giveCredit(0, kOutputCredit);
  ASSERT_TRUE(host.next(Frame::kEventEnded));
  EXPECT_EQ(host.bodies().size(), std::size_t{kOutputCredit});
  host.send({.kind = Frame::kDrain});
  EXPECT_TRUE(host.next(Frame::kDrained));
  EXPECT_EQ(host.bodies().size(), 600u);
}

TEST(RunnerExtensions, ItSleepsWhileEventsAreHeldWhateverTheyAre) {
  TestHost::Options options;
  options.routes = false;
  TestHost host("kit-source", options);
  host.create(R"({"count":600,"outbox":1})");
  host.activate();
  ASSERT_TRUE(host.until([&] { return host.bodies().size() == kOutputCredit; }));
  host.send({.kind = Frame::kSave, .token = 9});
  ASSERT_TRUE(host.next(Frame::kEventEnded));
  host.giveCredit(0, kOutputCredit);
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t slept = host.page().sleeps.load();
    host.send({.kind = Frame::kHealth});
    ASSERT_TRUE(host.next(Frame::kEventEnded));
    EXPECT_TRUE(host.until([&] { return host.page().sleeps.load() > slept; }));
  }
}

TEST(RunnerExtensions, ASaveStopsTimersUntilItGoesOnAndADrainForGood) {
  TestHost host("kit-asker");
  host.create();
  host.method("timer", 1);
  ASSERT_TRUE(host.logged("timer 5 times"));
  host.send({.kind = Frame::kSave, .token = 2});
  ASSERT_TRUE(host.until([&] { return host.said().back().head.token == 2; }));
  const std::size_t before = host.countLogged("timer 5 times");
  host.send({.kind = Frame::kResume});
  ASSERT_TRUE(host.until([&] { return host.countLogged("timer 5 times") > before + 2; }));
  host.send({.kind = Frame::kSave, .token = 3});
  ASSERT_TRUE(host.until([&] { return host.said().back().head.token == 3; }));
  host.send({.kind = Frame::kDrain});
  ASSERT_TRUE(host.next(Frame::kDrained));
  const std::size_t at_drain = host.countLogged("timer 5 times");
  host.method("unknown", 4);
  ASSERT_TRUE(host.until([&] { return host.said().back().head.token == 4; }));
  EXPECT_EQ(host.countLogged("timer 5 times"), at_drain);
}

// ---- what else a host sees

TEST(RunnerExtensions, ThePageTellsOfCallbacksAndOfTheWait) {
  TestHost host("kit-life");
  host.create();
  ASSERT_TRUE(host.next(Frame::kCreated));
  ASSERT_TRUE(host.until([&] { return host.page().sequence.load() == 2; }));
  host.send({.kind = Frame::kHealth});
  ASSERT_TRUE(host.next(Frame::kEventEnded));
  EXPECT_EQ(host.page().sequence.load(), 4u);
  EXPECT_EQ(host.page().event.load(), std::uint32_t{KANTE_EVENT_HEALTH});
  EXPECT_TRUE(host.until([&] { return host.page().sleeps.load() > 0; }));
}

TEST(RunnerExtensions, AHostThatBreaksTheRulesIsLeft) {
  TestHost host("kit-life");
  host.create();
  ASSERT_TRUE(host.next(Frame::kCreated));
  host.send({.kind = Frame::kDrained});
  EXPECT_EQ(host.exitCode(), 4);
  EXPECT_EQ(host.output(), "the host broke the rules: DRAINED from a host\n");
}

}  // namespace
}  // namespace kante
