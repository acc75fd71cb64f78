// MQTT 5.0, chapters 1 and 2, 3.12 to 3.15 and 4.13: what packets are made of, which of them no
// client may send, and how a connection ends.
#include <set>

#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;

class PacketConformance : public Conformance {
 protected:
  // Packets of a connected client with this text in each place that has one.
  std::vector<std::string> packetsWith(const std::string& text) {
    const Client model(world_, Version::k5);
    const std::string id = bytesOf({0, 1});
    const auto publish = [&](const std::string& properties) {
      return model.publishPacket("a", "x", Qos::k0, 0, 0, properties);
    };
    return {
        model.publishPacket(text, "x"),
        publish(textProperty(0x08, text)),
        publish(textProperty(0x03, text)),
        publish(userProperty(text, "value")),
        publish(userProperty("name", text)),
        Client::packetOf(0x82, id + model.props() + Client::subscribeBody(text, 0)),
        Client::packetOf(0x82,
                         id + model.props(userProperty(text, "")) + Client::subscribeBody("a", 0)),
        Client::packetOf(0xa2, id + model.props() + mqtt::text(text)),
        Client::packetOf(0x40, id + bytesOf({0}) + model.props(textProperty(0x1f, text))),
        Client::packetOf(0xe0, bytesOf({4}) + model.props(textProperty(0x1f, text))),
    };
  }
  // The same for CONNECT.
  std::vector<std::string> connectsWith(const std::string& text) {
    const Client model(world_, Version::k5);
    Wish id, will = willing(text, "x"), type = willing("w", "x", textProperty(0x03, text)), user,
             property = with(userProperty("name", text));
    id.id = text;
    user.user = text;
    std::vector<std::string> out;
    for (const Wish& wish : {id, will, type, user, property})
      out.push_back(model.connectPacket(wish));
    return out;
  }
};

TEST_F(PacketConformance, TextThatIsNoUtf8EndsTheConnectionWhereverItStands) {
  for (const std::string& bad :
       {std::string("\xed\xa0\x80"), std::string("\xed\xbf\xbf"),          // Surrogates.
        std::string("\xed\xa0\xbd\xed\xb8\x80"),                           // A pair of them.
        std::string("a\0b", 3), std::string("\xc0\x80"),                   // U+0000.
        std::string("\xc1\xbf"), std::string("\xe0\x9f\xbf"),              // Too long a form.
        std::string("\xf0\x8f\xbf\xbf"), std::string("\xf4\x90\x80\x80"),  // Beyond U+10FFFF.
        std::string("\xe2\x82"), std::string("\x80"), std::string("\xff")}) {
    for (const std::string& packet : packetsWith(bad))
      EXPECT_EQ(endAfter(packet), Reason::kMalformedPacket);
    for (const std::string& packet : connectsWith(bad)) {
      auto one = begun(packet);
      EXPECT_EQ(one->next().reason, Reason::kMalformedPacket);
      EXPECT_TRUE(one->isClosed());
    }
  }
}

TEST_F(PacketConformance, NoCharacterIsLeftOutOrMadeAnother) {
  auto from = client("from");
  auto to = client("to");
  // U+FEFF, a decomposed and a composed letter, an upper case, an edge of each length of UTF-8.
  const std::vector<std::string> topics = {
      "\xef\xbb\xbf"
      "a",
      "a",
      "a\xef\xbb\xbf",
      "a\xcc\x88",
      "\xc3\xa4",
      "A",
      " a",
      "a/",
      "/a",
      "\xdf\xbf",
      "\xef\xbf\xbf",
      "\xf4\x8f\xbf\xbf",
      "\x7f",
      "\x01"};
  unsigned id = 1;
  for (const std::string& topic : topics) (void)to->subscribe(topic, 0, subscriptionId(id++));
  id = 1;
  for (const std::string& topic : topics) {
    from->publish(topic, topic);
    const Said said = to->next();
    EXPECT_EQ(said.topic, topic);
    EXPECT_EQ(said.payload, topic);
    EXPECT_EQ(said.ids, std::vector<std::uint32_t>{id++}) << "no other filter is the same";
    EXPECT_FALSE(to->hasMore());
  }
}

