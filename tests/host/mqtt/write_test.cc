#include "host/mqtt/write.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/host/mqtt/packet_bytes.h"

namespace kante::mqtt {
namespace {

TEST(MqttWriteTest, ConnackSaysLessInTheOlderVersion) {
  std::string out;
  ASSERT_TRUE(writeConnack(out, Version::k311, true, Reason::kNotAuthorized, {}));
  EXPECT_EQ(out, bytesOf({0x20, 2, 0, 5})) << "[MQTT-3.2.2-6]";
  out.clear();
  PropertyWriter properties;
  properties.u16(PropertyId::kReceiveMaximum, 20);
  ASSERT_TRUE(writeConnack(out, Version::k5, true, Reason::kSuccess, properties));
  EXPECT_EQ(out, bytesOf({0x20, 6, 1, 0, 3, 0x21, 0, 20}));
}

TEST(MqttWriteTest, APublishReadsBackAsItWasWritten) {
  PropertyWriter properties;
  properties.u32(PropertyId::kMessageExpiry, 70'000);
  properties.user("name", "value");
  PublishHead head;
  head.topic = "a/b";
  head.qos = Qos::k2;
  head.retain = head.dup = true;
  head.packet_id = 513;
  const std::string payload(300, 'p');
  head.payload_bytes = payload.size();
  for (const Version version : {Version::k311, Version::k5}) {
    std::string out;
    ASSERT_TRUE(writePublishHead(out, version, head, properties));
    out += payload;
    EXPECT_EQ(out.size(), publishBytes(version, head, properties));
    Publish back;
    Fault fault;
    ASSERT_TRUE(parsePublish(frameFrom(out), version, back, fault)) << fault.what;
    EXPECT_EQ(back.topic, "a/b");
    EXPECT_EQ(back.qos, Qos::k2);
    EXPECT_TRUE(back.retain && back.dup);
    EXPECT_EQ(back.packet_id, 513);
    EXPECT_EQ(back.payload, payload);
    EXPECT_EQ(back.properties.message_expiry_s.value_or(0), version == Version::k5 ? 70'000u : 0u);
    EXPECT_EQ(back.properties.user_properties, version == Version::k5 ? 1u : 0u);
  }
}

TEST(MqttWriteTest, AcknowledgementsAreAsShortAsTheyCanBe) {
  std::string out;
  ASSERT_TRUE(writeAck(out, Version::k5, PacketType::kPuback, 7, Reason::kSuccess));
  EXPECT_EQ(out, bytesOf({0x40, 2, 0, 7}));
  out.clear();
  ASSERT_TRUE(writeAck(out, Version::k5, PacketType::kPubrel, 7, Reason::kPacketIdNotFound));
  EXPECT_EQ(out, bytesOf({0x62, 3, 0, 7, 0x92}));
  out.clear();
  ASSERT_TRUE(writeAck(out, Version::k5, PacketType::kPuback, 7, Reason::kNotAuthorized, "no"));
  Ack back;
  Fault fault;
  ASSERT_TRUE(parseAck(frameFrom(out), Version::k5, back, fault)) << fault.what;
  EXPECT_EQ(back.reason, Reason::kNotAuthorized);
  EXPECT_EQ(*back.properties.reason_string, "no");
  out.clear();
  ASSERT_TRUE(writeAck(out, Version::k311, PacketType::kPuback, 7, Reason::kNotAuthorized, "no"));
  EXPECT_EQ(out, bytesOf({0x40, 2, 0, 7}));
}

TEST(MqttWriteTest, SubackTellsEachFilter) {
  const std::array reasons{Reason::kGrantedQos1, Reason::kNotAuthorized};
  std::string out;
  writeSubscribed(out, Version::k5, PacketType::kSuback, 3, reasons);
  EXPECT_EQ(out, bytesOf({0x90, 5, 0, 3, 0, 1, 0x87}));
  out.clear();
  writeSubscribed(out, Version::k311, PacketType::kSuback, 3, reasons);
  EXPECT_EQ(out, bytesOf({0x90, 4, 0, 3, 1, 0x80}));
  out.clear();
  writeSubscribed(out, Version::k311, PacketType::kUnsuback, 3, reasons);
  EXPECT_EQ(out, bytesOf({0xb0, 2, 0, 3}));
}

TEST(MqttWriteTest, OnlyVersion5IsToldWhyItEnds) {
  std::string out;
  ASSERT_TRUE(writeDisconnect(out, Version::k311, Reason::kSessionTakenOver, {}));
  EXPECT_EQ(out, "");
  ASSERT_TRUE(writeDisconnect(out, Version::k5, Reason::kSessionTakenOver, {}));
  EXPECT_EQ(out, bytesOf({0xe0, 1, 0x8e}));
}

TEST(MqttWriteTest, LengthsTakeAsManyBytesAsTheyNeed) {
  const std::pair<std::uint32_t, std::string> cases[] = {
      {0, bytesOf({0})},
      {127, bytesOf({0x7f})},
      {128, bytesOf({0x80, 1})},
      {16'383, bytesOf({0xff, 0x7f})},
      {16'384, bytesOf({0x80, 0x80, 1})},
      {268'435'455, bytesOf({0xff, 0xff, 0xff, 0x7f})}};
  for (const auto& [value, bytes] : cases) {
    std::string out;
    appendVariable(out, value);
    EXPECT_EQ(out, bytes) << value;
  }
}

TEST(MqttWriteTest, ATextThatNoPacketCanSayIsNotWritten) {
  const std::string longest(kTextBytesMax, 't');
  const std::string longer = longest + 't';
  std::string out;
  PublishHead head;
  head.topic = longest;
  ASSERT_TRUE(writePublishHead(out, Version::k311, head, {}));
  Publish back;
  Fault fault;
  ASSERT_TRUE(parsePublish(frameFrom(out), Version::k311, back, fault)) << fault.what;
  EXPECT_EQ(back.topic, longest);
  out.clear();
  head.topic = longer;
  EXPECT_FALSE(writePublishHead(out, Version::k311, head, {}));
  EXPECT_FALSE(writeAck(out, Version::k5, PacketType::kPuback, 7, Reason::kSuccess, longer));
  head.topic = "a";
  for (const bool as_value : {false, true}) {
    PropertyWriter properties;
    properties.user(longest, longest);
    EXPECT_TRUE(properties.fits());
    const std::string before = properties.bytes();
    properties.user(as_value ? "name" : longer, as_value ? longer : "value");
    EXPECT_FALSE(properties.fits());
    EXPECT_EQ(properties.bytes(), before) << "nothing of it";
    EXPECT_FALSE(writePublishHead(out, Version::k5, head, properties));
    EXPECT_FALSE(writeConnack(out, Version::k5, false, Reason::kSuccess, properties));
    EXPECT_FALSE(writeDisconnect(out, Version::k5, Reason::kSuccess, properties));
    EXPECT_FALSE(writeAuth(out, Reason::kSuccess, properties));
    properties.clear();
    EXPECT_TRUE(properties.fits());
  }
  EXPECT_EQ(out, "");
}

TEST(MqttWriteTest, APacketThatIsTooLongIsNotWritten) {
  std::string out;
  PublishHead head;
  head.topic = "a";
  head.payload_bytes = kPacketBodyMax - 3;
  EXPECT_TRUE(writePublishHead(out, Version::k311, head, {}));
  out.clear();
  ++head.payload_bytes;
  EXPECT_FALSE(writePublishHead(out, Version::k311, head, {}));
  EXPECT_EQ(out, "");
}

}  // namespace
}  // namespace kante::mqtt
