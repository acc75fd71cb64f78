// A deployment is watched before it holds: what ends its watch, and what comes back then.
#include "host/agent/observe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

using std::chrono::seconds;
using test::document;
using test::Gateway;
using testing::HasSubstr;

ModuleStatus moduleNamed(const std::string& name) {
  ModuleStatus status;
  status.name = name;
  status.state = ModuleState::kRunning;
  return status;
}

// Version 2 of what runs already, x replaced, to be watched for a minute.
class Watch : public testing::Test {
 protected:
  Watch() {
    gateway.uplink_connected = [this] { return connected; };
    gateway.restart();
    EXPECT_TRUE(gateway.apply(document(1, R"("desired":{"a":1})")));
    gateway.host.statuses = {moduleNamed("x"), moduleNamed("y")};
    gateway.host.report.replaced = {"x"};
    gateway.host.report.states["x"] = std::make_shared<SavedState>(SavedState{7, "41"});
  }
  static std::string second(const std::string& health = R"({"window_s":60})") {
    std::string text = document(2, R"("desired":{"a":2})");
    text.pop_back();
    return text + R"(,"health":)" + health + "}";
  }
  void apply(const std::string& text) {
    gateway.agent->apply(gateway.request(text),
                         [this](Result<ApplyOutcome> answer) { answers.push_back(answer); });
  }
  ModuleStatus& x() { return gateway.host.statuses[0]; }
  ModuleStatus& y() { return gateway.host.statuses[1]; }
  DeploymentStatus status() const { return gateway.agent->status(); }
  HistoryEntry newest() const { return gateway.agent->history().front(); }
  void expectGoneBack(const std::string& why) {
    EXPECT_EQ(status().state, DeploymentState::kRolledBack);
    EXPECT_EQ(status().version, 1u);
    EXPECT_THAT(status().reason, HasSubstr(why));
    EXPECT_EQ(newest().state, "rolled-back");
    EXPECT_THAT(newest().reason, HasSubstr(why));
    EXPECT_EQ(gateway.twins->desired("module/x").json, R"({"a":1})");
    const RuntimeTarget& back = gateway.host.targets.back();
    EXPECT_TRUE(back.goes_back);
    EXPECT_EQ(back.on_start_failure, OnStartFailure::kBackOff);
    EXPECT_EQ(back.states.at("x")->bytes, "41");
  }

  Gateway gateway;
  bool connected = true;
  std::vector<Result<ApplyOutcome>> answers;
};

TEST_F(Watch, WhatSaysNothingHasTheWindowOfWhereItComesFrom) {
  const auto from_afar = [this](const std::string& text) {
    ApplyRequest request = gateway.request(text);
    request.default_window_s = 120;
    gateway.agent->apply(std::move(request), [](const Result<ApplyOutcome>&) {});
  };
  const std::string says_nothing = document(2, R"("desired":{"a":2})");
  from_afar(says_nothing);
  EXPECT_EQ(status().state, DeploymentState::kWatching);
  gateway.pass(seconds(100));
  x().deaths = 1;
  gateway.pass(seconds(1));
  expectGoneBack("module x ended");

  from_afar(second(R"({"window_s":0})"));
  EXPECT_EQ(status().state, DeploymentState::kCommitted) << "it says that it wants none";
  apply(document(3));
  EXPECT_EQ(status().state, DeploymentState::kCommitted) << "and by hand there is none";

  test::Gateway empty;
  ApplyRequest first = empty.request(document(1));
  first.default_window_s = 120;
  empty.agent->apply(std::move(first), [](const Result<ApplyOutcome>&) {});
  EXPECT_EQ(empty.agent->status().state, DeploymentState::kCommitted)
      << "there is nothing to go back to";
}

TEST_F(Watch, IsCommittedWhenItsWindowIsOver) {
  apply(second());
  EXPECT_EQ(status().state, DeploymentState::kWatching);
  EXPECT_EQ(status().version, 2u);
  EXPECT_EQ(newest().state, "applying");
  EXPECT_EQ(gateway.twins->desired("module/x").json, R"({"a":2})");
  gateway.pass(seconds(59));
  EXPECT_TRUE(answers.empty());
  gateway.pass(seconds(2));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].value().kind, ApplyOutcome::Kind::kCommitted);
  EXPECT_THAT(answers[0].value().plan, testing::Contains("watch all of it for 60 s, then commit "
                                                         "it, or go back"));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  EXPECT_GE(gateway.host.asked, 4) << "modules are asked how they are";
  EXPECT_EQ(gateway.twins->desired("module/x").json, R"({"a":2})");
}

TEST_F(Watch, IsNotHeldByOneWithoutAWindow) {
  apply(document(2));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(Watch, IsNotWaitedForByOneWhoAsksOnlyThatItRuns) {
  ApplyRequest request = gateway.request(second());
  request.answer = ApplyRequest::Answer::kWhenItRuns;
  gateway.agent->apply(std::move(request),
                       [this](Result<ApplyOutcome> answer) { answers.push_back(answer); });
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0]);
  EXPECT_EQ(status().state, DeploymentState::kWatching);
  gateway.pass(seconds(61));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  EXPECT_EQ(answers.size(), 1u) << "answered once";
}

