// MQTT 5.0, 3.1.2.11, 3.2.2.3, 3.3.4 and 4.9: what each side takes at most - packets, messages at
// once, aliases - and what a client does not want to be told.
#include <map>

#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;

class LimitConformance : public Conformance {
 protected:
  LimitConformance() : from_(client("from")) {}
  std::unique_ptr<Client> from_;
};

// ---- maximum packet size

TEST_F(LimitConformance, AMessageIsSentWhenItFitsToTheByteAndForgottenWhenNot) {
  for (std::uint32_t room = 60; room < 63; ++room) {
    auto to = client("to", with(packetMaximum(room) + aliasMaximum(9)));
    (void)to->subscribe("topic", 1, subscriptionId(3));
    // 2 of head, 7 of topic, 2 of identifier, 1 + 2 + 5 of properties.
    const std::size_t fits = room - 2 - 7 - 2 - 8;
    from_->publish("topic", std::string(fits + 1, 'y'), Qos::k1, 1, 0, messageExpiry(99));
    from_->publish("topic", std::string(fits, 'x'), Qos::k1, 2, 0, messageExpiry(99));
    EXPECT_EQ(to->wire().to_client.size(), room);
    from_->publish("topic", "short", Qos::k1, 3, 0, messageExpiry(99));
    EXPECT_EQ(to->payloads(), (Payloads{std::string(fits, 'x'), "short"}));
    EXPECT_EQ(world_.refused(Refusal::kTooLarge), room - 59);
    to->disconnect();
  }
}

TEST_F(LimitConformance, WhatIsTooLargeCountsAsSent) {
  auto to = client("to", lasting(packetMaximum(100) + receiveMaximum(1)));
  (void)to->subscribe("a", 2);
  for (std::uint16_t i = 1; i <= 5; ++i)
    from_->publish("a", std::string(200, 'x'), i % 2 == 0 ? Qos::k1 : Qos::k2, i);
  from_->publish("a", "small", Qos::k1, 9);
  EXPECT_EQ(to->payloads(), Payloads{"small"}) << "none of them takes a place";
  auto wide = client("to", lasting());
  EXPECT_EQ(wide->payloads(), Payloads{"small"}) << "nor comes later";
}

TEST_F(LimitConformance, WhatWasSentBeforeAndIsTooLargeNowIsForgotten) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 1);
  from_->publish("a", std::string(200, 'x'), Qos::k1, 1);
  from_->publish("a", "small", Qos::k1, 2);
  auto narrow = client("to", lasting(packetMaximum(100)));
  EXPECT_EQ(narrow->payloads(), Payloads{"small"});
}

TEST_F(LimitConformance, NoAnswerIsLargerThanTheClientTakes) {
  const Client model(world_, Version::k5);
  for (std::uint32_t room = 1; room < 90; ++room) {
    for (const bool named : {true, false}) {
      for (const char* password : {"secret", "wrong"}) {
        Wish wish = with(packetMaximum(room) + bytesOf({0x17, 1}));
        wish.id = named ? "id" : "";
        wish.password = password;
        auto one = begun(model.connectPacket(wish));
        EXPECT_LE(one->wire().to_client.size(), room) << named << ' ' << password;
        EXPECT_TRUE(!one->isClosed() || room < 5 || one->next().type == PacketType::kConnack);
      }
    }
  }
  auto broken = begun(Client::packetOf(
      0x10, mqtt::text("MQTT") + bytesOf({5, 2, 0, 0}) +
                model.props(packetMaximum(20) + receiveMaximum(0)) + mqtt::text("id")));
  EXPECT_EQ(heard(*broken), bytesOf({0x20, 3, 0, 0x82, 0})) << "no reason string [MQTT-3.2.2-19]";
}

