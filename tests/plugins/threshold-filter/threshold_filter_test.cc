#include "tests/plugins/placed_module.h"

namespace {

using kante::Draft;
using kante::PlacedModule;
using kante::json::Value;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Draft reading(double value, const std::string& device = "a") {
  return Draft::json({{"value", value}, {"device", device}}).property("deviceId", device);
}

// The `alert` property of every alert since the last call.
std::vector<std::string> alerts(kante::TestModule& host) {
  std::vector<std::string> out;
  for (const auto& message : host.take("alert")) out.emplace_back(message.property("alert"));
  return out;
}

using ThresholdFilterTest = kante::PlacedTest;
KANTE_IN_EVERY_PLACEMENT(ThresholdFilterTest);

TEST_P(ThresholdFilterTest, AlertsFromTheThresholdToTheEndOfTheHysteresis) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"}, {"threshold", 30}, {"hysteresis", 5}}), KANTE_OK)
      << host.explained();
  for (const double value : {29.9, 30.0, 27.0, 25.1}) host.send("in", reading(value));
  const auto sent = host.take("alert");
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0].json().find("value")->number(), 30);
  EXPECT_EQ(sent[0].property("alert"), "high");
  EXPECT_EQ(sent[0].property("threshold"), "30");
  EXPECT_EQ(sent[0].property("deviceId"), "a");
  EXPECT_EQ(sent[0].view().contentType(), "application/json");

  for (const double value : {25.0, 29.0}) host.send("in", reading(value));
  EXPECT_THAT(alerts(host), ElementsAre());
  EXPECT_EQ(host.metric("alerts_raised"), 1);
  EXPECT_EQ(host.metric("alerts_cleared"), 1);
}

TEST_P(ThresholdFilterTest, AlertsBelowAFallingThreshold) {
  PlacedModule host;
  ASSERT_EQ(
      host.create(
          {{"field", "/value"}, {"threshold", 5}, {"hysteresis", 1}, {"direction", "falling"}}),
      KANTE_OK);
  for (const double value : {5.5, 5.0, 5.9, 6.0, 5.5}) host.send("in", reading(value));
  EXPECT_THAT(alerts(host), ElementsAre("low", "low"));
}

TEST_P(ThresholdFilterTest, WithoutHysteresisEveryValueSpeaksForItself) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"}, {"threshold", 30}}), KANTE_OK);
  for (const double value : {30.0, 29.9, 30.0, 30.0}) host.send("in", reading(value));
  EXPECT_EQ(host.count("alert"), 3u);
}

TEST_P(ThresholdFilterTest, TellsOnlyChangesInThatMode) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"}, {"threshold", 30}, {"mode", "change"}}), KANTE_OK);
  for (const double value : {31.0, 32.0, 20.0, 10.0, 40.0}) host.send("in", reading(value));
  EXPECT_THAT(alerts(host), ElementsAre("high", "cleared", "high"));
}

TEST_P(ThresholdFilterTest, PassesNormalMessagesOnUnchanged) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"}, {"threshold", 30}, {"pass_normal", true}}), KANTE_OK);
  host.send("in", reading(1));
  host.send("in", reading(31));
  host.send("in", Draft::json({{"other", 1}}));
  const auto normal = host.take("normal");
  ASSERT_EQ(normal.size(), 2u);
  EXPECT_EQ(normal[0].json().find("value")->number(), 1);
  EXPECT_EQ(normal[0].view().propertyCount(), 1u);
  EXPECT_EQ(host.metric("messages_without_field"), 1);
}

TEST_P(ThresholdFilterTest, KeepsAStateForEachKey) {
  const Value keys[] = {"sender", Value{{"property", "deviceId"}}, Value{{"field", "device"}}};
  for (const Value& key : keys) {
    PlacedModule host;
    ASSERT_EQ(
        host.create({{"field", "value"}, {"threshold", 30}, {"hysteresis", 10}, {"key", key}}),
        KANTE_OK)
        << host.explained();
    const auto send = [&](const std::string& device, double value) {
      host.send("in", reading(value, device), {.sender = "device/" + device});
    };
    send("a", 31);
    send("b", 25);
    send("a", 25);
    EXPECT_THAT(alerts(host), ElementsAre("high", "high")) << key.dump();
    EXPECT_EQ(host.metric("keys"), 2);
  }
}

TEST_P(ThresholdFilterTest, ForgetsTheLongestSilentKeyBeyondItsBound) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"},
                         {"threshold", 30},
                         {"hysteresis", 10},
                         {"keys_max", 2},
                         {"key", {{"field", "device"}}}}),
            KANTE_OK);
  host.send("in", reading(31, "a"));
  host.send("in", reading(31, "b"));
  host.send("in", reading(25, "a"));
  host.send("in", reading(31, "c"));  // b goes.
  host.take("alert");
  host.send("in", reading(25, "b"));
  host.send("in", reading(25, "c"));
  EXPECT_EQ(host.count("alert"), 1u);
  EXPECT_EQ(host.metric("keys"), 2);
  EXPECT_EQ(host.metric("keys_evicted"), 2);
}

