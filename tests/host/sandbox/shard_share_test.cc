// What a module with a limit of CPU may take of its shard's time, by itself and in a link.
#include "host/sandbox/shard_share.h"

#include "tests/host/sandbox/link_fixture.h"

namespace kante {
namespace {

constexpr std::int64_t kMs = 1'000'000;

TEST(ShardShare, LetsItTakeAnEighthOfItsPercentInTheLongRun) {
  ShardShare share(10);
  std::int64_t now = 5'000 * kMs, used = 0, pauses = 0;
  const std::int64_t began = now;
  while (now - began < 10'000 * kMs) {
    const std::int64_t slice = 30'000;
    now += slice;
    used += slice;
    const std::int64_t wait = share.use(slice, now);
    if (wait == 0) continue;
    now += wait;
    ++pauses;
  }
  EXPECT_NEAR(static_cast<double>(used) / static_cast<double>(now - began), 0.0125, 0.0002);
  EXPECT_GT(pauses, 1'000);
}

TEST(ShardShare, KeepsLittleOfWhatItDidNotUse) {
  ShardShare share(100);
  EXPECT_EQ(share.use(0, 0), 0);
  // Twenty milliseconds' share after an hour, and no more.
  const std::int64_t later = 3'600'000 * kMs;
  EXPECT_EQ(share.use(2 * kMs, later), 0);
  EXPECT_EQ(share.use(kMs / 2, later), ShardShare::kPause);
}

TEST(ShardShare, WaitsForWhatOneSliceTookTooMuch) {
  ShardShare share(1);
  EXPECT_EQ(share.use(25'000 + 1'000, 0), ShardShare::kPause + 1'000 * 800);
  EXPECT_EQ(share.use(1'000 * kMs, kMs), ShardShare::kPauseMax) << "and no longer than that";
}

class LinkShareTest : public LinkFixture {
 protected:
  // As many frames as several slices have.
  static void emitMany(PlayedRunner& runner) {
    for (int i = 0; i < 300; ++i) runner.emit(0, std::to_string(i));
  }
};

TEST_F(LinkShareTest, WhatIsBeyondItsShareWaitsInTheRingAndComes) {
  cpu_percent_ = 1;
  PlayedRunner& runner = beginActive();
  emitMany(runner);
  expectTold("emit 0 299 hops 1 token 0");
  EXPECT_LT(told_.at("emit 0 0 hops 1 token 0"), told_.at("emit 0 299 hops 1 token 0"));
  EXPECT_GE(link_->counts().pauses.value(), 2u);
}

TEST_F(LinkShareTest, WithoutALimitNothingWaits) {
  PlayedRunner& runner = beginActive();
  emitMany(runner);
  expectTold("emit 0 299 hops 1 token 0");
  EXPECT_EQ(link_->counts().pauses.value(), 0u);
}

TEST_F(LinkShareTest, WhatWaitsWhenTheRunnerDiesCounts) {
  cpu_percent_ = 1;
  PlayedRunner& runner = beginActive();
  emitMany(runner);
  Exited exited;
  exited.signal = SIGKILL;
  exit(exited);
  expectEnd("died", "was killed from outside");
  EXPECT_NE(told_.at("emit 0 299 hops 1 token 0"), std::string::npos);
  EXPECT_LT(told_.at("emit 0 299 hops 1 token 0"), told_.at(told_.find("died")));
}

}  // namespace
}  // namespace kante
