// A deployment that needs more libraries than a life may load: handed over to the next one, tried
// there, and taken back from there; at any instant the old one or the new.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/agent/deadly_life.h"

namespace kante {
namespace {

using test::document;
using test::Gateway;
using test::Life;
using ::testing::HasSubstr;
using Kind = ApplyOutcome::Kind;
using Room = ModuleHost::Room;

ModuleHost::Saved savedX(const std::string& bytes = "41") {
  ModuleHost::Saved saved;
  saved.states["x"] = std::make_shared<SavedState>(SavedState{7, bytes});
  return saved;
}

const std::string kSecond = document(2, R"("config":{"a":2})");

class Handover : public ::testing::Test {
 protected:
  Handover() {
    gateway.handover = {[this] { calls.emplace_back("begins"); },
                        [this] { calls.emplace_back("resumes"); },
                        [this] { calls.emplace_back("leave"); }};
    gateway.restart();
    EXPECT_TRUE(gateway.apply(document(1)));
    gateway.host.room = Room::kNextLife;
    gateway.host.saved = savedX();
  }
  void nextLife() {
    gateway.restart();
    gateway.host.room = Room::kEnough;
    calls.clear();
  }
  bool keptForNextLife() const {
    for (const auto& [key, value] : gateway.journal.values)
      if (key == "handover" || key.starts_with("state/")) return true;
    return false;
  }
  std::string newestState() const { return gateway.agent->history().front().state; }
  std::string newestReason() const { return gateway.agent->history().front().reason; }

  Gateway gateway;
  std::vector<std::string> calls;
};

TEST_F(Handover, TriesTheDeploymentInTheNextLifeWithWhatModulesSaved) {
  const auto outcome = gateway.apply(kSecond);
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->kind, Kind::kHandover);
  EXPECT_EQ(outcome->n, 2u);
  EXPECT_EQ(calls, (std::vector<std::string>{"begins", "leave"}));
  EXPECT_EQ(gateway.host.targets.size(), 1u) << "nothing new is started in this life";
  EXPECT_EQ(newestState(), "applying");

  nextLife();
  EXPECT_TRUE(gateway.agent->wasHandedOver());
  const auto started = gateway.start();
  ASSERT_TRUE(started) << started.error().text;
  EXPECT_EQ(started->kind, Kind::kCommitted);
  EXPECT_EQ(started->version, 2u);
  const RuntimeTarget& tried = gateway.host.targets.at(0);
  ASSERT_EQ(tried.states.size(), 1u);
  EXPECT_EQ(tried.states.at("x")->bytes, "41");
  EXPECT_EQ(tried.states.at("x")->format, 7u);
  EXPECT_EQ(tried.on_start_failure, OnStartFailure::kRefuse);
  EXPECT_EQ(gateway.agent->status().state, DeploymentState::kCommitted);
  EXPECT_EQ(newestState(), "committed");
  EXPECT_FALSE(keptForNextLife());

