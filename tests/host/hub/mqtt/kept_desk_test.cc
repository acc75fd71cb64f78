// Requests of IoT Hub's contract, whose clients may send them with QoS 2, over the end of the
// process.
#include "tests/host/hub/mqtt/kept_kit.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class NotingDesk final : public Desk {
 public:
  Request take(const SessionRef&, const std::shared_ptr<const Principal>&, const ContractTopic&,
               std::string_view payload) override {
    if (is_full) return {};
    return [this, payload = std::string(payload)] { done.push_back(payload); };
  }
  void interested(const SessionRef&, const std::string&, std::uint8_t) override {}
  std::vector<std::string> done;
  bool is_full = false;
};

class KeptDeskTest : public KeptWorld, public ::testing::WithParamInterface<Version> {
 protected:
  KeptDeskTest() { desk_ = &noting_; }
  ~KeptDeskTest() override { leave(); }
  static constexpr const char* kTopic = "$iothub/twin/PATCH/properties/reported/?$rid=1";
  NotingDesk noting_;
};

INSTANTIATE_TEST_SUITE_P(BothVersions, KeptDeskTest, ::testing::Values(Version::k311, Version::k5),
                         [](const auto& chosen) {
                           return chosen.param == Version::k5 ? "Mqtt5" : "Mqtt311";
                         });

TEST_P(KeptDeskTest, ARequestOfQos2IsDoneOnceOverTheEndOfTheProcess) {
  begin();
  Client& from = client("from", GetParam());
  from.publish(kTopic, "once", Qos::k2, 9);
  EXPECT_EQ(from.next().type, PacketType::kPubrec);
  EXPECT_THAT(noting_.done, ElementsAre("once"));
  EXPECT_EQ(rows(kPacketRows), 1u);
  begin();
  Client& again = client("from", GetParam());
  again.publish(kTopic, "once", Qos::k2, 9, 8);
  EXPECT_EQ(again.next().type, PacketType::kPubrec);
  EXPECT_THAT(noting_.done, ElementsAre("once"));
  again.ack(PacketType::kPubrel, 9);
  EXPECT_EQ(again.next().type, PacketType::kPubcomp);
  say(again, kTopic, "another", Qos::k2, 9);
  EXPECT_THAT(noting_.done, ElementsAre("once", "another"));
  EXPECT_EQ(rows(kPacketRows), 0u);
}

TEST_P(KeptDeskTest, ARequestThatComesAgainBeforeItIsKnownOnDiskIsAnsweredOnce) {
  begin();
  Client& from = client("from", GetParam());
  const std::string packet = from.publishPacket(kTopic, "once", Qos::k2, 9);
  from.send(packet + packet);
  EXPECT_EQ(from.next().type, PacketType::kPubrec);
  EXPECT_THAT(noting_.done, ElementsAre("once"));
}

TEST_P(KeptDeskTest, WhoeverLeavesBeforeTheAnswerHasAskedAllTheSame) {
  begin();
  Client& from = client("from", GetParam());
  from.wire().to_broker = from.publishPacket(kTopic, "once", Qos::k2, 9);
  (void)world_->step();  // It is read; nothing is on disk yet.
  EXPECT_THAT(noting_.done, IsEmpty()) << "it might be done again";
  from.vanish();
  EXPECT_THAT(noting_.done, ElementsAre("once"));
  Client& again = client("from", GetParam());
  again.publish(kTopic, "once", Qos::k2, 9, 8);
  EXPECT_EQ(again.next().type, PacketType::kPubrec);
  EXPECT_THAT(noting_.done, ElementsAre("once"));
}

TEST_P(KeptDeskTest, WhatEndsWithItsConnectionAsksAtOnceAndWritesNothing) {
  begin();
  Client& from = guest("from", GetParam());
  from.publish(kTopic, "once", Qos::k2, 9);
  EXPECT_EQ(from.next().type, PacketType::kPubrec);
  EXPECT_THAT(noting_.done, ElementsAre("once"));
  EXPECT_EQ(allRows(), 0u);
}

class KeptDesk5Test : public KeptDeskTest {};

INSTANTIATE_TEST_SUITE_P(Mqtt5, KeptDesk5Test, ::testing::Values(Version::k5));

TEST_P(KeptDesk5Test, ARequestThatCannotBeKeptIsRefusedAndNotDone) {
  SessionStore::Options options;
  options.bytes_max = 500;  // A session, and a few identifiers.
  begin(1, 0, options);
  Client& from = client("from");
  std::map<Reason, std::size_t> answers;
  for (std::uint16_t id = 1; id <= 20; ++id) {
    from.publish(kTopic, "x", Qos::k2, id);
    ++answers[from.next().reason];
  }
  EXPECT_GT(answers[Reason::kQuotaExceeded], 0u);
  EXPECT_EQ(answers[Reason::kSuccess] + answers[Reason::kQuotaExceeded], 20u);
  EXPECT_EQ(noting_.done.size(), answers[Reason::kSuccess]);
}

TEST_P(KeptDesk5Test, ARefusalOfTheDeskLeavesTheIdentifierFree) {
  begin();
  Client& from = client("from");
  noting_.is_full = true;
  from.publish(kTopic, "too much", Qos::k2, 9);
  EXPECT_EQ(from.next().reason, Reason::kQuotaExceeded);
  noting_.is_full = false;
  say(from, kTopic, "later", Qos::k2, 9);
  EXPECT_THAT(noting_.done, ElementsAre("later"));
}

}  // namespace
}  // namespace kante::hub
