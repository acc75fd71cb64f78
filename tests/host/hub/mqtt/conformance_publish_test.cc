// MQTT 5.0, 3.3 and 3.8.3.1: what becomes of a message and of its properties, retained messages,
// and the options of a subscription.
#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;

class PublishConformance : public Conformance {
 protected:
  PublishConformance() : from_(client("from")) {}
  void retain(const std::string& topic, const std::string& payload,
              const std::string& properties = "") {
    from_->publish(topic, payload, Qos::k0, 0, kRetain, properties);
  }
  // What a new subscriber of everything gets at once.
  Payloads kept() {
    auto to = client("late");
    (void)to->subscribe("#", 2);
    return to->payloads();
  }
  std::unique_ptr<Client> from_;
};

TEST_F(PublishConformance, EachQualityHasItsAnswer) {
  auto to = client("to");
  (void)to->subscribe("a", 2);
  from_->publish("a", "0");
  EXPECT_FALSE(from_->hasMore());
  from_->publish("a", "1", Qos::k1, 7);
  const Said puback = from_->next();
  EXPECT_EQ(puback.type, PacketType::kPuback);
  EXPECT_EQ(puback.id, 7);
  from_->publish("a", "2", Qos::k2, 8);
  const Said pubrec = from_->next();
  EXPECT_EQ(pubrec.type, PacketType::kPubrec);
  EXPECT_EQ(pubrec.id, 8);
  EXPECT_EQ(to->payloads(), (Payloads{"0", "1", "2"}));
}

TEST_F(PublishConformance, DupIsOfTheWayAndNotOfTheMessage) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 2);
  from_->publish("a", "again", Qos::k1, 1, kDup);
  EXPECT_FALSE(to->next().dup) << "though its sender had sent it before";
  from_->publish("a", "first", Qos::k2, 2);
  EXPECT_FALSE(to->next().dup);
  from_->publish("a", "none", Qos::k0);
  EXPECT_FALSE(to->next().dup);
  auto again = client("to", lasting());
  EXPECT_TRUE(again->next().dup);
  EXPECT_TRUE(again->next().dup);
  EXPECT_FALSE(again->hasMore());
  EXPECT_EQ(endAfter(from_->publishPacket("a", "x", Qos::k0, 0, kDup)), Reason::kMalformedPacket);
}

TEST_F(PublishConformance, ATopicHasNoWildcardAndAnEmptyOneNeedsAnAlias) {
  for (const char* topic : {"#", "+", "a/#", "a/+/b", "a+", "a#b"})
    EXPECT_EQ(endAfter(from_->publishPacket(topic, "x")), Reason::kTopicNameInvalid) << topic;
  EXPECT_EQ(endAfter(from_->publishPacket("", "x")), Reason::kProtocolError);
  EXPECT_EQ(endAfter(Client::packetOf(0x30, "")), Reason::kMalformedPacket) << "no topic at all";
  EXPECT_EQ(endAfter(Client::packetOf(0x30, bytesOf({0, 5, 'a'}))), Reason::kMalformedPacket);
}

TEST_F(PublishConformance, AMessageComesToThoseWhoseFilterItMatches) {
  const std::vector<std::string> filters = {"a/b", "a/+", "a/#", "+/b",  "#",
                                            "/a",  "+",   "a",   "a/b/#"};
  auto to = client("to");
  unsigned id = 1;
  for (const std::string& filter : filters) (void)to->subscribe(filter, 0, subscriptionId(id++));
  for (const char* topic : {"a/b", "a", "/a", "a/b/c", "b", "a//", "x/b", "$x/b", "/"}) {
    std::vector<std::uint32_t> wanted;
    for (std::size_t i = 0; i < filters.size(); ++i)
      if (mqtt::matches(filters[i], topic)) wanted.push_back(static_cast<std::uint32_t>(i + 1));
    from_->publish(topic, "x");
    if (wanted.empty()) {
      EXPECT_FALSE(to->hasMore()) << topic;
      continue;
    }
    Said said = to->next();
    std::sort(said.ids.begin(), said.ids.end());
    EXPECT_EQ(said.topic, topic);
    EXPECT_EQ(said.ids, wanted) << topic;
    EXPECT_FALSE(to->hasMore()) << topic;
  }
}

TEST_F(PublishConformance, WhatTravelsWithAMessageArrivesAsItWas) {
  auto to = client("to");
  (void)to->subscribe("a");
  const std::string data("\0\xff\xfe", 3);
  std::string users;
  std::vector<std::pair<std::string, std::string>> wanted;
  for (int i = 0; i < 50; ++i) {
    wanted.emplace_back(i % 2 == 0 ? "same" : "k" + std::to_string(i), std::to_string(i % 7));
    users += userProperty(wanted.back().first, wanted.back().second);
  }
  wanted.emplace_back("", "");
  users += userProperty("", "");
  for (const bool text : {true, false}) {
    from_->publish("a", "x", Qos::k0, 0, 0,
                   users + bytesOf({1, text}) + textProperty(8, "answers/\xc3\xa4") +
                       textProperty(9, data) + textProperty(3, "text/plain; \xe2\x82\xac"));
    const Said said = to->next();
    EXPECT_EQ(said.properties.payload_is_text, text);
    EXPECT_EQ(said.properties.response_topic, "answers/\xc3\xa4");
    EXPECT_EQ(said.properties.correlation_data, data);
    EXPECT_EQ(said.properties.content_type, "text/plain; \xe2\x82\xac");
    EXPECT_EQ(said.user, wanted) << "in their order";
  }
  auto old = client("old", {}, Version::k311);
  (void)old->subscribe("a");
  from_->publish("a", "x", Qos::k0, 0, 0, users);
  EXPECT_EQ(heard(*old), bytesOf({0x30, 4, 0, 1, 'a', 'x'})) << "3.1.1 has no properties";
}

