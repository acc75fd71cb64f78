#include "host/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

using test::document;
using test::Gateway;
using test::kPorts;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

constexpr char kRoute[] = R"({"up":"FROM /messages/modules/x/outputs/out INTO $upstream"})";

class AgentTest : public testing::Test {
 protected:
  ApplyOutcome applied(const std::string& text) {
    auto outcome = gateway_.apply(text);
    EXPECT_TRUE(outcome) << outcome.error().text;
    return outcome ? *outcome : ApplyOutcome{};
  }
  Error refused(const std::string& text) {
    auto outcome = gateway_.apply(text);
    EXPECT_FALSE(outcome);
    return outcome ? Error{} : outcome.error();
  }
  void applyAndHold(
      const std::string& text, Agent::Applied applied = [](const auto&) {}) {
    gateway_.host.hold = true;
    gateway_.agent->apply(gateway_.request(text), std::move(applied));
  }
  DeploymentStatus status() const { return gateway_.agent->status(); }

  Gateway gateway_;
};

TEST_F(AgentTest, BeforeTheFirstDeploymentThereIsNone) {
  EXPECT_EQ(status().state, DeploymentState::kNone);
  EXPECT_EQ(gateway_.agent->document(), "null");
  EXPECT_THAT(gateway_.agent->history(), IsEmpty());
  EXPECT_EQ(gateway_.start().error().code, Errc::kNotFound);
  EXPECT_EQ(gateway_.rollback().error().code, Errc::kNotFound);
  EXPECT_EQ(gateway_.patch(Agent::PatchKind::kMerge, "{}").error().code, Errc::kNotFound);
}

TEST_F(AgentTest, ADeploymentIsOrderedCommittedAndRemembered) {
  const ApplyOutcome outcome = applied(document(1, "", kRoute));
  EXPECT_EQ(outcome.kind, ApplyOutcome::Kind::kCommitted);
  EXPECT_EQ(outcome.n, 1u);
  EXPECT_THAT(outcome.plan,
              ElementsAre("start x (com.example.a 1.0.0)", "start y (com.example.b 1.0.0)",
                          HasSubstr("add route up: FROM")));
  EXPECT_THAT(outcome.changed, ElementsAre("/id", "/modules/x", "/modules/y", "/routes/up"));
  ASSERT_THAT(gateway_.host.targets, SizeIs(1));
  EXPECT_THAT(gateway_.host.targets[0].modules, SizeIs(2));
  EXPECT_EQ(gateway_.host.targets[0].on_start_failure, OnStartFailure::kRefuse);
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  EXPECT_EQ(status().version, 1u);
  ASSERT_THAT(gateway_.agent->history(), SizeIs(1));
  const HistoryEntry said = gateway_.agent->history()[0];
  EXPECT_EQ(said.who, "operator/ann");
  EXPECT_EQ(said.state, "committed");
  EXPECT_EQ(said.when_wall_ns, gateway_.clock.wallNs());
  EXPECT_EQ(gateway_.bundles->counterFloor("com.example.a"), 7u);
}

TEST_F(AgentTest, SurvivesARestartByTheDigestsOfItsBundles) {
  applied(document(1, R"("config":{"a":1})", kRoute));
  const auto first = gateway_.host.targets[0];
  ::unlink((gateway_.dir.path() + "/a.kmod").c_str());
  gateway_.restart();
  EXPECT_EQ(status().id, "line-4");
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  ASSERT_THAT(gateway_.host.targets, SizeIs(1));
  EXPECT_EQ(gateway_.host.targets[0].on_start_failure, OnStartFailure::kBackOff);
  EXPECT_TRUE(gateway_.host.targets[0].modules[0].sameInstance(first.modules[0]));
  EXPECT_EQ(gateway_.host.targets[0].routes[0].text, first.routes[0].text);
}

TEST_F(AgentTest, WhatIsBarredAfterItsAdmissionStaysStoppedWhileTheOthersRun) {
  applied(document(1));
  gateway_.barred = [](const std::string& digest) {
    return digest == Gateway::digestOf("com.example.a", 7, kPorts) ? "revoked" : "";
  };
  gateway_.restart();
  ASSERT_TRUE(gateway_.start());
  for (const ModuleSpec& module : gateway_.host.targets.back().modules) {
    EXPECT_EQ(module.desire == Desire::kStopped, module.name == "x") << module.name;
    EXPECT_EQ(module.barred, module.name == "x" ? "revoked" : "");
  }
}

