// Where MQTT 3.1.1 differs from 5.0: its return codes, its silence, its clean session.  The numbers
// are those of 3.1.1.
#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;

class Mqtt311Conformance : public Conformance {
 protected:
  std::unique_ptr<Client> old(const std::string& id, Wish wish = {}) {
    return client(id, wish, Version::k311);
  }
  static Wish kept() {
    Wish wish;
    wish.clean = false;
    return wish;
  }
  static std::string connectWith(unsigned flags, const std::string& payload) {
    return Client::packetOf(0x10, mqtt::text("MQTT") + bytesOf({4, flags, 0, 0}) + payload);
  }
};

TEST_F(Mqtt311Conformance, ARefusalIsOneOfFiveReturnCodes) {
  const Client model(world_, Version::k311);
  Wish wrong, nameless, denied = willing("secret", "x");
  world_.access.user("user").no_publish = {"secret"};
  wrong.password = "wrong";
  nameless.id = "";
  nameless.clean = false;
  const auto told = [&](const std::string& bytes) {
    auto one = begun(bytes, Version::k311);
    EXPECT_TRUE(one->isClosed()) << "[MQTT-3.2.2-5]";
    return heard(*one);
  };
  EXPECT_EQ(told(model.connectPacket(wrong)), bytesOf({0x20, 2, 0, 4}));
  EXPECT_EQ(told(model.connectPacket(nameless)), bytesOf({0x20, 2, 0, 2})) << "[MQTT-3.1.3-8]";
  EXPECT_EQ(told(model.connectPacket(denied)), bytesOf({0x20, 2, 0, 5}));
  EXPECT_EQ(told(Client::packetOf(0x10, mqtt::text("MQTT") + bytesOf({3, 2, 0, 0, 0, 0}))),
            bytesOf({0x20, 2, 0, 1}))
      << "[MQTT-3.1.2-2]";
  Limits none;
  none.sessions = 0;
  World full(1, none);
  full.access.user("user");
  EXPECT_EQ(static_cast<int>(Client(full, Version::k311).connect().reason), 3);
}

TEST_F(Mqtt311Conformance, AConnectThatIsNoneIsNotAnswered) {
  const std::string id = mqtt::text("id"), user = mqtt::text("user"), word = mqtt::text("secret");
  for (const std::string& packet :
       {connectWith(0xc3, id + user + word), connectWith(0x42, id + word),
        connectWith(0xca, id + user + word), connectWith(0xe2, id + user + word),
        connectWith(0xde, id + mqtt::text("w") + mqtt::text("") + user + word),
        connectWith(0x06, id), connectWith(0x02, ""), connectWith(0xc2, id + user + word + "x"),
        connectWith(0x02, mqtt::text("\xff")), bytesOf({0x10, 2, 0, 4})}) {
    auto one = begun(packet, Version::k311);
    EXPECT_TRUE(one->isClosed());
    EXPECT_EQ(heard(*one), "") << "[MQTT-3.1.4-1]";
  }
}

TEST_F(Mqtt311Conformance, AnEmptyIdentifierIsTakenForACleanSession) {
  Wish nameless;
  nameless.id = "";
  Client one(world_, Version::k311), two(world_, Version::k311);
  EXPECT_EQ(one.connect(nameless).reason, Reason::kSuccess) << "[MQTT-3.1.3-6]";
  EXPECT_EQ(two.connect(nameless).reason, Reason::kSuccess);
  EXPECT_FALSE(one.isClosed()) << "each has one of its own";
}

TEST_F(Mqtt311Conformance, ACleanSessionIsAsLongAsItsConnection) {
  auto from = old("from");
  const auto present = [&](bool clean) {
    Wish wish;
    wish.id = "car";
    wish.clean = clean;
    Client one(world_, Version::k311);
    const Said said = one.connect(wish);
    one.vanish();
    return said.present;
  };
  EXPECT_FALSE(present(false));
  EXPECT_TRUE(present(false)) << "[MQTT-3.1.2-4] [MQTT-3.2.2-2]";
  EXPECT_FALSE(present(true)) << "[MQTT-3.1.2-6] [MQTT-3.2.2-1]";
  EXPECT_FALSE(present(false)) << "a clean one is not reused";
  auto car = old("car", kept());
  (void)car->subscribe("a", 1);
  car->send(bytesOf({0xe0, 0}));
  world_.advance(3600);
  from->publish("a", "x", Qos::k1, 1);
  auto again = old("car", kept());
  EXPECT_EQ(again->payloads(), Payloads{"x"}) << "[MQTT-3.1.2-5]";
}