TEST_F(Watch, EndsWithAModuleThatCrashes) {
  apply(second());
  gateway.pass(seconds(30));
  x().deaths = 1;  // It runs again already.
  x().last_exit = "SIGSEGV at 0x0 in event TIMER";
  gateway.pass(seconds(1));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_THAT(answers[0].error().text,
              HasSubstr("rolled back: module x ended: SIGSEGV at 0x0 in event TIMER"));
  expectGoneBack("module x ended: SIGSEGV at 0x0");
}

TEST_F(Watch, EndsWithAModuleThatIsNotWell) {
  apply(second());
  x().complaint = "the bus does not answer";
  gateway.pass(seconds(1));
  expectGoneBack("module x is not well: the bus does not answer");
}

TEST_F(Watch, CountsWhatItDidNotTouchOnlyIfThatWasWellBefore) {
  y().state = ModuleState::kBackoff;
  apply(second());
  y().deaths = 5;
  gateway.pass(seconds(61));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);

  y().state = ModuleState::kRunning;
  std::string third = second();
  third.replace(third.find(R"("version":2)"), 11, R"("version":3)");
  apply(third);
  y().deaths = 6;
  gateway.pass(seconds(1));
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_THAT(status().reason, HasSubstr("module y ended"));
}

TEST_F(Watch, EndsWithALinkThatDoesNotComeBack) {
  apply(second());
  connected = false;
  gateway.pass(seconds(59));
  EXPECT_EQ(status().state, DeploymentState::kWatching) << "it may still come";
  gateway.pass(seconds(2));
  expectGoneBack("the uplink was connected before and is not any more");
}

