// MQTT 5.0, 3.8 to 3.11, 4.7 and 4.8: subscriptions, their ends, topics and filters, shared
// subscriptions.
#include <set>

#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;
using Reasons = std::vector<unsigned>;

class SubscribeConformance : public Conformance {
 protected:
  SubscribeConformance() : from_(client("from")) {}
  static std::string subscribe(std::uint16_t id, const std::string& filters) {
    return Client::packetOf(0x82, Client::idBytes(id) + bytesOf({0}) + filters);
  }
  static std::string unsubscribe(std::uint16_t id, const std::string& filters) {
    return Client::packetOf(0xa2, Client::idBytes(id) + bytesOf({0}) + filters);
  }
  static std::string one(const std::string& filter, unsigned options = 0) {
    return Client::subscribeBody(filter, options);
  }
  std::unique_ptr<Client> from_;
};

TEST_F(SubscribeConformance, EachFilterIsAnsweredInItsPlace) {
  world_.access.user("user").no_subscribe = {"secret"};
  auto to = client("to");
  to->send(subscribe(0x0102, one("a", 2) + one("secret", 1) + one("b", 0) + one("b/#/c") +
                                 one("$share/g/a", 1) + one("$share//a") + one("a", 1)));
  const Said said = to->next();
  EXPECT_EQ(said.type, PacketType::kSuback);
  EXPECT_EQ(said.id, 0x0102);
  EXPECT_EQ(said.reasons, (Reasons{2, 0x87, 0, 0x8f, 1, 0x8f, 1}));
  EXPECT_FALSE(to->hasMore()) << "one answer to all";
  from_->publish("a", "x", Qos::k2, 1);
  EXPECT_EQ(to->next().qos, Qos::k1) << "as of a sequence: the last word counts";
}

TEST_F(SubscribeConformance, ASubscribeThatIsNoneEndsTheConnection) {
  EXPECT_EQ(endAfter(subscribe(1, "")), Reason::kProtocolError) << "[MQTT-3.8.3-2]";
  EXPECT_EQ(endAfter(subscribe(1, mqtt::text("a"))), Reason::kMalformedPacket) << "no options";
  EXPECT_EQ(endAfter(subscribe(1, one(""))), Reason::kMalformedPacket) << "[MQTT-4.7.3-1]";
  EXPECT_EQ(endAfter(unsubscribe(1, "")), Reason::kProtocolError) << "[MQTT-3.10.3-2]";
  EXPECT_EQ(endAfter(unsubscribe(1, mqtt::text(""))), Reason::kMalformedPacket);
  for (const unsigned reserved : {0x40u, 0x80u, 0xc0u})
    EXPECT_EQ(endAfter(subscribe(1, one("a", reserved))), Reason::kMalformedPacket)
        << "[MQTT-3.8.3-5]";
  EXPECT_EQ(endAfter(subscribe(1, one("a", 3))), Reason::kProtocolError) << "QoS 3";
  EXPECT_EQ(endAfter(subscribe(1, one("a", 0x30))), Reason::kProtocolError) << "retain handling 3";
  EXPECT_EQ(endAfter(subscribe(1, one("$share/g/a", kNoLocal))), Reason::kProtocolError)
      << "[MQTT-3.8.3-4]";
}

TEST_F(SubscribeConformance, ANewSubscriptionReplacesTheOldOneAndLosesNothing) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 0, subscriptionId(1));
  from_->publish("a", "1", Qos::k1, 1);
  EXPECT_EQ(to->next().ids, std::vector<std::uint32_t>{1});
  to->send(from_->publishPacket("a", "between", Qos::k0) + subscribe(1, one("a", 1)));
  EXPECT_EQ(to->next().type, PacketType::kSuback);
  EXPECT_EQ(to->next().payload, "between");
  from_->publish("a", "2", Qos::k1, 2);
  const Said after = to->next();
  EXPECT_EQ(after.payload, "2");
  EXPECT_EQ(after.qos, Qos::k1);
  EXPECT_EQ(after.ids, std::vector<std::uint32_t>()) << "the identifier went with the old one";
  EXPECT_FALSE(to->hasMore()) << "one subscription, one copy";
  EXPECT_EQ(world_.engine().counters().subscriptions.value(), 1u);
  world_.limits.subscriptions = 1;
  EXPECT_EQ(to->subscribe("a", 2).reasons, Reasons{2}) << "also when there is no room for another";
  EXPECT_EQ(to->subscribe("b", 2).reasons, Reasons{0x97});
}

TEST_F(SubscribeConformance, QualityIsTheLowerOfBoth) {
  for (const unsigned granted : {0u, 1u, 2u}) {
    auto to = client("to");
    EXPECT_EQ(to->subscribe("a", granted).reasons, Reasons{granted});
    for (const unsigned sent : {0u, 1u, 2u}) {
      from_->publish("a", "x", static_cast<Qos>(sent), sent == 0 ? 0 : 5);
      from_->ack(PacketType::kPubrel, 5);
      EXPECT_EQ(to->next().qos, static_cast<Qos>(std::min(granted, sent)));
    }
  }
}