  nextLife();
  ASSERT_TRUE(gateway.start());
  EXPECT_TRUE(gateway.host.targets.at(0).states.empty()) << "a state is for one life";
}

TEST_F(Handover, GoesBackWithTheSameStatesWhenTheDeploymentDoesNotStart) {
  ASSERT_TRUE(gateway.apply(kSecond));
  nextLife();
  gateway.host.failures = {fail(Errc::kState, "module x: no")};
  ASSERT_TRUE(gateway.start());
  ASSERT_EQ(gateway.host.targets.size(), 2u);
  const RuntimeTarget& back = gateway.host.targets[1];
  EXPECT_EQ(back.modules.at(0).config, "{}");
  EXPECT_EQ(back.states.at("x")->bytes, "41");
  EXPECT_TRUE(back.beyond_loads_max);
  EXPECT_EQ(back.on_start_failure, OnStartFailure::kBackOff);
  EXPECT_EQ(gateway.agent->status().state, DeploymentState::kRolledBack);
  EXPECT_EQ(gateway.agent->status().version, 1u);
  EXPECT_THAT(gateway.agent->status().reason, HasSubstr("version 2: module x: no"));
  EXPECT_EQ(newestState(), "rolled-back");
  EXPECT_EQ(newestReason(), "module x: no");
  EXPECT_FALSE(keptForNextLife());
  EXPECT_TRUE(gateway.apply(kSecond)) << "and may be tried again";
}

TEST_F(Handover, GoesBackWhenTheLifeThatTriedItEnded) {
  ASSERT_TRUE(gateway.apply(kSecond));
  nextLife();
  gateway.host.hold = true;
  (void)gateway.start();
  gateway.host.held = nullptr;
  gateway.host.hold = false;
  nextLife();
  ASSERT_TRUE(gateway.start());
  ASSERT_EQ(gateway.host.targets.size(), 1u);
  EXPECT_EQ(gateway.host.targets[0].modules.at(0).config, "{}");
  EXPECT_EQ(gateway.host.targets[0].states.at("x")->bytes, "41");
  EXPECT_THAT(newestReason(), HasSubstr("the host ended while it was being started"));
  EXPECT_FALSE(keptForNextLife());
}

TEST_F(Handover, GivesStatesUpWithWhichALifeDidNotGetBackEither) {
  ASSERT_TRUE(gateway.apply(kSecond));
  nextLife();
  gateway.host.failures = {fail(Errc::kState, "module x: no")};
  gateway.host.hold = true;
  (void)gateway.start();
  gateway.host.release();  // The new one fails; the life ends while the old one starts.
  gateway.host.held = nullptr;
  gateway.host.hold = false;
  nextLife();
  ASSERT_TRUE(gateway.start());
  EXPECT_TRUE(gateway.host.targets.at(0).states.empty());
  EXPECT_EQ(gateway.agent->status().version, 1u);
  EXPECT_FALSE(keptForNextLife());
}

TEST_F(Handover, IsRefusedWhereTheDeploymentSaysSo) {
  std::string text = kSecond;
  text.insert(1, R"("handover":false,)");
  const auto refused = gateway.apply(text);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kLimit);
  EXPECT_THAT(refused.error().text, HasSubstr("\"handover\": false; restart the host, or raise"));
  EXPECT_TRUE(calls.empty());
  EXPECT_EQ(gateway.agent->history().size(), 1u);
  EXPECT_TRUE(gateway.apply(kSecond));
}

TEST_F(Handover, IsRefusedWhereNoLifeFollows) {
  gateway.handover = {};
  gateway.restart();
  ASSERT_TRUE(gateway.start());
  EXPECT_THAT(gateway.apply(kSecond).error().text, HasSubstr("restart the host, or raise"));
}

TEST_F(Handover, IsRefusedWhenNoLifeIsLargeEnough) {
  gateway.host.room = Room::kNever;
  EXPECT_THAT(gateway.apply(kSecond).error().text,
              HasSubstr("raise [runtime] in_process_loads_max"));
  EXPECT_TRUE(calls.empty());
}

TEST_F(Handover, StopsNothingForWhatTheModuleHostWouldRefuse) {
  gateway.host.checked = fail(Errc::kInvalid, "routes in a circle");
  EXPECT_EQ(gateway.apply(kSecond).error().text, "routes in a circle");
  EXPECT_TRUE(calls.empty());
  EXPECT_FALSE(keptForNextLife());
}

TEST_F(Handover, ComesToNothingWhenModulesDoNotComeToRest) {
  gateway.host.saved = fail(Errc::kTimeout, "module x: 5 messages wait");
  ASSERT_TRUE(gateway.apply(kSecond));
  EXPECT_EQ(calls, (std::vector<std::string>{"begins", "resumes"}));
  EXPECT_EQ(newestState(), "rolled-back");
  EXPECT_EQ(gateway.agent->status().state, DeploymentState::kRolledBack);
  EXPECT_THAT(gateway.agent->status().reason, HasSubstr("5 messages wait"));
  EXPECT_FALSE(keptForNextLife());
}

TEST_F(Handover, ComesToNothingWhenStatesCannotBeWritten) {
  gateway.journal.sync_failures = {false, true};  // The entry is written, the state is not.
  ASSERT_TRUE(gateway.apply(kSecond));
  EXPECT_EQ(calls, (std::vector<std::string>{"begins", "resumes"}));
  EXPECT_EQ(gateway.host.resumed, 1);
  EXPECT_THAT(newestReason(), HasSubstr("saved states: the disk fails"));
  EXPECT_FALSE(keptForNextLife());
}