TEST_F(PacketConformance, ANumberHasItsShortestFormAndFourBytesAtMost) {
  const std::string id = bytesOf({0, 1}), filter = Client::subscribeBody("a", 0);
  for (const std::string& packet :
       {bytesOf({0xc0, 0x80, 0}), bytesOf({0xc0, 0x80, 0x80, 0x80, 0x80, 0}),
        bytesOf({0xc0, 0xff, 0xff, 0xff, 0xff, 0x7f}),
        Client::packetOf(0x82, id + bytesOf({0x80, 0}) + filter),
        Client::packetOf(0x82, id + bytesOf({0x80, 0x80, 0x80, 0x80, 0}) + filter),
        Client::packetOf(0x82, id + bytesOf({3, 0x0b, 0x81, 0}) + filter),
        Client::packetOf(0x82, id + bytesOf({3, 0x8b, 0, 1}) + filter),
        Client::packetOf(0x82, id + bytesOf({6, 0x0b, 0x80, 0x80, 0x80, 0x80, 1}) + filter)})
    EXPECT_EQ(endAfter(packet), Reason::kMalformedPacket);
  auto one = client("one");
  one->send(Client::packetOf(0x82, id + bytesOf({5, 0x0b, 0xff, 0xff, 0xff, 0x7f}) + filter));
  EXPECT_EQ(one->next().reasons, std::vector<unsigned>{0}) << "the largest";
}

TEST_F(PacketConformance, ReservedFlagsAreAsTheyMustBe) {
  for (unsigned type = 1; type <= 15; ++type) {
    if (type == 3) continue;  // Those of PUBLISH mean something.
    const unsigned right = type == 6 || type == 8 || type == 10 ? 2 : 0;
    for (unsigned flags = 0; flags < 16; ++flags) {
      if (flags == right) continue;
      EXPECT_EQ(endAfter(Client::packetOf(type << 4 | flags, bytesOf({0, 1}))),
                Reason::kMalformedPacket)
          << type << ' ' << flags;
    }
  }
  for (const unsigned flags : {0u, 2u, 15u})
    EXPECT_EQ(endAfter(Client::packetOf(flags, "")), Reason::kMalformedPacket) << "no such type";
}

TEST_F(PacketConformance, WhatIsSaidIsAsTheSpecificationDrawsIt) {
  auto one = client("one");
  one->send(Client::packetOf(0x82, bytesOf({0x12, 0x34, 0}) + Client::subscribeBody("a", 2) +
                                       Client::subscribeBody("a/#/b", 0)));
  EXPECT_EQ(heard(*one), bytesOf({0x90, 5, 0x12, 0x34, 0, 2, 0x8f}));
  one->publish("a", "x");
  EXPECT_EQ(heard(*one), bytesOf({0x30, 5, 0, 1, 'a', 0, 'x'})) << "no identifier";
  one->publish("a", "x", Qos::k1, 0x4321);
  EXPECT_EQ(heard(*one), bytesOf({0x40, 2, 0x43, 0x21, 0x32, 7, 0, 1, 'a', 0, 1, 0, 'x'}));
  one->publish("a", "x", Qos::k2, 0x4321);
  EXPECT_EQ(heard(*one), bytesOf({0x50, 2, 0x43, 0x21, 0x34, 7, 0, 1, 'a', 0, 2, 0, 'x'}));
  one->ack(PacketType::kPubrel, 0x4321);
  EXPECT_EQ(heard(*one), bytesOf({0x70, 2, 0x43, 0x21}));
  one->ack(PacketType::kPubrec, 2);
  EXPECT_EQ(heard(*one), bytesOf({0x62, 2, 0, 2}));
  one->send(Client::packetOf(0xa2, bytesOf({0x56, 0x78, 0}) + mqtt::text("a") + mqtt::text("b")));
  EXPECT_EQ(heard(*one), bytesOf({0xb0, 5, 0x56, 0x78, 0, 0, 0x11}));
  one->send(bytesOf({0xc0, 0}));
  EXPECT_EQ(heard(*one), bytesOf({0xd0, 0}));
}

TEST_F(PacketConformance, APacketIdentifierIsNeverZero) {
  const Client model(world_, Version::k5);
  for (const std::string& packet :
       {model.publishPacket("a", "x", Qos::k1, 0), model.publishPacket("a", "x", Qos::k2, 0),
        Client::packetOf(0x82, bytesOf({0, 0, 0}) + Client::subscribeBody("a", 0)),
        Client::packetOf(0xa2, bytesOf({0, 0, 0}) + mqtt::text("a"))})
    EXPECT_EQ(endAfter(packet), Reason::kProtocolError);
}

