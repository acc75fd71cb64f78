#include "tests/plugins/placed_module.h"

#include <regex>

namespace {

using kante::Draft;
using kante::PlacedModule;
using kante::json::Value;
using namespace std::chrono_literals;

std::string sequenceOf(const kante::TestMessage& message) {
  return std::string(message.property("sequenceNumber"));
}

using SimulatedSensorTest = kante::PlacedTest;
KANTE_IN_EVERY_PLACEMENT(SimulatedSensorTest);

TEST_P(SimulatedSensorTest, SendsTheShapeOfTheIotEdgeSensorAtOnce) {
  PlacedModule host;
  ASSERT_EQ(host.create(), KANTE_OK) << host.explained();
  host.advance(0ms);

  const auto sent = host.take("temperatureOutput");
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].view().contentType(), "application/json");
  EXPECT_EQ(sent[0].view().contentEncoding(), "utf-8");
  EXPECT_EQ(sequenceOf(sent[0]), "1");
  EXPECT_TRUE(std::regex_match(
      std::string(sent[0].property("batchId")),
      std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")));
  const Value body = sent[0].json();
  EXPECT_NEAR(body.find("machine.temperature")->number().value(), 21.5, 1);
  EXPECT_NEAR(body.find("machine.pressure")->number().value(), 1.05, 0.1);
  EXPECT_NEAR(body.find("ambient.temperature")->number().value(), 21, 0.5);
  EXPECT_TRUE(body.find("ambient.humidity")->isInteger());
  EXPECT_TRUE(std::regex_match(*body.find("timeCreated")->string(),
                               std::regex("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z")));
}

TEST_P(SimulatedSensorTest, TicksWithItsPeriodAndStopsAfterItsCount) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"period_ms", 100}, {"count", 5}}), KANTE_OK);
  host.advance(250ms);
  EXPECT_EQ(host.take("temperatureOutput").size(), 3u);
  host.advance(10s);
  EXPECT_EQ(sequenceOf(host.take("temperatureOutput").back()), "5");
  EXPECT_TRUE(host.logged("sent the 5 messages"));
}

TEST_P(SimulatedSensorTest, SendsSeveralMessagesATickInABurst) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"period_ms", 1}, {"burst", 500}}), KANTE_OK);
  host.advance(9ms);
  EXPECT_EQ(host.count("temperatureOutput"), 5'000u);
  EXPECT_EQ(host.metric("messages_sent"), 5'000);
}

TEST_P(SimulatedSensorTest, OwesWhatFoundNoCreditAndLeavesNoGap) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"period_ms", 10}}), KANTE_OK);
  host.setCredit("temperatureOutput", 2);
  host.advance(40ms);
  EXPECT_EQ(host.count("temperatureOutput"), 2u);
  host.grant("temperatureOutput");
  const auto sent = host.take("temperatureOutput");
  ASSERT_EQ(sent.size(), 5u);
  for (std::size_t i = 0; i < sent.size(); ++i)
    EXPECT_EQ(sequenceOf(sent[i]), std::to_string(i + 1));
}

TEST_P(SimulatedSensorTest, CountsWhatItCannotMakeUpFor) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"period_ms", 1}, {"burst", 1000}}), KANTE_OK);
  host.setCredit("temperatureOutput", 0);
  host.advance(14ms);
  EXPECT_EQ(host.metric("messages_skipped"), 5'000 - PlacedModule::underWay());
}

TEST_P(SimulatedSensorTest, RefusesAConfigurationAndNamesThePlace) {
  const std::pair<Value, const char*> cases[] = {
      {{{"period_ms", 0}}, "/period_ms should lie between 1 and 86400000, is 0"},
      {{{"perod_ms", 5}}, "/perod_ms is not known, did you mean \"period_ms\""},
      {{{"temperature", {{"min", 10}, {"max", 5}}}}, "/temperature/max should be above min"},
      {{{"burst", "many"}}, "/burst should be an integer, is a string"},
  };
  for (const auto& [config, text] : cases) {
    PlacedModule host;
    EXPECT_EQ(host.create(config), KANTE_E_INVALID);
    EXPECT_THAT(host.explained(), ::testing::HasSubstr(text));
  }
}

