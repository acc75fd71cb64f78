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

}  // namespace
}  // namespace kante::hub