TEST_F(AgentTest, TheSameDocumentAgainChangesNothing) {
  applied(document(1));
  const int writes = gateway_.journal.writes;
  const ApplyOutcome again = applied(document(1));
  EXPECT_EQ(again.kind, ApplyOutcome::Kind::kUnchanged);
  EXPECT_THAT(gateway_.host.targets, SizeIs(1));
  EXPECT_EQ(gateway_.journal.writes, writes);
  EXPECT_THAT(gateway_.agent->history(), SizeIs(1));
}

TEST_F(AgentTest, TheVersionMustRise) {
  applied(document(5));
  EXPECT_EQ(refused(document(4)).code, Errc::kConflict);
  EXPECT_THAT(refused(document(4)).text, StartsWith("/version: 4 is not above 5"));
  EXPECT_EQ(refused(document(5, R"("stop_ms":1)")).code, Errc::kConflict);
  EXPECT_THAT(refused(document(5, R"("stop_ms":1)")).text,
              StartsWith("/version: 5 is deployed already with other content"));
  // Another build of the same version of a bundle is other content.
  gateway_.makeBundle("a.kmod", "com.example.a", 8, kPorts);
  EXPECT_EQ(refused(document(5)).code, Errc::kConflict);
  EXPECT_THAT(gateway_.host.targets, SizeIs(1));
  applied(document(6));
  applied(document(1, "", "{}", "other-line"));
  EXPECT_EQ(status().id, "other-line");
}

TEST_F(AgentTest, OnlyWhatDiffersIsPlanned) {
  applied(document(1, "", kRoute));
  const ApplyOutcome second = applied(document(2, R"("config":{"a":{"b":1}})", kRoute));
  EXPECT_THAT(second.plan, ElementsAre("restart x with a new configuration, its state carried over",
                                       "leave untouched: y"));
  EXPECT_THAT(second.changed, ElementsAre("/modules/x/config"));
  gateway_.makeBundle("a.kmod", "com.example.a", 8, kPorts);
  const ApplyOutcome third =
      applied(document(3, R"("config":{"a":{"b":2}},"desired":{"t":1})", "{}"));
  EXPECT_THAT(third.plan,
              ElementsAre("replace x: version 1.0.0 by another build of it, its state carried over",
                          "leave untouched: y", "replace desired properties of module/x",
                          "remove route up"));
  EXPECT_THAT(third.changed, ElementsAre("/modules/x/bundle", "/modules/x/config/a/b",
                                         "/modules/x/desired", "/routes/up"));
  const ApplyOutcome alone =
      applied(document(4, R"("execution":"dedicated","config":{"a":{"b":2}})"));
  EXPECT_THAT(alone.plan, Contains("restart x under other conditions, its state carried over"));
  const ApplyOutcome fourth = applied(document(5, R"("status":"stopped","config":{"a":{"b":2}})"));
  EXPECT_THAT(fourth.plan, Contains("stop x (com.example.a 1.0.0), kept in the deployment"));
}

TEST_F(AgentTest, ADryRunTellsThePlanAndTouchesNothing) {
  const auto outcome = gateway_.apply(document(1, "", kRoute), ApplyRequest::Mode::kDryRun);
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->kind, ApplyOutcome::Kind::kDryRun);
  EXPECT_THAT(outcome->plan, SizeIs(3));
  EXPECT_THAT(gateway_.host.targets, IsEmpty());
  EXPECT_EQ(gateway_.journal.writes, 0);
  EXPECT_THAT(gateway_.bundles->list(), IsEmpty());
  EXPECT_EQ(gateway_.bundles->counterFloor("com.example.a"), 0u);
  EXPECT_EQ(status().state, DeploymentState::kNone);
}