TEST_F(Handover, SaysSoInADryRun) {
  const auto outcome = gateway.apply(kSecond, ApplyRequest::Mode::kDryRun);
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_THAT(outcome->plan.at(0), HasSubstr("begin a new life of the host"));
  EXPECT_TRUE(calls.empty());
}

TEST_F(Handover, BringsAnEarlierDeploymentBackAsWell) {
  gateway.host.room = Room::kEnough;
  ASSERT_TRUE(gateway.apply(kSecond));
  gateway.host.room = Room::kNextLife;
  const auto outcome = gateway.rollback();
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->kind, Kind::kHandover);
  nextLife();
  ASSERT_TRUE(gateway.start());
  EXPECT_EQ(gateway.agent->status().version, 1u);
  EXPECT_EQ(gateway.agent->status().state, DeploymentState::kCommitted);
}

TEST_F(Handover, DoesNotBlameADeploymentForModulesThatHadFailedBefore) {
  gateway.host.saved->down = {"x", "y"};
  ASSERT_TRUE(gateway.apply(kSecond));  // Changes x and leaves y.
  nextLife();
  ASSERT_TRUE(gateway.start());
  EXPECT_EQ(gateway.host.targets.at(0).may_back_off, std::set<std::string>{"y"});
}

TEST_F(Handover, LeavesNothingOfARecordThatCannotBeRead) {
  ASSERT_TRUE(gateway.apply(kSecond));
  gateway.journal.values["handover"] = "{";
  nextLife();
  ASSERT_TRUE(gateway.start());
  EXPECT_EQ(gateway.agent->status().version, 1u);
  EXPECT_TRUE(gateway.host.targets.at(0).states.empty());
  EXPECT_FALSE(keptForNextLife());
}

TEST(HandoverDocument, TakesNothingButTrueOrFalse) {
  Gateway gateway;
  std::string text = document(1);
  text.insert(1, R"("handover":"no",)");
  EXPECT_THAT(gateway.apply(text).error().text, HasSubstr("/handover: expected true or false"));
}

// ---- killed between any two writes -------------------------------------------------------------

enum class Ends { kInFirst, kInSecond };