TEST_F(LimitConformance, WhoCannotBeAnsweredIsSentAway) {
  for (const unsigned first : {0x82u, 0xa2u}) {
    auto one = client("one", with(packetMaximum(30)));
    std::string filters;
    for (int i = 0; i < 25; ++i)
      filters += first == 0x82 ? Client::subscribeBody("a", 0) : mqtt::text("a");
    one->send(Client::packetOf(first, bytesOf({0, 1, 0}) + filters));
    EXPECT_EQ(one->next().reasons.size(), 25u) << "30 bytes";
    filters += filters.substr(0, first == 0x82 ? 4 : 3);
    one->send(Client::packetOf(first, bytesOf({0, 1, 0}) + filters));
    EXPECT_LE(one->wire().to_client.size(), 30u);
    EXPECT_EQ(endOf(*one), Reason::kPacketTooLarge);
  }
}

TEST_F(LimitConformance, WhoIsSentAwayHearsNoTextThatMightBeTooLong) {
  auto one = client("one", with(packetMaximum(30)));
  one->send(bytesOf({0xc0, 1, 0}));
  EXPECT_EQ(heard(*one), bytesOf({0xe0, 1, 0x81}));
  auto other = client("other");
  other->send(bytesOf({0xc0, 1, 0}));
  EXPECT_GT(heard(*other).size(), 10u) << "who takes anything is told why";
}

TEST_F(LimitConformance, APacketLargerThanTheServerTakesEndsTheConnection) {
  world_.limits.packet_bytes = 1000;
  Client one(world_, Version::k5);
  EXPECT_EQ(one.connect().properties.maximum_packet_size, 1000u);
  one.publish("a", std::string(1000 - 3 - 3 - 1, 'x'), Qos::k0);
  EXPECT_FALSE(one.isClosed()) << "1,000 bytes";
  one.publish("a", std::string(1000 - 3 - 3, 'x'), Qos::k0);
  EXPECT_EQ(endOf(one), Reason::kPacketTooLarge);
}

// ---- receive maximum

TEST_F(LimitConformance, NoMoreThanTheClientTakesIsUnderWay) {
  auto to = client("to", lasting(receiveMaximum(3)));
  (void)to->subscribe("a", 2);
  for (std::uint16_t i = 1; i <= 9; ++i)
    from_->publish("a", std::to_string(i), i % 2 == 0 ? Qos::k1 : Qos::k2, i);
  const std::uint16_t one = to->next().id, two = to->next().id, three = to->next().id;
  EXPECT_FALSE(to->hasMore()) << "[MQTT-4.9.0-1]";
  to->ack(PacketType::kPubrec, one);
  EXPECT_EQ(to->next().type, PacketType::kPubrel);
  EXPECT_FALSE(to->hasMore()) << "PUBREC is not the end of it";
  to->ack(PacketType::kPubcomp, one);
  EXPECT_EQ(to->next().payload, "4");
  EXPECT_FALSE(to->hasMore());
  to->ack(PacketType::kPuback, two);
  EXPECT_EQ(to->next().payload, "5");
  to->send(Client::packetOf(0x50, Client::idBytes(three) + bytesOf({0x80})));
  EXPECT_EQ(to->next().payload, "6") << "a refusal is the end of it";
  EXPECT_FALSE(to->hasMore());
}

