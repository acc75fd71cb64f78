// What outlives the process, heard from clients that come back to the next one.
#include "tests/host/hub/mqtt/kept_kit.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class KeptTest : public KeptWorld, public ::testing::WithParamInterface<Version> {};

INSTANTIATE_TEST_SUITE_P(BothVersions, KeptTest, ::testing::Values(Version::k311, Version::k5),
                         [](const auto& chosen) {
                           return chosen.param == Version::k5 ? "Mqtt5" : "Mqtt311";
                         });

TEST_P(KeptTest, ASessionHasItsSubscriptionsAndWhatWaitsForIt) {
  begin();
  Client& to = client("to", GetParam());
  EXPECT_FALSE(hello_.present);
  EXPECT_EQ(to.subscribe("a/#", 2).reasons, std::vector<unsigned>{2});
  to.disconnect();
  Client& from = client("from", GetParam());
  say(from, "a/1", "one", Qos::k1, 1);
  say(from, "a/2", "two", Qos::k2, 2);
  say(from, "a/3", "three", Qos::k1, 3);
  begin();
  Client& again = client("to", GetParam());
  EXPECT_TRUE(hello_.present);
  EXPECT_THAT(hearAll(again), ElementsAre("one", "two", "three"));
  say(client("from", GetParam()), "a/4", "four", Qos::k1, 1);
  EXPECT_THAT(hearAll(again), ElementsAre("four"));
  EXPECT_EQ(rows(kEntryRows), 0u);
  EXPECT_EQ(rows(kMessageRows), 0u);
}

TEST_P(KeptTest, ASubscriptionThatWasTakenBackIsGone) {
  begin();
  Client& to = client("to", GetParam());
  (void)to.subscribe("a", 1);
  (void)to.subscribe("b", 1);
  EXPECT_EQ(to.unsubscribe("a").type, PacketType::kUnsuback);
  begin();
  Client& from = client("from", GetParam());
  say(from, "a", "not this", Qos::k1, 1);
  say(from, "b", "this", Qos::k1, 2);
  EXPECT_THAT(hearAll(client("to", GetParam())), ElementsAre("this"));
}

TEST_P(KeptTest, WhatWasNotAcknowledgedComesAgainUnderItsIdentifier) {
  begin();
  Client& to = client("to", GetParam());
  (void)to.subscribe("a", 2);
  Client& from = client("from", GetParam());
  for (std::uint16_t i = 1; i <= 4; ++i)
    say(from, "a", std::to_string(i), i % 2 ? Qos::k1 : Qos::k2, i);
  EXPECT_EQ(hear(to), "1");
  std::vector<std::uint16_t> ids;
  while (to.hasMore()) ids.push_back(to.next().id);
  EXPECT_EQ(ids.size(), 3u);
  begin();
  Client& again = client("to", GetParam());
  for (std::size_t i = 0; i < 3; ++i) {
    const Said said = again.next();
    EXPECT_EQ(said.id, ids[i]);
    EXPECT_TRUE(said.dup);
    EXPECT_EQ(said.payload, std::to_string(i + 2));
  }
}

TEST_P(KeptTest, AMessageOfQos2ThatComesAgainIsKnown) {
  begin();
  (void)client("to", GetParam()).subscribe("a", 2);
  Client& from = client("from", GetParam());
  from.publish("a", "once", Qos::k2, 9);
  EXPECT_EQ(from.next().type, PacketType::kPubrec);
  begin();
  Client& again = client("from", GetParam());
  EXPECT_TRUE(hello_.present);
  again.publish("a", "once", Qos::k2, 9, 8);
  EXPECT_EQ(again.next().type, PacketType::kPubrec);
  again.ack(PacketType::kPubrel, 9);
  EXPECT_EQ(again.next().type, PacketType::kPubcomp);
  EXPECT_EQ(rows(kPacketRows), 0u);
  begin();
  say(client("from", GetParam()), "a", "another", Qos::k2, 9);
  EXPECT_THAT(hearAll(client("to", GetParam())), ElementsAre("once", "another"));
}