TEST_F(AgentTest, WhatDoesNotComeUpLeavesTheOldOneAndIsRecordedWithItsReason) {
  applied(document(1));
  gateway_.makeBundle("a.kmod", "com.example.a", 9, kPorts);
  gateway_.host.failures.push_back(fail(Errc::kTimeout, "module x: was not ready"));
  const Error error = refused(document(2, R"("desired":{"t":1})"));
  EXPECT_EQ(error.code, Errc::kTimeout);
  EXPECT_EQ(error.text, "rolled back: module x: was not ready");
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_EQ(status().version, 1u);
  EXPECT_EQ(status().reason, "line-4 version 2: module x: was not ready");
  ASSERT_THAT(gateway_.agent->history(), SizeIs(2));
  EXPECT_EQ(gateway_.agent->history()[0].state, "rolled-back");
  EXPECT_EQ(gateway_.agent->history()[0].reason, "module x: was not ready");
  EXPECT_EQ(gateway_.bundles->counterFloor("com.example.a"), 7u);
  EXPECT_THAT(gateway_.bundles->list(), SizeIs(2));  // The bundle that was only tried is gone.
  EXPECT_EQ(gateway_.twins->desired("module/x").version, 0u);
  EXPECT_EQ(gateway_.twins->desiredAtStart("module/x").version, 0u);
  applied(document(2));  // The same version may be tried again.
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  EXPECT_EQ(status().reason, "");
}

TEST_F(AgentTest, OneChangeAtATime) {
  int answers = 0;
  applyAndHold(document(1),
               [&](const Result<ApplyOutcome>& outcome) { answers += outcome ? 1 : 100; });
  EXPECT_EQ(status().state, DeploymentState::kApplying);
  EXPECT_EQ(gateway_.agent->history()[0].state, "applying");
  EXPECT_EQ(refused(document(2)).code, Errc::kState);
  EXPECT_EQ(gateway_.rollback().error().code, Errc::kState);
  gateway_.host.release();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(AgentTest, AnAnswerAfterItsEndIsHarmless) {
  applyAndHold(document(1), [](const Result<ApplyOutcome>&) { FAIL(); });
  gateway_.agent.reset();
  gateway_.host.release();
}

TEST_F(AgentTest, DesiredPropertiesSwitchWithTheDeployment) {
  applied(document(1, R"("desired":{"t":1})"));
  ASSERT_TRUE(gateway_.twins->patchDesired("module/x", R"({"t":5})"));
  applyAndHold(document(2, R"("desired":{"t":2})"));
  EXPECT_EQ(gateway_.twins->desired("module/x").json, R"({"t":5})");
  EXPECT_EQ(gateway_.twins->desiredAtStart("module/x").json, R"({"t":2})");
  gateway_.host.release();
  EXPECT_EQ(gateway_.twins->desired("module/x").json, R"({"t":2})");
  EXPECT_EQ(gateway_.twins->desired("module/x").version, 3u);
  gateway_.host.hold = false;
  ASSERT_TRUE(gateway_.twins->patchDesired("module/x", R"({"t":7})"));
  applied(document(3, R"("desired":{"t":2},"stop_ms":9)"));
  EXPECT_EQ(gateway_.twins->desired("module/x").json, R"({"t":7})");
  gateway_.restart();
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(gateway_.twins->desired("module/x").json, R"({"t":7})");
}

TEST_F(AgentTest, RollbackBringsBackTheOneBeforeAndTwiceTheOneBeforeThat) {
  for (int version = 1; version <= 3; ++version) {
    gateway_.makeBundle("a.kmod", "com.example.a", 6u + static_cast<unsigned>(version), kPorts);
    applied(document(version));
  }
  EXPECT_EQ(gateway_.bundles->counterFloor("com.example.a"), 9u);
  auto back = gateway_.rollback();
  ASSERT_TRUE(back) << back.error().text;
  EXPECT_EQ(back->version, 2u);
  EXPECT_EQ(gateway_.host.targets.back().modules[0].digest,
            Gateway::digestOf("com.example.a", 8, kPorts));
  EXPECT_EQ(gateway_.bundles->counterFloor("com.example.a"), 9u);
  EXPECT_EQ(gateway_.agent->history()[0].who, "operator/bob");
  back = gateway_.rollback();
  ASSERT_TRUE(back);
  EXPECT_EQ(back->version, 1u);
  EXPECT_EQ(gateway_.rollback().error().code, Errc::kNotFound);
  back = gateway_.rollback(3);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->version, 3u);
  EXPECT_EQ(gateway_.rollback(3)->kind, ApplyOutcome::Kind::kUnchanged);
  EXPECT_EQ(gateway_.rollback(99).error().code, Errc::kNotFound);
  gateway_.restart();
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(status().version, 3u);
}

