// What runs when something changes that it depends on besides its deployment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

using test::document;
using test::Gateway;
using test::kPorts;
using testing::SizeIs;

class ReconsiderTest : public testing::Test {
 protected:
  ReconsiderTest() {
    gateway_.barred = [this](const std::string& digest) {
      return digest == Gateway::digestOf("com.example.a", 7, kPorts) ? barred_ : std::string();
    };
    gateway_.restart();
    EXPECT_TRUE(gateway_.apply(document(1)));
  }
  const ModuleSpec& x() const { return gateway_.host.targets.back().modules.front(); }

  Gateway gateway_;
  std::string barred_;
};

TEST_F(ReconsiderTest, AModuleWhoseSignerIsRevokedStopsAtOnceAndComesBackWithTrust) {
  gateway_.agent->reconsider();
  EXPECT_THAT(gateway_.host.targets, SizeIs(1)) << "nothing is another";
  barred_ = "revoked";
  gateway_.agent->reconsider();
  ASSERT_THAT(gateway_.host.targets, SizeIs(2));
  EXPECT_EQ(x().desire, Desire::kStopped);
  EXPECT_EQ(x().barred, "revoked");
  EXPECT_EQ(gateway_.host.targets.back().on_start_failure, OnStartFailure::kBackOff);
  EXPECT_THAT(gateway_.agent->history(), SizeIs(1)) << "the deployment is the same";
  barred_.clear();
  gateway_.agent->reconsider();
  EXPECT_EQ(x().desire, Desire::kRunning);
}

TEST_F(ReconsiderTest, ItWaitsForAChangeThatIsUnderWay) {
  gateway_.host.hold = true;
  gateway_.agent->apply(gateway_.request(document(2, R"("stop_ms":1)")),
                        [](const Result<ApplyOutcome>&) {});
  barred_ = "revoked";
  gateway_.agent->reconsider();
  EXPECT_THAT(gateway_.host.targets, SizeIs(2));
  gateway_.host.hold = false;
  gateway_.host.release();
  EXPECT_EQ(x().desire, Desire::kRunning);
  gateway_.pass(std::chrono::seconds(1));
  EXPECT_EQ(x().desire, Desire::kStopped);
  EXPECT_EQ(x().stop_ms, 1u);
}

TEST_F(ReconsiderTest, WhatTheHostRefusesIsTriedWithTheNextReason) {
  barred_ = "revoked";
  gateway_.host.failures = {fail(Errc::kState, "no")};
  gateway_.agent->reconsider();
  EXPECT_FALSE(gateway_.agent->changing());
  gateway_.agent->reconsider();
  EXPECT_EQ(x().desire, Desire::kStopped);
  EXPECT_THAT(gateway_.host.targets, SizeIs(3));
}

}  // namespace
}  // namespace kante