TEST_P(KeptTest, WhatAClientHasOfQos2IsNotSentAgain) {
  begin();
  Client& to = client("to", GetParam());
  (void)to.subscribe("a", 2);
  say(client("from", GetParam()), "a", "once", Qos::k2, 1);
  say(client("from", GetParam()), "a", "later", Qos::k2, 2);
  const Said said = to.next();
  to.ack(PacketType::kPubrec, said.id);
  EXPECT_EQ(next(to, PacketType::kPubrel).id, said.id);
  EXPECT_EQ(rows(kMessageRows), 1u);
  begin();
  Client& again = client("to", GetParam());
  const Said release = again.next();
  EXPECT_EQ(release.type, PacketType::kPubrel);
  EXPECT_EQ(release.id, said.id);
  again.ack(PacketType::kPubcomp, said.id);
  EXPECT_THAT(hearAll(again), ElementsAre("later"));
  EXPECT_EQ(rows(kEntryRows), 0u);
}

TEST_P(KeptTest, RetainedMessagesAreThereAgain) {
  begin();
  Client& from = guest("from", GetParam());
  say(from, "r/a", "old", Qos::k1, 1, 1);
  say(from, "r/a", "new", Qos::k1, 2, 1);
  say(from, "r/b", "gone", Qos::k2, 3, 1);
  say(from, "r/b", "", Qos::k1, 4, 1);
  from.publish("r/c", "unasked", Qos::k0, 0, 1);
  EXPECT_EQ(rows(kRetainedRows), 2u);
  EXPECT_EQ(rows(kMessageRows), 2u);
  begin();
  Client& to = guest("to", GetParam());
  (void)to.subscribe("r/#", 1);
  Said said = to.next();
  EXPECT_EQ(said.payload, "new");
  EXPECT_TRUE(said.retain);
  EXPECT_EQ(to.next().payload, "unasked");
  EXPECT_FALSE(to.hasMore());
}

TEST_P(KeptTest, ARetainedMessageOfQos2ComesToASessionThatIsKept) {
  begin();
  say(guest("from", GetParam()), "r", "retained", Qos::k2, 1, 1);
  Client& to = client("to", GetParam());
  EXPECT_EQ(to.subscribe("r", 2).reasons, std::vector<unsigned>{2});
  EXPECT_THAT(hearAll(to), ElementsAre("retained"));
  say(guest("from", GetParam()), "r", "later", Qos::k2, 1);
  EXPECT_THAT(hearAll(to), ElementsAre("later"));
}

TEST_P(KeptTest, OfATopicThatChangesOftenTheLastOneIsWritten) {
  begin();
  Client& from = guest("from", GetParam());
  std::string packets;
  for (std::uint16_t i = 1; i <= 500; ++i)
    packets += from.publishPacket("r", std::to_string(i), i % 3 ? Qos::k1 : Qos::k0, i, 1);
  from.send(packets);
  std::size_t answers = 0;
  for (; from.hasMore(); ++answers) EXPECT_EQ(from.next().type, PacketType::kPuback);
  EXPECT_EQ(answers, 334u);
  EXPECT_EQ(kept_->messages(), 1u);
  begin();
  Client& to = guest("to", GetParam());
  (void)to.subscribe("r");
  EXPECT_EQ(to.payloads(), std::vector<std::string>{"500"});
}

TEST_P(KeptTest, OneMessageForManyIsStoredOnceAndFreedWithTheLast) {
  begin();
  std::vector<Client*> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(&client("to" + std::to_string(i), GetParam()));
    (void)all.back()->subscribe("a", 1);
  }
  say(guest("from", GetParam()), "a", "x", Qos::k1, 1, 1);
  EXPECT_EQ(rows(kMessageRows), 1u);
  EXPECT_EQ(rows(kEntryRows), 100u);
  for (Client* one : all) EXPECT_EQ(hear(*one), "x");
  EXPECT_EQ(rows(kEntryRows), 0u);
  EXPECT_EQ(rows(kMessageRows), 1u) << "it is retained";
  say(guest("from", GetParam()), "a", "", Qos::k1, 1, 1);
  for (Client* one : all) EXPECT_EQ(hear(*one), "");
  EXPECT_EQ(rows(kMessageRows), 0u);
}

