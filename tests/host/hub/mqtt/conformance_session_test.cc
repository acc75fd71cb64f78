// MQTT 5.0, 3.1.2.5, 4.1 and 4.3 to 4.6: wills, how long state is kept, the ways of QoS 1 and 2,
// what is sent again, and in which order.
#include <functional>

#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;

class WillConformance : public Conformance {
 protected:
  WillConformance() : to_(client("watcher")) { (void)to_->subscribe("w/#", 2 | kAsPublished); }
  std::unique_ptr<Client> to_;
};

TEST_F(WillConformance, AWillIsPublishedHoweverTheConnectionEndsButByAGoodbye) {
  using End = std::function<void(Client&)>;
  const struct {
    const char* how;
    bool published;
    End end;
  } cases[] = {
      {"gone", true, [](Client& one) { one.vanish(); }},
      {"silent", true, [this](Client&) { world_.advance(16); }},
      {"malformed", true,
       [](Client& one) {
         one.send(bytesOf({0xc0, 1, 0}));
       }},
      {"taken over", true, [this](Client&) { client("car"); }},
      {"goodbye with will", true,
       [](Client& one) {
         one.send(bytesOf({0xe0, 1, 4}));
       }},
      {"goodbye for a fault", true,
       [](Client& one) {
         one.send(bytesOf({0xe0, 1, 0x80}));
       }},
      {"goodbye", false,
       [](Client& one) {
         one.send(bytesOf({0xe0, 0}));
       }},
      {"goodbye in full", false,
       [](Client& one) {
         one.send(bytesOf({0xe0, 2, 0, 0}));
       }},
      {"its proof counts no more", true,
       [this](Client&) {
         world_.access.user("another");
         Wish other;
         other.user = "another";
         to_ = client("watcher", other);
         (void)to_->subscribe("w");
         world_.engine().take(Reconsider{"device/user", Connections::kEnd});
         world_.settle();
       }},
  };
  for (const auto& one : cases) {
    Wish wish = willing("w", one.how);
    wish.keep_alive_s = 10;
    auto car = client("car", wish);
    one.end(*car);
    EXPECT_EQ(to_->payloads(), one.published ? Payloads{one.how} : Payloads()) << one.how;
    world_.advance(100);
    EXPECT_FALSE(to_->hasMore()) << one.how << ": once";
  }
}

TEST_F(WillConformance, AWillIsAsItsClientWroteIt) {
  for (const unsigned qos : {0u, 1u, 2u}) {
    for (const bool retain : {false, true}) {
      const std::string topic = "w/" + std::to_string(qos) + (retain ? "/kept" : "");
      Wish wish =
          willing(topic, "gone",
                  userProperty("b", "1") + willDelay(0) + userProperty("a", "2") +
                      textProperty(8, "answers") + bytesOf({1, 1}) + textProperty(3, "text/plain") +
                      textProperty(9, "c") + userProperty("b", "3"));
      wish.will_flags = qos << 3 | (retain ? 0x20u : 0u);
      client("car", wish)->vanish();
      const Said said = to_->next();
      EXPECT_EQ(said.payload, "gone");
      EXPECT_EQ(said.qos, static_cast<Qos>(qos));
      EXPECT_EQ(said.retain, retain);
      EXPECT_EQ(said.user, (std::vector<std::pair<std::string, std::string>>{
                               {"b", "1"}, {"a", "2"}, {"b", "3"}}))
          << "[MQTT-3.1.3-10]";
      EXPECT_EQ(said.properties.response_topic, "answers");
      EXPECT_EQ(said.properties.content_type, "text/plain");
      EXPECT_EQ(said.properties.correlation_data, "c");
      EXPECT_TRUE(said.properties.payload_is_text);
      auto late = client("late");
      (void)late->subscribe(topic);
      EXPECT_EQ(late->payloads(), retain ? Payloads{"gone"} : Payloads());
    }
  }
}

