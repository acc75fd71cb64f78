// Deployments that change the gateway's own configuration, over the lives of the host.
#include "host/agent/gateway_section.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

using test::Gateway;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class GatewaySectionTest : public testing::Test {
 protected:
  GatewaySectionTest() {
    gateway_.check_section = [this](const std::string& patch) {
      checked_ = patch;
      return refusal_;
    };
    gateway_.handover.leave = [this] { ++left_; };
    gateway_.uplink_connected = [this] { return connected_; };
    gateway_.restart();
    EXPECT_TRUE(gateway_.apply(test::document(1)));
  }
  static std::string with(int version, const std::string& section, int window_s = 10) {
    std::string text = test::document(version);
    return text.insert(1, R"("gateway":)" + section + R"(,"health":{"window_s":)" +
                              std::to_string(window_s) + "},");
  }
  // As the wiring of a gateway does it.
  Result<ApplyOutcome> nextLife() {
    gateway_.section = gatewaySectionIn(gateway_.journal.values);
    if (gateway_.section.is_trial) {
      const JournalWrite note = noteTrial(gateway_.journal.values).value();
      gateway_.journal.values[note.key] = note.value;
    }
    gateway_.restart();
    return gateway_.start();
  }
  DeploymentStatus status() const { return gateway_.agent->status(); }

  Gateway gateway_;
  std::string checked_;
  Status refusal_;
  int left_ = 0;
  bool connected_ = true;
};

constexpr char kSection[] = R"({"uplink":{"window":8}})";

TEST_F(GatewaySectionTest, ItIsTriedInALifeOfItsOwnAndHoldsOnceItIsCommitted) {
  const auto outcome = gateway_.apply(with(2, kSection));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, ApplyOutcome::Kind::kHandover);
  EXPECT_EQ(checked_, kSection);
  EXPECT_EQ(left_, 1);
  ASSERT_TRUE(nextLife());
  EXPECT_TRUE(gateway_.section.is_trial);
  EXPECT_EQ(gateway_.section.patch, kSection);
  EXPECT_EQ(status().state, DeploymentState::kWatching);
  gateway_.pass(std::chrono::seconds(11));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  EXPECT_EQ(status().version, 2u);
  ASSERT_TRUE(nextLife());
  EXPECT_FALSE(gateway_.section.is_trial);
  EXPECT_EQ(gateway_.section.patch, kSection);
  // With the same section nothing needs another life.
  EXPECT_EQ(gateway_.apply(with(3, kSection, 0))->kind, ApplyOutcome::Kind::kCommitted);
  EXPECT_EQ(gateway_.apply(test::document(4))->kind, ApplyOutcome::Kind::kHandover);
}

TEST_F(GatewaySectionTest, WhatBreaksTheUplinkGoesBackInAnotherLife) {
  ASSERT_TRUE(gateway_.apply(with(2, kSection)));
  ASSERT_TRUE(nextLife());
  connected_ = false;
  gateway_.pass(std::chrono::seconds(11));
  EXPECT_EQ(left_, 2);
  ASSERT_TRUE(nextLife());
  EXPECT_EQ(gateway_.section.patch, "{}");
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_EQ(status().version, 1u);
  EXPECT_THAT(status().reason, HasSubstr("the uplink was connected before"));
  ASSERT_TRUE(nextLife());
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
  EXPECT_THAT(gateway_.agent->ended(), IsEmpty());
}

TEST_F(GatewaySectionTest, ALifeThatEndsWithItIsNotTriedAgain) {
  ASSERT_TRUE(gateway_.apply(with(2, kSection)));
  const JournalWrite note = noteTrial(gateway_.journal.values).value();
  gateway_.journal.values[note.key] = note.value;  // And then the power went.
  ASSERT_TRUE(nextLife());
  EXPECT_FALSE(gateway_.section.is_trial);
  EXPECT_EQ(gateway_.section.patch, "{}");
  EXPECT_EQ(status().version, 1u);
  EXPECT_EQ(status().state, DeploymentState::kRolledBack);
  EXPECT_THAT(status().reason, HasSubstr("the host ended while it was being started"));
}

TEST_F(GatewaySectionTest, WhyTheHostDidNotStartWithItIsSaid) {
  ASSERT_TRUE(gateway_.apply(with(2, kSection)));
  const JournalWrite note = noteTrial(gateway_.journal.values, "address in use").value();
  gateway_.journal.values[note.key] = note.value;
  ASSERT_TRUE(nextLife());
  EXPECT_THAT(status().reason, HasSubstr("address in use"));
  EXPECT_THAT(gateway_.agent->history().front().reason, HasSubstr("address in use"));
}

TEST_F(GatewaySectionTest, WithoutAWindowItIsWatchedForTwoMinutes) {
  std::string text = test::document(2);
  text.insert(1, R"("gateway":)" + std::string(kSection) + ",");
  EXPECT_THAT(gateway_.apply(text, ApplyRequest::Mode::kDryRun)->plan,
              Contains("watch all of it for 120 s, then commit it, or go back"));
  ASSERT_TRUE(gateway_.apply(text));
  ASSERT_TRUE(nextLife());
  gateway_.pass(std::chrono::seconds(110));
  EXPECT_EQ(status().state, DeploymentState::kWatching);
  gateway_.pass(std::chrono::seconds(11));
  EXPECT_EQ(status().state, DeploymentState::kCommitted);
}

TEST_F(GatewaySectionTest, WhatCannotBeIsRefusedBeforeAnythingStops) {
  refusal_ = fail(Errc::kInvalid, "/gateway/uplink/windw: unknown key");
  auto refused = gateway_.apply(with(2, kSection));
  EXPECT_THAT(refused.error().text, HasSubstr("/gateway/uplink/windw"));
  refusal_ = {};
  std::string text = with(2, kSection);
  refused = gateway_.apply(text.insert(1, R"("handover":false,)"));
  EXPECT_THAT(refused.error().text, HasSubstr("\"handover\": false"));
  gateway_.handover.leave = nullptr;
  gateway_.restart();
  ASSERT_TRUE(gateway_.start());
  EXPECT_EQ(gateway_.apply(with(2, kSection)).error().code, Errc::kUnsupported);
  EXPECT_EQ(left_, 0);
  EXPECT_THAT(gateway_.agent->history(), SizeIs(1));
}

TEST_F(GatewaySectionTest, ARollbackDuringTheWatchGoesBackToo) {
  ASSERT_TRUE(gateway_.apply(with(2, kSection)));
  ASSERT_TRUE(nextLife());
  const auto back = gateway_.rollback();
  ASSERT_TRUE(back);
  EXPECT_EQ(back->kind, ApplyOutcome::Kind::kHandover);
  EXPECT_EQ(back->version, 1u);
  ASSERT_TRUE(nextLife());
  EXPECT_EQ(gateway_.section.patch, "{}");
  EXPECT_EQ(status().version, 1u);
}

}  // namespace
}  // namespace kante
