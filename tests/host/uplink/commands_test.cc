#include "host/uplink/commands.h"

#include "host/store/key_value.h"
#include "tests/host/uplink/uplink_fixture.h"

namespace kante {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CommandsTest : public UplinkTest {
 protected:
  CommandsTest() : cloud_(broker_, {.filters = {"kante/#"}}) {
    onControl([this] {
      map_ = std::make_unique<StoreMap>(
          store_->keyValue(), "twins",
          [this](std::function<void()> work) { boost::asio::post(control_, std::move(work)); });
      twins_ = std::move(*Twins::open(*map_));
      methods_ = std::make_unique<Methods>(control_);
      target_ = methods_->add("module/filter", [this](MethodCall call) {
        ++calls_;
        const std::string answer =
            call.name == "big" ? "\"" + std::string(200'000, 'x') + "\"" : call.payload;
        if (answer.size() > Methods::kPayloadBytesMax) {
          methods_->reply(call.id, 200,
                          "\"" + std::string(Methods::kPayloadBytesMax - 2, 'x') + "\"");
        } else {
          methods_->reply(call.id, 201, answer);
        }
      });
    });
  }
  ~CommandsTest() override {
    stopUplink();
    onControl([this] { target_.reset(); });
  }
  void start(CommandTrust trust) {
    MqttUplinkOptions options = optionsFor(broker_.url());
    options.commands = trust;
    startUplink(options);
    ASSERT_TRUE(eventuallyState("connected"));
    ASSERT_TRUE(cloud_.waitFor("kante/v1/edge-1/state", "online"));
  }
  std::string desired(const std::string& principal) {
    std::string json;
    onControl([&] { json = twins_->desired(principal).json; });
    return json;
  }

  Mosquitto broker_;
  MqttPeer cloud_;
  Methods::Registration target_;
  std::atomic<int> calls_{0};
};

TEST_F(CommandsTest, DesiredPropertiesReachTheTwinAndOldVersionsDoNot) {
  cloud_.publish("kante/v1/edge-1/twin/module/filter/desired", R"({"threshold":25,"$version":7})",
                 true);
  start(CommandTrust::kBroker);
  ASSERT_TRUE(eventually([&] { return desired("module/filter") == R"({"threshold":25})"; }));
  cloud_.publish("kante/v1/edge-1/twin/module/filter/desired", R"({"threshold":1,"$version":6})");
  cloud_.publish("kante/v1/edge-1/twin/module/filter/desired", R"({"threshold":2})");
  cloud_.publish("kante/v1/edge-1/twin/module/filter/desired", "no json");
  cloud_.publish("kante/v1/edge-1/twin/device/car-7/desired", R"({"a":1,"$version":1})");
  ASSERT_TRUE(eventually([&] { return desired("device/car-7") == R"({"a":1})"; }));
  EXPECT_EQ(desired("module/filter"), R"({"threshold":25})");
}

TEST_F(CommandsTest, ReportedPropertiesAreRetainedAndSaidAgainAfterAReconnect) {
  start(CommandTrust::kBroker);
  onControl([&] {
    ASSERT_FALSE(twins_->patchReported("module/filter", R"({"state":"ok"})").has_error());
  });
  const std::string topic = "kante/v1/edge-1/twin/module/filter/reported";
  ASSERT_TRUE(cloud_.waitFor(topic, R"({"state":"ok","$version":1})"));
  broker_.stop();
  ASSERT_TRUE(eventually([&] { return uplink_->status().state != "connected"; }));
  onControl([&] {
    ASSERT_FALSE(twins_->patchReported("module/filter", R"({"state":"hot"})").has_error());
  });
  broker_.start();
  EXPECT_TRUE(cloud_.waitFor(topic, R"({"state":"hot","$version":2})"));
  MqttPeer late(broker_, {.client_id = "late", .filters = {topic}});
  EXPECT_TRUE(late.waitFor(topic, "hot"));
  EXPECT_TRUE(late.messages().at(0).retained);
}

TEST_F(CommandsTest, MethodsAreCalledAndAnswered) {
  start(CommandTrust::kBroker);
  cloud_.publish("kante/v1/edge-1/methods/module/filter/reset/r-1", R"({"hard":true})");
  EXPECT_TRUE(cloud_.waitFor("kante/v1/edge-1/methods/response/r-1",
                             R"({"status":201,"payload":{"hard":true}})"));
  cloud_.publish("kante/v1/edge-1/methods/module/filter/reset/r%2F2", "");
  EXPECT_TRUE(
      cloud_.waitFor("kante/v1/edge-1/methods/response/r%2F2", R"({"status":201,"payload":null})"));
  cloud_.publish("kante/v1/edge-1/methods/module/nobody/reset/r-3", "{}");
  EXPECT_TRUE(cloud_.waitFor("kante/v1/edge-1/methods/response/r-3", R"({"status":404)"));
  cloud_.publish("kante/v1/edge-1/methods/module/filter/reset/r-4", "not json");
  EXPECT_TRUE(cloud_.waitFor("kante/v1/edge-1/methods/response/r-4", R"({"status":400)"));
  const int before = calls_;
  cloud_.publish("kante/v1/edge-1/methods/module/filter/reset/r-1", "{}");
  cloud_.publish("kante/v1/edge-1/methods/module/filter/reset/r-5", "{}");
  EXPECT_TRUE(cloud_.waitFor("kante/v1/edge-1/methods/response/r-5", "201"));
  EXPECT_EQ(calls_, before + 1) << "a request that came twice is obeyed once";
}

TEST_F(CommandsTest, ALongAnswerComesInParts) {
  start(CommandTrust::kBroker);
  cloud_.publish("kante/v1/edge-1/methods/module/filter/big/r-1", "{}");
  const std::string topic = "kante/v1/edge-1/methods/response/r-1";
  ASSERT_TRUE(eventually([&] { return cloud_.messages(topic).size() == 2; }));
  const auto parts = cloud_.messages(topic);
  EXPECT_EQ(parts[0].property("part"), "1/2");
  EXPECT_EQ(parts[1].property("part"), "2/2");
  EXPECT_EQ(parts[0].payload.size(), BrokerCommands::kPartBytes);
  EXPECT_TRUE((parts[0].payload + parts[1].payload).ends_with("x\"}"));
}

// Which began anew, and has come as far with something else.
TEST_F(CommandsTest, WhatAGatewayAboveSaysCountsUnderTheSameVersionToo) {
  onControl([&] {
    BrokerCommands::Host host{*twins_, *methods_, store_->keyValue(), log_,
                              [](std::vector<BrokerCommands::Outgoing>) {}};
    host.send_to = [](const std::string&, hub::DeviceMessage, std::function<void(Status)>) {};
    const auto commands = std::move(*BrokerCommands::make(std::move(host)));
    commands->arrived({"twin/module/filter/desired", R"({"threshold":25,"$version":7})"});
    commands->arrived({"twin/module/filter/desired", R"({"threshold":25,"$version":7})"});
    EXPECT_EQ(twins_->desired("module/filter").version, 1u);
    commands->arrived({"twin/module/filter/desired", R"({"threshold":26,"$version":7})"});
    EXPECT_EQ(twins_->desired("module/filter").json, R"({"threshold":26})");
  });
}

TEST_F(CommandsTest, WithoutTheOperatorsWordTheBrokerCommandsNothing) {
  cloud_.publish("kante/v1/edge-1/twin/module/filter/desired", R"({"threshold":25,"$version":7})",
                 true);
  start(CommandTrust::kSigned);
  cloud_.publish("kante/v1/edge-1/methods/module/filter/reset/r-1", "{}");
  send(0, 1);
  ASSERT_TRUE(cloud_.waitFor(kTopic, "0"));
  EXPECT_EQ(desired("module/filter"), "{}");
  EXPECT_EQ(calls_, 0);
  EXPECT_THAT(cloud_.messages("kante/v1/edge-1/methods/response/#"), IsEmpty());
}

}  // namespace
}  // namespace kante