TEST_F(WillConformance, ADelayedWillWaitsForTheDelayOrTheEndOfTheSession) {
  const struct {
    std::uint32_t delay, expiry;
    double published_after;
  } cases[] = {{0, 100, 0}, {10, 100, 10}, {100, 10, 10}, {10, 0, 0}, {10, 10, 10}};
  for (const auto& one : cases) {
    Wish wish = willing("w", "gone", willDelay(one.delay));
    wish.properties = sessionExpiry(one.expiry);
    client("car", wish)->vanish();
    if (one.published_after > 0) {
      world_.advance(one.published_after - 1);
      EXPECT_FALSE(to_->hasMore()) << one.delay << ' ' << one.expiry;
      world_.advance(1.5);
    }
    EXPECT_EQ(to_->payloads(), Payloads{"gone"}) << one.delay << ' ' << one.expiry;
    world_.advance(200);
    EXPECT_FALSE(to_->hasMore());
  }
}

TEST_F(WillConformance, ADelayedWillIsForgottenWhenTheClientComesBackToItsSession) {
  Wish wish = willing("w", "gone", willDelay(10));
  wish.properties = sessionExpiry(100);
  wish.clean = false;
  client("car", wish)->vanish();
  world_.advance(9);
  auto back = client("car", lasting());
  world_.advance(20);
  EXPECT_FALSE(to_->hasMore()) << "[MQTT-3.1.3-9]";
  back->vanish();
  world_.advance(20);
  EXPECT_FALSE(to_->hasMore()) << "this connection had none";
  auto third = client("car", wish);
  auto fourth = client("car", lasting());
  world_.advance(20);
  EXPECT_FALSE(to_->hasMore()) << "taken over before its delay";
  fourth->vanish();
  client("car", wish)->vanish();
  Wish clean = lasting();
  clean.clean = true;
  auto fifth = client("car", clean);
  EXPECT_EQ(to_->payloads(), Payloads{"gone"}) << "the session ended with a clean start";
}

TEST_F(WillConformance, AGoodbyeTakesADelayedWillAway) {
  Wish wish = willing("w", "gone", willDelay(10));
  wish.properties = sessionExpiry(100);
  client("car", wish)->send(bytesOf({0xe0, 0}));
  world_.advance(200);
  EXPECT_FALSE(to_->hasMore());
  auto rude = client("car", wish);
  rude->send(bytesOf({0xe0, 1, 4}));
  world_.advance(9);
  EXPECT_FALSE(to_->hasMore()) << "asked for at the end, but with its delay";
  world_.advance(2);
  EXPECT_EQ(to_->payloads(), Payloads{"gone"});
}

class SessionConformance : public Conformance {
 protected:
  SessionConformance() : from_(client("from")) {}
  std::unique_ptr<Client> from_;
};

TEST_F(SessionConformance, StateIsKeptForAsLongAsTheClientWantsAndNotLonger) {
  for (const std::uint32_t expiry : {0u, 10u, 1000u, 0xffff'ffffu}) {
    Wish wish = with(sessionExpiry(expiry));
    wish.clean = false;
    auto car = client("car", wish);
    world_.advance(2000);
    car->send(bytesOf({0xc0, 0}));
    EXPECT_EQ(car->next().type, PacketType::kPingresp) << "never while it is there";
    EXPECT_EQ(world_.engine().counters().sessions.value(), 2u);
    car->vanish();
    world_.advance(expiry < 5 ? 0.1 : 5);
    EXPECT_EQ(world_.engine().counters().sessions.value(), expiry == 0 ? 1u : 2u) << expiry;
    world_.advance(900);
    EXPECT_EQ(world_.engine().counters().sessions.value(), expiry < 900 ? 1u : 2u) << expiry;
    Wish end;
    client("car", end)->disconnect();
  }
}

TEST_F(SessionConformance, AMessageOfQos1IsUnderWayUntilItsPuback) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 1);
  from_->publish("a", "x", Qos::k1, 1);
  const Said first = to->next();
  EXPECT_FALSE(first.dup);
  world_.advance(500);
  EXPECT_FALSE(to->hasMore()) << "nothing is sent again on the same connection [MQTT-4.4.0-1]";
  for (int i = 0; i < 3; ++i) {
    to = client("to", lasting());
    const Said again = to->next();
    EXPECT_EQ(again.id, first.id);
    EXPECT_TRUE(again.dup);
    EXPECT_FALSE(to->hasMore());
  }
  to->ack(PacketType::kPuback, first.id);
  EXPECT_FALSE(client("to", lasting())->hasMore());
}

