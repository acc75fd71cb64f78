// What clients publish goes by the routes too, and waits where they have no room.
#include "host/hub/mqtt/routing.h"

#include <gmock/gmock.h>

#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Routes as the test wishes them.
struct WishedRouting final : Routing {
  Outcome take(const mqtt::Publish& publish, Sender& sender) override {
    ++asked;
    if (answer.taken == Taken::kHeld && (resume = sender.resume())) return answer;
    if (answer.taken == Taken::kHeld) return {};
    taken.push_back(sender.name() + " " + std::string(publish.topic) + " " +
                    std::string(publish.payload));
    if (keeps) kept.push_back(sender.kept());
    return answer;
  }
  void serve(TopicDoor&) override {}

  Outcome answer;
  bool keeps = false;
  int asked = 0;
  std::vector<std::string> taken;
  std::vector<std::function<void(Kept)>> kept;
  std::function<void()> resume;
};

class RoutingTest : public ::testing::Test {
 protected:
  RoutingTest() { world_.access.user("car"); }
  std::unique_ptr<Client> watcher(const std::string& user, Version version = Version::k5,
                                  std::uint16_t keep_alive_s = 0) {
    auto made = std::make_unique<Client>(world_, version);
    Wish wish;
    wish.user = user;
    wish.id = user + std::to_string(++clients_);
    wish.keep_alive_s = keep_alive_s;
    EXPECT_EQ(made->connect(wish).reason, Reason::kSuccess);
    return made;
  }

  WishedRouting routing_;
  World world_{1, {}, &routing_};
  int clients_ = 0;
};

TEST_F(RoutingTest, TakesWhatIsGrantedAndSubscribersHaveItToo) {
  auto car = watcher("car");
  (void)car->subscribe("a/#");
  auto other = watcher("car");
  world_.access.user("car").no_publish = {"b/#"};
  routing_.answer.taken = Routing::Taken::kTaken;
  other->publish("a/1", "x", Qos::k1, 1);
  EXPECT_EQ(other->next().reason, Reason::kSuccess);
  EXPECT_THAT(car->payloads(), ElementsAre("x"));
  other->publish("b/1", "y", Qos::k1, 2);
  EXPECT_EQ(other->next().reason, Reason::kNotAuthorized);
  EXPECT_THAT(routing_.taken, ElementsAre("device/car a/1 x"));
}

TEST_F(RoutingTest, ARouteIsAReceiverAndNobodyIsNone) {
  auto car = watcher("car");
  car->publish("a", "x", Qos::k1, 1);
  EXPECT_EQ(car->next().reason, Reason::kNoMatchingSubscribers);
  routing_.answer.taken = Routing::Taken::kTaken;
  car->publish("a", "x", Qos::k1, 2);
  EXPECT_EQ(car->next().reason, Reason::kSuccess);
}

TEST_F(RoutingTest, TheAnswerWaitsForTheDisk) {
  routing_.answer.taken = Routing::Taken::kTaken;
  routing_.keeps = true;
  auto car = watcher("car");
  car->publish("a", "x", Qos::k1, 1);
  EXPECT_FALSE(car->hasMore());
  routing_.kept[0](Kept::kYes);
  world_.settle();
  EXPECT_EQ(car->next().type, PacketType::kPuback);
}

TEST_F(RoutingTest, SubscribersGetThePayloadOfTheMessageThatRoutesGot) {
  auto car = watcher("car");
  (void)car->subscribe("#");
  routing_.answer = {Routing::Taken::kTaken, *jsonMessage("{\"as\":\"built\"}"), {}};
  car->publish("a", "{\"as\":\"sent\"}");
  EXPECT_THAT(car->payloads(), ElementsAre("{\"as\":\"built\"}"));
}

TEST_F(RoutingTest, AClientIsNotReadWhileARouteHasNoRoomAndOthersAre) {
  routing_.answer.taken = Routing::Taken::kHeld;
  auto car = watcher("car");
  auto other = watcher("car");
  (void)other->subscribe("#");
  for (const Qos qos : {Qos::k1, Qos::k2}) {
    const auto id = static_cast<std::uint16_t>(qos);
    routing_.answer.taken = Routing::Taken::kHeld;
    routing_.asked = 0;
    car->publish("a", "1", qos, id);
    car->publish("a", "2");
    EXPECT_EQ(routing_.asked, 1);
    EXPECT_FALSE(car->hasMore());
    routing_.answer.taken = Routing::Taken::kTaken;
    other->publish("b", "meanwhile");
    EXPECT_THAT(other->payloads(), ElementsAre("meanwhile"));
    routing_.resume();
    world_.settle();
    EXPECT_THAT(other->payloads(), ElementsAre("1", "2"));
    EXPECT_EQ(car->next().type, qos == Qos::k1 ? PacketType::kPuback : PacketType::kPubrec);
  }
  EXPECT_EQ(world_.engine().counters().received.value(), 6u) << "each is counted once";
}

TEST_F(RoutingTest, WhoWaitsForTooLongIsLetGo) {
  routing_.answer.taken = Routing::Taken::kHeld;
  auto car = watcher("car", Version::k5, 60);
  auto patient = watcher("car");
  car->publish("a", "1", Qos::k1, 1);
  patient->publish("a", "1", Qos::k1, 1);
  world_.advance(29);
  EXPECT_FALSE(car->isClosed());
  world_.advance(2);  // Half of its keep-alive; 30 s where there is none.
  EXPECT_EQ(car->next().reason, Reason::kQuotaExceeded);
  EXPECT_TRUE(car->isClosed());
  EXPECT_EQ(world_.refused(Refusal::kStalled), 2u);
  routing_.resume();  // It is gone by now.
  world_.settle();
}

TEST_F(RoutingTest, WhatARouteRefusesIsRefused) {
  routing_.answer = {Routing::Taken::kRefused, {}, "it names somebody else"};
  auto car = watcher("car");
  (void)car->subscribe("#");
  car->publish("a", "1", Qos::k1, 1);
  EXPECT_EQ(car->next().reason, Reason::kImplementationSpecific);
  EXPECT_FALSE(car->hasMore()) << "subscribers do not get it either";
  EXPECT_THAT(world_.reports.back(), HasSubstr("device/car was refused: it names somebody else"));
  auto old = watcher("car", Version::k311);
  old->publish("a", "1", Qos::k1, 1);
  EXPECT_TRUE(old->isClosed());
}

TEST_F(RoutingTest, AWillGoesByTheRoutesAndWaitsForNobody) {
  auto car = std::make_unique<Client>(world_, Version::k5);
  Wish wish;
  wish.user = "car";
  wish.will_topic = "a";
  wish.will_payload = "gone";
  (void)car->connect(wish);
  routing_.answer.taken = Routing::Taken::kTaken;
  car->vanish();
  EXPECT_THAT(routing_.taken, ElementsAre("device/car a gone"));
}

}  // namespace
}  // namespace kante::hub
