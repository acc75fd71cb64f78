// What MQTT 5.0 adds, heard from clients.
#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;

class Mqtt5Test : public ::testing::Test {
 protected:
  Mqtt5Test() { world_.access.user("user"); }
  std::unique_ptr<Client> client(const std::string& id, Wish wish = {}) {
    auto made = std::make_unique<Client>(world_, Version::k5);
    wish.id = id;
    EXPECT_EQ(made->connect(wish).reason, Reason::kSuccess);
    return made;
  }
  World world_;
};

std::string user(const std::string& name, const std::string& value) {
  return "\x26" + mqtt::text(name) + mqtt::text(value);
}

TEST_F(Mqtt5Test, TellsTheClientWhatItMay) {
  world_.limits.keep_alive_max_s = 30;
  Client one(world_, Version::k5);
  Wish wish;
  wish.id = "";
  wish.keep_alive_s = 100;
  wish.properties = bytesOf({0x11, 0xff, 0xff, 0xff, 0xff});
  const Said said = one.connect(wish);
  const mqtt::Properties& told = said.properties;
  EXPECT_EQ(told.server_keep_alive, 30);
  EXPECT_EQ(told.session_expiry_s, world_.limits.session_expiry_max_s);
  EXPECT_EQ(told.receive_maximum, world_.limits.receive_maximum);
  EXPECT_EQ(told.maximum_packet_size, world_.limits.packet_bytes);
  EXPECT_EQ(told.topic_alias_maximum, world_.limits.topic_alias_maximum);
  ASSERT_TRUE(told.assigned_client_id);
  EXPECT_EQ(told.assigned_client_id->size(), 30u);
}

TEST_F(Mqtt5Test, CarriesPropertiesFromClientToClient) {
  auto from = client("from");
  auto to = client("to");
  (void)to->subscribe("a");
  from->publish("a", "x", Qos::k0, 0, 0,
                bytesOf({1, 1}) + "\x03" + mqtt::text("json") + "\x08" + mqtt::text("answers/1") +
                    "\x09" + mqtt::text("id-7") + user("k", "1") + user("k", "2"));
  const Said said = to->next();
  EXPECT_EQ(said.properties.content_type, "json");
  EXPECT_EQ(said.properties.response_topic, "answers/1");
  EXPECT_EQ(said.properties.correlation_data, "id-7");
  EXPECT_EQ(said.user, (std::vector<std::pair<std::string, std::string>>{{"k", "1"}, {"k", "2"}}));
}

TEST_F(Mqtt5Test, ForgetsMessagesThatExpireAndSaysWhatIsLeft) {
  Wish wish;
  wish.clean = false;
  wish.properties = bytesOf({0x11, 0, 0, 1, 0});
  auto to = client("to", wish);
  (void)to->subscribe("a", 1);
  to->vanish();
  auto from = client("from");
  from->publish("a", "short", Qos::k1, 1, 0, bytesOf({2, 0, 0, 0, 5}));
  from->publish("a", "long", Qos::k1, 2, 0, bytesOf({2, 0, 0, 0, 60}));
  world_.advance(20);
  Client again(world_, Version::k5);
  wish.id = "to";
  EXPECT_TRUE(again.connect(wish).present);
  const Said said = again.next();
  EXPECT_EQ(said.payload, "long");
  EXPECT_EQ(said.properties.message_expiry_s, 40u);
  EXPECT_FALSE(again.hasMore());
  EXPECT_EQ(world_.refused(Refusal::kTtl), 1u);
}

TEST_F(Mqtt5Test, EndsASessionWhenItsExpiryHasPassed) {
  Wish wish;
  wish.clean = false;
  wish.properties = bytesOf({0x11, 0, 0, 0, 10});
  for (const double away : {9.0, 11.0}) {
    client("to", wish)->vanish();
    world_.advance(away);
    Client again(world_, Version::k5);
    wish.id = "to";
    EXPECT_EQ(again.connect(wish).present, away < 10) << away;
    again.disconnect();
  }
}

