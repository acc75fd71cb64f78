#include "host/hub/gateways/child_message.h"

#include <gmock/gmock.h>

#include "host/mqtt/properties.h"
#include "host/mqtt/write.h"

namespace kante::hub {
namespace {

using ::testing::HasSubstr;
using Pairs = std::vector<std::pair<std::string, std::string>>;

class ChildMessageTest : public ::testing::Test {
 protected:
  Result<ChildMessage> read(const Pairs& pairs) {
    writer_.clear();
    for (const auto& [name, value] : pairs) writer_.user(name, value);
    mqtt::Publish publish;
    publish.payload = "body";
    mqtt::Fault fault;
    EXPECT_TRUE(mqtt::parseProperties(writer_.bytes(), mqtt::PropertySet::kPublish,
                                      publish.properties, fault));
    return readChildMessage(publish, "leaf", stamp_);
  }
  std::string refused(Pairs more) {
    Pairs pairs = numbered_;
    pairs.insert(pairs.end(), more.begin(), more.end());
    const auto got = read(pairs);
    return got ? "" : got.error().text;
  }

  const Pairs numbered_ = {{"kante-gateway", "leaf"}, {"kante-epoch", "ab01"}, {"kante-seq", "7"}};
  mqtt::PropertyWriter writer_;
  Stamp stamp_{1, 1, 1'000'000'000};
};

TEST_F(ChildMessageTest, IsWhatItWasBelow) {
  Pairs pairs = numbered_;
  pairs.insert(pairs.end(), {{"line", "4"},
                             {"two%0Alines", "a%0Ab"},
                             {"kante-encoded", "two%0Alines"},
                             {"$.mid", "m-1"},
                             {"$.ce", "utf-8"},
                             {"kante-id", "00000000000000010000000000000002"},
                             {"kante-hops", "3"},
                             {"kante-dropped", "0"}});
  const auto got = read(pairs);
  ASSERT_TRUE(got) << got.error().text;
  const MessageView view = got->message.view();
  EXPECT_EQ(view.body(), "body");
  EXPECT_EQ(view.property("line"), "4");
  EXPECT_EQ(view.property("two\nlines"), "a\nb");
  EXPECT_EQ(view.systemProperty("messageId"), "m-1");
  EXPECT_EQ(view.contentEncoding(), "utf-8");
  EXPECT_EQ(view.propertyCount(), 2u);
  EXPECT_EQ(formatId(view.id()), "00000000000000010000000000000002");
  EXPECT_EQ(got->number, 7u);
  EXPECT_EQ(got->epoch, "ab01");
  EXPECT_EQ(got->hops, 3);
  EXPECT_EQ(got->origin_gateway + " " + got->origin_epoch, "leaf ab01");
  EXPECT_EQ(got->origin_number, 7u);
}

TEST_F(ChildMessageTest, KeepsTheOriginOfWhatCameFromFurtherBelow) {
  Pairs pairs = numbered_;
  pairs.insert(
      pairs.end(),
      {{"kante-origin-gateway", "deep"}, {"kante-origin-epoch", "cd"}, {"kante-origin-seq", "41"}});
  const auto got = read(pairs);
  ASSERT_TRUE(got) << got.error().text;
  EXPECT_EQ(got->origin_gateway + " " + got->origin_epoch, "deep cd");
  EXPECT_EQ(got->origin_number, 41u);
  EXPECT_EQ(got->number, 7u);
}

TEST_F(ChildMessageTest, RefusesWhatNoUplinkWrites) {
  EXPECT_THAT(read({}).error().text, HasSubstr("kante-seq"));
  EXPECT_THAT(refused({{"kante-gateway", "other"}}), HasSubstr("of leaf"));
  EXPECT_THAT(refused({{"kante-seq", "x"}}), HasSubstr("kante-seq"));
  EXPECT_THAT(refused({{"kante-seq", "0"}}), HasSubstr("kante-seq"));
  EXPECT_THAT(refused({{"kante-epoch", "a b"}}), HasSubstr("kante-epoch"));
  EXPECT_THAT(refused({{"kante-origin-seq", "4"}}), HasSubstr("a part of an origin"));
  EXPECT_THAT(refused({{"kante-id", "12"}}), HasSubstr("kante-id"));
  EXPECT_THAT(refused({{"kante-count", "2"}}), HasSubstr("packed"));
  EXPECT_THAT(refused({{"$.ctime", "yesterday"}}), HasSubstr("$.ctime"));
  EXPECT_THAT(refused({{"kante%2Dseq", "9"}, {"kante-encoded", "kante%2Dseq"}}),
              HasSubstr("kante-encoded"));
  Pairs many(200, {"a", "b"});
  EXPECT_THAT(refused(many), HasSubstr("too many"));
}

}  // namespace
}  // namespace kante::hub
