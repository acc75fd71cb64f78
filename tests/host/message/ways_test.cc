#include "host/message/ways.h"

#include <gtest/gtest.h>

#include "host/message/message.h"

namespace kante {
namespace {

using Holders = Ways::Holders;

TEST(Ways, AnAuthorIsInNoList) {
  Ways ways;
  EXPECT_EQ(ways.hopsOf(7), 0);
  ways.arrived(3, 2, Holders::kOne);
  EXPECT_EQ(ways.hopsOf(7), 0);
  EXPECT_EQ(ways.hopsOf(3), 2);
}

TEST(Ways, EachReceiverCountsFromWhereItGotTheMessage) {
  Ways ways;
  ways.arrived(3, 1, Holders::kSeveral);
  for (std::uint8_t round = 0; round < 100; ++round) {
    ways.arrived(4, 2, Holders::kSeveral);  // What 3 sends on again and again.
    ways.arrived(5, 3, Holders::kSeveral);
  }
  EXPECT_EQ(ways.hopsOf(3), 1);
  EXPECT_EQ(ways.hopsOf(4), 2);
  EXPECT_EQ(ways.hopsOf(5), 3);
}

TEST(Ways, ALoopCountsUp) {
  Ways ways;
  for (std::uint8_t hops = 1; hops <= 16; ++hops) {
    ways.arrived(hops % 2 + 1, hops, Holders::kSeveral);
    EXPECT_EQ(ways.hopsOf(hops % 2 + 1), hops);
  }
  ways.arrived(1, 3, Holders::kSeveral);  // A shorter way forgets nothing.
  EXPECT_EQ(ways.hopsOf(1), 16);
}

TEST(Ways, ForgetsTheOthersWhenOneHoldsTheOnlyReference) {
  Ways ways;
  for (std::uint32_t receiver = 1; receiver <= 6; ++receiver) {
    ways.arrived(receiver, 9, Holders::kSeveral);
  }
  ways.arrived(8, 2, Holders::kOne);
  EXPECT_EQ(ways.hopsOf(8), 2);
  for (std::uint32_t receiver = 1; receiver <= 6; ++receiver) EXPECT_EQ(ways.hopsOf(receiver), 0);
}

TEST(Ways, ManyReceiversShareTheFarthest) {
  Ways ways;
  for (std::uint32_t receiver = 1; receiver <= 10; ++receiver) {
    ways.arrived(receiver, static_cast<std::uint8_t>(receiver), Holders::kSeveral);
  }
  EXPECT_EQ(ways.hopsOf(2), 2);
  EXPECT_EQ(ways.hopsOf(10), 10);
  EXPECT_GE(ways.hopsOf(6), 6);  // Never too few: a loop must end.
}

TEST(Ways, ABlockFromThePoolRemembersNothing) {
  kante_msg* block = allocateBlock(40);
  block->ways.arrived(Ways::kReceiverMax, 15, Holders::kSeveral);
  EXPECT_EQ(block->ways.hopsOf(Ways::kReceiverMax), 15);
  block->ways.clear();
  EXPECT_EQ(block->ways.hopsOf(Ways::kReceiverMax), 0);
  MessageRef::release(block);
}

}  // namespace
}  // namespace kante
