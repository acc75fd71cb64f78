// What a session promises, heard from its client.
#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

class SessionTest : public ::testing::TestWithParam<Version> {
 protected:
  SessionTest() { world_.access.user("user"); }
  std::unique_ptr<Client> client(const std::string& id, Wish wish = {}) {
    auto made = std::make_unique<Client>(world_, GetParam());
    wish.id = id;
    EXPECT_EQ(made->connect(wish).reason, Reason::kSuccess);
    return made;
  }
  Wish lasting() const {
    Wish wish;
    wish.clean = false;
    if (GetParam() == Version::k5) wish.properties = mqtt::bytesOf({0x11, 0, 0, 1, 0});
    return wish;
  }
  World world_;
};

INSTANTIATE_TEST_SUITE_P(BothVersions, SessionTest, ::testing::Values(Version::k311, Version::k5),
                         [](const auto& chosen) {
                           return chosen.param == Version::k5 ? "Mqtt5" : "Mqtt311";
                         });

TEST_P(SessionTest, GetsWhatItSubscribedTo) {
  auto from = client("from");
  auto to = client("to");
  EXPECT_EQ(to->subscribe("a/+").reasons, std::vector<unsigned>{0});
  from->publish("a/b", "hello");
  from->publish("b/b", "not this");
  const Said said = to->next();
  EXPECT_EQ(said.topic, "a/b");
  EXPECT_EQ(said.payload, "hello");
  EXPECT_FALSE(said.retain);
  EXPECT_FALSE(to->hasMore());
  EXPECT_EQ(to->unsubscribe("a/+").type, PacketType::kUnsuback);
  from->publish("a/b", "not any more");
  EXPECT_FALSE(to->hasMore());
}

