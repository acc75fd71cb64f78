#include "host/hub/iothub/property_bag.h"

#include <gmock/gmock.h>

#include "host/hub/iothub/device_message.h"
#include "host/hub/iothub/iso_time.h"
#include "host/message/hop.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

DeviceMessage read(std::string_view bag) {
  DeviceMessage out;
  const Status status = readBag(bag, out);
  EXPECT_TRUE(status) << bag << ": " << status.error().text;
  return out;
}

TEST(PropertyBag, SaysPropertiesAndSystemProperties) {
  const auto out = read(
      "%24.on=ok&$.ct=application%2Fjson&%24.ce=utf-8&site=m%C3%BCnchen&a=&b&$.mid=m-1&$.cid=c&"
      "$.uid=u&$.to=%2Fx&$.schema=s&$.sub=d&$.ifid=i&ack=full&iothub-operation=o&"
      "$.exp=2026-01-31T12:00:00Z&$.ctime=2026-01-31T11:00:00.5Z");
  EXPECT_EQ(out.output, "ok");
  EXPECT_EQ(out.content_type, "application/json");
  EXPECT_EQ(out.content_encoding, "utf-8");
  EXPECT_THAT(out.properties, ElementsAre(Pair("site", "münchen"), Pair("a", ""), Pair("b", "")));
  EXPECT_THAT(
      out.system,
      ElementsAre(Pair("messageId", "m-1"), Pair("cid", "c"), Pair("userId", "u"), Pair("to", "/x"),
                  Pair("messageSchema", "s"), Pair("dt-subject", "d"),
                  Pair("iothub-interface-id", "i"), Pair("ack", "full"), Pair("operation", "o")));
  EXPECT_EQ(out.expiry_ns - out.created_ns, 3'599'500'000'000);
}

TEST(PropertyBag, NobodySaysWhoSentIt) {
  const auto out = read("$.cdid=other&$.cmid=m&$.unknown=x&a=1");
  EXPECT_THAT(out.properties, ElementsAre(Pair("a", "1")));
  EXPECT_THAT(out.system, IsEmpty());
}

TEST(PropertyBag, MayBeginWithAQuestionMarkOrBeEmpty) {
  EXPECT_THAT(read("?a=1").properties, ElementsAre(Pair("a", "1")));
  EXPECT_THAT(read("").properties, IsEmpty());
  EXPECT_THAT(read("?").properties, IsEmpty());
}

TEST(PropertyBag, WhatIsNoneIsRefusedByThePair) {
  for (const char* bad :
       {"&a=1", "=1", "a=1=2", "a=1&", "a=1&&b=2", "a=%zz", "a=%ff", "$.exp=soon"}) {
    DeviceMessage out;
    EXPECT_FALSE(readBag(bad, out)) << bad;
  }
  DeviceMessage out;
  EXPECT_THAT(readBag("ok=1&a=1=2", out).error().text, HasSubstr("\"a=1=2\""));
}

TEST(PropertyBag, IsReadAsItWasWritten) {
  DeviceMessage said;
  said.content_type = "text/plain";
  said.properties = {{"a b/&=", "ä+c"}, {"empty", ""}};
  said.system = {{"messageId", "7"}};
  said.created_ns = 1'769'857'200'000'000'000;
  Stamp stamp;
  const MessageRef message = *messageOf(said, "x", stamp);
  Source source;
  source.connection_device_id = "e1";
  source.connection_module_id = "A";
  std::string bag;
  writeBag(message.view(), &source, bag);
  EXPECT_EQ(bag,
            "a%20b%2F%26%3D=%C3%A4%2Bc&empty=&%24.mid=7&%24.ct=text%2Fplain&"
            "%24.ctime=2026-01-31T11%3A00%3A00.000Z&%24.cdid=e1&%24.cmid=A");
  const auto again = read(bag);
  EXPECT_EQ(again.properties, said.properties);
  EXPECT_EQ(again.system, said.system);
  EXPECT_EQ(again.created_ns, said.created_ns);
}

TEST(DeviceMessages, BreakNoRule) {
  Stamp stamp;
  DeviceMessage said;
  said.properties = {{"kante-seq", "1"}};
  EXPECT_EQ(messageOf(said, "", stamp).error().code, Errc::kDenied);
  said.properties = {{"a", "1"}};
  EXPECT_TRUE(messageOf(said, std::string(DeviceMessage::kBytesMax - 2, 'x'), stamp));
  EXPECT_EQ(messageOf(said, std::string(DeviceMessage::kBytesMax - 1, 'x'), stamp).error().code,
            Errc::kLimit);
  said.properties.assign(65, {"a", "1"});
  EXPECT_EQ(messageOf(said, "", stamp).error().code, Errc::kInvalid);
}

TEST(IsoTime, IsReadAsSdksWriteIt) {
  EXPECT_EQ(parseIsoTime("1970-01-01T00:00:01Z"), 1'000'000'000);
  EXPECT_EQ(parseIsoTime("1970-01-01T00:00:01"), 1'000'000'000);
  EXPECT_EQ(parseIsoTime("1970-01-01T01:00:00.1234567+01:00"), 123'456'700);
  EXPECT_EQ(parseIsoTime("1970-01-01T00:00:00-00:30"), 1'800'000'000'000);
  for (const char* bad :
       {"", "1970-01-01", "1970-13-01T00:00:00Z", "1970-02-30T00:00:00Z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx", "1969-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z", "1970-01-01T00:00:00+99:99"})
    EXPECT_FALSE(parseIsoTime(bad)) << bad;
}

}  // namespace
}  // namespace kante::hub