TEST_F(PublishConformance, WhatIsOfTheWayDoesNotTravel) {
  auto to = client("to");
  (void)to->subscribe("a");
  from_->publish("a", "x", Qos::k0, 0, 0, topicAlias(3));
  EXPECT_EQ(heard(*to), bytesOf({0x30, 5, 0, 1, 'a', 0, 'x'}));
}

TEST_F(PublishConformance, AResponseTopicIsATopic) {
  for (const char* topic : {"a/#", "+", ""})
    EXPECT_EQ(endAfter(from_->publishPacket("a", "x", Qos::k0, 0, 0, textProperty(8, topic))),
              Reason::kProtocolError)
        << topic;
}

TEST_F(PublishConformance, AMessageThatExpiresIsForgottenAndTheOthersSayWhatIsLeft) {
  auto to = client("to", lasting(receiveMaximum(1)));
  (void)to->subscribe("a", 1);
  from_->publish("a", "sent", Qos::k1, 1, 0, messageExpiry(5));
  from_->publish("a", "short", Qos::k1, 2, 0, messageExpiry(5));
  from_->publish("a", "long", Qos::k1, 3, 0, messageExpiry(60));
  from_->publish("a", "forever", Qos::k1, 4);
  const Said sent = to->next();
  EXPECT_EQ(sent.properties.message_expiry_s, 5u);
  world_.advance(20);
  EXPECT_FALSE(to->hasMore());
  to->ack(PacketType::kPuback, sent.id);
  const Said second = to->next();
  EXPECT_EQ(second.payload, "long");
  EXPECT_EQ(second.properties.message_expiry_s, 40u);
  to->ack(PacketType::kPuback, second.id);
  const Said third = to->next();
  EXPECT_EQ(third.payload, "forever");
  EXPECT_FALSE(third.properties.message_expiry_s);
}

TEST_F(PublishConformance, ARetainedMessageExpires) {
  retain("short", "x", messageExpiry(5));
  retain("long", "y", messageExpiry(60));
  world_.advance(20);
  auto to = client("to");
  (void)to->subscribe("#");
  const Said said = to->next();
  EXPECT_EQ(said.payload, "y");
  EXPECT_EQ(said.properties.message_expiry_s, 40u);
  EXPECT_FALSE(to->hasMore());
}

TEST_F(PublishConformance, ARetainedMessageIsReplacedRemovedOrLeftAlone) {
  retain("a", "first");
  EXPECT_EQ(kept(), Payloads{"first"});
  retain("a", "second");
  EXPECT_EQ(kept(), Payloads{"second"}) << "[MQTT-3.3.1-5]";
  from_->publish("a", "live");
  EXPECT_EQ(kept(), Payloads{"second"}) << "[MQTT-3.3.1-8]";
  from_->publish("a", "");
  EXPECT_EQ(kept(), Payloads{"second"}) << "[MQTT-3.3.1-8]";
  from_->publish("b", "live");
  EXPECT_EQ(kept(), Payloads{"second"}) << "[MQTT-3.3.1-8]";
  auto there = client("there");
  (void)there->subscribe("a", kAsPublished);
  (void)there->payloads();
  retain("a", "");
  const Said said = there->next();
  EXPECT_EQ(said.payload, "") << "it is delivered as any other [MQTT-3.3.1-6]";
  EXPECT_TRUE(said.retain);
  EXPECT_EQ(kept(), Payloads()) << "[MQTT-3.3.1-6] [MQTT-3.3.1-7]";
  for (const Qos qos : {Qos::k1, Qos::k2}) {
    from_->publish("q", "x", qos, 5, kRetain);
    EXPECT_EQ(kept(), Payloads{"x"}) << "of any quality";
    retain("q", "");
  }
}

