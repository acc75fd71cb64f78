// Several engines: sessions anywhere, and the same for every client.
#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

class EnginesTest : public ::testing::Test {
 protected:
  EnginesTest() : world_(3) { world_.access.user("user"); }
  std::unique_ptr<Client> client(const std::string& id, std::uint32_t at = 0, Wish wish = {}) {
    auto made = std::make_unique<Client>(world_, Version::k5, at);
    wish.id = id;
    EXPECT_EQ(made->connect(wish).reason, Reason::kSuccess);
    return made;
  }
  // An id whose session lives on that engine.
  std::string idOn(std::uint32_t engine, const std::string& prefix = "c") {
    for (int i = 0;; ++i) {
      const std::string id = prefix + std::to_string(i);
      if (Homes::spread(Session::keyOf("device/user", id), 3) == engine) return id;
    }
  }
  World world_;
};

TEST_F(EnginesTest, AConnectionGoesWhereItsSessionIsWithAllThatItSaid) {
  for (std::uint32_t home = 0; home < 3; ++home) {
    Client one(world_, Version::k5, 0);
    Wish wish;
    wish.id = idOn(home);
    one.send(one.connectPacket(wish) + mqtt::bytesOf({0xc0, 0}));
    EXPECT_EQ(one.next().type, PacketType::kConnack);
    EXPECT_EQ(one.next().type, PacketType::kPingresp);
    EXPECT_EQ(world_.engine(home).counters().connections.value(), 1u);
    one.disconnect();
  }
  EXPECT_EQ(world_.closed, 3) << "each once, whatever its way";
}

TEST_F(EnginesTest, AMessageReachesItsSubscribersOnAllOfThemOnce) {
  std::vector<std::unique_ptr<Client>> to;
  for (std::uint32_t i = 0; i < 6; ++i) {
    to.push_back(client(idOn(i % 3, "to" + std::to_string(i) + "-")));
    EXPECT_EQ(to.back()->subscribe(i % 2 == 0 ? "a/+" : "#").type, PacketType::kSuback);
  }
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto from = client(idOn(i, "from"));
    from->publish("a/b", std::to_string(i));
    for (const auto& one : to)
      EXPECT_EQ(one->payloads(), std::vector<std::string>{std::to_string(i)});
  }
  for (const auto& one : to) one->disconnect();
  auto from = client(idOn(1, "late"));
  const std::uint64_t before = world_.engine(1).counters().handed_over.value();
  from->publish("a/b", "nobody");
  EXPECT_EQ(world_.engine(1).counters().handed_over.value(), before)
      << "nothing is handed to shards without subscribers";
}

TEST_F(EnginesTest, AMessageIsHandedToAnotherShardOnceForAllItsSubscribers) {
  auto one = client(idOn(2, "a"));
  auto two = client(idOn(2, "b"));
  (void)one->subscribe("a/+");
  (void)two->subscribe("a/b");
  auto from = client(idOn(0, "from"));
  from->publish("a/b", "x");
  EXPECT_EQ(world_.engine(0).counters().handed_over.value(), 1u);
  EXPECT_EQ(one->payloads().size(), 1u);
  EXPECT_EQ(two->payloads().size(), 1u);
}

TEST_F(EnginesTest, RetainedMessagesAreTheSameEverywhere) {
  for (std::uint32_t i = 0; i < 3; ++i)
    client(idOn(i, "from"))->publish("r", std::to_string(i), Qos::k1, 1, 1);
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto to = client(idOn(i, "to"));
    (void)to->subscribe("r");
    EXPECT_EQ(to->payloads(), std::vector<std::string>{"2"});
  }
}

TEST_F(EnginesTest, AGroupHasMembersOnSeveralOfThem) {
  std::vector<std::unique_ptr<Client>> members;
  for (std::uint32_t i = 0; i < 6; ++i) {
    members.push_back(client(idOn(i % 3, "m" + std::to_string(i) + "-")));
    (void)members.back()->subscribe("$share/g/a");
  }
  auto from = client(idOn(1, "from"));
  for (int i = 0; i < 60; ++i) from->publish("a", std::to_string(i));
  std::size_t total = 0;
  for (const auto& one : members) {
    const std::size_t got = one->payloads().size();
    EXPECT_GT(got, 0u);
    total += got;
  }
  EXPECT_EQ(total, 60u);
  for (std::size_t i = 1; i < members.size(); ++i) members[i]->disconnect();
  for (int i = 0; i < 10; ++i) from->publish("a", std::to_string(i));
  EXPECT_EQ(members[0]->payloads().size(), 10u);
}

TEST_F(EnginesTest, ATakeoverFindsItsSessionFromWhereverItComes) {
  Wish wish;
  wish.clean = false;
  wish.properties = mqtt::bytesOf({0x11, 0, 0, 1, 0});
  const std::string id = idOn(1);
  auto first = client(id, 0, wish);
  (void)first->subscribe("a", 1);
  Client second(world_, Version::k5, 2);
  wish.id = id;
  EXPECT_TRUE(second.connect(wish).present);
  EXPECT_EQ(first->next().reason, Reason::kSessionTakenOver);
  client(idOn(0, "from"))->publish("a", "x", Qos::k1, 1);
  EXPECT_EQ(second.payloads(), std::vector<std::string>{"x"});
}

TEST_F(EnginesTest, SubackComesWhenAllOfThemKnow) {
  auto to = client(idOn(0, "to"));
  to->wire().to_broker +=
      Client::packetOf(0x82, Client::idBytes(1) + to->props() + Client::subscribeBody("a", 0));
  world_.step();
  EXPECT_FALSE(to->hasMore()) << "the others have not been told yet";
  world_.settle();
  EXPECT_EQ(to->next().type, PacketType::kSuback);
}

}  // namespace
}  // namespace kante::hub
