// Clients that break the protocol, the bounds or the grants: each is refused and counted, and the
// others do not notice.
#include <random>

#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;

class HostileTest : public ::testing::Test {
 protected:
  HostileTest() {
    world_.access.user("user");
    good_ = std::make_unique<Client>(world_, Version::k5);
    Wish wish;
    wish.id = "good";
    EXPECT_EQ(good_->connect(wish).reason, Reason::kSuccess);
    (void)good_->subscribe("a");
  }
  ~HostileTest() override {
    good_->publish("a", "still here");
    EXPECT_EQ(good_->payloads(), std::vector<std::string>{"still here"});
  }
  std::unique_ptr<Client> connected(Version version = Version::k5) {
    auto made = std::make_unique<Client>(world_, version);
    EXPECT_EQ(made->connect().reason, Reason::kSuccess);
    return made;
  }
  // A fresh client that begins like this.
  std::unique_ptr<Client> refused(const std::string& bytes, Version version = Version::k5) {
    auto one = std::make_unique<Client>(world_, version);
    one->send(bytes);
    EXPECT_TRUE(one->isClosed());
    return one;
  }
  World world_;
  std::unique_ptr<Client> good_;
};

TEST_F(HostileTest, NobodyComesInWithoutACredential) {
  Client one(world_, Version::k5);
  Wish wish;
  wish.password = "wrong";
  EXPECT_EQ(one.connect(wish).reason, Reason::kBadUserNameOrPassword);
  EXPECT_TRUE(one.isClosed());
  Client old(world_, Version::k311);
  EXPECT_EQ(static_cast<int>(old.connect(wish).reason), 4);
  wish.user = "nobody";
  EXPECT_EQ(Client(world_, Version::k5).connect(wish).reason, Reason::kBadUserNameOrPassword);
  EXPECT_EQ(world_.refused(Refusal::kAuthentication), 3u);
  ASSERT_EQ(world_.reports.size(), 3u);
  EXPECT_EQ(world_.reports[0].find("wrong"), std::string::npos) << "no secret is told";
}

TEST_F(HostileTest, TheFirstPacketIsAConnectAndTheOnlyOne) {
  for (const std::string& bytes :
       {bytesOf({0xc0, 0}), std::string(20, '\0'), std::string("GET / HTTP/1.1\r\n\r\n")})
    EXPECT_FALSE(refused(bytes)->hasMore()) << "who speaks no MQTT hears none";
  EXPECT_EQ(
      refused(Client::packetOf(0x10, mqtt::text("MQTT") + bytesOf({5, 1, 0, 0})))->next().reason,
      Reason::kMalformedPacket);
  auto one = connected();
  one->send(one->connectPacket({}));
  EXPECT_EQ(one->next().reason, Reason::kProtocolError);
}

TEST_F(HostileTest, AnotherVersionIsToldSo) {
  std::string body = mqtt::text("MQIsdp") + bytesOf({3, 2, 0, 0}) + mqtt::text("x");
  const Said said = refused(Client::packetOf(0x10, body), Version::k311)->next();
  EXPECT_EQ(said.type, PacketType::kConnack);
  EXPECT_EQ(static_cast<int>(said.reason), 1);
}

TEST_F(HostileTest, EveryCutOfAConnectionLeavesNothing) {
  Client model(world_, Version::k5);
  Wish wish;
  wish.will_topic = "w";
  const std::string bytes =
      model.connectPacket(wish) +
      Client::packetOf(0x82, Client::idBytes(1) + model.props() + Client::subscribeBody("x/#", 2)) +
      model.publishPacket("x/y", "payload", Qos::k2, 3);
  model.vanish();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Client one(world_, Version::k5);
    one.send(bytes.substr(0, cut));
    one.vanish();
  }
  EXPECT_EQ(world_.engine().counters().connections.value(), 1u);
  EXPECT_EQ(world_.engine().counters().sessions.value(), 1u);
  EXPECT_EQ(world_.engine().counters().subscriptions.value(), 1u);
}