TEST_F(Watch, ALinkMayComeAndGo) {
  apply(second());
  connected = false;
  gateway.pass(seconds(50));
  connected = true;
  gateway.pass(seconds(1));
  connected = false;
  gateway.pass(seconds(10));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(Watch, ALinkThatWasDownBeforeOrDoesNotCountIsNotMissed) {
  connected = false;
  apply(second());
  gateway.pass(seconds(61));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(Watch, TheDocumentMaySayThatTheLinkDoesNotCount) {
  apply(second(R"({"window_s":60,"uplink":false})"));
  connected = false;
  gateway.pass(seconds(61));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(Watch, KeepsOtherChangesOutAndSaysHowLong) {
  apply(second());
  gateway.pass(seconds(20));
  apply(document(3));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().text,
            "line-4 version 2 is watched for another 40 s; wait for that, or roll it back");
}

TEST_F(Watch, IsCutShortByARollback) {
  apply(second());
  const auto back = gateway.rollback();
  ASSERT_TRUE(back) << back.error().text;
  EXPECT_EQ(back->version, 1u);
  ASSERT_EQ(answers.size(), 1u);
  expectGoneBack("operator/bob rolled it back while it was watched");
  gateway.pass(seconds(61));  // Nothing of it is left.
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
}

TEST_F(Watch, WhatIsBroughtBackIsNotWatched) {
  apply(second());
  gateway.pass(seconds(61));
  apply(document(3));
  const auto back = gateway.rollback();
  ASSERT_TRUE(back);
  EXPECT_THAT(back->plan, testing::Not(testing::Contains(testing::HasSubstr("watch"))));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  EXPECT_EQ(status().version, 2u);
}

TEST_F(Watch, OneThatTheHostDidNotSurviveIsTheOldOneAgain) {
  apply(second());
  gateway.restart();
  ASSERT_TRUE(gateway.start());
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_EQ(status().version, 1u);
  EXPECT_THAT(status().reason, HasSubstr("the host ended while it was being applied"));
  EXPECT_EQ(gateway.twins->desired("module/x").json, R"({"a":1})");
}

TEST_F(Watch, TheFirstDeploymentLeavesNothingBehind) {
  Gateway other;
  std::string text = document(1);
  text.pop_back();
  other.host.statuses = {moduleNamed("x")};
  other.host.report.started = {"x", "y"};
  other.agent->apply(other.request(text + R"(,"health":{"window_s":5}})"),
                     [](const Result<ApplyOutcome>&) {});
  other.host.statuses[0].state = ModuleState::kFailed;
  other.pass(seconds(1));
  EXPECT_EQ(other.agent->status().state, DeploymentState::kRolledBack);
  EXPECT_TRUE(other.host.targets.back().modules.empty());
}

TEST_F(Watch, GoesOnInTheNextLifeThatItNeeds) {
  gateway.handover = {[] {}, [] {}, [] {}};
  gateway.restart();
  ASSERT_TRUE(gateway.start());
  gateway.host.room = ModuleHost::Room::kNextLife;
  apply(second());
  ASSERT_EQ(answers.at(0).value().kind, ApplyOutcome::Kind::kHandover);
  gateway.restart();
  gateway.host.room = ModuleHost::Room::kEnough;
  ASSERT_TRUE(gateway.start()) << "the host does not wait for the end of the window";
  EXPECT_EQ(status().state, DeploymentState::kWatching);
  x().deaths = 1;
  gateway.pass(seconds(1));
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_EQ(status().version, 1u);
}

TEST_F(Watch, IsCutShortInTheNextLifeThatItNeeds) {
  gateway.handover = {[] {}, [] {}, [] {}};
  gateway.restart();
  ASSERT_TRUE(gateway.start());
  gateway.host.room = ModuleHost::Room::kNextLife;
  ModuleHost::Saved saved;
  saved.states["x"] = std::make_shared<SavedState>(SavedState{7, "41"});
  gateway.host.saved = saved;
  apply(second());
  gateway.restart();
  gateway.host.room = ModuleHost::Room::kEnough;
  ASSERT_TRUE(gateway.start());
  const auto back = gateway.rollback();
  ASSERT_TRUE(back) << "whoever asks is answered";
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_EQ(status().version, 1u);
  EXPECT_TRUE(gateway.host.targets.back().goes_back) << "not from what the bad one has";
  EXPECT_EQ(gateway.host.targets.back().states.at("x")->bytes, "41");
}

TEST_F(Watch, OneThatCannotBeStoredIsTakenBackWithItsDesiredProperties) {
  apply(second());
  gateway.journal.full = true;
  gateway.pass(seconds(61));
  gateway.journal.full = false;
  expectGoneBack("the disk is full");
}

TEST_F(Watch, GoesBackOnceAnotherChangeOfTheModuleHostIsOver) {
  apply(second());
  gateway.host.its_turn = ModuleHost::Turn::kTaken;
  x().deaths = 1;
  gateway.pass(seconds(3));
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(status().state, DeploymentState::kApplying);
  EXPECT_EQ(gateway.host.targets.size(), 2u) << "nothing is ordered of a host that is at work";
  gateway.host.its_turn = ModuleHost::Turn::kFree;
  gateway.pass(seconds(1));
  ASSERT_EQ(answers.size(), 1u);
  expectGoneBack("module x ended");
}

TEST_F(Watch, GoesBackInTheNextLifeOnceAnotherChangeOfTheModuleHostIsOver) {
  gateway.handover = {[] {}, [] {}, [] {}};
  gateway.restart();
  ASSERT_TRUE(gateway.start());
  gateway.host.room = ModuleHost::Room::kNextLife;
  apply(second());
  gateway.restart();
  gateway.host.room = ModuleHost::Room::kEnough;
  ASSERT_TRUE(gateway.start());
  gateway.host.its_turn = ModuleHost::Turn::kTaken;
  x().deaths = 1;
  gateway.pass(seconds(3));
  EXPECT_EQ(newest().state, "applying");
  gateway.host.its_turn = ModuleHost::Turn::kFree;
  gateway.pass(seconds(1));
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_EQ(gateway.host.targets.back().modules.size(), 2u);
  EXPECT_TRUE(gateway.host.targets.back().goes_back);
}

TEST_F(Watch, TheFirstDeploymentLeavesNothingBehindInTheNextLifeEither) {
  Gateway other;
  other.handover = {[] {}, [] {}, [] {}};
  other.restart();
  other.host.room = ModuleHost::Room::kNextLife;
  ASSERT_TRUE(other.apply(second()));
  other.restart();
  other.host.room = ModuleHost::Room::kEnough;
  other.host.statuses = {moduleNamed("x")};
  ASSERT_TRUE(other.start());
  EXPECT_EQ(other.host.targets.back().modules.size(), 2u);
  other.host.statuses[0].state = ModuleState::kFailed;
  other.host.statuses[0].deaths = 1;
  other.pass(seconds(1));
  EXPECT_EQ(other.agent->status().state, DeploymentState::kRolledBack);
  EXPECT_TRUE(other.host.targets.back().modules.empty());
  EXPECT_FALSE(other.agent->changing());
}

TEST_F(Watch, WhoCutsItShortHearsThatTheOneBeforeDoesNotComeBack) {
  apply(second());
  gateway.host.failures.push_back(fail(Errc::kLimit, "no memory"));
  const auto back = gateway.rollback();
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().text, "no memory");
  EXPECT_EQ(status().state, DeploymentState::kFailed);
}

TEST(Observation, ANewModuleThatIsDownAtOnceIsSeen) {
  ModuleStatus down = moduleNamed("x");
  down.state = ModuleState::kBackoff;
  down.last_exit = "exit code 1";
  EXPECT_FALSE(Observation({down}, {}).judge({down}));
  EXPECT_EQ(Observation({down}, {"x"}).judge({down}), "module x ended: exit code 1");
}

}  // namespace
}  // namespace kante