TEST_F(Mqtt311Conformance, ASubscriptionThatFailsIs0x80) {
  world_.access.user("user").no_subscribe = {"secret"};
  auto to = old("to");
  to->send(Client::packetOf(0x82, bytesOf({0, 7}) + Client::subscribeBody("a", 2) +
                                      Client::subscribeBody("secret", 1) +
                                      Client::subscribeBody("a/#/b", 1)));
  EXPECT_EQ(heard(*to), bytesOf({0x90, 5, 0, 7, 2, 0x80, 0x80})) << "[MQTT-3.9.3-2]";
  to->send(Client::packetOf(0xa2, bytesOf({0, 8}) + mqtt::text("none")));
  EXPECT_EQ(heard(*to), bytesOf({0xb0, 2, 0, 8})) << "[MQTT-3.10.4-5]";
  for (const unsigned options : {3u, 4u, 8u, 0x10u, 0x80u}) {
    auto one = old("one");
    one->send(Client::packetOf(0x82, bytesOf({0, 7}) + Client::subscribeBody("a", options)));
    EXPECT_TRUE(one->isClosed()) << "[MQTT-3-8.3-4]";
    EXPECT_FALSE(one->hasMore());
  }
}

TEST_F(Mqtt311Conformance, TheServerHangsUpWithoutAWord) {
  auto car = old("car", willing("w", "gone"));
  auto to = old("to");
  (void)to->subscribe("w");
  auto second = old("car");
  EXPECT_TRUE(car->isClosed());
  EXPECT_FALSE(car->hasMore());
  EXPECT_EQ(to->payloads(), Payloads{"gone"}) << "[MQTT-3.1.2-8]";
  for (const std::string& packet :
       {bytesOf({0xc0, 1, 0}), second->connectPacket({}), bytesOf({0xf0, 0}), bytesOf({0xe0, 1, 0}),
        second->publishPacket("a/+", "x"), second->publishPacket("", "x"),
        Client::packetOf(0x40, bytesOf({0, 1, 0})), bytesOf({0x36, 0})}) {
    auto one = old("rude");
    one->send(packet);
    EXPECT_TRUE(one->isClosed());
    EXPECT_FALSE(one->hasMore());
  }
}

TEST_F(Mqtt311Conformance, RetainedMessagesComeWithEachSubscribeAndLiveOnesAreNotMarked) {
  auto from = old("from");
  auto to = old("to");
  from->publish("a", "kept", Qos::k0, 0, kRetain);
  for (int i = 0; i < 2; ++i) {
    (void)to->subscribe("a");
    const Said said = to->next();
    EXPECT_EQ(said.payload, "kept");
    EXPECT_TRUE(said.retain) << "[MQTT-3.3.1-8]";
  }
  from->publish("a", "live", Qos::k0, 0, kRetain);
  EXPECT_FALSE(to->next().retain) << "[MQTT-3.3.1-9]";
}

TEST_F(Mqtt311Conformance, ClientsOfBothVersionsHearEachOther) {
  auto five = client("five");
  auto old_one = old("old");
  (void)five->subscribe("a", 2);
  (void)old_one->subscribe("a", 2);
  five->publish("a", "1", Qos::k2, 1, 0, userProperty("k", "v") + messageExpiry(60));
  old_one->publish("a", "2", Qos::k2, 1);
  EXPECT_EQ(five->next().type, PacketType::kPubrec);
  EXPECT_EQ(five->next().user.size(), 1u);
  EXPECT_EQ(five->next().payload, "2");
  EXPECT_EQ(old_one->next().payload, "1");
  EXPECT_EQ(old_one->next().type, PacketType::kPubrec);
  EXPECT_EQ(old_one->next().payload, "2");
}

}  // namespace
}  // namespace kante::hub