TEST_F(SubscribeConformance, UnsubscribingEndsExactlyThatFilter) {
  auto to = client("to");
  to->send(subscribe(1, one("a/+") + one("a/b") + one("$share/g/a/b") + one("A/b")));
  (void)to->next();
  to->send(unsubscribe(0x0304, mqtt::text("a/b") + mqtt::text("a/c") + mqtt::text("+/b") +
                                   mqtt::text("$share/h/a/b") + mqtt::text("$share/g/a/b") +
                                   mqtt::text("a/b")));
  const Said said = to->next();
  EXPECT_EQ(said.type, PacketType::kUnsuback);
  EXPECT_EQ(said.id, 0x0304);
  EXPECT_EQ(said.reasons, (Reasons{0, 0x11, 0x11, 0x11, 0, 0x11}));
  EXPECT_FALSE(to->hasMore());
  from_->publish("a/b", "x");
  EXPECT_EQ(to->payloads(), Payloads{"x"}) << "by a/+ alone";
  (void)to->unsubscribe("a/+");
  from_->publish("a/b", "y");
  EXPECT_FALSE(to->hasMore()) << "[MQTT-3.10.4-2]";
  to->send(unsubscribe(5, mqtt::text("none")));
  EXPECT_EQ(to->next().reasons, Reasons{0x11}) << "an answer also where nothing was";
}

TEST_F(SubscribeConformance, WhatIsUnderWayIsCompletedAfterUnsubscribing) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 2);
  from_->publish("a", "one", Qos::k1, 1);
  from_->publish("a", "two", Qos::k2, 2);
  const std::uint16_t one = to->next().id, two = to->next().id;
  (void)to->unsubscribe("a");
  to->ack(PacketType::kPubrec, two);
  const Said release = to->next();
  EXPECT_EQ(release.type, PacketType::kPubrel);
  EXPECT_EQ(release.id, two);
  auto again = client("to", lasting());
  std::vector<std::uint16_t> rest = idsOf(*again);
  std::sort(rest.begin(), rest.end());
  EXPECT_EQ(rest, (std::vector<std::uint16_t>{one, two}));
}

TEST_F(SubscribeConformance, WildcardsFillALevelAndTheLongOneIsTheLast) {
  auto to = client("to");
  for (const char* good :
       {"#", "+", "/", "+/+", "a/#", "+/a/#", "a/+/b", "//", "/+", "a b", "$x/#"})
    EXPECT_EQ(to->subscribe(good).reasons, Reasons{0}) << good;
  for (const char* bad : {"a#", "#/", "a/#/b", "##", "a+", "+a", "a/+b/c", "++", "a/b#"})
    EXPECT_EQ(to->subscribe(bad).reasons, Reasons{0x8f}) << bad;
  for (const char* bad : {"$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a",
                          "$share/#/a", "$share/a+/b", "$share/g/a#", "$share/g/#/a"})
    EXPECT_EQ(to->subscribe(bad).reasons, Reasons{0x8f}) << bad;
  EXPECT_FALSE(to->isClosed());
}

TEST_F(SubscribeConformance, AWildcardInFrontDoesNotMatchTopicsOfTheServer) {
  from_->publish("$x/kept", "kept", Qos::k0, 0, kRetain);
  auto to = client("to");
  for (const char* filter : {"#", "+/a", "+/#", "+/kept"}) (void)to->subscribe(filter);
  from_->publish("$x/a", "x");
  from_->publish("$SYS/a", "x");
  EXPECT_FALSE(to->hasMore());
  (void)to->subscribe("$x/#");
  from_->publish("$x/a", "x");
  EXPECT_EQ(to->payloads(), (Payloads{"kept", "x"}));
}