TEST_P(KeptTest, NothingIsWrittenForSessionsThatEndWithTheirConnection) {
  begin();
  const std::uint64_t groups = store_->status().groups;
  Client& to = guest("to", GetParam());
  (void)to.subscribe("a", 2);
  Client& from = guest("from", GetParam());
  say(from, "a", "x", Qos::k1, 1);
  from.publish("a", "y", Qos::k2, 2);
  EXPECT_EQ(from.next().type, PacketType::kPubrec);
  EXPECT_EQ(store_->status().groups, groups);
  EXPECT_EQ(allRows(), 0u);
}

TEST_P(KeptTest, NothingIsLeftOfASessionThatEnded) {
  begin();
  Client& to = client("to", GetParam());
  (void)to.subscribe("a", 2);
  Client& from = client("from", GetParam());
  say(from, "a", "1", Qos::k2, 1);
  to.disconnect();
  say(from, "a", "2", Qos::k1, 2);
  from.publish("a", "3", Qos::k2, 3);
  EXPECT_EQ(from.next().type, PacketType::kPubrec);
  EXPECT_GT(allRows(), 6u);
  for (const char* id : {"to", "from"}) {
    Client anew(*world_, GetParam());
    Wish wish;
    wish.id = id;
    EXPECT_FALSE(anew.connect(wish).present);
  }
  world_->settle();
  EXPECT_EQ(allRows(), 0u);
}

TEST_P(KeptTest, NothingIsLeftOfWhoeverIsRemoved) {
  begin(2);
  (void)client("away", GetParam()).subscribe("a", 2);
  clients_.back()->disconnect();
  Client& here = client("here", GetParam());
  (void)here.subscribe("a", 2);
  Client& from = client("from", GetParam());
  say(from, "a", "1", Qos::k2, 1);
  from.publish("a", "2", Qos::k2, 2);
  EXPECT_GT(allRows(), 6u);
  world_->access.remove("user");
  for (const std::size_t engine : {0u, 1u})
    world_->engine(engine).take(Reconsider{"device/user", Connections::kEnd});
  world_->settle();
  EXPECT_TRUE(here.isClosed());
  EXPECT_EQ(allRows(), 0u);
}

class Kept5Test : public KeptWorld {};

TEST_F(Kept5Test, WhatIsNotRetainedIsSentAllTheSameAndItsExchangeIsOver) {
  limits_.retained_messages = 1;
  begin(2);
  for (const char* id : {"to", "too"}) (void)client(id).subscribe("r/#", 2);
  Client& from = client("from");
  say(from, "r/0", "retained", Qos::k2, 1, 1);
  from.publish("r/1", "not", Qos::k2, 2, 1);
  const Said said = from.next();
  EXPECT_EQ(said.type, PacketType::kPubrec);
  EXPECT_EQ(said.reason, Reason::kQuotaExceeded);
  EXPECT_EQ(rows(kPacketRows), 0u);
  begin(2);
  for (const char* id : {"to", "too"})
    EXPECT_THAT(hearAll(client(id)), ElementsAre("retained", "not"));
  EXPECT_EQ(rows(kRetainedRows), 1u);
}

TEST_F(Kept5Test, ASessionEndsWhileNobodyRuns) {
  begin();
  (void)client("short").subscribe("a", 1);
  clients_.back()->disconnect();
  (void)client("connected").subscribe("a", 1);
  world_->settle();
  begin(1, 300);  // They last 256 s; who was connected at the end, from the new beginning.
  world_->advance(1);
  EXPECT_EQ(rows(kSessionRows), 1u);
  (void)client("connected");
  EXPECT_TRUE(hello_.present);
  (void)client("short");
  EXPECT_FALSE(hello_.present);
}

TEST_F(Kept5Test, AMessageExpiresWhileNobodyRuns) {
  begin();
  (void)client("to").subscribe("a", 1);
  clients_.back()->disconnect();
  Client& from = guest("from");
  from.publish("a", "short", Qos::k1, 1, 0, mqtt::bytesOf({0x02, 0, 0, 0, 10}));
  from.publish("a", "long", Qos::k1, 2, 0, mqtt::bytesOf({0x02, 0, 0, 0, 100}));
  begin(1, 30);
  const Said said = client("to").next();
  EXPECT_EQ(said.payload, "long");
  EXPECT_EQ(*said.properties.message_expiry_s, 70u);
  EXPECT_EQ(world_->refused(Refusal::kTtl), 1u);
  EXPECT_EQ(rows(kMessageRows), 1u);
}

