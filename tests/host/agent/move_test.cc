// Modules that do not run where their deployment says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/agent/agent.h"
#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

using test::document;
using test::Gateway;
using test::kPorts;
using testing::ElementsAre;
using testing::HasSubstr;

class MoveTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(gateway_.apply(document(1))); }
  Status move(const std::string& module, std::optional<Placement> placement) {
    Status result = fail(Errc::kState, "no answer");
    gateway_.agent->move(module, placement, "operator/ann",
                         [&result](const Status& status) { result = status; });
    return result;
  }
  // What the module host is told of x at the next start.
  ModuleSpec xAtStart() {
    gateway_.restart();
    EXPECT_TRUE(gateway_.start());
    return gateway_.host.targets.back().modules[0];
  }

  Gateway gateway_;
};

TEST_F(MoveTest, AMovedModuleStaysThereAcrossRestarts) {
  ASSERT_TRUE(move("x", Placement::kSandbox));
  EXPECT_THAT(gateway_.host.moves, ElementsAre("x sandbox moved by operator/ann"));
  for (int restarts = 0; restarts < 2; ++restarts) {
    const ModuleSpec x = xAtStart();
    EXPECT_EQ(x.placement, Placement::kSandbox);
    EXPECT_EQ(x.override_reason, "moved by operator/ann");
  }
  EXPECT_EQ(gateway_.host.targets.back().modules[1].placement, Placement::kInProcess);
}

TEST_F(MoveTest, ResetBringsItBack) {
  ASSERT_TRUE(move("x", Placement::kSandbox));
  ASSERT_TRUE(move("x", std::nullopt));
  EXPECT_EQ(gateway_.host.moves.back(), "x in-process ");
  EXPECT_EQ(xAtStart().override_reason, "");
  ASSERT_TRUE(move("x", Placement::kSandbox));
  ASSERT_TRUE(move("x", Placement::kInProcess)) << "where it is deployed";
  EXPECT_EQ(xAtStart().override_reason, "");
}

TEST_F(MoveTest, ADeploymentThatChangesOtherThingsKeepsIt) {
  ASSERT_TRUE(move("x", Placement::kSandbox));
  ASSERT_TRUE(gateway_.apply(document(2, R"("config":{"a":1})")));
  EXPECT_EQ(gateway_.host.targets.back().modules[0].placement, Placement::kSandbox);
  EXPECT_EQ(xAtStart().placement, Placement::kSandbox);
}

TEST_F(MoveTest, ADeploymentThatChangesBundleOrPlacementDropsIt) {
  ASSERT_TRUE(move("x", Placement::kSandbox));
  gateway_.makeBundle("a.kmod", "com.example.a", 8, kPorts);
  ASSERT_TRUE(gateway_.apply(document(2)));
  EXPECT_EQ(gateway_.host.targets.back().modules[0].placement, Placement::kInProcess);
  EXPECT_EQ(xAtStart().placement, Placement::kInProcess);
}

TEST_F(MoveTest, ADeploymentThatIsRolledBackDropsNothing) {
  ASSERT_TRUE(move("x", Placement::kSandbox));
  gateway_.makeBundle("a.kmod", "com.example.a", 8, kPorts);
  gateway_.host.failures.push_back({Errc::kState, "module x: no"});
  EXPECT_FALSE(gateway_.apply(document(2)));
  EXPECT_EQ(xAtStart().placement, Placement::kSandbox);
}

TEST_F(MoveTest, AMoveThatFailsChangesNothing) {
  gateway_.host.failures.push_back({Errc::kUnsupported, "module x: there is no sandbox"});
  EXPECT_EQ(move("x", Placement::kSandbox).error().text, "module x: there is no sandbox");
  EXPECT_EQ(xAtStart().placement, Placement::kInProcess);
  EXPECT_EQ(move("z", Placement::kSandbox).error().code, Errc::kNotFound);
  EXPECT_EQ(move("z", Placement::kSandbox).error().text, "there is no module 'z'");
  gateway_.host.hold = true;
  gateway_.agent->apply(gateway_.request(document(2)), [](const auto&) {});
  EXPECT_EQ(move("x", Placement::kSandbox).error().text, "another change is under way");
}

TEST_F(MoveTest, AMoveThatCannotBeStoredSaysThatTheModuleHasMoved) {
  gateway_.journal.full = true;
  const Status moved = move("x", Placement::kSandbox);
  ASSERT_TRUE(moved.has_error());
  EXPECT_THAT(moved.error().text,
              HasSubstr("module x has moved and runs sandbox now, but that cannot be stored"));
  EXPECT_THAT(moved.error().text, HasSubstr("the disk is full"));
  EXPECT_THAT(gateway_.host.moves, ElementsAre("x sandbox moved by operator/ann"));
  gateway_.journal.full = false;
  EXPECT_EQ(xAtStart().placement, Placement::kInProcess);
}

TEST_F(MoveTest, ADemotionThatCannotBeStoredHoldsInThisLifeAndIsSaid) {
  gateway_.restart();
  std::string said;
  const auto follower = gateway_.log.follow([&said](const LogLine& line) { said += line.text; });
  gateway_.journal.full = true;
  EXPECT_TRUE(
      gateway_.agent->demote("x", Gateway::digestOf("com.example.a", 7, kPorts), "it crashed"));
  gateway_.journal.full = false;
  EXPECT_THAT(said, HasSubstr("where module x runs now cannot be stored"));
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(gateway_.host.targets.back().modules[0].placement, Placement::kSandbox);
}

TEST_F(MoveTest, AModuleThatBroughtTheHostDownIsMovedBeforeItStarts) {
  const std::string digest = Gateway::digestOf("com.example.a", 7, kPorts);
  gateway_.restart();
  EXPECT_FALSE(gateway_.agent->demote("x", "sha256:other", "it crashed"));
  EXPECT_FALSE(gateway_.agent->demote("z", digest, "it crashed"));
  EXPECT_TRUE(gateway_.agent->demote("x", digest, "it crashed"));
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(gateway_.host.targets.back().modules[0].placement, Placement::kSandbox);
  EXPECT_EQ(gateway_.host.targets.back().modules[0].override_reason, "it crashed");
  EXPECT_EQ(xAtStart().override_reason, "it crashed") << "at the next start as well";
}

TEST_F(MoveTest, ARecordThatCannotBeReadIsSaid) {
  ASSERT_TRUE(move("x", Placement::kSandbox));
  gateway_.journal.values["override/x"] = R"({"placement":"moon"})";
  std::string said;
  const auto follower = gateway_.log.follow([&said](const LogLine& line) { said += line.text; });
  EXPECT_EQ(xAtStart().placement, Placement::kInProcess);
  EXPECT_THAT(said, HasSubstr("where module x was moved to cannot be read"));
}

}  // namespace
}  // namespace kante