TEST_F(LimitConformance, NothingButMessagesWaitsForTheClient) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 2);
  for (std::uint16_t i = 1; i <= 4; ++i) from_->publish("a", std::to_string(i), Qos::k2, i);
  const std::vector<std::uint16_t> ids = idsOf(*to);
  ASSERT_EQ(ids.size(), 4u);
  to->ack(PacketType::kPubrec, ids[2]);
  to->ack(PacketType::kPubrec, ids[3]);
  to = client("to", lasting(receiveMaximum(1)));
  std::vector<std::uint16_t> released;
  while (to->hasMore()) {
    const Said said = to->next();
    EXPECT_EQ(said.type, PacketType::kPubrel);
    released.push_back(said.id);
  }
  EXPECT_EQ(released, (std::vector<std::uint16_t>{ids[2], ids[3]}))
      << "at once, though there is no room for a message [MQTT-3.3.4-10]";
  to->send(bytesOf({0xc0, 0}));
  EXPECT_EQ(to->next().type, PacketType::kPingresp);
  EXPECT_EQ(to->subscribe("b").type, PacketType::kSuback);
  EXPECT_EQ(to->unsubscribe("b").type, PacketType::kUnsuback);
  to->publish("c", "x", Qos::k2, 1);
  EXPECT_EQ(to->next().type, PacketType::kPubrec);
  to->ack(PacketType::kPubrel, 1);
  EXPECT_EQ(to->next().type, PacketType::kPubcomp);
  to->ack(PacketType::kPubcomp, ids[2]);
  EXPECT_FALSE(to->hasMore());
  to->ack(PacketType::kPubcomp, ids[3]);
  for (const std::uint16_t id : {ids[0], ids[1]}) {
    const Said said = to->next();
    EXPECT_EQ(said.id, id);
    EXPECT_FALSE(to->hasMore()) << "one at a time";
    to->ack(PacketType::kPubrec, id);
    EXPECT_EQ(to->next().type, PacketType::kPubrel);
    to->ack(PacketType::kPubcomp, id);
  }
  EXPECT_FALSE(to->hasMore());
}

TEST_F(LimitConformance, AReceiveMaximumIsOfOneConnection) {
  auto to = client("to", lasting(receiveMaximum(1)));
  (void)to->subscribe("a", 1);
  for (std::uint16_t i = 1; i <= 3; ++i) from_->publish("a", std::to_string(i), Qos::k1, i);
  EXPECT_EQ(to->payloads(), Payloads{"1"});
  EXPECT_EQ(client("to", lasting())->payloads(), (Payloads{"1", "2", "3"}));
}

TEST_F(LimitConformance, WhoSendsMoreThanTheServerTakesIsSentAway) {
  world_.limits.receive_maximum = 2;
  Client one(world_, Version::k5);
  EXPECT_EQ(one.connect().properties.receive_maximum, 2);
  for (std::uint16_t i = 1; i <= 2; ++i) one.publish("a", "x", Qos::k2, i);
  EXPECT_FALSE(one.isClosed());
  one.ack(PacketType::kPubrel, 1);
  one.publish("a", "x", Qos::k2, 3);
  EXPECT_FALSE(one.isClosed()) << "one was done";
  one.publish("a", "x", Qos::k2, 4);
  EXPECT_EQ(endOf(one), Reason::kReceiveMaximumExceeded);
}

// ---- topic aliases

