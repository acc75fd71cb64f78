#include "host/hub/gateways/whereabouts.h"

#include <gmock/gmock.h>

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class WhereaboutsTest : public ::testing::Test {
 protected:
  int woken_ = 0;
  Whereabouts where_{[this] { ++woken_; }};
};

TEST_F(WhereaboutsTest, LearnsFromWhoSpeaksAndSaysWhatMoved) {
  EXPECT_TRUE(where_.speaks("a", "device/x/module/m"));
  EXPECT_EQ(where_.of("device/x"), "a");
  EXPECT_EQ(where_.of("device/x/module/other"), "a");
  const std::uint64_t before = where_.changes();
  EXPECT_TRUE(where_.speaks("a", "device/x"));
  EXPECT_EQ(where_.changes(), before);
  EXPECT_TRUE(where_.speaks("b", "device/x"));
  EXPECT_NE(where_.changes(), before);
  EXPECT_EQ(where_.of("device/x"), "b");
  EXPECT_THAT(where_.takeMoved(), ElementsAre(Pair("device/x", "b")));
}

TEST_F(WhereaboutsTest, AGatewayIsNotBehindItself) {
  EXPECT_TRUE(where_.speaks("a", "gateway/a/module/m"));
  EXPECT_EQ(where_.of("gateway/a/module/m"), "");
  EXPECT_TRUE(where_.speaks("a", "gateway/c/module/m"));
  EXPECT_EQ(where_.of("gateway/c/module/other"), "a");
}

TEST_F(WhereaboutsTest, WhatIsPinnedNobodyElseSpeaksFor) {
  where_.pin("device/x", "a");
  EXPECT_TRUE(where_.speaks("a", "device/x"));
  const Status refused = where_.speaks("b", "device/x/module/m");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kDenied);
  EXPECT_THAT(refused.error().text, HasSubstr("gateway/a"));
  where_.forget("device/x");
  EXPECT_TRUE(where_.speaks("b", "device/x"));
}

TEST_F(WhereaboutsTest, ForgetsAllThatWasLearnedOfAGateway) {
  where_.pin("device/pinned", "a");
  EXPECT_TRUE(where_.speaks("a", "device/x"));
  EXPECT_TRUE(where_.speaks("b", "device/y"));
  EXPECT_THAT(where_.devicesBehind("a"), ElementsAre("device/pinned", "device/x"));
  where_.forget("gateway/a");
  EXPECT_EQ(where_.of("device/x"), "");
  EXPECT_EQ(where_.of("device/pinned"), "a");
  EXPECT_EQ(where_.of("device/y"), "b");
}

TEST_F(WhereaboutsTest, WhoIsHereIsBehindNobody) {
  EXPECT_TRUE(where_.speaks("a", "device/x"));
  where_.pin("device/pinned", "a");
  (void)where_.takeMoved();
  where_.arrived("device/x");
  where_.arrived("device/pinned");
  EXPECT_THAT(where_.takeMoved(), ElementsAre(Pair("device/pinned", "a"), Pair("device/x", "")));
  EXPECT_TRUE(where_.speaks("a", "device/x"));
  EXPECT_EQ(where_.of("device/x"), "");
  EXPECT_EQ(where_.of("device/pinned"), "");
  EXPECT_THAT(where_.devicesBehind("a"), IsEmpty());
  EXPECT_FALSE(where_.speaks("b", "device/pinned"));
  const std::uint64_t before = where_.changes();
  where_.left("device/x");
  EXPECT_NE(where_.changes(), before) << "who spoke is asked again";
  where_.left("device/pinned");
  EXPECT_EQ(where_.of("device/pinned"), "a");
  EXPECT_TRUE(where_.speaks("a", "device/x"));
  EXPECT_EQ(where_.of("device/x"), "a");
}

TEST_F(WhereaboutsTest, WakesOnceForAllThatMoves) {
  EXPECT_TRUE(where_.speaks("a", "device/x"));
  EXPECT_TRUE(where_.speaks("a", "device/y"));
  where_.pin("device/z", "b");
  where_.forget("device/y");
  EXPECT_EQ(woken_, 1);
  EXPECT_THAT(where_.takeMoved(),
              ElementsAre(Pair("device/x", "a"), Pair("device/y", ""), Pair("device/z", "b")));
  EXPECT_THAT(where_.takeMoved(), IsEmpty());
  where_.forget("gateway/a");
  EXPECT_EQ(woken_, 2);
  EXPECT_THAT(where_.takeMoved(), ElementsAre(Pair("device/x", "")));
}

TEST_F(WhereaboutsTest, OneGatewayDoesNotTakeTheRoomOfOthers) {
  for (std::size_t i = 0; i < Whereabouts::kLearnedMax; ++i)
    ASSERT_TRUE(where_.speaks("a", "device/" + std::to_string(i)));
  const Status refused = where_.speaks("a", "device/more");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kLimit);
  EXPECT_THAT(refused.error().text, HasSubstr("gateway/a already"));
  EXPECT_TRUE(where_.speaks("a", "device/7")) << "that is there";
  EXPECT_TRUE(where_.speaks("b", "device/more"));
  EXPECT_FALSE(where_.speaks("a", "device/more")) << "nor by taking another's";
  EXPECT_TRUE(where_.speaks("b", "device/7"));
  EXPECT_TRUE(where_.speaks("a", "device/more"));
  where_.pin("device/pinned", "a");
  EXPECT_TRUE(where_.speaks("a", "device/pinned"));
  where_.forget("gateway/a");
  EXPECT_TRUE(where_.speaks("a", "device/again"));
}

}  // namespace
}  // namespace kante::hub