TEST_P(SimulatedSensorTest, ObeysDesiredPropertiesAndReportsThem) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"period_ms", 100}}), KANTE_OK);
  host.advance(0ms);
  EXPECT_EQ(host.desire({{"SendInterval", 2.5}, {"$version", 1}}), KANTE_OK);
  host.advance(5s);
  EXPECT_EQ(host.take("temperatureOutput").size(), 3u);
  EXPECT_EQ(host.reported().dump(), R"({"SendData":true,"SendInterval":2.5,"desiredVersion":1})");

  EXPECT_EQ(host.desire({{"SendData", false}}), KANTE_OK);
  host.advance(60s);
  EXPECT_EQ(host.count("temperatureOutput"), 0u);
}

TEST_P(SimulatedSensorTest, KeepsItsValuesWhenDesiredPropertiesAreWrong) {
  PlacedModule host;
  ASSERT_EQ(host.create(), KANTE_OK);
  EXPECT_EQ(host.desire({{"SendInterval", 0}}), KANTE_E_INVALID);
  EXPECT_EQ(host.reported().find("SendInterval")->number(), 1);
  EXPECT_THAT(*host.reported().find("error")->string(), ::testing::HasSubstr("/SendInterval"));
  EXPECT_EQ(host.desire({{"SendInterval", 4}}), KANTE_OK);
  EXPECT_EQ(host.reported().find("error"), nullptr);
}

TEST_P(SimulatedSensorTest, ResetsByMethodAndByControlMessage) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"period_ms", 1}, {"seed", 7}}), KANTE_OK);
  const auto temperature = [&] {
    host.advance(1ms);
    return host.take("temperatureOutput")
        .back()
        .json()
        .find("machine.temperature")
        ->number()
        .value();
  };
  host.advance(100ms);
  EXPECT_GT(temperature(), 40);
  const auto answer = host.call("reset");
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.result.find("temperature")->number(), 21);
  EXPECT_LT(temperature(), 23);

  host.advance(100ms);
  EXPECT_EQ(host.send("control", Draft::jsonText(R"([{"command":"reset"}])")), KANTE_OK);
  EXPECT_LT(temperature(), 23);
  EXPECT_EQ(host.send("control", Draft::jsonText(R"({"command":"explode"})")), KANTE_E_INVALID);
  EXPECT_FALSE(host.call("explode").code);
}

TEST_P(SimulatedSensorTest, CarriesItsSequenceToTheNextVersion) {
  PlacedModule old_version;
  ASSERT_EQ(old_version.create({{"period_ms", 10}}), KANTE_OK);
  old_version.advance(90ms);
  const auto state = old_version.save();
  ASSERT_TRUE(state);

  PlacedModule next;
  ASSERT_EQ(next.create({{"period_ms", 10}}), KANTE_OK);
  ASSERT_EQ(next.restore(*state), KANTE_OK) << next.explained();
  next.advance(0ms);
  const auto sent = next.take("temperatureOutput");
  EXPECT_EQ(sequenceOf(sent.at(0)), "11");
  EXPECT_EQ(sent[0].property("batchId"),
            old_version.take("temperatureOutput")[0].property("batchId"));

  PlacedModule other;
  ASSERT_EQ(other.create(), KANTE_OK);
  EXPECT_EQ(other.restore({99, "?"}), KANTE_E_INVALID);
  EXPECT_EQ(other.restore({1, "no json"}), KANTE_E_INVALID);
}

TEST_P(SimulatedSensorTest, DrainsAtOnceAndThenIsQuiet) {
  PlacedModule host;
  ASSERT_EQ(host.create({{"period_ms", 10}}), KANTE_OK);
  EXPECT_TRUE(host.drain());
  host.advance(1s);
  EXPECT_EQ(host.count("temperatureOutput"), 0u);
}

TEST(SimulatedSensorLibraryTest, LoadsFromItsLibrary) {
  const kante::TestLibrary library(KANTE_MODULE_LIBRARY);
  kante::TestModule host(library.entry());
  EXPECT_STREQ(library.entry().id, "dev.kante.simulated-sensor");
  ASSERT_EQ(host.create(), KANTE_OK);
  host.advance(0ms);
  EXPECT_EQ(host.count("temperatureOutput"), 1u);
}

}  // namespace