TEST_F(Mqtt5Test, DelaysAWillAndForgetsItWhenTheClientComesBack) {
  auto to = client("to");
  (void)to->subscribe("will");
  Wish wish;
  wish.clean = false;
  wish.properties = bytesOf({0x11, 0, 0, 0, 100});
  wish.will_topic = "will";
  wish.will_payload = "gone";
  wish.will_properties = bytesOf({0x18, 0, 0, 0, 10, 2, 0, 0, 0, 30});
  client("car", wish)->vanish();
  world_.advance(8);
  auto back = client("car", wish);
  world_.advance(20);
  EXPECT_FALSE(to->hasMore());
  back->vanish();
  world_.advance(11);
  const Said said = to->next();
  EXPECT_EQ(said.payload, "gone");
  EXPECT_EQ(said.properties.message_expiry_s, 30u) << "which counts from its publication";
}

TEST_F(Mqtt5Test, PublishesADelayedWillWhenTheSessionEndsBefore) {
  auto to = client("to");
  (void)to->subscribe("will");
  Wish wish;
  wish.properties = bytesOf({0x11, 0, 0, 0, 2});
  wish.will_topic = "will";
  wish.will_payload = "gone";
  wish.will_properties = bytesOf({0x18, 0, 0, 1, 0});
  client("car", wish)->vanish();
  world_.advance(3);
  EXPECT_EQ(to->payloads(), std::vector<std::string>{"gone"});
}

TEST_F(Mqtt5Test, PublishesTheWillOnADisconnectThatAsksForIt) {
  auto to = client("to");
  (void)to->subscribe("will");
  Wish wish;
  wish.will_topic = "will";
  wish.will_payload = "gone";
  auto car = client("car", wish);
  car->send(Client::packetOf(0xe0, bytesOf({4})));
  EXPECT_EQ(to->payloads(), std::vector<std::string>{"gone"});
}

TEST_F(Mqtt5Test, HoldsBackWhatExceedsTheClientsReceiveMaximum) {
  Wish wish;
  wish.properties = bytesOf({0x21, 0, 2});
  auto to = client("to", wish);
  (void)to->subscribe("a", 2);
  auto from = client("from");
  for (std::uint16_t i = 1; i <= 4; ++i) from->publish("a", std::to_string(i), Qos::k1, i);
  const Said first = to->next();
  EXPECT_EQ(to->next().payload, "2");
  EXPECT_FALSE(to->hasMore());
  to->ack(PacketType::kPuback, first.id);
  EXPECT_EQ(to->next().payload, "3");
  EXPECT_FALSE(to->hasMore());
}

TEST_F(Mqtt5Test, EndsAClientThatExceedsOurReceiveMaximum) {
  world_.limits.receive_maximum = 2;
  auto from = client("from");
  for (std::uint16_t i = 1; i <= 3; ++i) from->publish("a", "x", Qos::k2, i);
  EXPECT_EQ(from->next().type, PacketType::kPubrec);
  EXPECT_EQ(from->next().type, PacketType::kPubrec);
  const Said said = from->next();
  EXPECT_EQ(said.type, PacketType::kDisconnect);
  EXPECT_EQ(said.reason, Reason::kReceiveMaximumExceeded);
}

TEST_F(Mqtt5Test, SendsNothingLargerThanTheClientTakes) {
  Wish wish;
  wish.properties = bytesOf({0x27, 0, 0, 0, 100});
  auto to = client("to", wish);
  (void)to->subscribe("a", 1);
  auto from = client("from");
  from->publish("a", std::string(200, 'x'), Qos::k1, 1);
  from->publish("a", "small", Qos::k1, 2);
  EXPECT_EQ(to->payloads(), std::vector<std::string>{"small"});
  EXPECT_EQ(world_.refused(Refusal::kTooLarge), 1u);
}

TEST_F(Mqtt5Test, UnderstandsAndUsesTopicAliases) {
  Wish wish;
  wish.properties = bytesOf({0x22, 0, 1});
  auto to = client("to", wish);
  (void)to->subscribe("#");
  auto from = client("from");
  from->publish("a/long/topic", "1", Qos::k0, 0, 0, bytesOf({0x23, 0, 7}));
  from->publish("", "2", Qos::k0, 0, 0, bytesOf({0x23, 0, 7}));
  from->publish("b", "3", Qos::k0, 0, 0, bytesOf({0x23, 0, 7}));
  from->publish("", "4", Qos::k0, 0, 0, bytesOf({0x23, 0, 7}));
  const Said first = to->next();
  EXPECT_EQ(first.topic, "a/long/topic");
  EXPECT_EQ(first.properties.topic_alias, 1);
  const Said second = to->next();
  EXPECT_EQ(second.topic, "");
  EXPECT_EQ(second.properties.topic_alias, 1);
  EXPECT_EQ(to->next().topic, "b") << "the client knows one alias only";
  EXPECT_EQ(to->next().topic, "b");
  from->publish("", "x", Qos::k0, 0, 0, bytesOf({0x23, 0xff, 0xff}));
  EXPECT_EQ(from->next().reason, Reason::kTopicAliasInvalid);
  auto other = client("other");
  other->publish("", "x", Qos::k0, 0, 0, bytesOf({0x23, 0, 7}));
  EXPECT_EQ(other->next().reason, Reason::kProtocolError);
}

