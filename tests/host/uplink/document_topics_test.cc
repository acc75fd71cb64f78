#include "host/uplink/document_topics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kante {
namespace {

using For = ArrivedDocument::For;
using testing::Contains;
using testing::Not;
using testing::SizeIs;

TEST(DocumentTopicsTest, EachTopicSaysWhatComesOnIt) {
  const auto set = parseDocumentTopic("deployment/set");
  ASSERT_TRUE(set.has_value());
  EXPECT_EQ(set->use, For::kDeployment);
  EXPECT_EQ(set->source, "deployment/set");
  EXPECT_EQ(parseDocumentTopic("deployment/patch")->use, For::kPatch);
  EXPECT_EQ(parseDocumentTopic("deployment/trust")->use, For::kTrust);
  EXPECT_EQ(parseDocumentTopic("deployment/secrets")->use, For::kSecrets);
  const auto layer = parseDocumentTopic("deployment/layer/muc%2D1");
  ASSERT_TRUE(layer.has_value());
  EXPECT_EQ(layer->use, For::kLayer);
  EXPECT_EQ(layer->name, "muc-1");
  const auto desired = parseDocumentTopic("twin/device/a%20b/desired");
  ASSERT_TRUE(desired.has_value());
  EXPECT_EQ(desired->use, For::kDesired);
  EXPECT_EQ(desired->name, "device/a b");
  const auto command = parseDocumentTopic("methods/module/filter/reset/42");
  ASSERT_TRUE(command.has_value());
  EXPECT_EQ(command->use, For::kCommand);
  EXPECT_EQ(command->name, "module/filter/reset");
  EXPECT_EQ(command->source, "methods/module/filter/reset");
  EXPECT_EQ(command->request_id, "42");
  const auto own = parseDocumentTopic("methods/gateway/ping/42");
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(own->name, "gateway/ping");
}

TEST(DocumentTopicsTest, OtherTopicsAreNotOurs) {
  for (const char* topic : {"", "deployment", "deployment/", "deployment/reported",
                            "deployment/layer/", "deployment/layer/a/b", "deployment/layer/%2e%2e",
                            "deployment/set/x", "twin/filter/desired", "methods/module/filter/1"})
    EXPECT_TRUE(parseDocumentTopic(topic).has_error()) << topic;
}

TEST(DocumentTopicsTest, TwinsAndMethodsComeSignedUnlessTheBrokerIsTrusted) {
  EXPECT_THAT(documentFilters(CommandTrust::kSigned), Contains("methods/+/+/+/+"));
  EXPECT_THAT(documentFilters(CommandTrust::kBroker), SizeIs(5));
  EXPECT_THAT(documentFilters(CommandTrust::kBroker), Not(Contains("methods/+/+/+/+")));
}

TEST(DocumentRoom, IsFullByBytesAndThenByNumber) {
  DocumentRoom room;
  ArrivedDocument large, dropped;
  large.file.assign(DocumentRoom::kBytesMax, 'x');
  ArrivedDocument small;
  small.file = "x";
  EXPECT_EQ(room.admit(large), DocumentRoom::Admission::kWhole);
  for (std::size_t i = 0; i < DocumentRoom::kDroppedMax; ++i)
    EXPECT_EQ(room.admit(small), DocumentRoom::Admission::kWithoutFile);
  EXPECT_EQ(room.admit(small), DocumentRoom::Admission::kNo);
  EXPECT_EQ(room.dropped(), DocumentRoom::kDroppedMax + 1);
  room.arrived(dropped);
  EXPECT_EQ(room.admit(small), DocumentRoom::Admission::kWithoutFile);
  room.arrived(large);
  EXPECT_EQ(room.admit(large), DocumentRoom::Admission::kWhole);
}

}  // namespace
}  // namespace kante