TEST_F(LimitConformance, AliasesTowardsTheClientAreThoseThatItKnows) {
  for (const unsigned most : {0u, 1u, 3u, 65'535u}) {
    auto to = client("to", with(aliasMaximum(most)));
    (void)to->subscribe("#");
    std::map<unsigned, std::string> meaning;
    for (int i = 0; i < 300; ++i) {
      const std::string topic = "t/" + std::to_string(i % 100);
      from_->publish(topic, "x");
      const Said said = to->next();
      const unsigned alias = said.properties.topic_alias.value_or(0);
      EXPECT_LE(alias, most);
      EXPECT_NE(said.properties.topic_alias, 0);
      if (alias != 0 && !said.topic.empty()) meaning[alias] = said.topic;
      EXPECT_EQ(said.topic.empty() ? meaning[alias] : said.topic, topic);
    }
  }
  auto plain = client("plain");
  (void)plain->subscribe("a");
  for (int i = 0; i < 3; ++i) {
    from_->publish("a", "x");
    const Said said = plain->next();
    EXPECT_FALSE(said.properties.topic_alias);
    EXPECT_EQ(said.topic, "a");
  }
}

TEST_F(LimitConformance, AllAliasesThatTheServerOffersAreTaken) {
  Client one(world_, Version::k5);
  Wish wish = lasting();
  const unsigned most = one.connect(wish).properties.topic_alias_maximum.value_or(0);
  ASSERT_GT(most, 0u);
  auto to = client("to");
  (void)to->subscribe("#");
  for (unsigned alias = 1; alias <= most; ++alias)
    one.publish("t/" + std::to_string(alias), "x", Qos::k0, 0, 0, topicAlias(alias));
  (void)to->payloads();
  for (unsigned alias = most; alias > 0; --alias) {
    one.publish("", "x", Qos::k0, 0, 0, topicAlias(alias));
    EXPECT_EQ(to->next().topic, "t/" + std::to_string(alias));
  }
  one.publish("new", "x", Qos::k0, 0, 0, topicAlias(1));
  one.publish("", "x", Qos::k0, 0, 0, topicAlias(1));
  EXPECT_EQ(to->next().topic, "new");
  EXPECT_EQ(to->next().topic, "new") << "an alias may be given anew";
  EXPECT_EQ(endAfter(one.publishPacket("a", "x", Qos::k0, 0, 0, topicAlias(most + 1))),
            Reason::kTopicAliasInvalid);
  EXPECT_EQ(endAfter(one.publishPacket("a", "x", Qos::k0, 0, 0, topicAlias(0))),
            Reason::kTopicAliasInvalid);
}

TEST_F(LimitConformance, AliasesAreOfOneConnectionInBothDirections) {
  auto car = client("car", lasting(aliasMaximum(5)));
  (void)car->subscribe("a", 1);
  car->publish("up", "x", Qos::k0, 0, 0, topicAlias(1));
  from_->publish("a", "x", Qos::k1, 1);
  from_->publish("a", "y", Qos::k1, 2);
  EXPECT_EQ(car->next().topic, "a");
  EXPECT_EQ(car->next().topic, "") << "it knows the alias";
  car = client("car", lasting(aliasMaximum(5)));
  EXPECT_EQ(car->next().topic, "a") << "its new connection does not";
  car->publish("", "x", Qos::k0, 0, 0, topicAlias(1));
  EXPECT_EQ(endOf(*car), Reason::kProtocolError) << "[MQTT-3.3.2-7]";
}

// ---- what a client does not want to hear

TEST_F(LimitConformance, WhoWantsNoProblemInformationGetsBareReasons) {
  TestPrincipal& user = world_.access.user("user");
  user.no_publish = {"secret"};
  user.no_subscribe = {"secret"};
  for (const bool wanted : {false, true}) {
    auto one = client("one", with(bytesOf({0x17, wanted})));
    one->publish("secret", "x", Qos::k1, 1);
    EXPECT_EQ(heard(*one), bytesOf({0x40, 3, 0, 1, 0x87}));
    one->publish("secret", "x", Qos::k2, 1);
    EXPECT_EQ(heard(*one), bytesOf({0x50, 3, 0, 1, 0x87}));
    one->ack(PacketType::kPubrel, 9);
    EXPECT_EQ(heard(*one), bytesOf({0x70, 3, 0, 9, 0x92}));
    one->ack(PacketType::kPubrec, 9);
    EXPECT_EQ(heard(*one), bytesOf({0x62, 3, 0, 9, 0x92}));
    one->send(Client::packetOf(0x82, bytesOf({0, 1, 0}) + Client::subscribeBody("secret", 0)));
    EXPECT_EQ(heard(*one), bytesOf({0x90, 4, 0, 1, 0, 0x87}));
    one->send(Client::packetOf(0xa2, bytesOf({0, 1, 0}) + mqtt::text("none")));
    EXPECT_EQ(heard(*one), bytesOf({0xb0, 4, 0, 1, 0, 0x11}));
    one->send(bytesOf({0xc0, 1, 0}));
    EXPECT_EQ(heard(*one).size() > 3, wanted) << "DISCONNECT may say why";
  }
}

}  // namespace
}  // namespace kante::hub
