// MQTT 5.0, 3.1 and 3.2: who comes in, whose session goes on, and what the first answer says.
#include <set>

#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;

class ConnectConformance : public Conformance {
 protected:
  // A CONNECT of 5.0 with these flags and, behind the properties, this.
  static std::string connectWith(unsigned flags, const std::string& payload,
                                 const std::string& properties = "") {
    std::string body = mqtt::text("MQTT") + bytesOf({5, flags, 0, 0});
    mqtt::appendVariable(body, static_cast<std::uint32_t>(properties.size()));
    return Client::packetOf(0x10, body + properties + payload);
  }
  static std::string credentials() { return mqtt::text("user") + mqtt::text("secret"); }
};

TEST_F(ConnectConformance, AnythingButAConnectAtFirstEndsTheConnectionUnanswered) {
  for (unsigned type = 2; type <= 15; ++type) {
    const unsigned flags = type == 6 || type == 8 || type == 10 ? 2 : 0;
    auto one = begun(Client::packetOf(type << 4 | flags, bytesOf({0, 1, 0, 0, 0})));
    EXPECT_TRUE(one->isClosed()) << type;
    EXPECT_FALSE(one->hasMore()) << type << " [MQTT-3.14.0-1]";
  }
}

TEST_F(ConnectConformance, ASecondConnectEndsTheConnection) {
  auto one = client("one");
  Wish same;
  same.id = "one";
  one->send(one->connectPacket(same));
  const Said said = one->next();
  EXPECT_EQ(said.type, PacketType::kDisconnect) << "and no second CONNACK";
  EXPECT_EQ(said.reason, Reason::kProtocolError);
  EXPECT_TRUE(one->isClosed());
  EXPECT_FALSE(one->hasMore());
}

