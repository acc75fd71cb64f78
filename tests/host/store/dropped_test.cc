// Books that balance: what was taken is in a queue, was acknowledged, or is counted as dropped.
#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

class DroppedTest : public StoreTest {
 protected:
  // Offers without waiting for an answer, as a module's emit does; how many were taken.
  std::uint64_t flood(DurableQueue& to, int count) {
    std::uint64_t taken = 0;
    for (int i = 0; i < count; ++i) {
      Entry entry = entryOf(std::string(1000, 'x'));
      taken += to.offer(entry, nullptr, 0) == Offer::kTaken ? 1 : 0;
    }
    return taken;
  }
  std::uint64_t droppedInAll() {
    (void)stats(queue());  // Behind everything that was offered.
    std::uint64_t sum = 0;
    for (const auto& [reason, count] : store_->dropped()) sum += count;
    return sum;
  }
};

TEST_F(DroppedTest, WhatAFullQueueDropsIsCountedByReason) {
  open();
  const std::uint64_t taken = flood(queue(), 6'000);
  const std::uint64_t dropped = droppedInAll();
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(taken, stats(queue()).messages + dropped);
  EXPECT_EQ(store_->dropped().at("store_full"), dropped);
}

TEST_F(DroppedTest, WhatAGroupCouldNotTakeAnyMoreIsCountedToo) {
  StoreOptions options;
  options.full = FullPolicy::kRefuse;
  open(options);
  const std::uint64_t taken = flood(queue(), 6'000);
  const std::uint64_t dropped = droppedInAll();
  EXPECT_EQ(taken, stats(queue()).messages + dropped);
}

TEST_F(DroppedTest, AnEarlierLifesDropsAreNotCountedAgain) {
  open();
  flood(queue(), 6'000);
  ASSERT_GT(droppedInAll(), 0u);
  open();
  EXPECT_EQ(droppedInAll(), 0u);
}

}  // namespace
}  // namespace kante