TEST_F(PublishConformance, RetainedMessagesComeAsTheSubscriptionWants) {
  retain("a", "kept");
  retain("b", "another");
  auto to = client("to");
  const auto got = [&](const char* filter, unsigned options) {
    EXPECT_EQ(to->subscribe(filter, options).type, PacketType::kSuback);
    return to->payloads();
  };
  EXPECT_EQ(got("a", 0), Payloads{"kept"});
  EXPECT_EQ(got("a", 0), Payloads{"kept"}) << "again [MQTT-3.8.4-4]";
  EXPECT_EQ(got("a", kRetainedIfNew), Payloads()) << "it was there";
  EXPECT_EQ(got("a", kRetainedIfNew | 1), Payloads()) << "also with another quality";
  EXPECT_EQ(got("+", kRetainedIfNew), (Payloads{"kept", "another"}));
  EXPECT_EQ(got("#", kNoRetained), Payloads());
  EXPECT_EQ(got("#", kNoRetained), Payloads());
  (void)to->unsubscribe("a");
  EXPECT_EQ(got("a", kRetainedIfNew), Payloads{"kept"}) << "new again";
  EXPECT_EQ(got("$share/g/a", 0), Payloads()) << "never for a shared one";
}

TEST_F(PublishConformance, TheRetainFlagSaysWhatTheSubscriptionWants) {
  auto plain = client("plain");
  auto same = client("same");
  (void)plain->subscribe("a");
  (void)same->subscribe("a", kAsPublished);
  for (const unsigned flag : {0u, kRetain}) {
    from_->publish("a", "x", Qos::k0, 0, flag);
    EXPECT_FALSE(plain->next().retain);
    EXPECT_EQ(same->next().retain, flag != 0);
  }
  for (const unsigned options : {0u, kAsPublished}) {
    auto late = client("late");
    (void)late->subscribe("a", options);
    EXPECT_TRUE(late->next().retain) << "a kept one that a new subscription asked for";
  }
}

TEST_F(PublishConformance, NoLocalIsByTheClientIdentifier) {
  auto car = client("car");
  (void)car->subscribe("a", kNoLocal);
  car->publish("a", "own");
  EXPECT_FALSE(car->hasMore());
  from_->publish("a", "theirs");
  EXPECT_EQ(car->payloads(), Payloads{"theirs"});
  (void)car->subscribe("+");
  car->publish("a", "own");
  EXPECT_EQ(car->payloads(), Payloads{"own"}) << "by the other subscription";
  car->publish("kept", "own", Qos::k0, 0, kRetain);
  car->disconnect();
  auto again = client("car");
  (void)again->subscribe("kept", kNoLocal);
  EXPECT_EQ(again->payloads(), Payloads()) << "also in a later session of that client";
  auto other = client("other");
  (void)other->subscribe("kept", kNoLocal);
  EXPECT_EQ(other->payloads(), Payloads{"own"});
}

TEST_F(PublishConformance, OverlappingSubscriptionsGetOneCopyOfTheBestQualityWithAllIdentifiers) {
  auto to = client("to");
  (void)to->subscribe("a/b", 0, subscriptionId(1));
  (void)to->subscribe("a/+", 2, subscriptionId(2));
  (void)to->subscribe("a/#", 1, subscriptionId(2));
  (void)to->subscribe("#", 1);
  from_->publish("a/b", "x", Qos::k2, 1);
  Said said = to->next();
  std::sort(said.ids.begin(), said.ids.end());
  EXPECT_EQ(said.ids, (std::vector<std::uint32_t>{1, 2, 2}));
  EXPECT_EQ(said.qos, Qos::k2);
  EXPECT_FALSE(to->hasMore());
  (void)to->subscribe("$share/g/a/b", 1, subscriptionId(7));
  from_->publish("a/b", "y", Qos::k2, 2);
  std::vector<std::vector<std::uint32_t>> copies;
  for (int i = 0; i < 2; ++i) {
    Said one = to->next();
    std::sort(one.ids.begin(), one.ids.end());
    copies.push_back(one.ids);
  }
  std::sort(copies.begin(), copies.end());
  EXPECT_EQ(copies, (std::vector<std::vector<std::uint32_t>>{{1, 2, 2}, {7}}))
      << "a shared one is a copy of its own, with its own identifier [MQTT-3.3.4-5]";
}

TEST_F(PublishConformance, ASubscriptionIdentifierComesFromNoClient) {
  EXPECT_EQ(endAfter(from_->publishPacket("a", "x", Qos::k0, 0, 0, subscriptionId(1))),
            Reason::kProtocolError);
}

TEST_F(PublishConformance, WhatIsPublishedIsAnsweredByATableOfReasons) {
  world_.access.user("user").no_publish = {"secret"};
  auto to = client("to");
  (void)to->subscribe("a");
  for (const Qos qos : {Qos::k1, Qos::k2}) {
    std::uint16_t id = 20;
    for (const auto& [topic, reason] :
         {std::pair{"a", Reason::kSuccess}, std::pair{"nobody", Reason::kNoMatchingSubscribers},
          std::pair{"secret", Reason::kNotAuthorized}}) {
      from_->publish(topic, "x", qos, ++id);
      const Said said = from_->next();
      EXPECT_EQ(said.type, qos == Qos::k1 ? PacketType::kPuback : PacketType::kPubrec);
      EXPECT_EQ(said.reason, reason);
      EXPECT_EQ(said.id, id);
    }
  }
  EXPECT_EQ(to->payloads(), (Payloads{"x", "x"}));
}

}  // namespace
}  // namespace kante::hub