TEST_F(ConnectConformance, OtherProtocolsAndVersionsAreTurnedAway) {
  for (const char* name : {"MQIsdp", "mqtt", "MQTT5", "", "AMQP"}) {
    auto one = begun(Client::packetOf(0x10, mqtt::text(name) + bytesOf({5, 2, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(one->isClosed()) << name;
  }
  for (unsigned version = 0; version < 256; ++version) {
    if (version == 4 || version == 5) continue;
    auto one =
        begun(Client::packetOf(0x10, mqtt::text("MQTT") + bytesOf({version, 2, 0, 0, 0, 0})));
    EXPECT_TRUE(one->isClosed()) << version;
    EXPECT_EQ(heard(*one), bytesOf({0x20, 2, 0, 1})) << "in words that all versions have had";
  }
}

TEST_F(ConnectConformance, AConnectThatContradictsItselfIsRefused) {
  const std::string id = mqtt::text("id"), none = bytesOf({0});
  const std::string will = none + mqtt::text("w") + mqtt::text("x");
  const struct {
    const char* statement;
    std::string packet;
  } cases[] = {
      {"3.1.2-3", connectWith(0xc3, id + credentials())},
      {"3.1.2-9 no will", connectWith(0x06, id)},
      {"3.1.2-9 no will payload", connectWith(0x06, id + none + mqtt::text("w"))},
      {"3.1.2-9 no will properties", connectWith(0x06, id + mqtt::text("w") + mqtt::text("x"))},
      {"3.1.2-11", connectWith(0xc0 | 0x08, id + credentials())},
      {"3.1.2-12 QoS 3", connectWith(0xc4 | 0x18, id + will + credentials())},
      {"3.1.2-13", connectWith(0xc0 | 0x20, id + credentials())},
      {"3.1.2-16 an unannounced user name", connectWith(0x02, id + mqtt::text("user"))},
      {"3.1.2-17 no user name", connectWith(0x82, id)},
      {"3.1.2-18 an unannounced password", connectWith(0x82, id + credentials())},
      {"3.1.2-19 no password", connectWith(0xc2, id + mqtt::text("user"))},
      {"3.1.3-3 no client identifier", connectWith(0x02, "")},
      {"3.1.4-1 no end", bytesOf({0x10, 3, 0, 4, 'M'})},
  };
  for (const auto& one : cases) {
    auto rude = begun(one.packet);
    EXPECT_TRUE(rude->isClosed()) << one.statement;
    if (!rude->hasMore()) continue;
    EXPECT_EQ(rude->next().reason, Reason::kMalformedPacket) << one.statement;
    EXPECT_FALSE(rude->hasMore()) << one.statement;
  }
}

TEST_F(ConnectConformance, AllFieldsOfTheFirstPacketAreTakenInTheirOrder) {
  auto to = client("to");
  (void)to->subscribe("w");
  const std::string will = bytesOf({0}) + mqtt::text("w") + mqtt::text("gone");
  auto one = begun(connectWith(0xc6, mqtt::text("id") + will + credentials()));
  EXPECT_EQ(one->next().reason, Reason::kSuccess);
  one->vanish();
  EXPECT_EQ(to->payloads(), std::vector<std::string>{"gone"});
}

TEST_F(ConnectConformance, AClientIdentifierOfUpTo23LettersAndDigitsIsTaken) {
  const std::string all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (std::size_t at = 0; at < all.size(); ++at) {
    const std::string id = (all + all).substr(at, 1 + at % 23);
    EXPECT_FALSE(client(id)->isClosed()) << id;
  }
}

TEST_F(ConnectConformance, AClientWithoutAnIdentifierGetsOneOfItsOwn) {
  std::vector<std::string> given;
  std::vector<std::unique_ptr<Client>> all;
  for (int i = 0; i < 20; ++i) {
    Wish wish = lasting();
    wish.id = "";
    wish.clean = i % 2 == 0;
    all.push_back(std::make_unique<Client>(world_, Version::k5));
    const Said said = all.back()->connect(wish);
    EXPECT_EQ(said.reason, Reason::kSuccess);
    EXPECT_FALSE(said.present);
    ASSERT_TRUE(said.properties.assigned_client_id);
    given.emplace_back(*said.properties.assigned_client_id);
  }
  std::sort(given.begin(), given.end());
  EXPECT_EQ(std::unique(given.begin(), given.end()), given.end());
  all.clear();
  world_.settle();
  Client again(world_, Version::k5);
  Wish wish = lasting();
  wish.id = given.front();
  const Said said = again.connect(wish);
  EXPECT_TRUE(said.present) << "it is as if the client had brought it";
  EXPECT_FALSE(said.properties.assigned_client_id);
}

TEST_F(ConnectConformance, AClientIdentifierThatIsRefusedIsToldSo) {
  Client one(world_, Version::k5);
  Wish wish;
  wish.id = std::string(300, 'x');
  EXPECT_EQ(one.connect(wish).reason, Reason::kClientIdNotValid);
  EXPECT_TRUE(one.isClosed());
}

TEST_F(ConnectConformance, WhoIsRefusedIsHeardNoMore) {
  auto to = client("to");
  (void)to->subscribe("#");
  const std::string more = to->publishPacket("late", "x", Qos::k0, 0, kRetain) +
                           bytesOf({0xc0, 0}) + to->connectPacket({});
  Wish wrong;
  wrong.password = "wrong";
  for (const std::string& refused :
       {to->connectPacket(wrong), connectWith(0x03, mqtt::text("id")),
        connectWith(0xc2, mqtt::text("id") + credentials(), textProperty(0x15, "magic"))}) {
    auto one = begun(refused + more);
    const Said said = one->next();
    EXPECT_EQ(said.type, PacketType::kConnack);
    EXPECT_GE(static_cast<unsigned>(said.reason), 0x80u);
    EXPECT_FALSE(said.present);
    EXPECT_FALSE(one->hasMore()) << "one CONNACK, and nothing else";
    EXPECT_TRUE(one->isClosed());
  }
  EXPECT_FALSE(to->hasMore());
}

TEST_F(ConnectConformance, EveryRefusalHasAReasonOfTheTable) {
  const std::set<unsigned> table = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86,
                                    0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95,
                                    0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f};
  world_.access.user("user").no_publish = {"secret"};
  const std::string id = mqtt::text("id"), none = bytesOf({0});
  Wish wrong, denied = willing("secret", "x");
  wrong.password = "wrong";
  const Client model(world_, Version::k5);
  std::set<unsigned> seen;
  for (const std::string& packet :
       {connectWith(0x03, id), model.connectPacket(wrong), model.connectPacket(denied),
        connectWith(0xc2, id + credentials(), receiveMaximum(0)),
        connectWith(0xc2, mqtt::text(std::string(300, 'x')) + credentials()),
        connectWith(0xc6, id + none + mqtt::text("a/#") + mqtt::text("") + credentials()),
        connectWith(0xc2, id + credentials(), textProperty(0x15, "magic"))}) {
    const Said said = begun(packet)->next();
    EXPECT_EQ(said.type, PacketType::kConnack);
    EXPECT_TRUE(table.contains(static_cast<unsigned>(said.reason)));
    seen.insert(static_cast<unsigned>(said.reason));
  }
  Limits no_sessions;
  no_sessions.sessions = 0;
  World full(1, no_sessions);
  full.access.user("user");
  seen.insert(static_cast<unsigned>(Client(full, Version::k5).connect().reason));
  EXPECT_EQ(seen, (std::set<unsigned>{0x81, 0x82, 0x85, 0x86, 0x87, 0x8c, 0x90, 0x97}));
}

TEST_F(ConnectConformance, SessionPresentSaysWhetherAnythingWasKept) {
  const auto present = [&](Wish wish) {
    wish.id = "car";
    Client one(world_, Version::k5);
    one.send(one.connectPacket(wish));
    EXPECT_EQ(static_cast<unsigned>(one.wire().to_client[2]) & 0xfeu, 0u) << "[MQTT-3.2.2-1]";
    const Said said = one.next();
    EXPECT_EQ(said.type, PacketType::kConnack);
    EXPECT_EQ(said.reason, Reason::kSuccess);
    one.vanish();
    return said.present;
  };
  Wish clean = lasting();
  clean.clean = true;
  EXPECT_FALSE(present(lasting())) << "a new one";
  EXPECT_TRUE(present(lasting()));
  EXPECT_FALSE(present(clean)) << "what was there is gone";
  EXPECT_TRUE(present(lasting())) << "what began clean is kept as well";
  world_.advance(1001);
  EXPECT_FALSE(present(lasting())) << "it had expired";
}

TEST_F(ConnectConformance, WhatASessionHadGoesOnOrIsForgotten) {
  auto from = client("from");
  for (const bool clean : {false, true}) {
    auto car = client("car", lasting());
    (void)car->subscribe("a", 2);
    car->publish("up", "held", Qos::k2, 9);
    from->publish("a", "under way", Qos::k1, 1);
    car->vanish();
    from->publish("a", "queued", Qos::k1, 2);
    Wish wish = lasting();
    wish.clean = clean;
    wish.id = "car";
    auto again = std::make_unique<Client>(world_, Version::k5);
    EXPECT_EQ(again->connect(wish).present, !clean);
    from->publish("a", "live", Qos::k1, 3);
    const std::vector<std::string> all = {"under way", "queued", "live"};
    EXPECT_EQ(again->payloads(), clean ? std::vector<std::string>() : all);
    again->ack(PacketType::kPubrel, 9);
    EXPECT_EQ(again->next().reason, clean ? Reason::kPacketIdNotFound : Reason::kSuccess);
    again->send(Client::packetOf(0xe0, bytesOf({0, 5}) + sessionExpiry(0)));
  }
}

TEST_F(ConnectConformance, StateBelongsToTheClientIdentifier) {
  auto one = client("one", lasting());
  auto two = client("two", lasting());
  (void)one->subscribe("a", 1);
  one->vanish();
  two->vanish();
  client("from")->publish("a", "x", Qos::k1, 1);
  EXPECT_EQ(client("two", lasting())->payloads(), std::vector<std::string>());
  EXPECT_EQ(client("one", lasting())->payloads(), std::vector<std::string>{"x"});
}

TEST_F(ConnectConformance, TheFirstConnectionIsToldThatASecondHasItsSession) {
  auto first = client("car", lasting());
  (void)first->subscribe("a");
  auto second = client("car", lasting());
  EXPECT_EQ(endOf(*first), Reason::kSessionTakenOver);
  EXPECT_FALSE(second->isClosed());
  client("from")->publish("a", "x");
  EXPECT_EQ(second->payloads(), std::vector<std::string>{"x"});
  Wish clean = lasting();
  clean.clean = true;
  auto third = client("car", clean);
  EXPECT_EQ(endOf(*second), Reason::kSessionTakenOver);
  client("from")->publish("a", "y");
  EXPECT_FALSE(third->hasMore()) << "which wanted none of it";
}

TEST_F(ConnectConformance, ConnackComesBeforeAllThatWaits) {
  auto from = client("from");
  auto to = client("to", lasting());
  (void)to->subscribe("a", 2);
  from->publish("a", "released", Qos::k2, 1);
  to->ack(PacketType::kPubrec, to->next().id);
  to->vanish();
  from->publish("a", "queued", Qos::k1, 2);
  Client again(world_, Version::k5);
  Wish wish = lasting();
  wish.id = "to";
  again.send(again.connectPacket(wish) + bytesOf({0xc0, 0}));
  EXPECT_EQ(again.next().type, PacketType::kConnack);
  std::vector<PacketType> rest;
  while (again.hasMore()) rest.push_back(again.next().type);
  std::sort(rest.begin(), rest.end());
  EXPECT_EQ(rest, (std::vector<PacketType>{PacketType::kPublish, PacketType::kPubrel,
                                           PacketType::kPingresp}));
}

TEST_F(ConnectConformance, NothingIsKeptBackOfWhatTheProtocolOffers) {
  Client one(world_, Version::k5);
  Wish wish = willing("w", "gone");
  wish.will_flags = 2u << 3 | 0x20;  // QoS 2, retained.
  const Said said = one.connect(wish);
  EXPECT_EQ(said.reason, Reason::kSuccess);
  EXPECT_FALSE(said.properties.maximum_qos);
  EXPECT_TRUE(said.properties.retain_available);
  EXPECT_TRUE(said.properties.wildcard_available);
  EXPECT_TRUE(said.properties.subscription_ids_available);
  EXPECT_TRUE(said.properties.shared_available);
  for (const unsigned qos : {0u, 1u, 2u})
    EXPECT_EQ(one.subscribe("a", qos).reasons, std::vector<unsigned>{qos});
}

TEST_F(ConnectConformance, NobodyIsToldWhatWasNotAskedFor) {
  for (const std::string& asked : {std::string(), bytesOf({0x19, 0}), bytesOf({0x19, 1})}) {
    Client one(world_, Version::k5);
    const Said said = one.connect(with(asked));
    EXPECT_EQ(said.reason, Reason::kSuccess);
    EXPECT_FALSE(said.properties.response_information);
    EXPECT_FALSE(said.properties.authentication_method);
    EXPECT_FALSE(said.properties.reason_string);
    EXPECT_EQ(said.properties.user_properties, 0u);
  }
}

TEST_F(ConnectConformance, TheKeepAliveOfTheClientCountsUnlessTheServerNamesItsOwn) {
  Wish wish;
  wish.keep_alive_s = 10;
  Client free(world_, Version::k5);
  EXPECT_FALSE(free.connect(wish).properties.server_keep_alive);
  world_.advance(14);
  EXPECT_FALSE(free.isClosed());
  world_.advance(2);
  EXPECT_EQ(endOf(free), Reason::kKeepAliveTimeout);

  auto patient = client("patient");  // A keep-alive of 0.
  world_.advance(100'000);
  EXPECT_FALSE(patient->isClosed());

  world_.limits.keep_alive_max_s = 20;
  wish.keep_alive_s = 0;
  Client bound(world_, Version::k5);
  EXPECT_EQ(bound.connect(wish).properties.server_keep_alive, 20);
  world_.advance(29);
  EXPECT_FALSE(bound.isClosed());
  world_.advance(2);
  EXPECT_EQ(endOf(bound), Reason::kKeepAliveTimeout);
}

TEST_F(ConnectConformance, AnyPacketKeepsAConnectionAlive) {
  Wish wish;
  wish.keep_alive_s = 10;
  auto one = client("one", wish);
  for (const std::string& packet :
       {bytesOf({0xc0, 0}), one->publishPacket("a", "x"),
        Client::packetOf(0x82, bytesOf({0, 1, 0}) + Client::subscribeBody("b", 0)),
        Client::packetOf(0xa2, bytesOf({0, 2, 0}) + mqtt::text("b"))}) {
    world_.advance(14);
    one->send(packet);
  }
  EXPECT_FALSE(one->isClosed());
}

TEST_F(ConnectConformance, AnAuthenticationMethodIsRefusedAndNoneIsEverUsed) {
  auto one = begun(connectWith(0xc2, mqtt::text("id") + credentials(),
                               textProperty(0x15, "SCRAM-SHA-1") + textProperty(0x16, "data")));
  const Said said = one->next();
  EXPECT_EQ(said.type, PacketType::kConnack) << "no AUTH";
  EXPECT_EQ(said.reason, Reason::kBadAuthenticationMethod);
  EXPECT_TRUE(one->isClosed());
  EXPECT_EQ(begun(connectWith(0xc2, mqtt::text("id") + credentials(), textProperty(0x16, "data")))
                ->next()
                .reason,
            Reason::kProtocolError)
      << "data without a method";
}

TEST_F(ConnectConformance, AnAuthThatNothingAskedForEndsTheConnection) {
  for (const std::string& body : {std::string(), bytesOf({0x18}), bytesOf({0x19}),
                                  bytesOf({0x19, 8}) + textProperty(0x15, "magic"), bytesOf({0})})
    EXPECT_EQ(endAfter(Client::packetOf(0xf0, body)), Reason::kProtocolError);
}

}  // namespace
}  // namespace kante::hub
