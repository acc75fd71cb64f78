#include "host/hub/iothub/contract_topic.h"

#include <gtest/gtest.h>

namespace kante::hub {
namespace {

using Kind = ContractTopic::Kind;

TEST(ContractTopics, EventsNameTheirSenderAndBringABag) {
  for (const char* plain : {"devices/d/messages/events", "devices/d/messages/events/"}) {
    const auto topic = parseContractTopic(plain);
    EXPECT_EQ(topic.kind, Kind::kEvents);
    EXPECT_EQ(topic.device, "d");
    EXPECT_EQ(topic.module, "");
    EXPECT_EQ(topic.bag, "");
    EXPECT_EQ(topic.address, "devices/d/messages/events");
  }
  const auto module = parseContractTopic("devices/d/modules/m/messages/events/a=1/rest");
  EXPECT_EQ(module.kind, Kind::kEvents);
  EXPECT_EQ(module.module, "m");
  EXPECT_EQ(module.bag, "a=1");
  EXPECT_EQ(module.address, "devices/d/modules/m/messages/events");
}

TEST(ContractTopics, QuestionsHaveARequestId) {
  const auto get = parseContractTopic("$iothub/twin/GET/?$rid=6f-X");
  EXPECT_EQ(get.kind, Kind::kTwinGet);
  EXPECT_EQ(get.rid, "6f-X");
  const auto report =
      parseContractTopic("$iothub/twin/PATCH/properties/reported/?$rid=7&$version=3");
  EXPECT_EQ(report.kind, Kind::kReported);
  EXPECT_EQ(report.rid, "7");
  EXPECT_EQ(parseContractTopic("$iothub/twin/PATCH/properties/reported/?").rid, "");
  const auto answer = parseContractTopic("$iothub/methods/res/-5/?$rid=ab");
  EXPECT_EQ(answer.kind, Kind::kMethodAnswer);
  EXPECT_EQ(answer.status, -5);
  EXPECT_EQ(answer.rid, "ab");
}

TEST(ContractTopics, OthersOfTheHubsOwnAreUnknown) {
  for (const char* wrong : {"$iothub/", "$iothub/twin/GET", "$iothub/twin/GET/",
                            "$iothub/twin/GET/x/?$rid=1", "$iothub/twin/get/?$rid=1",
                            "$iothub/methods/res/ok/?$rid=1", "$iothub/methods/res//?$rid=1",
                            "$iothub/methods/res/200?$rid=1", "$iothub/methods/POST/x/?$rid=1"})
    EXPECT_EQ(parseContractTopic(wrong).kind, Kind::kUnknown) << wrong;
  for (const char* plain : {"", "a", "devices", "devices/", "devices//messages/events",
                            "devices/d/messages", "devices/d/messages/devicebound/",
                            "devices/d/modules//messages/events", "devices/d/modules/m/inputs/in/"})
    EXPECT_EQ(parseContractTopic(plain).kind, Kind::kNone) << plain;
}

TEST(ContractTopics, FiltersSayWhatAClientHearsOf) {
  EXPECT_EQ(interestsOf("$iothub/twin/res/#"), kTwinAnswers);
  EXPECT_EQ(interestsOf("$iothub/twin/PATCH/properties/desired/#"), kDesiredPatches);
  EXPECT_EQ(interestsOf("$iothub/methods/POST/#"), kMethodCalls);
  EXPECT_EQ(interestsOf("$iothub/#"), kTwinAnswers | kDesiredPatches | kMethodCalls);
  EXPECT_EQ(interestsOf("devices/d/messages/devicebound/#"), kCloudMessages);
  EXPECT_EQ(interestsOf("devices/d/#"), kCloudMessages);
  EXPECT_EQ(interestsOf("devices/d/modules/m/#"), 0);
  EXPECT_EQ(interestsOf("#"), 0);
}

TEST(ContractTopics, AreWrittenAsSdksReadThem) {
  EXPECT_EQ(twinAnswerTopic(200, "r"), "$iothub/twin/res/200/?$rid=r");
  EXPECT_EQ(desiredPatchTopic(5), "$iothub/twin/PATCH/properties/desired/?$version=5");
  EXPECT_EQ(methodTopic("reset", "r"), "$iothub/methods/POST/reset/?$rid=r");
  EXPECT_EQ(methodTopic("a/b c", "r"), "$iothub/methods/POST/a%2Fb%20c/?$rid=r");
  EXPECT_EQ(deviceboundTopic("d"), "devices/d/messages/devicebound/");
  EXPECT_EQ(inputTopic("e", "m", "in"), "devices/e/modules/m/inputs/in/");
}

}  // namespace
}  // namespace kante::hub