TEST_F(Mqtt5Test, HonoursTheOptionsOfASubscription) {
  auto both = client("both");
  (void)both->subscribe("a", 4);  // No local.
  both->publish("a", "mine");
  EXPECT_FALSE(both->hasMore());
  auto from = client("from");
  from->publish("a", "theirs", Qos::k0, 0, 1);
  EXPECT_FALSE(both->next().retain);
  (void)both->subscribe("a", 8 | 0x20);  // As published, and no retained ones.
  EXPECT_FALSE(both->hasMore());
  from->publish("a", "again", Qos::k0, 0, 1);
  EXPECT_TRUE(both->next().retain);
  (void)both->subscribe("a", 0x10);  // Retained ones if it is new, which it is not.
  EXPECT_FALSE(both->hasMore());
  (void)both->subscribe("+", 0x10);
  EXPECT_EQ(both->payloads(), std::vector<std::string>{"again"});
}

TEST_F(Mqtt5Test, NamesTheSubscriptionsThatAMessageIsFor) {
  auto to = client("to");
  (void)to->subscribe("a/b", 0, bytesOf({0x0b, 1}));
  (void)to->subscribe("a/+", 1, bytesOf({0x0b, 2}));
  (void)to->subscribe("a/#", 0, bytesOf({0x0b, 0x80, 1}));
  (void)to->subscribe("+/b", 0);
  auto from = client("from");
  from->publish("a/b", "x", Qos::k1, 1);
  const Said said = to->next();
  EXPECT_EQ(said.qos, Qos::k1) << "the best of them";
  auto ids = said.ids;
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<std::uint32_t>{1, 2, 128}));
  EXPECT_FALSE(to->hasMore()) << "one copy";
}

TEST_F(Mqtt5Test, SharesASubscriptionAmongItsMembers) {
  auto one = client("one");
  auto two = client("two");
  auto all = client("all");
  (void)one->subscribe("$share/g/a");
  (void)two->subscribe("$share/g/a");
  (void)all->subscribe("a");
  auto from = client("from");
  for (int i = 0; i < 10; ++i) from->publish("a", std::to_string(i));
  EXPECT_EQ(one->payloads().size(), 5u);
  EXPECT_EQ(two->payloads().size(), 5u);
  EXPECT_EQ(all->payloads().size(), 10u);
  two->disconnect();
  for (int i = 0; i < 4; ++i) from->publish("a", std::to_string(i));
  EXPECT_EQ(one->payloads().size(), 4u);
}

TEST_F(Mqtt5Test, PrefersMembersThatAreConnected) {
  Wish wish;
  wish.clean = false;
  wish.properties = bytesOf({0x11, 0, 0, 1, 0});
  auto one = client("one", wish);
  auto two = client("two", wish);
  (void)one->subscribe("$share/g/a", 1);
  (void)two->subscribe("$share/g/a", 1);
  two->vanish();
  auto from = client("from");
  for (std::uint16_t i = 1; i < 5; ++i) from->publish("a", std::to_string(i), Qos::k1, i);
  EXPECT_EQ(one->payloads().size(), 4u);
}

TEST_F(Mqtt5Test, SaysThatNobodyListens) {
  auto from = client("from");
  from->publish("a", "x", Qos::k1, 1);
  EXPECT_EQ(from->next().reason, Reason::kNoMatchingSubscribers);
  auto to = client("to");
  (void)to->subscribe("a");
  from->publish("a", "x", Qos::k2, 2);
  EXPECT_EQ(from->next().reason, Reason::kSuccess);
}