// Both lives of a hand-over, each in a process of its own; one of them dies at its write number
// `deadly`.  Whether it did.
bool dies(Gateway& gateway, Ends where, int deadly) {
  const auto inChild = [&](const std::function<void()>& life) {
    const pid_t child = ::fork();
    if (child == 0) {
      life();
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
  };
  const bool in_first = inChild([&] {
    Life life(gateway);
    life.agent->start([](const Result<ApplyOutcome>&) {});
    life.host.room = Room::kNextLife;
    life.host.saved = savedX();
    life.journal.steps = 0;
    if (where == Ends::kInFirst) life.journal.deadly = deadly;
    (void)life.apply(kSecond);
  });
  if (where == Ends::kInFirst) return in_first;
  return inChild([&] {
    Life life(gateway, deadly);
    life.agent->start([](const Result<ApplyOutcome>&) {});
  });
}

TEST(HandoverCrash, AtAnyInstantLeavesTheOldDeploymentOrTheNewAndNoStateForLater) {
  std::set<std::uint64_t> seen;
  for (const Ends where : {Ends::kInFirst, Ends::kInSecond}) {
    bool died = true;
    for (int deadly = 1; died && deadly < 50; ++deadly) {
      SCOPED_TRACE("killed at write " + std::to_string(deadly) + " of life " +
                   std::to_string(where == Ends::kInFirst ? 1 : 2));
      Gateway gateway;
      ASSERT_TRUE(Life(gateway).apply(document(1)));
      died = dies(gateway, where, deadly);
      Life life(gateway);
      Result<ApplyOutcome> started = fail(Errc::kState, "not answered");
      life.agent->start([&](Result<ApplyOutcome> outcome) { started = std::move(outcome); });
      ASSERT_TRUE(started) << started.error().text;
      const auto version = life.agent->status().version;
      seen.insert(version);
      ASSERT_TRUE(version == 1 || version == 2);
      EXPECT_EQ(life.host.targets.back().modules.at(0).config, version == 1 ? "{}" : R"({"a":2})");
      for (const auto& entry : life.agent->history())
        EXPECT_EQ(entry.state, entry.version <= version ? "committed" : "rolled-back");
      for (const auto& [key, value] : life.journal.readAll().value())
        EXPECT_TRUE(key == "current" || key.starts_with("entry/")) << key;
      Life later(gateway);
      later.agent->start([](const Result<ApplyOutcome>&) {});
      EXPECT_TRUE(later.host.targets.at(0).states.empty());
      EXPECT_EQ(later.agent->status().version, version);
    }
    EXPECT_FALSE(died);
  }
  EXPECT_EQ(seen, (std::set<std::uint64_t>{1, 2}));
}

// ---- to another version of the host

TEST_F(Handover, GivesTheSameDeploymentToAnUpdateAndThenBackWithTheSameStates) {
  std::optional<Status> handed;
  gateway.host.saved->down = {"y"};
  gateway.agent->handOverToUpdate([&](Status status) { handed = std::move(status); });
  ASSERT_TRUE(handed && *handed);
  EXPECT_EQ(calls, std::vector<std::string>{"begins"}) << "to leave is for the caller";
  EXPECT_FALSE(gateway.apply(kSecond)) << "it is about to end";

  for (const char* version : {"the next", "the one before"}) {
    nextLife();
    ASSERT_TRUE(gateway.start()) << version;
    const RuntimeTarget& target = gateway.host.targets.at(0);
    EXPECT_EQ(target.states.at("x")->bytes, "41") << version;
    EXPECT_EQ(target.on_start_failure, OnStartFailure::kBackOff) << version;
    EXPECT_EQ(gateway.agent->status().state, DeploymentState::kCommitted) << version;
    EXPECT_EQ(gateway.agent->status().version, 1u) << version;
    EXPECT_EQ(gateway.agent->downBeforeUpdate(), std::set<std::string>{"y"}) << version;
    EXPECT_TRUE(keptForNextLife()) << version;
  }
  gateway.agent->updateIsOver();
  EXPECT_FALSE(keptForNextLife());
  EXPECT_EQ(gateway.agent->history().size(), 1u) << "it was no change";
}

TEST_F(Handover, AnUpdateFindsNoThirdLifeWithItsStates) {
  gateway.agent->handOverToUpdate([](const Status&) {});
  for (int life = 0; life < 2; ++life) {
    nextLife();
    ASSERT_TRUE(gateway.start());
  }
  nextLife();
  ASSERT_TRUE(gateway.start());
  EXPECT_TRUE(gateway.host.targets.at(0).states.empty());
  EXPECT_FALSE(keptForNextLife());
}

TEST_F(Handover, AnUpdateThatCannotSaveLetsAllGoOn) {
  gateway.host.saved = fail(Errc::kState, "module x: cannot save");
  std::optional<Status> handed;
  gateway.agent->handOverToUpdate([&](Status status) { handed = std::move(status); });
  ASSERT_TRUE(handed);
  ASSERT_FALSE(*handed);
  EXPECT_EQ(handed->error().text, "module x: cannot save");
  EXPECT_EQ(calls, (std::vector<std::string>{"begins", "resumes"}));
  EXPECT_FALSE(keptForNextLife());
  gateway.host.room = Room::kEnough;
  EXPECT_TRUE(gateway.apply(kSecond));
}

TEST_F(Handover, AnUpdateWithNothingDeployedHasNothingToHandOver) {
  Gateway empty;
  empty.restart();
  std::optional<Status> handed;
  empty.agent->handOverToUpdate([&](Status status) { handed = std::move(status); });
  ASSERT_TRUE(handed && *handed);
  empty.restart();
  const auto started = empty.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Errc::kNotFound);
  empty.agent->updateIsOver();
  EXPECT_TRUE(empty.journal.values.empty());
}

}  // namespace
}  // namespace kante