TEST_F(SessionConformance, AMessageOfQos2GoesItsWayStepByStep) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 2);
  from_->publish("a", "x", Qos::k2, 1, 0, messageExpiry(10));
  const Said first = to->next();
  EXPECT_EQ(first.qos, Qos::k2);
  EXPECT_FALSE(first.dup);
  world_.advance(100);
  to = client("to", lasting());
  const Said again = to->next();
  EXPECT_EQ(again.payload, "x") << "it has no expiry any more [MQTT-4.3.3-7]";
  EXPECT_EQ(again.id, first.id);
  EXPECT_TRUE(again.dup);
  for (int i = 0; i < 2; ++i) {
    to->ack(PacketType::kPubrec, first.id);
    const Said release = to->next();
    EXPECT_EQ(release.type, PacketType::kPubrel);
    EXPECT_EQ(release.id, first.id);
    EXPECT_EQ(release.reason, Reason::kSuccess);
    to = client("to", lasting());
    const Said released = to->next();
    EXPECT_EQ(released.type, PacketType::kPubrel) << "and no PUBLISH any more [MQTT-4.3.3-6]";
    EXPECT_EQ(released.id, first.id);
    EXPECT_FALSE(to->hasMore());
  }
  to->ack(PacketType::kPubcomp, first.id);
  EXPECT_FALSE(client("to", lasting())->hasMore());
}

TEST_F(SessionConformance, WhatTheClientRefusesIsDone) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 2);
  from_->publish("a", "1", Qos::k1, 1);
  from_->publish("a", "2", Qos::k2, 2);
  const std::uint16_t one = to->next().id, two = to->next().id;
  to->send(Client::packetOf(0x40, Client::idBytes(one) + bytesOf({0x97, 0})));
  to->send(Client::packetOf(0x50, Client::idBytes(two) + bytesOf({0x97, 0})));
  EXPECT_FALSE(to->hasMore()) << "no PUBREL";
  EXPECT_FALSE(client("to", lasting())->hasMore());
}

TEST_F(SessionConformance, APacketIdentifierIsFreeAgainWhenItsMessageIsDone) {
  auto to = client("to");
  (void)to->subscribe("#", 2);
  world_.access.user("user").no_publish = {"secret"};
  for (const unsigned flags : {0u, kDup}) {
    from_->publish("a", "1", Qos::k1, 5, flags);
    from_->publish("a", "2", Qos::k1, 5, flags);
    EXPECT_EQ(to->payloads(), (Payloads{"1", "2"})) << "two messages [MQTT-4.3.2-5]";
  }
  from_->publish("secret", "no", Qos::k2, 6);
  from_->publish("a", "3", Qos::k2, 6);
  EXPECT_EQ(to->payloads(), Payloads{"3"}) << "the refused one was another [MQTT-4.3.3-9]";
  from_->publish("a", "3", Qos::k2, 6, kDup);
  from_->publish("a", "3", Qos::k2, 6);
  EXPECT_FALSE(to->hasMore()) << "[MQTT-4.3.3-10]";
  world_.access.user("user").no_publish.push_back("a");
  world_.engine().take(Reconsider{"device/user"});
  (void)heard(*from_);
  from_->publish("a", "3", Qos::k2, 6, kDup);
  EXPECT_EQ(from_->next().reason, Reason::kSuccess) << "it was taken when it might be published";
  world_.access.user("user").no_publish.clear();
  from_->ack(PacketType::kPubrel, 6);
  EXPECT_EQ(from_->next().type, PacketType::kPubcomp);
  from_->publish("a", "4", Qos::k2, 6);
  EXPECT_EQ(to->payloads(), Payloads{"4"}) << "[MQTT-4.3.3-12]";
}