TEST_F(AgentTest, RollbackGoesPastWhatIsTheSame) {
  applied(document(1));
  applied(document(2));
  ASSERT_EQ(gateway_.rollback()->version, 1u);
  applied(document(2));  // The same again, as another entry.
  applied(document(3));
  ASSERT_EQ(gateway_.rollback()->version, 2u);
  const auto back = gateway_.rollback();
  ASSERT_TRUE(back) << back.error().text;
  EXPECT_EQ(back->kind, ApplyOutcome::Kind::kCommitted);
  EXPECT_EQ(back->version, 1u);
}

TEST_F(AgentTest, AFailedAttemptCannotComeBack) {
  applied(document(1));
  gateway_.host.failures.push_back(fail(Errc::kInvalid, "no"));
  refused(document(2));
  EXPECT_THAT(gateway_.rollback(2).error().text, HasSubstr("was never committed"));
}

TEST_F(AgentTest, TheHistoryIsBoundedAndFailuresPushNothingOut) {
  for (int version = 1; version <= 15; ++version) applied(document(version));
  for (int i = 0; i < 15; ++i) {
    gateway_.host.failures.push_back(fail(Errc::kInvalid, "no"));
    refused(document(16));
  }
  const auto history = gateway_.agent->history();
  EXPECT_THAT(history, SizeIs(20));
  EXPECT_EQ(history.front().n, 30u);
  EXPECT_EQ(history.back().n, 6u);
  EXPECT_THAT(gateway_.journal.values, SizeIs(21));
  EXPECT_TRUE(gateway_.rollback(7));
  EXPECT_EQ(gateway_.rollback(5).error().code, Errc::kNotFound);
}

TEST_F(AgentTest, BundlesOfDeploymentsThatMayComeBackAreKeptAndOthersGo) {
  for (int version = 1; version <= 12; ++version) {
    gateway_.makeBundle("a.kmod", "com.example.a", static_cast<std::uint64_t>(version), kPorts);
    applied(document(version));
  }
  EXPECT_THAT(gateway_.bundles->list(), SizeIs(11));  // Ten of a, one of b.
  gateway_.makeBundle("c.kmod", "com.example.c", 1, kPorts);
  const auto file = openAt(gateway_.dir.fd(), "c.kmod", O_RDONLY).value();
  const auto uploaded = gateway_.agent->admit(file.get(), ApplyRequest::Rebind::kNo);
  ASSERT_TRUE(uploaded);
  applied(document(13));
  // Waiting for its document; the oldest of a went, for version 13 uses the newest again.
  EXPECT_THAT(gateway_.bundles->list(), SizeIs(11));
  EXPECT_THAT(gateway_.bundles->list(), Contains(uploaded->digest));
}

TEST_F(AgentTest, AnUploadedBundleIsFoundByTheNameInTheDocument) {
  ApplyRequest request = gateway_.request(document(1));
  request.base_directory.clear();
  for (const char* name : {"a.kmod", "b.kmod"}) {
    const auto file = openAt(gateway_.dir.fd(), name, O_RDONLY).value();
    request.uploads[name] =
        gateway_.agent->admit(file.get(), ApplyRequest::Rebind::kNo).value().digest;
  }
  const std::string digest = request.uploads["a.kmod"];
  Result<ApplyOutcome> result = fail(Errc::kState, "");
  gateway_.agent->apply(std::move(request),
                        [&](Result<ApplyOutcome> outcome) { result = std::move(outcome); });
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_THAT(gateway_.agent->document(), HasSubstr(digest));
}