TEST_F(Kept5Test, AWillThatWaitsForItsDelayIsPublishedByTheNextProcess) {
  begin();
  (void)client("to").subscribe("will", 1);
  clients_.back()->disconnect();
  {
    Client dying(*world_, Version::k5);
    Wish wish = lasting("dying", Version::k5);
    wish.will_topic = "will";
    wish.will_payload = "it died";
    wish.will_properties = mqtt::bytesOf({0x18, 0, 0, 0, 60});
    wish.will_flags = 1u << 3;
    (void)dying.connect(wish);
    dying.vanish();
  }
  EXPECT_EQ(rows(kWillRows), 1u);
  begin();
  Client& to = client("to");
  EXPECT_FALSE(to.hasMore());
  world_->advance(61);
  EXPECT_THAT(hearAll(to), ElementsAre("it died"));
  EXPECT_EQ(rows(kWillRows), 0u);
}

TEST_F(Kept5Test, WhoeverComesBackInTimeHasNoWill) {
  begin();
  {
    Client dying(*world_, Version::k5);
    Wish wish = lasting("dying", Version::k5);
    wish.will_topic = "will";
    wish.will_properties = mqtt::bytesOf({0x18, 0, 0, 0, 60});
    (void)dying.connect(wish);
    dying.vanish();
  }
  begin();
  (void)client("dying");
  EXPECT_EQ(rows(kWillRows), 0u);
}

class DeferredWillTest : public KeptWorld {
 protected:
  // One with a will, on an engine that ends in order.
  void end(Wish wish, Version version = Version::k5) {
    begin(2);
    (void)client("to").subscribe("will", 1);
    clients_.push_back(std::make_unique<Client>(*world_, version));
    Client& dying = *clients_.back();
    wish.will_topic = "will";
    wish.will_payload = "it died";
    wish.will_flags = 1u << 3;
    ASSERT_EQ(dying.connect(wish).reason, Reason::kSuccess);
    for (const std::size_t engine : {0u, 1u}) world_->engine(engine).shutDown();
    world_->settle();
    EXPECT_EQ(dying.hasMore(), version == Version::k5) << "a DISCONNECT, which 3.1.1 has not";
    if (version == Version::k5) {
      EXPECT_EQ(dying.next().reason, Reason::kServerShuttingDown);
    }
    EXPECT_TRUE(dying.isClosed());
  }
  static Wish ending() {
    Wish wish;
    wish.id = "dying";
    return wish;
  }
};

TEST_F(DeferredWillTest, AtAnEndInOrderWillsAreLeftToTheNextProcess) {
  for (const Wish& wish : {ending(), lasting("dying", Version::k5)}) {
    end(wish);
    begin(2);
    Client& to = client("to");
    EXPECT_FALSE(to.hasMore()) << "it may be back yet";
    world_->advance(9);
    EXPECT_FALSE(to.hasMore());
    world_->advance(2);
    EXPECT_THAT(hearAll(to), ElementsAre("it died"));
    EXPECT_EQ(rows(kWillRows), 0u);
    clients_.clear();
    world_->settle();
    world_->advance(300);
    EXPECT_EQ(allRows(), 0u);
  }
}

TEST_F(DeferredWillTest, SoAreThoseOf311) {
  for (const bool clean : {true, false}) {
    Wish wish = ending();
    wish.clean = clean;
    end(wish, Version::k311);
    begin(2);
    world_->advance(11);
    EXPECT_THAT(hearAll(client("to")), ElementsAre("it died"));
  }
}

TEST_F(DeferredWillTest, ADelayGoesOnWhileNobodyRuns) {
  Wish wish = lasting("dying", Version::k5);
  wish.will_properties = mqtt::bytesOf({0x18, 0, 0, 0, 60});
  end(wish);
  begin(2, 30);
  Client& to = client("to");
  world_->advance(29);
  EXPECT_FALSE(to.hasMore());
  world_->advance(2);
  EXPECT_THAT(hearAll(to), ElementsAre("it died"));
}