TEST_F(SessionConformance, AReceivedMessageIsTakenToItsEndAlsoWhenItHasExpired) {
  from_ = client("from", lasting());
  from_->publish("a", "x", Qos::k2, 7, 0, messageExpiry(1));
  EXPECT_EQ(from_->next().type, PacketType::kPubrec);
  world_.advance(10);
  from_ = client("from", lasting());
  from_->publish("a", "x", Qos::k2, 7, kDup, messageExpiry(1));
  EXPECT_EQ(from_->next().type, PacketType::kPubrec);
  from_->ack(PacketType::kPubrel, 7);
  const Said done = from_->next();
  EXPECT_EQ(done.type, PacketType::kPubcomp);
  EXPECT_EQ(done.id, 7);
  EXPECT_EQ(done.reason, Reason::kSuccess);
}

TEST_F(SessionConformance, WhatNothingIsKnownOfIsAnsweredSo) {
  from_->ack(PacketType::kPubrec, 99);
  const Said release = from_->next();
  EXPECT_EQ(release.type, PacketType::kPubrel);
  EXPECT_EQ(release.id, 99);
  EXPECT_EQ(release.reason, Reason::kPacketIdNotFound);
  from_->ack(PacketType::kPubrel, 99);
  const Said complete = from_->next();
  EXPECT_EQ(complete.type, PacketType::kPubcomp);
  EXPECT_EQ(complete.id, 99);
  EXPECT_EQ(complete.reason, Reason::kPacketIdNotFound);
  for (const PacketType type : {PacketType::kPuback, PacketType::kPubcomp}) from_->ack(type, 99);
  EXPECT_FALSE(from_->hasMore());
}

TEST_F(SessionConformance, AMessageIsKeptForAllWhoseFiltersMatchThereOrAway) {
  auto there = client("there");
  auto away = client("away", lasting());
  (void)there->subscribe("a", 1);
  (void)away->subscribe("a", 1);
  away->vanish();
  from_->publish("a", "x", Qos::k1, 1);
  EXPECT_EQ(there->payloads(), Payloads{"x"});
  EXPECT_EQ(client("away", lasting())->payloads(), Payloads{"x"});
}

TEST_F(SessionConformance, MessagesKeepTheirOrderAlsoWhenSentAgain) {
  for (const Qos qos : {Qos::k0, Qos::k1, Qos::k2}) {
    auto to = client("to", lasting());
    (void)to->subscribe("a", 2);
    (void)to->subscribe("#", 2);
    Payloads wanted;
    const auto publish = [&](int count) {
      for (int i = 0; i < count; ++i) {
        const auto id = static_cast<std::uint16_t>(wanted.size() + 1);
        wanted.push_back(std::to_string(id));
        from_->publish("a", wanted.back(), qos, qos == Qos::k0 ? 0 : id);
        from_->ack(PacketType::kPubrel, id);
      }
    };
    publish(50);
    EXPECT_EQ(to->payloads(), wanted);
    if (qos == Qos::k0) continue;
    to->vanish();
    publish(50);
    to = client("to", lasting(receiveMaximum(7)));
    Payloads got;
    while (to->hasMore()) {
      const Said said = to->next();
      if (said.type == PacketType::kPublish) got.push_back(said.payload);
      if (said.type == PacketType::kPubrel) to->ack(PacketType::kPubcomp, said.id);
      if (said.type == PacketType::kPublish)
        to->ack(qos == Qos::k1 ? PacketType::kPuback : PacketType::kPubrec, said.id);
    }
    EXPECT_EQ(got, wanted);
    client("to")->disconnect();
  }
}

}  // namespace
}  // namespace kante::hub
