// The forwarder under a day's budget, with packing and compression; against a broker that is real
// or misbehaves.
#include <zstd.h>

#include <boost/json.hpp>

#include "tests/host/uplink/stub_broker.h"
#include "tests/host/uplink/uplink_fixture.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class BudgetForwardTest : public UplinkTest {
 protected:
  static std::vector<StubBroker::Publish> telemetry(StubBroker& broker) {
    std::vector<StubBroker::Publish> found;
    for (const auto& publish : broker.seen()) {
      if (publish.topic.find("telemetry") != std::string::npos) found.push_back(publish);
    }
    return found;
  }
  // Offers all, then waits: they are taken together.
  void offer(const std::vector<Entry>& entries) {
    Answers answers;
    std::uint64_t ticket = 0;
    for (Entry entry : entries) ASSERT_EQ(queue().offer(entry, &answers, ++ticket), Offer::kTaken);
    ASSERT_TRUE(answers.wait(entries.size()));
  }
};

TEST_F(BudgetForwardTest, SendsADaysMessagesAndHoldsTheRest) {
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); });
  MqttUplinkOptions options = optionsFor(broker.url());
  options.budget.messages_per_day = 20;
  startUplink(options);
  send(0, 50);
  ASSERT_TRUE(eventually([&] { return uplink_->status().budget.reached; }));
  ASSERT_TRUE(eventually([&] { return queue().messages() == 30; }));
  EXPECT_THAT(telemetry(broker), SizeIs(20));
  const UplinkStatus status = uplink_->status();
  EXPECT_EQ(status.seq, 20u) << "what waits has no number";
  EXPECT_EQ(status.budget.messages_used, 20u);
  EXPECT_GT(status.budget.resets_in_s, 0);
  // The next life knows what this one spent.
  startUplink(options);
  ASSERT_TRUE(eventually([&] { return uplink_->status().budget.reached; }));
  EXPECT_EQ(uplink_->status().seq, 20u);
}

TEST_F(BudgetForwardTest, CountsBlocksAndBytes) {
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); });
  MqttUplinkOptions options = optionsFor(broker.url());
  options.budget = {.messages_per_day = 8, .meter_bytes = 512};
  startUplink(options);
  for (int i = 0; i < 5; ++i) put(std::string(1000, 'x'));  // Three blocks with their properties.
  ASSERT_TRUE(eventually([&] { return uplink_->status().budget.reached; }));
  EXPECT_TRUE(eventually([&] { return telemetry(broker).size() == 2; }));
  EXPECT_EQ(uplink_->status().budget.messages_used, 6u);
  EXPECT_GT(uplink_->status().budget.bytes_used, 2000u);
}

TEST_F(BudgetForwardTest, GivesUpWhatIsLargerThanADaysBudgetAndSaysSo) {
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); });
  MqttUplinkOptions options = optionsFor(broker.url());
  options.budget.bytes_per_day = 5000;
  startUplink(options);
  put(std::string(6000, 'x'));
  send(0, 1);
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_THAT(telemetry(broker), SizeIs(1));
  ASSERT_TRUE(eventually([&] {
    const auto seen = broker.seen();
    return std::any_of(seen.begin(), seen.end(), [](const auto& publish) {
      return publish.topic.ends_with("/lost") &&
             publish.rest.find("larger than the budget of a day") != std::string::npos;
    });
  }));
}

TEST_F(BudgetForwardTest, DropsOfTheLowestPriorityWhatTheNextDayCouldNotCarry) {
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); });
  MqttUplinkOptions options = optionsFor(broker.url());
  options.budget.messages_per_day = 10;
  options.at_budget = ForwarderOptions::AtBudget::kDropLowest;
  startUplink(options);
  send(0, 10);
  ASSERT_TRUE(eventually([&] { return telemetry(broker).size() == 10; }));
  std::vector<Entry> more;
  for (int i = 0; i < 30; ++i) more.push_back(entryOf(std::to_string(i), i < 4 ? 0 : 9));
  offer(more);
  ASSERT_TRUE(eventually([&] { return queue().messages() == 10; }));
  EXPECT_EQ(queue().dropped(StoreDrop::kBudget), 20u);
  std::promise<std::vector<InspectedMessage>> inspected;
  queue().inspect(100, [&](auto found) { inspected.set_value(std::move(*found)); });
  std::size_t best = 0;
  for (const auto& message : inspected.get_future().get()) best += message.token.priority == 0;
  EXPECT_EQ(best, 4u);
}

// ---- packing ----

MqttUplinkOptions packing(MqttUplinkOptions options) {
  options.pack.on = true;
  options.pack.wait_ms = 0;
  return options;
}

TEST_F(BudgetForwardTest, PacksNeighboursOfOneSourceEachWithItsNumber) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/v1/+/telemetry/#"}});
  Entry text = entryOf("plain text \"quoted\"");
  Entry binary = entryOf(std::string("\xff\x00\x01", 3));
  kante_message message{};
  message.id_low = 5;
  message.content_type = {"application/json", 16};
  message.body = {"{\"t\": 21.50}", 12};
  message.created_ns = 1'760'000'000'000'000'000;
  Entry json = entryOf("");
  json.message = *buildMessage(message);
  offer({text, binary, json});
  startUplink(packing(optionsFor(broker.url())));
  ASSERT_TRUE(cloud.waitForCount(1));
  ASSERT_TRUE(eventuallyEmpty());
  const Received got = cloud.messages().at(0);
  EXPECT_EQ(got.topic, kTopic);
  EXPECT_EQ(got.content_type, "application/json");
  EXPECT_EQ(got.property("kante-seq"), "1");
  EXPECT_EQ(got.property("kante-count"), "3");
  const auto pack = boost::json::parse(got.payload).as_array();
  ASSERT_EQ(pack.size(), 3u);
  EXPECT_EQ(pack[0].at("seq"), 1);
  EXPECT_EQ(pack[0].at("body_text"), "plain text \"quoted\"");
  EXPECT_EQ(pack[0].at("properties").at("kind"), "test");
  EXPECT_EQ(pack[1].at("body_base64"), "/wAB");
  EXPECT_EQ(pack[2].at("seq"), 3);
  EXPECT_EQ(pack[2].at("content_type"), "application/json");
  EXPECT_EQ(pack[2].at("created"), "2025-10-09T08:53:20.000Z");
  EXPECT_THAT(got.payload, HasSubstr("\"body\":{\"t\": 21.50}")) << "the author's own bytes";
  EXPECT_EQ(uplink_->status().acknowledged, 3u);
}

