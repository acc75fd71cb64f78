#include "host/hub/iothub/asked_bounds.h"

#include <gmock/gmock.h>

#include <vector>

namespace kante::hub {
namespace {

constexpr AskedBounds::Bounds kBounds{8, 64, 2, 16};

class AskedBoundsTest : public ::testing::Test {
 protected:
  std::shared_ptr<AskedBounds> bounds_ = std::make_shared<AskedBounds>(kBounds);
  std::vector<std::shared_ptr<void>> all_;
};

TEST_F(AskedBoundsTest, LetInSoManyAndOfEachItsShare) {
  for (const char* who : {"a", "b", "c", "d"}) {
    for (std::uint32_t i = 0; i < kBounds.of_one; ++i) all_.push_back(bounds_->enter(who, 1));
    ASSERT_NE(all_.back(), nullptr);
    EXPECT_EQ(bounds_->enter(who, 1), nullptr);
  }
  EXPECT_EQ(bounds_->enter("e", 1), nullptr) << "they are full together";
  all_.erase(all_.begin());
  EXPECT_NE(bounds_->enter("a", 1), nullptr);
}

TEST_F(AskedBoundsTest, LetInSoManyBytesAndOfEachItsShare) {
  EXPECT_EQ(bounds_->enter("a", 17), nullptr);
  for (const char* who : {"a", "b", "c", "d"}) {
    all_.push_back(bounds_->enter(who, 16));
    ASSERT_NE(all_.back(), nullptr);
    EXPECT_EQ(bounds_->enter(who, 1), nullptr);
  }
  EXPECT_EQ(bounds_->enter("e", 1), nullptr) << "they are full together";
  all_.clear();
  EXPECT_NE(bounds_->enter("e", 16), nullptr);
}

TEST_F(AskedBoundsTest, WhatEnteredMayStayLonger) {
  auto entered = bounds_->enter("a", 1);
  bounds_.reset();
  entered.reset();
}

}  // namespace
}  // namespace kante::hub