TEST_P(SessionTest, UnderstandsItsClientHoweverThePacketsAreCut) {
  const std::string big(200'000, 'x');
  auto to = client("to");
  (void)to->subscribe("a");
  Client from(world_, GetParam());
  Wish wish;
  wish.id = "from";
  const std::string bytes = from.connectPacket(wish) + from.publishPacket("a", "1") +
                            from.publishPacket("a", "2", Qos::k1, 9);
  for (const char byte : bytes) from.send(std::string(1, byte));
  EXPECT_EQ(from.next().type, PacketType::kConnack);
  EXPECT_EQ(from.next().type, PacketType::kPuback);
  EXPECT_EQ(to->payloads(), (std::vector<std::string>{"1", "2"}));
  // Larger than what is read at once, and what follows it.
  from.wire().read_max = 50'001;
  from.send(from.publishPacket("a", big) + from.publishPacket("a", "3"));
  EXPECT_EQ(to->payloads(), (std::vector<std::string>{big, "3"}));
}

TEST_P(SessionTest, AnswersPing) {
  auto one = client("one");
  one->send(mqtt::bytesOf({0xc0, 0}));
  EXPECT_EQ(one->next().type, PacketType::kPingresp);
}

TEST_P(SessionTest, DeliversByTheLowerOfBothQualities) {
  auto from = client("from");
  auto to = client("to");
  EXPECT_EQ(to->subscribe("a", 1).reasons, std::vector<unsigned>{1});
  from->publish("a", "0");
  from->publish("a", "2", Qos::k2, 5);
  EXPECT_EQ(from->next().type, PacketType::kPubrec);
  from->ack(PacketType::kPubrel, 5);
  EXPECT_EQ(from->next().type, PacketType::kPubcomp);
  EXPECT_EQ(to->next().qos, Qos::k0);
  const Said second = to->next();
  EXPECT_EQ(second.qos, Qos::k1);
  EXPECT_EQ(second.payload, "2");
}

TEST_P(SessionTest, TakesAMessageOfQos2OnceHoweverOftenItIsSent) {
  auto from = client("from", lasting());
  auto to = client("to");
  (void)to->subscribe("a", 2);
  from->publish("a", "once", Qos::k2, 5);
  from->publish("a", "once", Qos::k2, 5, 8);
  EXPECT_EQ(from->next().type, PacketType::kPubrec);
  EXPECT_EQ(from->next().type, PacketType::kPubrec);
  from->vanish();
  auto again = std::make_unique<Client>(world_, GetParam());
  Wish wish = lasting();
  wish.id = "from";
  EXPECT_TRUE(again->connect(wish).present);
  again->publish("a", "once", Qos::k2, 5, 8);
  EXPECT_EQ(again->next().type, PacketType::kPubrec);
  again->ack(PacketType::kPubrel, 5);
  EXPECT_EQ(again->next().type, PacketType::kPubcomp);
  const Said said = to->next();
  EXPECT_EQ(said.qos, Qos::k2);
  EXPECT_FALSE(to->hasMore());
  again->publish("a", "another", Qos::k2, 5);
  to->ack(PacketType::kPubrec, said.id);
  EXPECT_EQ(to->next().payload, "another");
  const Said release = to->next();
  EXPECT_EQ(release.type, PacketType::kPubrel);
  EXPECT_EQ(release.id, said.id);
}

TEST_P(SessionTest, SendsAgainInOrderWhatWasNotAcknowledged) {
  auto from = client("from");
  auto to = client("to", lasting());
  (void)to->subscribe("a", 2);
  from->publish("a", "first", Qos::k1, 1);
  from->publish("a", "second", Qos::k2, 2);
  from->publish("a", "third", Qos::k2, 3);
  const Said first = to->next();
  const Said second = to->next();
  (void)to->next();
  to->ack(PacketType::kPubrec, second.id);
  to->vanish();
  from->publish("a", "fourth", Qos::k1, 4);
  from->publish("a", "lost", Qos::k0);

  Client again(world_, GetParam());
  Wish wish = lasting();
  wish.id = "to";
  EXPECT_TRUE(again.connect(wish).present);
  const Said release = again.next();
  EXPECT_EQ(release.type, PacketType::kPubrel) << "its PUBREC had come: no PUBLISH any more";
  EXPECT_EQ(release.id, second.id);
  const Said first_again = again.next();
  EXPECT_EQ(first_again.payload, "first");
  EXPECT_TRUE(first_again.dup);
  EXPECT_EQ(first_again.id, first.id);
  EXPECT_EQ(again.next().payload, "third");
  const Said fourth = again.next();
  EXPECT_EQ(fourth.payload, "fourth");
  EXPECT_FALSE(fourth.dup);
  EXPECT_FALSE(again.hasMore());
  EXPECT_EQ(world_.refused(Refusal::kOffline), 1u);
  again.ack(PacketType::kPuback, first_again.id);
  again.ack(PacketType::kPubcomp, release.id);
  EXPECT_FALSE(again.hasMore());
}

TEST_P(SessionTest, BeginsAnewWhenTheClientWantsThat) {
  auto from = client("from");
  auto to = client("to", lasting());
  (void)to->subscribe("a", 1);
  to->vanish();
  Client again(world_, GetParam());
  Wish wish;
  wish.id = "to";
  EXPECT_FALSE(again.connect(wish).present);
  from->publish("a", "x");
  EXPECT_FALSE(again.hasMore());
}

TEST_P(SessionTest, IsTakenOverByASecondConnectionOfItsClient) {
  auto first = client("same", lasting());
  (void)first->subscribe("a");
  Client second(world_, GetParam());
  Wish wish = lasting();
  wish.id = "same";
  EXPECT_TRUE(second.connect(wish).present);
  if (GetParam() == Version::k5) {
    const Said said = first->next();
    EXPECT_EQ(said.type, PacketType::kDisconnect);
    EXPECT_EQ(said.reason, Reason::kSessionTakenOver);
  }
  EXPECT_TRUE(first->isClosed());
  auto from = client("from");
  from->publish("a", "x");
  EXPECT_EQ(second.payloads(), std::vector<std::string>{"x"});
}

TEST_P(SessionTest, BelongsToThePrincipalAsWellAsToTheId) {
  world_.access.user("mallory");
  auto first = client("same", lasting());
  Client other(world_, GetParam());
  Wish wish = lasting();
  wish.id = "same";
  wish.user = "mallory";
  EXPECT_FALSE(other.connect(wish).present);
  EXPECT_FALSE(first->isClosed());
}

TEST_P(SessionTest, HasItsWillPublishedWhenItVanishesButNotWhenItSaysGoodbye) {
  auto to = client("to");
  (void)to->subscribe("will");
  Wish wish;
  wish.will_topic = "will";
  wish.will_payload = "gone";
  auto polite = client("polite", wish);
  polite->disconnect();
  EXPECT_FALSE(to->hasMore());
  auto rude = client("rude", wish);
  rude->vanish();
  EXPECT_EQ(to->payloads(), std::vector<std::string>{"gone"});
}

TEST_P(SessionTest, EndsWhenNothingIsHeardForOneAndAHalfTimesTheKeepAlive) {
  Wish wish;
  wish.keep_alive_s = 10;
  auto one = client("one", wish);
  world_.advance(14);
  one->send(mqtt::bytesOf({0xc0, 0}));
  EXPECT_EQ(one->next().type, PacketType::kPingresp);
  world_.advance(14);
  EXPECT_FALSE(one->isClosed());
  world_.advance(2);
  EXPECT_TRUE(one->isClosed());
  EXPECT_EQ(world_.refused(Refusal::kTimeout), 1u);
}

TEST_P(SessionTest, GetsRetainedMessagesWhenItSubscribes) {
  auto from = client("from");
  from->publish("r/1", "one", Qos::k1, 1, 1);
  from->publish("r/2", "two", Qos::k0, 0, 1);
  from->publish("r/2", "newer", Qos::k0, 0, 1);
  from->publish("r/3", "three", Qos::k0, 0, 1);
  from->publish("r/3", "", Qos::k0, 0, 1);
  auto to = client("to");
  (void)to->subscribe("r/+", 1);
  const Said one = to->next();
  EXPECT_EQ(one.payload, "one");
  EXPECT_TRUE(one.retain);
  EXPECT_EQ(one.qos, Qos::k1);
  EXPECT_EQ(to->payloads(), std::vector<std::string>{"newer"});
  from->publish("r/1", "live", Qos::k0, 0, 1);
  EXPECT_FALSE(to->next().retain) << "of a message that comes now";
}

TEST_P(SessionTest, DropsWhatIsMoreThanItsQueueHolds) {
  world_.limits.queue_messages = 10;
  auto from = client("from");
  auto to = client("to", lasting());
  (void)to->subscribe("a", 1);
  to->vanish();
  for (std::uint16_t i = 0; i < 15; ++i) from->publish("a", std::to_string(i), Qos::k1, 1);
  EXPECT_EQ(world_.refused(Refusal::kOverflow), 5u);
  Client again(world_, GetParam());
  Wish wish = lasting();
  wish.id = "to";
  (void)again.connect(wish);
  EXPECT_EQ(again.payloads().size(), 10u);
}

TEST_P(SessionTest, IsWrittenToAsFastAsItsClientReads) {
  auto from = client("from");
  auto to = client("to");
  (void)to->subscribe("a");
  to->wire().room = 10;
  const std::string large(5000, 'l');
  std::vector<std::string> wanted;
  for (int i = 0; i < 20; ++i) {
    wanted.push_back(std::to_string(i) + (i % 3 == 0 ? large : ""));
    from->publish("a", wanted.back());
  }
  for (int i = 0; i < 10'000; ++i) {
    to->wire().room = 7;
    world_.settle();
  }
  EXPECT_EQ(to->payloads(), wanted);
}

TEST_P(SessionTest, IsNotHeardWhileItDoesNotReadItsAnswers) {
  auto from = client("from");
  from->wire().room = 0;
  std::string pings;
  for (int i = 0; i < 200'000; ++i) pings += mqtt::bytesOf({0xc0, 0});
  from->send(pings);
  EXPECT_GT(from->wire().to_broker.size(), 100'000u);
  from->wire().room = SIZE_MAX;
  for (int i = 0; i < 10; ++i) world_.settle();
  EXPECT_TRUE(from->wire().to_broker.empty());
  EXPECT_EQ(from->wire().to_client.size(), 400'000u);
}

TEST_P(SessionTest, MaySubscribeOnlySoOften) {
  world_.limits.subscriptions = 2;
  auto one = client("one");
  EXPECT_EQ(one->subscribe("a").reasons, std::vector<unsigned>{0});
  EXPECT_EQ(one->subscribe("b").reasons, std::vector<unsigned>{0});
  const unsigned refused = GetParam() == Version::k5 ? 0x97 : 0x80;
  EXPECT_EQ(one->subscribe("c").reasons, std::vector<unsigned>{refused});
}

TEST_P(SessionTest, IsToldThatTheServerEnds) {
  auto one = client("one");
  world_.engine().shutDown();
  EXPECT_EQ(world_.watched(), 0u) << "what still comes would find an engine that is gone";
  if (GetParam() == Version::k5) {
    EXPECT_EQ(one->next().reason, Reason::kServerShuttingDown);
  }
  EXPECT_TRUE(one->isClosed());
}

}  // namespace
}  // namespace kante::hub