TEST_F(SubscribeConformance, ATopicMayBeAsLongAsAStringCanBe) {
  const std::string longest(65'535, 'x');
  auto to = client("to");
  EXPECT_EQ(to->subscribe(longest).reasons, Reasons{0});
  from_->publish(longest, "x");
  EXPECT_EQ(to->next().topic, longest);
}

TEST_F(SubscribeConformance, ASharedSubscriptionKeepsToTheQualityOfItsMember) {
  auto low = client("low");
  auto high = client("high");
  (void)low->subscribe("$share/g/a", 0, subscriptionId(1));
  (void)high->subscribe("$share/g/a", 1, subscriptionId(2));
  for (std::uint16_t i = 1; i <= 4; ++i) from_->publish("a", "x", Qos::k2, i);
  for (int i = 0; i < 2; ++i) {
    const Said first = low->next(), second = high->next();
    EXPECT_EQ(first.qos, Qos::k0);
    EXPECT_EQ(first.ids, std::vector<std::uint32_t>{1});
    EXPECT_EQ(second.qos, Qos::k1);
    EXPECT_EQ(second.ids, std::vector<std::uint32_t>{2});
  }
  EXPECT_FALSE(low->hasMore() || high->hasMore());
}

TEST_F(SubscribeConformance, GroupsAreApartByNameAndFilter) {
  std::vector<std::unique_ptr<Client>> all;
  for (const char* filter : {"$share/g/a", "$share/h/a", "$share/g/+", "a"}) {
    all.push_back(client(filter));
    (void)all.back()->subscribe(filter);
  }
  for (int i = 0; i < 4; ++i) from_->publish("a", "x");
  for (const auto& member : all) EXPECT_EQ(member->payloads().size(), 4u);
}

TEST_F(SubscribeConformance, AMemberFinishesWhatItHasBegunAndNobodyElseGetsIt) {
  auto one = client("one", lasting());
  auto two = client("two");
  (void)one->subscribe("$share/g/a", 2);
  from_->publish("a", "begun", Qos::k2, 1);
  const Said begun = one->next();
  EXPECT_EQ(begun.payload, "begun");
  (void)two->subscribe("$share/g/a", 2);
  one->vanish();
  EXPECT_FALSE(two->hasMore());
  auto again = client("one", lasting());
  const Said repeated = again->next();
  EXPECT_EQ(repeated.payload, "begun");
  EXPECT_EQ(repeated.id, begun.id);
  EXPECT_TRUE(repeated.dup) << "[MQTT-4.8.2-4]";
  again->vanish();
  world_.advance(1001);
  EXPECT_EQ(world_.engine().counters().sessions.value(), 2u) << "its session is over";
  EXPECT_FALSE(two->hasMore()) << "[MQTT-4.8.2-5]";
}

TEST_F(SubscribeConformance, WhatAMemberRefusesIsOfferedToNobodyElse) {
  auto one = client("one", lasting());
  auto two = client("two");
  (void)one->subscribe("$share/g/a", 2);
  from_->publish("a", "first", Qos::k1, 1);
  from_->publish("a", "second", Qos::k2, 2);
  const std::uint16_t first = one->next().id, second = one->next().id;
  (void)two->subscribe("$share/g/a", 2);
  one->send(Client::packetOf(0x40, Client::idBytes(first) + bytesOf({0x83})));
  one->send(Client::packetOf(0x50, Client::idBytes(second) + bytesOf({0x83})));
  EXPECT_FALSE(one->hasMore()) << "no PUBREL either";
  EXPECT_FALSE(two->hasMore());
  EXPECT_FALSE(client("one", lasting())->hasMore()) << "[MQTT-4.4.0-2]";
}

// Engines that tell each other of filters: the same answers in the same order.
class SubscribeOnEngines : public Conformance {
 protected:
  SubscribeOnEngines() : Conformance(3) {}
};

TEST_F(SubscribeOnEngines, EachSubscribeIsAnsweredWhateverComesBehind) {
  auto to = client("to");
  to->send(Client::packetOf(0x82, bytesOf({0, 1, 0}) + Client::subscribeBody("a", 1)) +
           Client::packetOf(0x82, bytesOf({0, 2, 0}) + Client::subscribeBody("b", 2)) +
           Client::packetOf(0xa2, bytesOf({0, 3, 0}) + mqtt::text("a")) + bytesOf({0xc0, 0}));
  std::set<std::pair<PacketType, std::uint16_t>> seen;
  while (to->hasMore()) {
    const Said said = to->next();
    seen.emplace(said.type, said.id);
  }
  EXPECT_EQ(seen, (std::set<std::pair<PacketType, std::uint16_t>>{{PacketType::kSuback, 1},
                                                                  {PacketType::kSuback, 2},
                                                                  {PacketType::kUnsuback, 3},
                                                                  {PacketType::kPingresp, 0}}));
  for (int i = 0; i < 10; ++i) {
    auto from = client("from" + std::to_string(i));
    from->publish("a", "x");
    from->publish("b", std::to_string(i));
    EXPECT_EQ(to->payloads(), Payloads{std::to_string(i)});
  }
}

TEST_F(SubscribeOnEngines, OrderHoldsFromOneClientToAnother) {
  auto from = client("from");
  for (int i = 0; i < 6; ++i) {
    auto to = client("to" + std::to_string(i));
    (void)to->subscribe("a", 1);
    std::string packets;
    Payloads wanted;
    for (unsigned k = 1; k <= 50; ++k) {
      wanted.push_back(std::to_string(k));
      packets += from->publishPacket("a", wanted.back(), Qos::k1, static_cast<std::uint16_t>(k));
    }
    from->send(packets);
    EXPECT_EQ(to->payloads(), wanted);
    EXPECT_EQ(idsOf(*from).size(), 50u);
  }
}

}  // namespace
}  // namespace kante::hub