TEST_F(PacketConformance, IdentifiersOfTheServerAreUnusedOnesAndNeverZero) {
  world_.limits.inflight = 10;
  auto from = client("from");
  auto to = client("to");
  (void)to->subscribe("a", 1);
  std::set<std::uint16_t> open;
  for (int i = 0; i < 66'000; ++i) {
    from->publish("a", "", Qos::k1, 1);
    (void)heard(*from);
    const std::uint16_t id = to->next().id;
    ASSERT_NE(id, 0);
    ASSERT_TRUE(open.insert(id).second) << id << " is in use";
    if (open.size() < 5) continue;
    const auto done = std::next(open.begin(), i % 5);
    to->ack(PacketType::kPuback, *done);
    open.erase(done);
  }
}

TEST_F(PacketConformance, APropertyStandsOnceInItsPacketAndOnlyThere) {
  const Client model(world_, Version::k5);
  const std::string id = bytesOf({0, 1});
  const auto publish = [&](const std::string& properties) {
    return endAfter(model.publishPacket("a", "x", Qos::k0, 0, 0, properties));
  };
  for (const std::string& property : {bytesOf({1, 0}), messageExpiry(9), textProperty(3, "t"),
                                      textProperty(8, "t"), textProperty(9, "t"), topicAlias(1)}) {
    EXPECT_EQ(publish(property + property), Reason::kProtocolError) << "twice";
    EXPECT_EQ(publish(property.substr(0, property.size() - 1)), Reason::kMalformedPacket)
        << "cut off";
    EXPECT_EQ(endAfter(Client::packetOf(0xa2, id + model.props(property) + mqtt::text("a"))),
              Reason::kMalformedPacket)
        << "in a packet that has none";
  }
  EXPECT_EQ(publish(bytesOf({1, 2})), Reason::kProtocolError) << "a format that is none";
  EXPECT_EQ(publish(bytesOf({0x7f, 0})), Reason::kMalformedPacket) << "a property that is none";
  EXPECT_EQ(publish(willDelay(1)), Reason::kMalformedPacket) << "a will's";
  const std::string filter = Client::subscribeBody("a", 0);
  EXPECT_EQ(endAfter(Client::packetOf(
                0x82, id + model.props(subscriptionId(1) + subscriptionId(2)) + filter)),
            Reason::kProtocolError);
  EXPECT_EQ(endAfter(Client::packetOf(0x82, id + model.props(subscriptionId(0)) + filter)),
            Reason::kProtocolError);
  for (const std::string& properties :
       {receiveMaximum(9) + receiveMaximum(9), receiveMaximum(0), packetMaximum(0),
        sessionExpiry(1) + sessionExpiry(1), bytesOf({0x17, 2}), bytesOf({0x19, 2}),
        aliasMaximum(1) + aliasMaximum(1)})
    EXPECT_EQ(begun(model.connectPacket(with(properties)))->next().reason, Reason::kProtocolError);
}

TEST_F(PacketConformance, PacketsOfAServerComeFromNoClient) {
  for (const unsigned first : {0x20u, 0x90u, 0xb0u, 0xd0u})
    EXPECT_EQ(endAfter(Client::packetOf(first, bytesOf({0, 1, 0}))), Reason::kProtocolError);
}

