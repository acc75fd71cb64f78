#include "host/uplink/price.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

std::string at(double free, double paid) {
  const HubPrice price = cheapest({free, paid});
  return std::to_string(price.units) + " " + price.tier + " $" +
         std::to_string(static_cast<int>(price.usd_per_month));
}

TEST(PriceTest, AMessageIsCountedInBlocks) {
  EXPECT_EQ(meteredBlocks(0, 4096), 1u);
  EXPECT_EQ(meteredBlocks(4096, 4096), 1u);
  EXPECT_EQ(meteredBlocks(4097, 4096), 2u);
  EXPECT_EQ(meteredBlocks(513, 512), 2u);
  EXPECT_EQ(meteredBlocks(262'144, 4096), 64u);
}

TEST(PriceTest, NamesTheCheapestTierAtEachBorder) {
  EXPECT_EQ(at(0, 0), "1 Free $0");
  EXPECT_EQ(at(8'000, 8'000), "1 Free $0");
  EXPECT_EQ(at(8'001, 8'001), "1 S1 $25");
  EXPECT_EQ(at(64'000, 8'000), "1 S1 $25") << "the free tier counts half kilobytes";
  EXPECT_EQ(at(1e9, 400'000), "1 S1 $25");
  EXPECT_EQ(at(1e9, 400'001), "2 S1 $50");
  EXPECT_EQ(at(1e9, 3'600'000), "9 S1 $225");
  EXPECT_EQ(at(1e9, 3'600'001), "1 S2 $250") << "ten of S1 cost as much and carry less";
  EXPECT_EQ(at(1e9, 6'000'000), "1 S2 $250");
  EXPECT_EQ(at(1e9, 6'000'001), "16 S1 $400");
  EXPECT_EQ(at(1e9, 8'000'000), "2 S2 $500") << "fewer units at the same price";
  EXPECT_EQ(at(1e9, 54'000'000), "9 S2 $2250");
  EXPECT_EQ(at(1e9, 54'000'001), "1 S3 $2500");
  EXPECT_EQ(at(1e9, 300'000'000), "1 S3 $2500");
  EXPECT_EQ(at(1e9, 300'000'001), "2 S3 $5000");
}

}  // namespace
}  // namespace kante