TEST_F(HostileTest, WhoSaysNothingIsSentAway) {
  Client slow(world_, Version::k5);
  slow.send("\x10");
  world_.advance(9);
  EXPECT_FALSE(slow.isClosed());
  world_.advance(2);
  EXPECT_TRUE(slow.isClosed());
  EXPECT_EQ(world_.refused(Refusal::kTimeout), 1u);
  world_.advance(3);
  EXPECT_EQ(world_.engine().counters().connections.value(), 1u) << "and forgotten";
}

TEST_F(HostileTest, PacketsHaveABound) {
  world_.limits.packet_bytes = 10'000;
  auto one = connected();
  one->send(bytesOf({0x30, 0xff, 0xff, 0xff, 0x7f}));
  EXPECT_EQ(one->next().reason, Reason::kPacketTooLarge);
  auto old = connected(Version::k311);
  old->send(bytesOf({0x30, 0xff, 0xff, 0xff, 0x7f}));
  EXPECT_TRUE(old->isClosed());
  EXPECT_FALSE(old->hasMore()) << "3.1.1 has no word for it";
}

TEST_F(HostileTest, TopicsAndFiltersHaveABoundOfLevels) {
  std::string deep = "a";
  for (int i = 0; i < 200; ++i) deep += "/a";
  auto one = connected();
  EXPECT_EQ(one->subscribe(deep).reasons, std::vector<unsigned>{0x8f});
  one->publish(deep, "x");
  EXPECT_EQ(one->next().reason, Reason::kTopicNameInvalid);
}

TEST_F(HostileTest, NobodySpeaksForTheServer) {
  auto one = connected();
  one->publish("$SYS/broker", "x", Qos::k1, 1);
  EXPECT_EQ(one->next().reason, Reason::kNotAuthorized);
  one->publish("$share/g/a", "x", Qos::k1, 1);
  EXPECT_EQ(one->next().reason, Reason::kNotAuthorized);
}

TEST_F(HostileTest, ADeniedMessageOf311EndsTheConnectionAndDelaysTheNext) {
  world_.access.user("user").no_publish = {"secret"};
  auto one = connected(Version::k311);
  one->publish("secret", "x", Qos::k1, 1);
  EXPECT_TRUE(one->isClosed());
  EXPECT_FALSE(one->hasMore());
  Client again(world_, Version::k311);
  EXPECT_EQ(static_cast<int>(again.connect().reason), 3);
  world_.advance(1.5);
  EXPECT_EQ(Client(world_, Version::k311).connect().reason, Reason::kSuccess);
}

TEST_F(HostileTest, AcknowledgementsOfNothingDoNothing) {
  auto one = connected();
  for (const auto type : {PacketType::kPuback, PacketType::kPubcomp}) one->ack(type, 77);
  EXPECT_FALSE(one->hasMore());
  one->ack(PacketType::kPubrec, 77);
  EXPECT_EQ(one->next().reason, Reason::kPacketIdNotFound);
  one->ack(PacketType::kPubrel, 77);
  EXPECT_EQ(one->next().reason, Reason::kPacketIdNotFound);
  (void)one->subscribe("q", 2);
  good_->publish("q", "x", Qos::k2, 1);
  (void)good_->next();
  const Said said = one->next();
  one->ack(PacketType::kPuback, said.id);
  EXPECT_EQ(one->next().reason, Reason::kProtocolError);
}

TEST_F(HostileTest, SessionsHaveABound) {
  Limits limits;
  limits.sessions = 2;
  World world(2, limits);
  world.access.user("user");
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(world, Version::k5));
    Wish wish;
    wish.id = "client-" + std::to_string(i);
    EXPECT_EQ(clients.back()->connect(wish).reason,
              i < 2 ? Reason::kSuccess : Reason::kQuotaExceeded)
        << "over all engines, wherever they are";
  }
}