TEST_F(PacketConformance, WhateverBreaksTheProtocolEndsTheConnectionAndPublishesTheWill) {
  auto to = client("to");
  (void)to->subscribe("w");
  const Client model(world_, Version::k5);
  const std::string id = bytesOf({0, 1});
  const struct {
    Reason reason;
    std::string packet;
  } cases[] = {
      {Reason::kMalformedPacket, bytesOf({0xc0, 1, 0})},
      {Reason::kMalformedPacket, Client::packetOf(0xe1, "")},
      {Reason::kMalformedPacket, model.publishPacket("a", "x", Qos::k0, 0, 6)},
      {Reason::kMalformedPacket, Client::packetOf(0x40, bytesOf({0}))},
      {Reason::kProtocolError, Client::packetOf(0x82, id + bytesOf({0}))},
      {Reason::kProtocolError, Client::packetOf(0xa2, id + bytesOf({0}))},
      {Reason::kProtocolError, Client::packetOf(0xe0, bytesOf({0x8e}))},
      {Reason::kProtocolError, model.publishPacket("", "x")},
      {Reason::kTopicNameInvalid, model.publishPacket("a/+", "x")},
      {Reason::kTopicAliasInvalid, model.publishPacket("a", "", Qos::k0, 0, 0, topicAlias(0))},
      {Reason::kPacketTooLarge, bytesOf({0x30, 0xff, 0xff, 0xff, 0x7f})},
  };
  for (const auto& one : cases) {
    auto rude = client("rude", willing("w", "gone"));
    rude->send(one.packet + model.publishPacket("w", "never", Qos::k0));
    EXPECT_EQ(endOf(*rude), one.reason);
    EXPECT_EQ(to->payloads(), std::vector<std::string>{"gone"}) << "and what follows is not heard";
  }
}

TEST_F(PacketConformance, ADisconnectOfTheServerIsItsLastWordAndSaysWhatATableAllows) {
  const std::set<unsigned> table = {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e,
                                    0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
                                    0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2};
  std::set<unsigned> seen;
  const auto ended = [&](Client& one) {
    ASSERT_TRUE(one.isClosed());
    const Said said = one.next();
    ASSERT_EQ(said.type, PacketType::kDisconnect);
    EXPECT_TRUE(table.contains(static_cast<unsigned>(said.reason)));
    seen.insert(static_cast<unsigned>(said.reason));
    mqtt::ByteReader reader(said.body);
    (void)reader.byte();
    mqtt::Properties properties;
    mqtt::Fault fault;
    if (!reader.empty()) {
      EXPECT_TRUE(mqtt::parseProperties(reader.bytes(reader.variable()),
                                        mqtt::PropertySet::kDisconnect, properties, fault));
    }
    EXPECT_FALSE(properties.session_expiry_s) << "[MQTT-3.14.2-2]";
    one.send(bytesOf({0xc0, 0}));
    EXPECT_FALSE(one.hasMore()) << "[MQTT-3.14.4-1]";
  };
  Wish silent = lasting();
  silent.keep_alive_s = 1;
  auto broken = client("broken", lasting());
  broken->send(bytesOf({0xc0, 1, 0}));
  ended(*broken);
  auto quiet = client("quiet", silent);
  world_.advance(2);
  ended(*quiet);
  auto old = client("car", lasting());
  auto present = client("car", lasting());
  ended(*old);
  world_.engine().take(Reconsider{"device/user", Connections::kEnd});
  ended(*present);
  auto last = client("last", lasting());
  world_.engine().shutDown();
  ended(*last);
  EXPECT_EQ(seen, (std::set<unsigned>{0x81, 0x87, 0x8b, 0x8d, 0x8e}));
}

TEST_F(PacketConformance, ADisconnectOfTheClientEndsWithoutAnAnswer) {
  for (const unsigned reason : {0x00u, 0x04u, 0x80u, 0x81u, 0x82u, 0x83u, 0x90u, 0x93u, 0x94u,
                                0x95u, 0x96u, 0x97u, 0x98u, 0x99u}) {
    auto one = client("one");
    one->send(Client::packetOf(0xe0, bytesOf({reason})) + bytesOf({0xc0, 0}));
    EXPECT_TRUE(one->isClosed());
    EXPECT_FALSE(one->hasMore()) << reason;
  }
}

TEST_F(PacketConformance, ASessionMayBeGivenAnEndAtDisconnectButNotALife) {
  auto one = client("one", lasting());
  one->send(Client::packetOf(0xe0, bytesOf({0, 5}) + sessionExpiry(10)));
  world_.advance(9);
  auto again = client("one", lasting());
  EXPECT_EQ(world_.engine().counters().sessions.value(), 1u);
  again->send(Client::packetOf(0xe0, bytesOf({0, 5}) + sessionExpiry(10)));
  world_.advance(11);
  EXPECT_EQ(world_.engine().counters().sessions.value(), 0u);
  EXPECT_EQ(endAfter(Client::packetOf(0xe0, bytesOf({0, 5}) + sessionExpiry(9))),
            Reason::kProtocolError);
}

}  // namespace
}  // namespace kante::hub
