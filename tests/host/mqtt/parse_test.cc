#include "host/mqtt/parse.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/host/mqtt/packet_bytes.h"

namespace kante::mqtt {
namespace {

std::string connectBody(Version version, unsigned flags, const std::string& rest,
                        const std::string& props = "") {
  std::string body = text("MQTT") + bytesOf({static_cast<unsigned>(version), flags, 0, 60});
  if (version == Version::k5) body += properties(props);
  return body + rest;
}

Fault refusedConnect(const std::string& body) {
  const std::string bytes = packet(0x10, body);
  Connect out;
  Fault fault{Reason::kSuccess, ""};
  EXPECT_FALSE(parseConnect(frameFrom(bytes), out, fault)) << fault.what;
  return fault;
}

Fault refusedPublish(unsigned first, const std::string& body, Version version = Version::k5) {
  const std::string bytes = packet(first, body);
  Publish out;
  Fault fault{Reason::kSuccess, ""};
  EXPECT_FALSE(parsePublish(frameFrom(bytes), version, out, fault));
  return fault;
}

Fault refusedSubscribe(const std::string& body, Version version = Version::k5) {
  const std::string bytes = packet(0x82, body);
  Subscribe out;
  Fault fault{Reason::kSuccess, ""};
  EXPECT_FALSE(parseSubscribe(frameFrom(bytes), version, out, fault));
  return fault;
}

// ---- frames

TEST(MqttFrameTest, WaitsForMoreUntilAPacketIsWhole) {
  const std::string bytes = packet(0x10, std::string(20, 'x'));
  Frame frame;
  Fault fault;
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_EQ(frameOf({bytes.data(), n}, 100, frame, fault), Framing::kMore) << n;
  ASSERT_EQ(frameOf(bytes + "more", 100, frame, fault), Framing::kPacket);
  EXPECT_EQ(frame.size, bytes.size());
  EXPECT_EQ(frame.body.size(), 20u);
}

TEST(MqttFrameTest, SaysHowMuchItWaitsFor) {
  Frame frame;
  Fault fault;
  EXPECT_EQ(frameOf(bytesOf({0x30, 0x80, 0x01}), 1000, frame, fault), Framing::kMore);
  EXPECT_EQ(frame.size, 3u + 128);
}

TEST(MqttFrameTest, RefusesWhatCannotBeFollowed) {
  Frame frame;
  const auto refused = [&](const std::string& bytes) {
    Fault fault{Reason::kSuccess, ""};
    EXPECT_EQ(frameOf(bytes, 1000, frame, fault), Framing::kRefused);
    return fault.reason;
  };
  EXPECT_EQ(refused(bytesOf({0x00, 0})), Reason::kMalformedPacket);
  EXPECT_EQ(refused(bytesOf({0x11, 0})), Reason::kMalformedPacket) << "[MQTT-2.1.3-1]";
  EXPECT_EQ(refused(bytesOf({0x80, 0})), Reason::kMalformedPacket) << "[MQTT-3.8.1-1]";
  EXPECT_EQ(refused(bytesOf({0x60, 0})), Reason::kMalformedPacket) << "[MQTT-3.6.1-1]";
  EXPECT_EQ(refused(bytesOf({0x30, 0xff, 0xff, 0xff, 0xff, 1})), Reason::kMalformedPacket);
  EXPECT_EQ(refused(bytesOf({0x30, 0x80, 0x00})), Reason::kMalformedPacket) << "[MQTT-1.5.5-1]";
  EXPECT_EQ(refused(bytesOf({0x30, 0xff, 0x7f})), Reason::kPacketTooLarge)
      << "before its body has come";
}

// ---- CONNECT

TEST(MqttConnectTest, ReadsBothVersions) {
  const std::string old =
      packet(0x10, connectBody(Version::k311, 0xc2, text("id") + text("user") + text("secret")));
  Connect out;
  Fault fault;
  ASSERT_TRUE(parseConnect(frameFrom(old), out, fault)) << fault.what;
  EXPECT_EQ(out.version, Version::k311);
  EXPECT_TRUE(out.clean_start);
  EXPECT_EQ(out.keep_alive_s, 60);
  EXPECT_EQ(out.client_id, "id");
  EXPECT_EQ(*out.user_name, "user");
  EXPECT_EQ(*out.password, "secret");
  EXPECT_FALSE(out.will);

  const std::string will = properties(bytesOf({0x18, 0, 0, 0, 5}) + "\x03" + text("text/plain")) +
                           text("gone/a") + text("bye");
  const std::string props =
      bytesOf({0x11, 0, 0, 1, 0, 0x21, 0, 10, 0x27, 0, 1, 0, 0}) + "\x26" + text("k") + text("v");
  const std::string now = packet(0x10, connectBody(Version::k5, 0x2c, text("id") + will, props));
  ASSERT_TRUE(parseConnect(frameFrom(now), out, fault)) << fault.what;
  EXPECT_EQ(out.version, Version::k5);
  EXPECT_EQ(out.properties.session_expiry_s, 256u);
  EXPECT_EQ(out.properties.receive_maximum, 10);
  EXPECT_EQ(out.properties.maximum_packet_size, 65'536u);
  ASSERT_TRUE(out.will);
  EXPECT_EQ(out.will->topic, "gone/a");
  EXPECT_EQ(out.will->payload, "bye");
  EXPECT_EQ(out.will->qos, Qos::k1);
  EXPECT_TRUE(out.will->retain);
  EXPECT_EQ(out.will->properties.will_delay_s, 5u);
  EXPECT_EQ(*out.will->properties.content_type, "text/plain");
  std::string seen;
  out.properties.forEachUserProperty(
      [&](std::string_view name, std::string_view value) { (seen += name) += value; });
  EXPECT_EQ(seen, "kv");
}

TEST(MqttConnectTest, KnowsNoOtherProtocol) {
  EXPECT_EQ(refusedConnect(text("MQIsdp") + bytesOf({3, 2, 0, 60}) + text("id")).reason,
            Reason::kUnsupportedVersion)
      << "[MQTT-3.1.2-1]";
  EXPECT_EQ(refusedConnect(text("MQTT") + bytesOf({6, 2, 0, 60}) + text("id")).reason,
            Reason::kUnsupportedVersion)
      << "[MQTT-3.1.2-2]";
}

TEST(MqttConnectTest, RefusesFlagsThatContradictThemselves) {
  const std::string id = text("id");
  const auto reason = [&](unsigned flags, const std::string& rest, Version version = Version::k5) {
    return refusedConnect(connectBody(version, flags, rest)).reason;
  };
  EXPECT_EQ(reason(0x03, id), Reason::kMalformedPacket) << "[MQTT-3.1.2-3]";
  EXPECT_EQ(reason(0x08, id), Reason::kMalformedPacket) << "[MQTT-3.1.2-11]";
  EXPECT_EQ(reason(0x20, id), Reason::kMalformedPacket) << "[MQTT-3.1.2-13]";
  EXPECT_EQ(reason(0x1c, id + properties("") + text("t") + text("")), Reason::kMalformedPacket)
      << "[MQTT-3.1.2-12]";
  EXPECT_EQ(reason(0x42, id + text("p"), Version::k311), Reason::kMalformedPacket)
      << "[MQTT-3.1.2-22] of 3.1.1";
  EXPECT_EQ(reason(0x02, id + "x"), Reason::kMalformedPacket) << "bytes behind its end";
  EXPECT_EQ(reason(0x82, id), Reason::kMalformedPacket) << "no user name";
  EXPECT_EQ(reason(0x06, id + properties("") + text("a/#") + text("")), Reason::kTopicNameInvalid);
}

TEST(MqttConnectTest, MayHaveAPasswordAloneInVersion5) {
  const std::string bytes =
      packet(0x10, connectBody(Version::k5, 0x42, text("id") + text("token")));
  Connect out;
  Fault fault;
  ASSERT_TRUE(parseConnect(frameFrom(bytes), out, fault)) << fault.what;
  EXPECT_EQ(*out.password, "token");
}

TEST(MqttConnectTest, TakesEachPropertyOnceAndOnlyItsOwn) {
  const auto reason = [&](const std::string& props) {
    return refusedConnect(connectBody(Version::k5, 2, text("id"), props)).reason;
  };
  EXPECT_EQ(reason(bytesOf({0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1})), Reason::kProtocolError);
  EXPECT_EQ(reason(bytesOf({0x21, 0, 0})), Reason::kProtocolError) << "receive maximum 0";
  EXPECT_EQ(reason(bytesOf({0x27, 0, 0, 0, 0})), Reason::kProtocolError) << "packet size 0";
  EXPECT_EQ(reason(bytesOf({0x17, 2})), Reason::kProtocolError);
  EXPECT_EQ(reason(bytesOf({0x01, 1})), Reason::kMalformedPacket) << "one of PUBLISH";
  EXPECT_EQ(reason(bytesOf({0x7e, 1})), Reason::kMalformedPacket) << "one that is none";
  EXPECT_EQ(reason(bytesOf({0x16, 0, 1, 'x'})), Reason::kProtocolError) << "data without a method";
  EXPECT_EQ(reason(bytesOf({0x11, 0, 0})), Reason::kMalformedPacket) << "cut off";
}

TEST(MqttConnectTest, TextIsWellFormedUtf8WithoutNul) {
  for (const std::string& bad :
       {std::string("a\0b", 3), std::string("\xc0\x80"), std::string("\xed\xa0\x80"),
        std::string("\xf4\x90\x80\x80"), std::string("\xe2\x82"), std::string("\xff")}) {
    EXPECT_EQ(refusedConnect(connectBody(Version::k5, 2, text(bad))).reason,
              Reason::kMalformedPacket)
        << "[MQTT-1.5.4-1] [MQTT-1.5.4-2]";
  }
  const std::string good = packet(
      0x10, connectBody(Version::k5, 2, text("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x97\xef\xbb\xbf")));
  Connect out;
  Fault fault;
  EXPECT_TRUE(parseConnect(frameFrom(good), out, fault)) << "[MQTT-1.5.4-3]";
}

// ---- PUBLISH

TEST(MqttPublishTest, ReadsWhatItCarries) {
  const std::string props = properties(bytesOf({0x01, 1, 0x02, 0, 0, 0, 9, 0x23, 0, 7}) + "\x08" +
                                       text("answer/here") + "\x09" + text("c1"));
  const std::string bytes = packet(0x3b, text("a/b") + bytesOf({0, 5}) + props + "payload");
  Publish out;
  Fault fault;
  ASSERT_TRUE(parsePublish(frameFrom(bytes), Version::k5, out, fault)) << fault.what;
  EXPECT_EQ(out.topic, "a/b");
  EXPECT_EQ(out.payload, "payload");
  EXPECT_EQ(out.qos, Qos::k1);
  EXPECT_TRUE(out.dup);
  EXPECT_TRUE(out.retain);
  EXPECT_EQ(out.packet_id, 5);
  EXPECT_TRUE(out.properties.payload_is_text);
  EXPECT_EQ(out.properties.message_expiry_s, 9u);
  EXPECT_EQ(out.properties.topic_alias, 7);
  EXPECT_EQ(*out.properties.response_topic, "answer/here");
  EXPECT_EQ(*out.properties.correlation_data, "c1");

  const std::string old = packet(0x30, text("t") + "x");
  ASSERT_TRUE(parsePublish(frameFrom(old), Version::k311, out, fault)) << fault.what;
  EXPECT_EQ(out.payload, "x");
}

TEST(MqttPublishTest, RefusesWhatNoClientMaySend) {
  const std::string none = properties("");
  EXPECT_EQ(refusedPublish(0x36, text("t") + bytesOf({0, 1}) + none).reason,
            Reason::kMalformedPacket)
      << "[MQTT-3.3.1-4]";
  EXPECT_EQ(refusedPublish(0x38, text("t") + none).reason, Reason::kMalformedPacket)
      << "[MQTT-3.3.1-2]";
  EXPECT_EQ(refusedPublish(0x30, text("a/+") + none).reason, Reason::kTopicNameInvalid)
      << "[MQTT-3.3.2-2]";
  EXPECT_EQ(refusedPublish(0x30, text("") + none).reason, Reason::kProtocolError)
      << "neither topic nor alias";
  EXPECT_EQ(refusedPublish(0x30, text(""), Version::k311).reason, Reason::kMalformedPacket)
      << "[MQTT-4.7.3-1]";
  EXPECT_EQ(refusedPublish(0x32, text("t") + bytesOf({0, 0}) + none).reason, Reason::kProtocolError)
      << "[MQTT-2.2.1-3]";
  EXPECT_EQ(refusedPublish(0x30, text("t") + properties(bytesOf({0x0b, 1}))).reason,
            Reason::kProtocolError)
      << "[MQTT-3.3.4-6]";
  EXPECT_EQ(refusedPublish(0x30, text("t") + properties("\x08" + text("a/#"))).reason,
            Reason::kProtocolError)
      << "[MQTT-3.3.2-14]";
  EXPECT_EQ(refusedPublish(0x30, text("t") + bytesOf({5, 1})).reason, Reason::kMalformedPacket)
      << "properties cut off";
}

// ---- the rest

TEST(MqttSubscribeTest, ReadsFiltersAndOptions) {
  const std::string bytes =
      packet(0x82, bytesOf({0, 9}) + properties(bytesOf({0x0b, 0x80, 0x01})) + text("a/+") +
                       bytesOf({0x2d}) + text("$share/g/#") + bytesOf({0x02}));
  Subscribe out;
  Fault fault;
  ASSERT_TRUE(parseSubscribe(frameFrom(bytes), Version::k5, out, fault)) << fault.what;
  EXPECT_EQ(out.packet_id, 9);
  EXPECT_EQ(out.properties.subscription_id, 128u);
  ASSERT_EQ(out.subscriptions.size(), 2u);
  EXPECT_EQ(out.subscriptions[0].filter, "a/+");
  EXPECT_EQ(out.subscriptions[0].qos, Qos::k1);
  EXPECT_TRUE(out.subscriptions[0].no_local);
  EXPECT_TRUE(out.subscriptions[0].retain_as_published);
  EXPECT_EQ(out.subscriptions[0].retain_handling, RetainHandling::kDoNotSend);
  EXPECT_EQ(out.subscriptions[1].qos, Qos::k2);
}

TEST(MqttSubscribeTest, RefusesWhatNoClientMaySend) {
  const std::string id = bytesOf({0, 9}), none = properties("");
  EXPECT_EQ(refusedSubscribe(id + none).reason, Reason::kProtocolError) << "[MQTT-3.8.3-2]";
  EXPECT_EQ(refusedSubscribe(id + none + text("a") + bytesOf({0x03})).reason,
            Reason::kProtocolError)
      << "QoS 3";
  EXPECT_EQ(refusedSubscribe(id + text("a") + bytesOf({0x03}), Version::k311).reason,
            Reason::kMalformedPacket);
  EXPECT_EQ(refusedSubscribe(id + none + text("a") + bytesOf({0x30})).reason,
            Reason::kProtocolError)
      << "retain handling 3";
  EXPECT_EQ(refusedSubscribe(id + none + text("a") + bytesOf({0x40})).reason,
            Reason::kMalformedPacket)
      << "[MQTT-3.8.3-5]";
  EXPECT_EQ(refusedSubscribe(id + text("a") + bytesOf({0x04}), Version::k311).reason,
            Reason::kMalformedPacket)
      << "no options in 3.1.1";
  EXPECT_EQ(refusedSubscribe(id + none + text("$share/g/a") + bytesOf({0x04})).reason,
            Reason::kProtocolError)
      << "[MQTT-3.8.3-4]";
  EXPECT_EQ(refusedSubscribe(id + properties(bytesOf({0x0b, 0})) + text("a") + bytesOf({0})).reason,
            Reason::kProtocolError)
      << "subscription identifier 0";
  EXPECT_EQ(refusedSubscribe(bytesOf({0, 0}) + none + text("a") + bytesOf({0})).reason,
            Reason::kProtocolError)
      << "[MQTT-2.2.1-3]";
  EXPECT_EQ(refusedSubscribe(id + none + text("") + bytesOf({0})).reason, Reason::kMalformedPacket)
      << "[MQTT-4.7.3-1]";
}

TEST(MqttAckTest, ReadsShortAndLongForms) {
  Ack out;
  Fault fault;
  std::string bytes;  // What `out` points into.
  const auto parse = [&](const std::string& body, Version version) {
    bytes = packet(0x40, body);
    return parseAck(frameFrom(bytes), version, out, fault);
  };
  ASSERT_TRUE(parse(bytesOf({1, 2}), Version::k5));
  EXPECT_EQ(out.packet_id, 258);
  EXPECT_EQ(out.reason, Reason::kSuccess);
  ASSERT_TRUE(parse(bytesOf({1, 2, 0x97}), Version::k5));
  EXPECT_EQ(out.reason, Reason::kQuotaExceeded);
  ASSERT_TRUE(parse(bytesOf({1, 2, 0x80}) + properties("\x1f" + text("why")), Version::k5));
  EXPECT_EQ(*out.properties.reason_string, "why");
  EXPECT_FALSE(parse(bytesOf({1, 2, 0}), Version::k311));
  EXPECT_FALSE(parse(bytesOf({1}), Version::k5));
}

TEST(MqttNoticeTest, ReadsDisconnectAndAuth) {
  Notice out;
  Fault fault;
  const std::string bare = packet(0xe0, ""), with = packet(0xe0, bytesOf({4, 5, 0x11, 0, 0, 0, 9}));
  ASSERT_TRUE(parseDisconnect(frameFrom(bare), Version::k311, out, fault));
  ASSERT_TRUE(parseDisconnect(frameFrom(with), Version::k5, out, fault)) << fault.what;
  EXPECT_EQ(out.reason, Reason::kDisconnectWithWill);
  EXPECT_EQ(out.properties.session_expiry_s, 9u);
  EXPECT_FALSE(parseDisconnect(frameFrom(with), Version::k311, out, fault));
  const std::string wrong = packet(0xf0, bytesOf({0x80}));
  EXPECT_FALSE(parseAuth(frameFrom(wrong), Version::k5, out, fault));
  EXPECT_EQ(fault.reason, Reason::kProtocolError);
}

// Of all 256: those of MQTT 5.0, 3.4.2.1 to 3.7.2.1, 3.14.2.1 (a client's) and 3.15.2.1.
TEST(MqttReasonTest, EachPacketHasItsOwn) {
  const std::set<unsigned> receipt = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
  const std::set<unsigned> release = {0, 0x92};
  const std::set<unsigned> disconnect = {0,    4,    0x80, 0x81, 0x82, 0x83, 0x90,
                                         0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};
  const std::set<unsigned> auth = {0, 0x18, 0x19};
  const std::pair<unsigned, std::set<unsigned>> kinds[] = {{0x40, receipt},    {0x50, receipt},
                                                           {0x62, release},    {0x70, release},
                                                           {0xe0, disconnect}, {0xf0, auth}};
  for (const auto& [first, allowed] : kinds) {
    for (unsigned reason = 0; reason < 256; ++reason) {
      const bool has_id = first < 0xe0;
      const std::string bytes = packet(first, has_id ? bytesOf({1, 2, reason}) : bytesOf({reason}));
      Fault fault;
      Ack ack;
      Notice notice;
      const Frame frame = frameFrom(bytes);
      const bool taken = has_id          ? parseAck(frame, Version::k5, ack, fault)
                         : first == 0xe0 ? parseDisconnect(frame, Version::k5, notice, fault)
                                         : parseAuth(frame, Version::k5, notice, fault);
      EXPECT_EQ(taken, allowed.contains(reason)) << first << ' ' << reason;
      if (!taken) {
        EXPECT_EQ(fault.reason, Reason::kProtocolError);
      }
    }
  }
}

}  // namespace
}  // namespace kante::mqtt