TEST_F(HostileTest, RetainedMessagesHaveABound) {
  world_.limits.retained_messages = 2;
  auto one = connected();
  for (int i = 0; i < 5; ++i) one->publish("r/" + std::to_string(i), "x", Qos::k0, 0, 1);
  one->publish("r/0", "newer", Qos::k0, 0, 1);
  world_.advance(1);
  EXPECT_EQ(world_.engine().counters().retained.value(), 2u);
  EXPECT_EQ(world_.refused(Refusal::kRetainedFull), 3u);
  (void)one->subscribe("r/#");
  EXPECT_EQ(one->payloads(), (std::vector<std::string>{"newer", "x"}));
}

TEST_F(HostileTest, WhoeverCanBeToldHearsThatAMessageIsNotRetained) {
  Limits limits;
  limits.retained_messages = 1;
  for (const std::uint32_t engine : {0u, 1u}) {  // The keeper's, and another.
    World world(2, limits);
    world.access.user("user");
    Client other(world, Version::k5);
    ASSERT_EQ(other.connect({.id = "other"}).reason, Reason::kSuccess);
    (void)other.subscribe("r/#", 2);
    Wish wish;
    while (Homes::spread(Session::keyOf("device/user", wish.id), 2) != engine) wish.id += "x";
    Client one(world, Version::k5, engine);
    ASSERT_EQ(one.connect(wish).reason, Reason::kSuccess);
    const auto answer = [&](const std::string& topic, Qos qos, std::uint16_t id) {
      one.publish(topic, "x", qos, id, 1);
      return one.next().reason;
    };
    EXPECT_EQ(answer("r/0", Qos::k1, 1), Reason::kSuccess);
    EXPECT_EQ(answer("r/1", Qos::k1, 2), Reason::kQuotaExceeded);
    EXPECT_EQ(answer("r/2", Qos::k2, 3), Reason::kQuotaExceeded);
    EXPECT_EQ(answer("r/2", Qos::k2, 3), Reason::kQuotaExceeded) << "the identifier was free again";
    EXPECT_EQ(answer("r/0", Qos::k2, 4), Reason::kSuccess) << "it replaces one";
    one.publish("r/3", "x", Qos::k0, 0, 1);
    EXPECT_FALSE(one.hasMore());
    EXPECT_EQ(other.payloads().size(), 6u) << "those who are there have them all";
    Client old(world, Version::k311);
    ASSERT_EQ(old.connect({.id = "old"}).reason, Reason::kSuccess);
    old.publish("r/4", "x", Qos::k1, 1, 1);
    EXPECT_EQ(old.next().type, PacketType::kPuback);
    EXPECT_EQ(world.refused(Refusal::kRetainedFull), 5u);
    const auto told = [&] {
      return std::count_if(world.reports.begin(), world.reports.end(), [](const auto& report) {
        return report.find("retained_messages") != std::string::npos;
      });
    };
    EXPECT_EQ(told(), 1) << "once a minute";
    world.advance(61);
    old.publish("r/4", "x", Qos::k1, 1, 1);
    EXPECT_EQ(told(), 2);
  }
}

TEST_F(HostileTest, NoiseEndsInARefusalOrWaits) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    Client one(world_, round % 2 == 0 ? Version::k5 : Version::k311);
    Wish wish;
    wish.id = "noise";
    std::string bytes = one.connectPacket(wish);
    if (round % 3 == 0) bytes[random() % bytes.size()] ^= static_cast<char>(1u << random() % 8);
    bytes +=
        Client::packetOf(0x82, Client::idBytes(1) + one.props() + Client::subscribeBody("n/#", 2));
    bytes += one.publishPacket("n/y", "payload", Qos::k1, 3);
    const auto flips = random() % 4;
    for (std::size_t i = 0; i < flips; ++i)
      bytes[random() % bytes.size()] ^= static_cast<char>(1u << random() % 8);
    one.send(bytes);
    one.vanish();
  }
  world_.advance(3);
  EXPECT_EQ(world_.engine().counters().connections.value(), 1u);
}

}  // namespace
}  // namespace kante::hub
