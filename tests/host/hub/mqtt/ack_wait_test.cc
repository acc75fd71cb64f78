// Answers that wait for whoever keeps what they promise.
#include "host/hub/mqtt/ack_wait.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

// A subscriber keeps what comes to "kept/…": it holds a share of each answer until the test gives
// it back.
class AckWaitTest : public ::testing::Test {
 protected:
  AckWaitTest() {
    world_.access.user("from");
    world_.access.user("keeper").received = [this](std::string_view topic) {
      if (topic.starts_with("kept/")) shares_.push_back(world_.engine().holdAck());
    };
    keeper_ = client("keeper", Version::k5);
    (void)keeper_->subscribe("#", 2);
  }
  std::unique_ptr<Client> client(const std::string& user, Version version) {
    auto made = std::make_unique<Client>(world_, version);
    Wish wish;
    wish.id = wish.user = user;
    EXPECT_EQ(made->connect(wish).reason, Reason::kSuccess);
    return made;
  }
  void release(std::size_t i, Kept kept) {
    std::thread([&] { shares_[i].release(kept); }).join();
    world_.settle();
  }
  World world_;
  std::vector<AckShare> shares_;
  std::unique_ptr<Client> keeper_;
};

TEST_F(AckWaitTest, IsSaidInTheOrderOfTheMessages) {
  auto from = client("from", Version::k5);
  from->publish("kept/a", "1", Qos::k1, 1);
  from->publish("kept/a", "2", Qos::k2, 2);
  from->publish("else", "3", Qos::k1, 3);
  ASSERT_EQ(shares_.size(), 2u);
  release(1, Kept::kYes);
  EXPECT_FALSE(from->hasMore()) << "the first one is not kept yet";
  release(0, Kept::kYes);
  for (std::uint16_t id = 1; id <= 3; ++id) {
    const Said said = from->next();
    EXPECT_EQ(said.type, id == 2 ? PacketType::kPubrec : PacketType::kPuback);
    EXPECT_EQ(said.id, id);
    EXPECT_EQ(said.reason, Reason::kSuccess);
  }
  EXPECT_FALSE(from->hasMore());
}

TEST_F(AckWaitTest, WaitsForEveryShare) {
  auto from = client("from", Version::k5);
  from->publish("kept/a", "1", Qos::k1, 1);
  shares_.push_back(shares_[0].another());
  release(0, Kept::kYes);
  EXPECT_FALSE(from->hasMore());
  release(1, Kept::kYes);
  EXPECT_EQ(from->next().type, PacketType::kPuback);
}

TEST_F(AckWaitTest, NothingIsHeldForWhatIsNotAnswered) {
  auto from = client("from", Version::k5);
  from->publish("kept/a", "1");
  ASSERT_EQ(shares_.size(), 1u);
  EXPECT_FALSE(shares_[0]);
  EXPECT_FALSE(shares_[0].another());
  EXPECT_FALSE(world_.engine().holdAck());
}

TEST_F(AckWaitTest, WhatCannotBeKeptIsRefused) {
  auto from = client("from", Version::k5);
  from->publish("kept/a", "1", Qos::k1, 1);
  from->publish("kept/a", "2", Qos::k2, 2);
  release(0, Kept::kNoRoom);
  release(1, Kept::kFailed);
  EXPECT_EQ(from->next().reason, Reason::kQuotaExceeded);
  EXPECT_EQ(from->next().reason, Reason::kImplementationSpecific);
  EXPECT_EQ(world_.refused(Refusal::kStore), 2u);
  EXPECT_THAT(world_.reports.back(), ::testing::HasSubstr("the disk fails"));
  // It was not taken, so its identifier is free.
  from->publish("kept/a", "3", Qos::k2, 2);
  ASSERT_EQ(shares_.size(), 3u);
  release(2, Kept::kYes);
  EXPECT_EQ(from->next().reason, Reason::kSuccess);
}

TEST_F(AckWaitTest, InTheOldVersionTheConnectionEndsWithoutAnAnswer) {
  auto from = client("from", Version::k311);
  from->publish("kept/a", "1", Qos::k1, 1);
  from->publish("kept/a", "2", Qos::k1, 2);
  release(1, Kept::kYes);
  release(0, Kept::kNoRoom);
  EXPECT_FALSE(from->hasMore());
  EXPECT_TRUE(from->isClosed());
  EXPECT_EQ(world_.refused(Refusal::kStore), 1u);
}

TEST_F(AckWaitTest, AShareThatIsDroppedSaysNo) {
  auto from = client("from", Version::k5);
  from->publish("kept/a", "1", Qos::k1, 1);
  shares_.clear();
  world_.settle();
  EXPECT_EQ(from->next().reason, Reason::kImplementationSpecific);
}

TEST_F(AckWaitTest, WhoeverHasGoneIsFoundGone) {
  auto from = client("from", Version::k5);
  from->publish("kept/a", "1", Qos::k1, 1);
  from->vanish();
  auto again = client("from", Version::k5);
  release(0, Kept::kYes);
  EXPECT_FALSE(again->hasMore());
}

TEST_F(AckWaitTest, OutlivesItsEngine) {
  std::vector<AckShare> shares;
  {
    World world;
    world.access.user("user").received = [&](std::string_view) {
      shares.push_back(world.engine().holdAck());
    };
    Client to(world, Version::k5);
    (void)to.connect();
    (void)to.subscribe("a", 1);
    to.publish("a", "x", Qos::k1, 1);
  }
  ASSERT_EQ(shares.size(), 1u);
  shares.clear();
}

TEST_F(AckWaitTest, NoMoreIsReadOfAClientThatWaitsForTooMuch) {
  world_.limits.receive_maximum = 4;
  auto from = client("from", Version::k311);
  std::string packets;
  for (std::uint16_t id = 1; id <= 9; ++id)
    packets += from->publishPacket("kept/a", std::to_string(id), Qos::k1, id);
  from->send(packets);
  EXPECT_EQ(shares_.size(), 4u);
  for (std::size_t i = 0; i < 9; ++i) {
    ASSERT_LT(i, shares_.size());
    release(i, Kept::kYes);
    EXPECT_EQ(from->next().id, i + 1);
  }
  EXPECT_FALSE(from->hasMore());
}

}  // namespace
}  // namespace kante::hub