TEST_F(DeferredWillTest, WhoeverIsBackSoonHasNone) {
  for (const Wish& wish : {ending(), lasting("dying", Version::k5)}) {
    end(wish);
    begin(2);
    Client again(*world_, Version::k5);
    Wish back = wish;
    back.clean = false;
    EXPECT_EQ(again.connect(back).present, !wish.properties.empty())
        << "a session that ends with its connection has ended";
    world_->advance(30);
    EXPECT_FALSE(client("to").hasMore());
    EXPECT_EQ(rows(kWillRows), 0u);
  }
}

TEST_F(Kept5Test, TheNumberOfShardsMayChange) {
  begin(3);
  for (int i = 0; i < 9; ++i) {
    Client& to = client("to" + std::to_string(i), Version::k5, static_cast<std::uint32_t>(i) % 3);
    (void)to.subscribe("a", 2);
    to.disconnect();
  }
  Client& from = client("from", Version::k5, 1);
  say(from, "a", "1", Qos::k1, 1);
  say(from, "a", "2", Qos::k2, 2);
  say(from, "a", "3", Qos::k2, 3, 1);
  EXPECT_EQ(rows(kMessageRows), 3u);
  for (const std::uint32_t engines : {2u, 5u, 1u}) {
    begin(engines);
    for (int i = 0; i < 9; ++i) {
      Client& to = client("to" + std::to_string(i), Version::k5);
      EXPECT_TRUE(hello_.present);
      EXPECT_EQ(to.payloads(), (std::vector<std::string>{"1", "2", "3"}));
      to.vanish();
    }
  }
  for (int i = 0; i < 9; ++i)
    EXPECT_THAT(hearAll(client("to" + std::to_string(i))), ElementsAre("1", "2", "3"));
  EXPECT_EQ(rows(kEntryRows), 0u);
  EXPECT_EQ(rows(kMessageRows), 1u);
}

TEST_F(Kept5Test, OptionsOfSubscriptionsAndMessagesAreKept) {
  begin();
  Client& to = client("to");
  (void)to.subscribe("a/#", 1 | 4 | 8, mqtt::bytesOf({0x0b, 7}));
  (void)to.subscribe("a/b", 1, mqtt::bytesOf({0x0b, 9}));
  to.disconnect();
  const std::string properties = mqtt::bytesOf({0x26}) + mqtt::text("key") + mqtt::text("value") +
                                 mqtt::bytesOf({0x03}) + mqtt::text("text/plain");
  Client& from = guest("from");
  from.publish("a/b", "x", Qos::k1, 1, 1, properties);
  begin();
  Client& again = client("to");
  const Said said = again.next();
  EXPECT_THAT(said.ids, ::testing::UnorderedElementsAre(7u, 9u));
  EXPECT_TRUE(said.retain);
  EXPECT_EQ(said.properties.content_type, "text/plain");
  EXPECT_EQ(said.user, (std::vector<std::pair<std::string, std::string>>{{"key", "value"}}));
  again.ack(PacketType::kPuback, said.id);
  again.publish("a/c", "own", Qos::k1, 1);
  EXPECT_EQ(again.next().type, PacketType::kPuback);
  EXPECT_FALSE(again.hasMore()) << "no local";
}

TEST_F(Kept5Test, AMemberOfAGroupIsOneAgain) {
  begin(2);
  for (const char* id : {"one", "two", "three"}) (void)client(id).subscribe("$share/g/a", 1);
  begin(3);
  Client& from = guest("from");
  for (std::uint16_t i = 1; i <= 30; ++i) say(from, "a", "x", Qos::k1, i);
  std::size_t total = 0;
  for (const char* id : {"one", "two", "three"}) total += hearAll(client(id)).size();
  EXPECT_EQ(total, 30u);
}

TEST_F(Kept5Test, WhoeverIsKnownNoMoreHasNoSession) {
  begin();
  clients_.push_back(std::make_unique<Client>(*world_, Version::k5));
  Wish wish = lasting("to", Version::k5);
  wish.user = "third";
  world_->access.user("third");
  (void)clients_.back()->connect(wish);
  (void)clients_.back()->subscribe("a", 1);
  say(guest("from"), "a", "x", Qos::k1, 1);
  begin();
  EXPECT_EQ(allRows(), 0u);
}

}  // namespace
}  // namespace kante::hub