TEST_P(ThresholdFilterTest, IsSetByDesiredPropertiesAndReportsThem) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"}}), KANTE_OK);
  host.send("in", reading(100));
  EXPECT_EQ(host.count("alert"), 0u);
  EXPECT_EQ(host.desire({{"threshold", 25}, {"$version", 4}}), KANTE_OK);
  host.send("in", reading(26));
  EXPECT_EQ(host.count("alert"), 1u);
  EXPECT_EQ(host.reported().find("threshold")->number(), 25);
  EXPECT_EQ(host.reported().find("field")->dump(), "\"value\"");
  EXPECT_EQ(host.reported().find("desiredVersion")->integer(), 1);

  // A document without it falls back to the configuration.
  EXPECT_EQ(host.desire(kante::json::Object()), KANTE_OK);
  EXPECT_EQ(host.reported().find("threshold"), nullptr);
}

TEST_P(ThresholdFilterTest, ReportsWhyDesiredPropertiesWereRefused) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"}, {"threshold", 30}}), KANTE_OK);
  EXPECT_EQ(host.desire({{"threshold", "hot"}}), KANTE_E_INVALID);
  EXPECT_EQ(*host.reported().find("error")->string(), "/threshold should be a number, is a string");
  EXPECT_EQ(host.reported().find("threshold")->number(), 30);
  EXPECT_EQ(host.desire({{"treshold", 3}}), KANTE_E_INVALID);
  EXPECT_THAT(*host.reported().find("error")->string(), HasSubstr("did you mean \"threshold\""));
  EXPECT_EQ(host.desire({{"threshold", 3}}), KANTE_OK);
  EXPECT_EQ(host.reported().find("error"), nullptr);
}

TEST_P(ThresholdFilterTest, RefusesAConfigurationAndNamesThePlace) {
  const std::pair<Value, const char*> cases[] = {
      {{{"field", ""}}, "/field should name a field"},
      {{{"hysteresis", -1}}, "/hysteresis should lie between 0"},
      {{{"direction", "up"}}, "/direction should be one of rising, falling, is \"up\""},
      {{{"key", {{"property", "a"}, {"field", "b"}}}}, "/key should be \"none\", \"sender\""},
      {{{"keys_max", 0}}, "/keys_max should lie between 1 and 100000"},
  };
  for (const auto& [config, text] : cases) {
    PlacedModule host;
    EXPECT_EQ(host.create(config), KANTE_E_INVALID);
    EXPECT_THAT(host.explained(), HasSubstr(text));
  }
}

TEST_P(ThresholdFilterTest, RefusesABodyThatIsNoJson) {
  PlacedModule host;
  ASSERT_EQ(host.create(), KANTE_OK);
  EXPECT_EQ(host.send("in", Draft("text/plain", "hot")), KANTE_E_INVALID);
  EXPECT_THAT(host.explained(), HasSubstr("JSON at byte 0"));
}

TEST_P(ThresholdFilterTest, SettlesAnInputOnlyWhenItsAlertHasLeft) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"}, {"threshold", 30}}), KANTE_OK);
  host.setCredit("alert", 0);
  EXPECT_EQ(host.send("in", reading(31), {.durable = true}), KANTE_PENDING);
  const auto token = host.lastToken();
  EXPECT_FALSE(host.drain());
  host.grant("alert");
  EXPECT_EQ(host.settled(token), KANTE_OK);
  EXPECT_EQ(host.count("alert"), 1u);
  EXPECT_TRUE(host.drained());
}

TEST_P(ThresholdFilterTest, AsksForAMessageAgainWhenNoRoomIsLeftAndForgetsThatItSawIt) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"field", "value"},
                         {"threshold", 30},
                         {"mode", "change"},
                         {"key", {{"field", "device"}}}}),
            KANTE_OK);
  host.setCredit("alert", 0);
  const std::size_t fit = 1024 + PlacedModule::underWay();
  for (std::size_t i = 0; i < fit; ++i)
    host.send("in", reading(31, std::to_string(i)), {.durable = true});
  const Draft late = reading(31, "late");
  const kante::Status status = host.send("in", late, {.durable = true});
  EXPECT_EQ(status, PlacedModule::whenAskedAgain());
  EXPECT_EQ(host.metric("messages_refused"), 1);
  host.grant("alert");
  host.comesAgain("in", late);
  const auto sent = host.take("alert");
  ASSERT_EQ(sent.size(), fit + 1);
  EXPECT_EQ(sent.back().property("deviceId"), "late");
  EXPECT_EQ(host.settled(host.lastToken()), KANTE_OK);
}

TEST_P(ThresholdFilterTest, CarriesItsAlertsToTheNextVersion) {
  const Value config{
      {"field", "value"}, {"threshold", 30}, {"hysteresis", 10}, {"key", {{"field", "device"}}}};
  PlacedModule old_version;
  ASSERT_EQ(old_version.create(config), KANTE_OK);
  old_version.send("in", reading(31, "a"));
  old_version.send("in", reading(1, "b"));
  const auto state = old_version.save();
  ASSERT_TRUE(state);

  PlacedModule next;
  ASSERT_EQ(next.create(config), KANTE_OK);
  ASSERT_EQ(next.restore(*state), KANTE_OK) << next.explained();
  next.send("in", reading(25, "a"));
  next.send("in", reading(25, "b"));
  EXPECT_EQ(next.count("alert"), 1u);
  EXPECT_EQ(next.restore({1, R"({"keys":[["a"]]})"}), KANTE_E_INVALID);
  EXPECT_EQ(next.restore({2, "{}"}), KANTE_E_INVALID);
}

}  // namespace
