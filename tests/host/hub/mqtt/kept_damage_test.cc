// A disk that is full, fails, or gives back other bytes than it was given.
#include <fstream>
#include <random>

#include "tests/host/hub/mqtt/kept_kit.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class KeptDamageTest : public KeptWorld {
 protected:
  void fillUp() {
    Client& to = client("to");
    (void)to.subscribe("a/#", 2);
    Client& from = client("from");
    say(from, "a/1", "message one", Qos::k1, 1);
    say(from, "a/2", "message two", Qos::k2, 2);
    say(from, "r/1", "retained", Qos::k1, 3, 1);
    from.publish("a/3", "message three", Qos::k2, 4);
  }
  std::vector<std::pair<std::string, std::string>> all(std::string_view area) {
    return *store_->keyValue().scan(std::string(area));
  }
};

constexpr std::string_view kAreas[] = {kSessionRows, kFilterRows,  kEntryRows,   kPacketRows,
                                       kWillRows,    kMessageRows, kRetainedRows};

// ---- damage

TEST_F(KeptDamageTest, ARowThatRottedIsLeftOutCountedAndNamed) {
  begin();
  fillUp();
  leave();
  store_.reset();
  std::fstream file(directory() + "/data.mdb", std::ios::in | std::ios::out | std::ios::binary);
  ASSERT_TRUE(file) << "where LMDB has its data";
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::size_t flipped = 0;
  for (std::size_t at = bytes.find("message one"); at != std::string::npos;
       at = bytes.find("message one", at + 1), ++flipped) {
    file.clear();
    file.seekp(static_cast<std::streamoff>(at));
    file.put('M');
  }
  ASSERT_GT(flipped, 0u);
  file.close();
  begin();
  EXPECT_EQ(kept_->damaged(), 1u);
  EXPECT_THAT(hearAll(client("to")), ElementsAre("message two", "message three"));
  EXPECT_EQ(world_->refused(Refusal::kMalformed), 0u);
  begin();
  EXPECT_EQ(kept_->damaged(), 0u) << "it was removed";
}

TEST_F(KeptDamageTest, NoRowIsTrustedForItsChecksum) {
  begin();
  fillUp();
  std::mt19937 random(17);
  for (int round = 0; round < 40; ++round) {
    for (const std::string_view area : kAreas) {
      for (auto& [key, value] : all(area)) {
        if (random() % 2 == 0) continue;
        std::string changed = value;
        if (!changed.empty() && random() % 4 != 0)
          changed[random() % changed.size()] = static_cast<char>(random());
        if (random() % 4 == 0) changed.resize(random() % (changed.size() + 3));
        std::string other = key;
        if (random() % 8 == 0) other[random() % other.size()] = static_cast<char>(random());
        if (random() % 16 == 0) other.resize(random() % 20);
        (void)store_->keyValue().put(std::string(area), other, changed);
      }
    }
    begin(1 + static_cast<std::uint32_t>(random() % 3));
    Client& to = client("to", Version::k5);
    Client& from = client("from", Version::k5);
    (void)to.subscribe("a/#", 2);
    while (to.hasMore()) (void)to.next();
    while (from.hasMore()) (void)from.next();
    from.publish("a/4", "x", Qos::k1, static_cast<std::uint16_t>(100 + round));
    world_->settle();
  }
}

TEST_F(KeptDamageTest, WhatBelongsToNobodyIsRemoved) {
  begin();
  fillUp();
  for (const auto& [key, value] : all(kSessionRows))
    (void)store_->keyValue().erase(std::string(kSessionRows), key);
  begin();
  EXPECT_EQ(allRows(), 2u) << "the retained message";
  EXPECT_EQ(kept_->damaged(), 0u);
}

// ---- no room

