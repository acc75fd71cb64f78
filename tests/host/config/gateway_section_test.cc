#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/config/config.h"

namespace kante {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kFile[] = R"([gateway]
id = "edge-1"
[uplink]
kind = "mqtt"
url = "mqtts://broker:8883"
ca = "ca.pem"
window = 32
[hub.mqtt]
listen = ["127.0.0.1:1883"]
)";

Config file() { return parseConfig(kFile, "/etc/kante/gateway.toml").value(); }
std::string refused(std::string_view patch) {
  const auto merged = withGatewaySection(file(), patch);
  EXPECT_FALSE(merged) << patch;
  return merged ? std::string() : merged.error().text;
}

TEST(GatewaySectionTest, APatchChangesWhatItNamesAndNothingElse) {
  const auto merged = withGatewaySection(
      file(),
      R"({"uplink":{"url":"mqtts://other:8883","window":null},"hub":{"mqtt":{"anonymous":true}},)"
      R"("store":{"sync":"interval"},"log":{"level":"debug"}})");
  ASSERT_TRUE(merged) << merged.error().text;
  EXPECT_EQ(merged->uplink.url, "mqtts://other:8883");
  EXPECT_EQ(merged->uplink.ca, "/etc/kante/ca.pem") << "paths of the file are as they were";
  EXPECT_EQ(merged->uplink.window, 64u) << "null is the default";
  EXPECT_TRUE(merged->hub.mqtt.anonymous);
  EXPECT_EQ(merged->hub.mqtt.listen.size(), 1u);
  EXPECT_EQ(merged->store.sync, StoreSync::kInterval);
  EXPECT_EQ(merged->log.level, LogLevel::kDebug);
  EXPECT_EQ(merged->gateway.id, "edge-1");
  EXPECT_THAT(merged->shown, HasSubstr("mqtts://other:8883"));
  const auto again = withGatewaySection(*merged, "{}");
  EXPECT_EQ(again->uplink.url, "mqtts://broker:8883") << "over the file, not over each other";
}

TEST(GatewaySectionTest, WhatTheFileAloneMaySayIsRefused) {
  for (const char* section : {"trust", "gateway", "api", "runtime", "sandbox", "fetch"})
    EXPECT_THAT(refused("{\"" + std::string(section) + "\":{}}"),
                StartsWith("/gateway/" + std::string(section) + ": only the configuration file"));
  for (const char* key : {"ca", "cert", "key", "password_file"})
    EXPECT_THAT(
        refused("{\"uplink\":{\"" + std::string(key) + "\":\"/x\"}}"),
        StartsWith("/gateway/uplink/" + std::string(key) + ": only the configuration file"));
  EXPECT_THAT(refused(R"({"hub":{"tls":{"cert":"/x"}}})"), StartsWith("/gateway/hub/tls: only"));
}

TEST(GatewaySectionTest, WhatIsWrongIsNamedByItsPointer) {
  EXPECT_THAT(refused(R"({"uplnk":{}})"), HasSubstr("did you mean \"uplink\"?"));
  EXPECT_THAT(refused(R"({"uplink":{"windw":1}})"),
              StartsWith("/gateway/uplink/windw: unknown key"));
  EXPECT_THAT(refused(R"({"uplink":{"window":0}})"),
              StartsWith("/gateway/uplink/window: 0 is not"));
  EXPECT_THAT(refused(R"({"uplink":{"window":1.5}})"), StartsWith("/gateway/uplink/window: "));
  EXPECT_THAT(refused(R"({"hub":{"mqtt":{"anonymous":1}}})"),
              StartsWith("/gateway/hub/mqtt/anonymous: expected"));
  EXPECT_THAT(refused(R"({"uplink":{"url":"mqtt://far:1883"}})"),
              StartsWith("/gateway/uplink/url: "));
  EXPECT_THAT(refused(R"({"log":{"level":"loud"}})"), StartsWith("/gateway/log/level: "));
  EXPECT_THAT(refused(R"({"store":5})"), StartsWith("/gateway/store: expected an object"));
  EXPECT_THAT(refused(R"({"store":null})"), StartsWith("/gateway/store: a section cannot"));
}

}  // namespace
}  // namespace kante
