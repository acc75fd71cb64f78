#include "host/hub/gateways/gateway_topic.h"

#include <gtest/gtest.h>

namespace kante::hub {
namespace {

using Kind = GatewayTopic::Kind;

Kind kindOf(std::string_view rest) {
  return parseGatewayTopic("kante/v1/leaf/" + std::string(rest), "leaf").kind;
}

TEST(GatewayTopicTest, KnowsWhatAGatewaySays) {
  EXPECT_EQ(kindOf("telemetry/device/a"), Kind::kTelemetry);
  EXPECT_EQ(kindOf("state"), Kind::kState);
  EXPECT_EQ(kindOf("lost"), Kind::kLost);
  EXPECT_EQ(kindOf("deployment/reported"), Kind::kDeployment);
  EXPECT_EQ(kindOf("twin/device/a/reported"), Kind::kReported);
  EXPECT_EQ(kindOf("methods/response/r"), Kind::kMethod);
  EXPECT_EQ(kindOf("c2d/response/m"), Kind::kCloud);
  EXPECT_EQ(parseGatewayTopic("kante/v1/leaf/twin/device/a/reported", "leaf").rest, "device/a");
  EXPECT_EQ(parseGatewayTopic("kante/v1/leaf/methods/response/r%2F1", "leaf").rest, "r%2F1");
}

TEST(GatewayTopicTest, WhatGoesDownOrIsNothingIsUnknown) {
  for (const char* rest :
       {"twin/device/a/desired", "methods/device/a/reset/r", "c2d/device/a/m", "deployment/set",
        "telemetry/", "twin/reported", "methods/response/", "methods/response/a/b", "states", ""})
    EXPECT_EQ(kindOf(rest), Kind::kUnknown) << rest;
  EXPECT_EQ(parseGatewayTopic("kante/v1/other/state", "leaf").kind, Kind::kNone);
  EXPECT_EQ(parseGatewayTopic("kante/v1/leafy/state", "leaf").kind, Kind::kNone);
  EXPECT_EQ(parseGatewayTopic("factory/temp", "leaf").kind, Kind::kNone);
}

TEST(GatewayTopicTest, NamesSendersAsTheOneAboveDoes) {
  const auto said = [](const char* source) {
    const auto by = saidBy(source, "leaf");
    return by ? by->principal + " " + by->output : "none";
  };
  EXPECT_EQ(said("module/filter/alert"), "gateway/leaf/module/filter alert");
  EXPECT_EQ(said("module/filter"), "gateway/leaf/module/filter ");
  EXPECT_EQ(said("device/car%207"), "device/car 7 ");
  EXPECT_EQ(said("device/car/module/vision"), "device/car/module/vision ");
  EXPECT_EQ(said("device/car/module/vision/out"), "device/car/module/vision out");
  EXPECT_EQ(said("gateway/below/module/m/out"), "gateway/below/module/m out");
  EXPECT_EQ(said("anonymous"), "gateway/leaf ");
  for (const char* wrong : {"device/", "device/a%2Fb", "device/%zz", "device/%00", "device/a%2B"})
    EXPECT_EQ(said(wrong), "none") << wrong;
}

TEST(GatewayTopicTest, NamesGoUpAndComeDownAgain) {
  for (const char* name : {"gateway", "module/filter", "device/a", "device/a/module/m",
                           "gateway/below/module/m", "gateway/below"})
    EXPECT_EQ(nameBelow(nameAbove(name, "leaf"), "leaf"), name);
  EXPECT_EQ(nameAbove("gateway", "leaf"), "gateway/leaf");
  EXPECT_TRUE(isOf("gateway/leaf/module/m", "leaf"));
  EXPECT_TRUE(isOf("gateway/leaf", "leaf"));
  EXPECT_FALSE(isOf("gateway/leafy", "leaf"));
  EXPECT_EQ(placeOf("device/a/module/m"), "device/a");
  EXPECT_EQ(placeOf("gateway/leaf/module/m"), "gateway/leaf");
  EXPECT_EQ(placeOf("module/m"), "");
}

TEST(GatewayTopicTest, KnowsWhatASubscriptionIsFor) {
  EXPECT_EQ(gatewayInterestsOf("kante/v1/leaf/twin/+/+/desired"), kTwinsBelow);
  EXPECT_EQ(gatewayInterestsOf("kante/v1/leaf/methods/+/+/+/+"), kMethodsBelow);
  EXPECT_EQ(gatewayInterestsOf("kante/v1/leaf/c2d/+/+/+"), kCloudBelow);
  EXPECT_EQ(gatewayInterestsOf("kante/v1/leaf/deployment/set"), 0);
  EXPECT_EQ(gatewayInterestsOf("factory/#"), 0);
}

}  // namespace
}  // namespace kante::hub