TEST_F(Mqtt5Test, RefusesWhatIsNotGrantedInItsOwnWay) {
  TestPrincipal& user = world_.access.user("user");
  user.no_publish = {"secret/#"};
  user.no_subscribe = {"secret/#"};
  auto one = client("one");
  one->publish("secret/a", "x", Qos::k1, 1);
  EXPECT_EQ(one->next().reason, Reason::kNotAuthorized);
  one->publish("secret/a", "x", Qos::k2, 2);
  const Said said = one->next();
  EXPECT_EQ(said.type, PacketType::kPubrec);
  EXPECT_EQ(said.reason, Reason::kNotAuthorized);
  one->publish("secret/a", "x");
  EXPECT_EQ(one->subscribe("secret/#").reasons, std::vector<unsigned>{0x87});
  EXPECT_EQ(one->subscribe("$share/g/secret/#").reasons, std::vector<unsigned>{0x87});
  EXPECT_EQ(one->subscribe("a/#/b").reasons, std::vector<unsigned>{0x8f});
  EXPECT_FALSE(one->isClosed());
  EXPECT_EQ(world_.refused(Refusal::kDenied), 6u);
  Client two(world_, Version::k5);
  Wish wish;
  wish.will_topic = "secret/will";
  EXPECT_EQ(two.connect(wish).reason, Reason::kNotAuthorized);
}

TEST_F(Mqtt5Test, ChecksEachDeliveryWhereTheGrantIsNarrowerThanTheFilter) {
  auto from = client("from");
  world_.access.user("narrow").no_receive = "secret";
  Wish wish;
  wish.user = "narrow";
  auto to = client("to", wish);
  from->publish("secret", "r", Qos::k0, 0, 1);
  (void)to->subscribe("#");
  from->publish("secret", "x");
  from->publish("open", "y");
  EXPECT_EQ(to->payloads(), std::vector<std::string>{"y"});
}

TEST_F(Mqtt5Test, ActsOnLiveSessionsWhenGrantsChange) {
  auto one = client("one");
  (void)one->subscribe("a");
  one->publish("b", "x");
  TestPrincipal& user = world_.access.user("user");
  user.no_publish = {"b"};
  world_.engine().take(Reconsider{"device/user"});
  one->publish("b", "x", Qos::k1, 1);
  EXPECT_EQ(one->next().reason, Reason::kNotAuthorized);
  user.no_subscribe = {"a"};
  world_.engine().take(Reconsider{"device/user"});
  EXPECT_EQ(one->next().reason, Reason::kAdministrativeAction);
  EXPECT_TRUE(one->isClosed());
}

TEST_F(Mqtt5Test, EndsConnectionsWhoseProofCountsNoMoreAndKeepsTheirSessions) {
  Wish wish;
  wish.clean = false;
  wish.properties = bytesOf({0x11, 0, 0, 1, 0});
  auto one = client("one", wish);
  (void)one->subscribe("a");
  world_.engine().take(Reconsider{"device/user", Connections::kEnd});
  EXPECT_EQ(one->next().reason, Reason::kNotAuthorized);
  EXPECT_EQ(world_.engine().counters().sessions.value(), 1u);
  world_.access.remove("user");
  world_.engine().take(Reconsider{"device/user"});
  EXPECT_EQ(world_.engine().counters().sessions.value(), 0u) << "nobody is left whose it is";
}

TEST_F(Mqtt5Test, EndsASessionWithItsCredentials) {
  world_.access.expires_wall_ns = world_.boot_ns + 5'000'000'000 + 60'000'000'000;
  auto one = client("one");
  world_.advance(59);
  EXPECT_FALSE(one->isClosed());
  world_.advance(2);
  EXPECT_EQ(one->next().reason, Reason::kNotAuthorized);
}

TEST_F(Mqtt5Test, ChangesTheExpiryOfASessionAtItsEndButMakesNoneOutlive) {
  Wish wish;
  wish.clean = false;
  wish.properties = bytesOf({0x11, 0, 0, 1, 0});
  auto one = client("one", wish);
  one->send(Client::packetOf(0xe0, bytesOf({0, 5, 0x11, 0, 0, 0, 0})));
  EXPECT_EQ(world_.engine().counters().sessions.value(), 0u);
  auto two = client("two");
  two->send(Client::packetOf(0xe0, bytesOf({0, 5, 0x11, 0, 0, 0, 9})));
  EXPECT_EQ(two->next().reason, Reason::kProtocolError);
}

}  // namespace
}  // namespace kante::hub