// What a receiver does: unpack, then look at the numbers.
std::vector<std::uint64_t> numbersOf(const std::vector<Received>& received) {
  std::vector<std::uint64_t> numbers;
  for (const Received& message : received) {
    std::string payload = message.payload;
    if (message.property("kante-compression") == "zstd") {
      std::string plain(ZSTD_getFrameContentSize(payload.data(), payload.size()), '\0');
      EXPECT_EQ(ZSTD_decompress(plain.data(), plain.size(), payload.data(), payload.size()),
                plain.size());
      payload = plain;
    }
    if (message.property("kante-count").empty()) {
      numbers.push_back(std::stoull(message.property("kante-seq")));
      continue;
    }
    const auto pack = boost::json::parse(payload).as_array();
    EXPECT_EQ(std::to_string(pack.size()), message.property("kante-count"));
    for (const auto& one : pack) numbers.push_back(one.at("seq").to_number<std::uint64_t>());
    EXPECT_EQ(std::to_string(numbers[numbers.size() - pack.size()]), message.property("kante-seq"));
  }
  return numbers;
}

TEST_F(BudgetForwardTest, NoNumberIsMissingFromPackedAndCompressedMessagesOverAnOutage) {
  Mosquitto broker;
  MqttPeer cloud(broker, {.filters = {"kante/v1/+/telemetry/#"}});
  MqttUplinkOptions options = packing(optionsFor(broker.url()));
  options.pack.compression = PackRules::Compression::kZstd;
  startUplink(options);
  send(0, 300);
  broker.stop();
  ASSERT_TRUE(eventually([&] { return uplink_->status().state != "connected"; }));
  send(300, 1000);
  broker.start();
  ASSERT_TRUE(eventuallyEmpty());
  const auto complete = [](const std::vector<Received>& all) {
    const auto numbers = numbersOf(all);
    return std::set<std::uint64_t>(numbers.begin(), numbers.end()).size() == 1000;
  };
  ASSERT_TRUE(cloud.waitUntil(complete));
  std::uint64_t expected = 1;
  for (const std::uint64_t number : numbersOf(cloud.messages())) {
    if (number < expected) continue;  // Sent again.
    ASSERT_EQ(number, expected++);
  }
  EXPECT_LT(cloud.messages().size(), 500u) << "they were packed";
  bool compressed = false;
  for (const auto& message : cloud.messages())
    compressed = compressed || message.property("kante-compression") == "zstd";
  EXPECT_TRUE(compressed);
}

TEST_F(BudgetForwardTest, APackThatIsRefusedForGoodIsTriedOneByOne) {
  // The second message makes every packet that it is in unacceptable.
  StubBroker broker([](const StubBroker::Publish& publish) -> std::optional<std::uint8_t> {
    return publish.rest.find("poison") == std::string::npos ? 0 : 0x99;
  });
  offer({entryOf("a"), entryOf("poison"), entryOf("b")});
  startUplink(packing(optionsFor(broker.url())));
  ASSERT_TRUE(eventuallyEmpty());
  EXPECT_EQ(uplink_->status().refused, 1u);
  EXPECT_EQ(uplink_->status().acknowledged, 2u);
  EXPECT_EQ((*store_->queue("quarantine"))->messages(), 1u);
  EXPECT_TRUE(eventually([&] {
    const auto seen = broker.seen();
    return std::any_of(seen.begin(), seen.end(), [](const auto& publish) {
      return publish.topic.ends_with("/lost") &&
             publish.rest.find("\"seq\":2") != std::string::npos;
    });
  }));
}

TEST_F(BudgetForwardTest, ABudgetCountsAPackOnce) {
  StubBroker broker([](const auto&) { return std::optional<std::uint8_t>(0); });
  std::vector<Entry> entries;
  for (int i = 0; i < 16; ++i) entries.push_back(entryOf(std::to_string(i)));
  offer(entries);
  MqttUplinkOptions options = packing(optionsFor(broker.url()));
  options.budget.messages_per_day = 1000;
  startUplink(options);
  ASSERT_TRUE(eventuallyEmpty());
  const std::size_t sent = telemetry(broker).size();
  EXPECT_LT(sent, 16u);
  EXPECT_EQ(uplink_->status().budget.messages_used, sent);
}

TEST(PackTest, CompressesOnlyWhatBecomesSmaller) {
  std::string out;
  EXPECT_TRUE(compressZstd(std::string(1000, 'a'), out));
  EXPECT_LT(out.size(), 100u);
  EXPECT_FALSE(compressZstd("short", out));
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 1000; ++i)
    noise += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  EXPECT_FALSE(compressZstd(noise, out));
}

}  // namespace
}  // namespace kante