TEST_F(KeptDamageTest, WhoeverCannotBeKeptIsNotLetIn) {
  SessionStore::Options options;
  options.bytes_max = 10;
  begin(1, 0, options);
  for (const Version version : {Version::k311, Version::k5}) {
    Client lasting_one(*world_, version);
    const Said said = lasting_one.connect(lasting("one", version));
    EXPECT_EQ(said.type, PacketType::kConnack);
    EXPECT_NE(said.reason, Reason::kSuccess);
    EXPECT_TRUE(lasting_one.isClosed());
    EXPECT_FALSE(lasting_one.hasMore()) << "nothing follows a CONNACK that says no";
  }
  (void)guest("two");
  EXPECT_EQ(world_->refused(Refusal::kStore), 2u);
  EXPECT_EQ(world_->engine().counters().sessions.value(), 1u);
}

TEST_F(KeptDamageTest, ASubscriptionThatCannotBeKeptIsRefused) {
  SessionStore::Options options;
  options.bytes_max = 400;
  begin(1, 0, options);
  Client& to = client("to");
  EXPECT_EQ(to.subscribe("a/" + std::string(400, 'x'), 1).reasons, std::vector<unsigned>{0x97});
  EXPECT_EQ(to.subscribe("b", 1).reasons, std::vector<unsigned>{1});
  EXPECT_EQ(world_->engine().counters().subscriptions.value(), 1u);
}

TEST_F(KeptDamageTest, AMessageThatCannotBeKeptIsNotAcknowledged) {
  SessionStore::Options options;
  options.bytes_max = 4000;
  begin(1, 0, options);
  (void)client("to").subscribe("a", 2);
  clients_.back()->disconnect();
  Client& from = client("from");
  const std::string large(5000, 'x');
  from.publish("a", large, Qos::k1, 1);
  EXPECT_EQ(from.next().reason, Reason::kQuotaExceeded);
  from.publish("a", large, Qos::k2, 2);
  Said said = from.next();
  EXPECT_EQ(said.type, PacketType::kPubrec);
  EXPECT_EQ(said.reason, Reason::kQuotaExceeded);
  EXPECT_THAT(world_->reports.back(), HasSubstr("no room"));
  say(from, "a", "small", Qos::k2, 2);
  Client old(*world_, Version::k311);
  Wish wish;
  wish.id = "old";
  (void)old.connect(wish);
  old.publish("a", large, Qos::k1, 1);
  EXPECT_FALSE(old.hasMore());
  EXPECT_TRUE(old.isClosed());
  begin();
  EXPECT_THAT(hearAll(client("to")), ElementsAre("small"));
}

TEST_F(KeptDamageTest, AFullStoreStillForgets) {
  begin();
  Client& to = client("to");
  (void)to.subscribe("a", 1);
  to.disconnect();
  Client& from = guest("from");
  from.publish("a", std::string(900'000, 'x'), Qos::k1, 1);
  (void)from.next();
  // Somebody else takes all that is left of the store's 4 MiB.
  std::size_t size = 4u << 20;
  for (int i = 0; size > 1000; ++i)
    if (store_->keyValue().put("else", std::to_string(i), std::string(size, 'y')).has_error())
      size /= 2;
  from.publish("a", std::string(2000, 'x'), Qos::k1, 2);
  EXPECT_EQ(from.next().reason, Reason::kQuotaExceeded);
  EXPECT_EQ(rows(kEntryRows), 1u);
  Client again(*world_, Version::k5);
  (void)again.connect(lasting("to", Version::k5));
  world_->settle();
  EXPECT_EQ(kept_->messages(), 1u);
}

// ---- what needs not be written

TEST_F(KeptDamageTest, WhatIsTakenBackBeforeItsBatchLeavesIsNotWritten) {
  begin();
  Journal journal(kept_.get(), {});
  Publication::Parts parts;
  parts.topic = "a";
  Change change;
  change.kind = Change::Kind::kEntry;
  change.session = 1;
  change.publication = Publication::make(parts);
  const std::uint64_t at = journal.add(std::move(change));
  EXPECT_TRUE(journal.takeBack(at));
  journal.hand(Journal::Effort::kNew);
  EXPECT_FALSE(journal.isUnderWay());
  EXPECT_FALSE(journal.takeBack(at)) << "there is nothing there any more";
}

}  // namespace
}  // namespace kante::hub