TEST_F(AgentTest, APatchChangesTheCurrentDeployment) {
  applied(document(1, R"("config":{"a":1,"b":2})", kRoute));
  auto patched =
      gateway_.patch(Agent::PatchKind::kMerge, R"({"modules":{"x":{"config":{"a":5,"b":null}}}})");
  ASSERT_TRUE(patched) << patched.error().text;
  EXPECT_EQ(patched->version, 2u);
  EXPECT_THAT(patched->changed, ElementsAre("/modules/x/config/a", "/modules/x/config/b"));
  EXPECT_EQ(gateway_.host.targets.back().modules[0].config, R"({"a":5})");
  patched =
      gateway_.patch(Agent::PatchKind::kJson, R"([{"op":"test","path":"/version","value":2},)"
                                              R"({"op":"replace","path":"/version","value":7},)"
                                              R"({"op":"remove","path":"/routes/up"}])");
  ASSERT_TRUE(patched) << patched.error().text;
  EXPECT_EQ(patched->version, 7u);
  EXPECT_THAT(gateway_.host.targets.back().routes, IsEmpty());
  const auto stale =
      gateway_.patch(Agent::PatchKind::kJson, R"([{"op":"test","path":"/version","value":2}])");
  EXPECT_EQ(stale.error().code, Errc::kConflict);
  const auto wrong =
      gateway_.patch(Agent::PatchKind::kMerge, R"({"modules":{"x":{"stop_ms":-1}}})");
  EXPECT_THAT(wrong.error().text, StartsWith("/modules/x/stop_ms: "));
  EXPECT_EQ(gateway_.patch(Agent::PatchKind::kMerge, "{").error().code, Errc::kInvalid);
  EXPECT_FALSE(gateway_.patch(Agent::PatchKind::kMerge, "null"));
  EXPECT_THAT(gateway_.patch(Agent::PatchKind::kMerge, "[]").error().text,
              HasSubstr("--type json"));
}

TEST_F(AgentTest, WhatCannotBeStagedIsNotStarted) {
  applied(document(1));
  gateway_.journal.full = true;
  EXPECT_EQ(refused(document(2)).code, Errc::kIo);
  gateway_.journal.full = false;
  gateway_.journal.sync_failures = {true};
  EXPECT_EQ(refused(document(2)).code, Errc::kIo);
  EXPECT_THAT(gateway_.host.targets, SizeIs(1));
  EXPECT_EQ(status().version, 1u);
}

TEST_F(AgentTest, WhatCannotBeCommittedIsTakenBack) {
  applied(document(1));
  gateway_.journal.sync_failures = {false, true};
  const Error error = refused(document(2, R"("config":{"a":1})"));
  EXPECT_EQ(error.code, Errc::kIo);
  ASSERT_THAT(gateway_.host.targets, SizeIs(3));
  EXPECT_EQ(gateway_.host.targets[2].modules[0].config, "{}");
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  gateway_.restart();
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(status().version, 1u);
}

TEST_F(AgentTest, ACommittedDeploymentThatDoesNotStartIsSaidAndKept) {
  applied(document(1));
  gateway_.restart();
  gateway_.host.failures.push_back(fail(Errc::kLimit, "too many loads"));
  EXPECT_FALSE(gateway_.start());
  EXPECT_EQ(status().state, DeploymentState::kFailed);
  EXPECT_EQ(status().reason, "too many loads");
  EXPECT_EQ(status().version, 1u);
  // The same document is a way out, for it does not run.
  EXPECT_EQ(applied(document(1)).kind, ApplyOutcome::Kind::kCommitted);
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(AgentTest, AMissingBundleAtStartIsNamed) {
  applied(document(1));
  for (const std::string& digest : gateway_.bundles->list())
    ASSERT_TRUE(gateway_.bundles->remove(digest));
  gateway_.restart();
  EXPECT_THAT(gateway_.start().error().text, StartsWith("/modules/x/bundle: sha256:"));
  EXPECT_EQ(status().state, DeploymentState::kFailed);
}

TEST_F(AgentTest, ADamagedJournalIsSaid) {
  applied(document(1));
  gateway_.journal.values["entry/00000001"] = "{";
  gateway_.restart();
  EXPECT_EQ(status().state, DeploymentState::kFailed);
  EXPECT_THAT(status().reason, HasSubstr("entry/00000001 cannot be read"));
  EXPECT_EQ(gateway_.agent->document(), "null");
  applied(document(1));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(AgentTest, ADocumentThatIsNotValidLeavesNoTrace) {
  EXPECT_THAT(refused(document(1, R"("stop_ms":-1)")).text, StartsWith("/modules/x/stop_ms: "));
  EXPECT_THAT(refused(document(1, "", R"({"r":"FROM"})")).text, StartsWith("/routes/r: character"));
  EXPECT_THAT(gateway_.agent->history(), IsEmpty());
  EXPECT_THAT(gateway_.bundles->list(), IsEmpty());
  EXPECT_EQ(status().state, DeploymentState::kNone);
}

}  // namespace
}  // namespace kante
