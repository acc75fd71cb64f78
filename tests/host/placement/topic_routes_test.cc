// Topics as sources and sinks of routes, on shards that run.
#include "host/placement/topic_routes.h"

#include <gmock/gmock.h>

#include <future>
#include <mutex>

#include "tests/host/shard/shard_fixture.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using Taken = hub::Routing::Taken;

// Notes "TOPIC PAYLOAD QOS", and the content type and properties of the last.
struct NotedDoor final : hub::TopicDoor {
  void publish(const hub::PublicationRef& publication) override {
    said.push_back(std::string(publication->topic()) + " " + std::string(publication->payload()));
    last = publication;
  }
  std::vector<std::string> said;
  hub::PublicationRef last;
};

struct NotedSink final : DurableSink {
  Offer offer(const MessageRef& message, const Hop& hop, std::uint8_t, std::uint32_t,
              Committed committed) override {
    if (full) return Offer::kFull;
    said.push_back(hop.source->telemetry_name + " " + std::string(message.view().body()));
    last = message;
    waiting.push_back(std::move(committed));
    return Offer::kTaken;
  }
  bool hasRoom() const override { return room; }
  void onRoom(std::function<void()> waker) override { wakers.push_back(std::move(waker)); }
  bool full = false;
  bool room = true;
  MessageRef last;
  std::vector<std::string> said;
  std::vector<Committed> waiting;
  std::vector<std::function<void()>> wakers;
};

class Device final : public hub::Principal {
 public:
  explicit Device(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  bool mayPublish(std::string_view) const override { return true; }
  bool maySubscribe(std::string_view) const override { return true; }
  bool mayActFor(std::string_view other) const override { return other == acts_for; }
  std::string acts_for;

 private:
  const std::string name_;
};

struct TestSender final : hub::Routing::Sender {
  explicit TestSender(const hub::Principal& who) : principal_(who) {}
  const std::string& name() const override { return principal_.name(); }
  bool mayActFor(std::string_view other) const override { return principal_.mayActFor(other); }
  std::function<void(hub::Kept)> kept() override { return {}; }
  std::function<void()> resume() override {
    if (!waits) return {};
    return [this] { ++resumed; };
  }
  bool waits = true;
  std::atomic<int> resumed{0};

 private:
  const hub::Principal& principal_;
};

class TopicRoutesTest : public ShardFixture {
 protected:
  TopicRoutesTest() {
    sink_.name = "b";
    sink_.inputs = {"in"};
    source_.name = "a";
    source_.outputs = {"out"};
    for (hub::Routing* routing : topics_.routings()) routing->serve(door_);
    on(*shards_[1], [this] { at_sink_->setConsumer(&collector_); });
  }
  ~TopicRoutesTest() override {
    topics_.activate(nullptr);
    handOver();
    on(*shards_[1], [this] { at_sink_->close(); });  // While there are the links that lead to it.
  }

  void routes(const std::vector<std::string>& texts, std::uint32_t queue_messages = 1024) {
    std::vector<RouteSpec> specs;
    for (const std::string& text : texts) {
      RouteSpec spec;
      spec.name = "r" + std::to_string(specs.size());
      spec.text = text;
      spec.queue_messages = queue_messages;
      specs.push_back(spec);
    }
    auto made = RouteTable::make(specs, {{&source_, at_source_}, {&sink_, at_sink_}},
                                 {"edge", sources_, &upstream_, nullptr, nullptr, &topics_});
    ASSERT_TRUE(made.has_value()) << made.error().text;
    table_ = *made;
    topics_.activate(table_);
    on(*shards_[0], [] {});
  }
  hub::Routing::Outcome publish(const hub::Principal& who, const std::string& topic,
                                const std::string& payload) {
    TestSender sender(who);
    return publish(sender, topic, payload);
  }
  hub::Routing::Outcome publish(TestSender& sender, const std::string& topic,
                                const std::string& payload) {
    mqtt::Publish packet;
    packet.topic = topic;
    packet.payload = payload;
    hub::Routing::Outcome out;
    on(*shards_[0], [&] { out = topics_.routings()[0]->take(packet, sender); });
    return out;
  }
  std::uint64_t dropped(std::uint32_t route, DropReason reason) {
    return table_->counts(route).dropped[static_cast<std::size_t>(reason)].load();
  }

  static constexpr const char* kInto = " INTO BrokeredEndpoint(\"/modules/b/inputs/in\")";
  SourceTable sources_;
  NotedDoor door_;
  NotedSink upstream_;
  Collector collector_;
  ModuleSpec source_, sink_;
  TopicRoutes topics_{"edge", sources_, {shards_[0]}, [](auto task) { task(); }};
  std::shared_ptr<Lane> at_source_ = lane(0, "a"), at_sink_ = lane(1, "b");
  std::shared_ptr<RouteTable> table_;
  Device car_{"device/car"};
};

TEST_F(TopicRoutesTest, WhatIsPublishedReachesAModuleOnAnotherShard) {
  routes({std::string("FROM MqttTopic(\"factory/+/temp\")") + kInto});
  EXPECT_EQ(publish(car_, "factory/7/temp", "1").taken, Taken::kTaken);
  EXPECT_EQ(publish(car_, "factory/7/speed", "2").taken, Taken::kNobody);
  EXPECT_EQ(publish(car_, "factory/8/temp", "3").taken, Taken::kTaken);
  EXPECT_TRUE(eventually([&] { return collector_.count == 2; }));
  on(*shards_[1], [&] { EXPECT_THAT(collector_.numbers, ElementsAre(1, 3)); });
}

TEST_F(TopicRoutesTest, AMessageSaysItsTopicAndItsSender) {
  routes(
      {"FROM MqttTopic(\"a/#\") WHERE $topic = 'a/1' AND $connectionDeviceId = 'car' INTO "
       "$upstream"});
  EXPECT_EQ(publish(car_, "a/1", "x").taken, Taken::kTaken);
  EXPECT_EQ(publish(Device("device/van"), "a/1", "x").taken, Taken::kNobody);
  EXPECT_EQ(publish(car_, "a/2", "x").taken, Taken::kNobody);
  EXPECT_THAT(upstream_.said, ElementsAre("device/car x"));
  EXPECT_EQ(upstream_.last.view().systemProperty("topic"), "a/1");
}

TEST_F(TopicRoutesTest, TelemetryIsWhatComesByIotHubsTopics) {
  routes({"FROM /messages/* WHERE $connectionDeviceId = 'car' AND site = 'm 1' INTO $upstream",
          "FROM MqttTopic(\"devices/+/messages/events/#\") INTO MqttTopic(\"seen/{site}\")"});
  const std::string topic =
      "devices/car/messages/events/site=m%201&%24.ct=application%2Fjson&$.mid=7";
  const auto out = publish(car_, topic, "{}");
  ASSERT_EQ(out.taken, Taken::kTaken);
  EXPECT_EQ(out.message.view().contentType(), "application/json");
  EXPECT_EQ(out.message.view().systemProperty("messageId"), "7");
  EXPECT_THAT(upstream_.said, ElementsAre("device/car {}"));
  on(*shards_[0], [&] { EXPECT_THAT(door_.said, ElementsAre("seen/m 1 {}")); });
}

TEST_F(TopicRoutesTest, NobodySpeaksForAnother) {
  routes({"FROM /messages/* INTO $upstream"});
  const auto out = publish(car_, "devices/van/messages/events/", "x");
  EXPECT_EQ(out.taken, Taken::kRefused);
  EXPECT_THAT(out.why, HasSubstr("device/car may not speak for device/van"));
  EXPECT_EQ(publish(car_, "devices/car/modules/m/messages/events/", "x").taken, Taken::kRefused);
  Device translator("device/translator");
  translator.acts_for = "device/van";
  EXPECT_EQ(publish(translator, "devices/van/messages/events", "x").taken, Taken::kTaken);
  EXPECT_THAT(upstream_.said, ElementsAre("device/van x"));
}

TEST_F(TopicRoutesTest, ModulesOfDevicesHaveOutputs) {
  routes({"FROM /messages/devices/car/modules/vision/outputs/o INTO $upstream"});
  Device vision("device/car/module/vision");
  const std::string events = "devices/car/modules/vision/messages/events/";
  EXPECT_EQ(publish(vision, events + "%24.on=o", "1").taken, Taken::kTaken);
  EXPECT_EQ(publish(vision, events + "%24.on=p", "2").taken, Taken::kNobody);
  EXPECT_THAT(upstream_.said, ElementsAre("device/car/module/vision/o 1"));
  EXPECT_EQ(publish(vision, events + "%24.on=a%2Fb", "3").taken, Taken::kRefused);
  for (std::size_t i = 0; i < TopicPart::kOutputsPerSender; ++i)
    (void)publish(vision, events + "%24.on=x" + std::to_string(i), "");
  EXPECT_THAT(publish(vision, events + "%24.on=y", "").why, HasSubstr("one too many"));
}

TEST_F(TopicRoutesTest, ABagThatIsNoneAndATooLargeMessageAreRefused) {
  routes({"FROM /messages/* INTO $upstream"});
  const std::string events = "devices/car/messages/events/";
  EXPECT_THAT(publish(car_, events + "a=1=2", "x").why, HasSubstr("the property bag"));
  EXPECT_EQ(publish(car_, events + "a=1", std::string(262'142, 'x')).taken, Taken::kTaken);
  EXPECT_THAT(publish(car_, events + "a=1", std::string(262'143, 'x')).why,
              HasSubstr("at most 262144 bytes"));
}

TEST_F(TopicRoutesTest, AModulesMessageGoesToTopicsWithoutACopyOfItsBody) {
  routes({"FROM /messages/modules/a/* INTO MqttTopic(\"alerts/{line}\")"});
  const kante_property line{toStr("line"), toStr("7")};
  kante_message said{};
  said.content_type = toStr("text/plain");
  said.properties = &line;
  said.property_count = 1;
  said.body = toStr("hot");
  const MessageRef message = *buildMessage(said);
  const Source* source = sources_.moduleOutput("edge", "a", "out");
  on(*shards_[2], [&] {  // A shard without a broker.
    topics_.publish(*shards_[2], {"alerts/7", message, source, 2, 60});
  });
  on(*shards_[0], [&] {
    ASSERT_THAT(door_.said, ElementsAre("alerts/7 hot"));
    EXPECT_EQ(door_.last->payload().data(), message.view().body().data());
    EXPECT_EQ(door_.last->qos(), mqtt::Qos::k1);
    EXPECT_TRUE(door_.last->expires());
    mqtt::Properties properties;
    mqtt::Fault fault;
    ASSERT_TRUE(mqtt::parseProperties(door_.last->properties(), mqtt::PropertySet::kPublish,
                                      properties, fault));
    EXPECT_EQ(properties.content_type, "text/plain");
    properties.forEachUserProperty([](std::string_view name, std::string_view value) {
      EXPECT_EQ(name, "line");
      EXPECT_EQ(value, "7");
    });
    EXPECT_EQ(properties.user_properties, 1u);
    door_.last.reset();
  });
}

TEST_F(TopicRoutesTest, AModuleThatIsAClientHasInputs) {
  const std::function<bool(const std::string&)> elsewhere = [](const std::string& module) {
    return module == "legacy";
  };
  RouteSpec spec;
  spec.name = "r";
  spec.text = "FROM /messages/* INTO BrokeredEndpoint(\"/modules/legacy/inputs/in\")";
  const auto made = RouteTable::make(
      {spec}, {}, {"edge", sources_, nullptr, nullptr, nullptr, &topics_, &elsewhere});
  ASSERT_TRUE(made.has_value()) << made.error().text;
  topics_.activate(*made);
  EXPECT_EQ(publish(car_, "devices/car/messages/events/a=1", "x").taken, Taken::kTaken);
  Device legacy("module/legacy");
  const std::string events = "devices/edge/modules/legacy/messages/events/%24.on=o";
  EXPECT_EQ(publish(legacy, events, "y").taken, Taken::kTaken);
  on(*shards_[0], [&] {
    ASSERT_EQ(door_.said.size(), 2u);
    EXPECT_THAT(door_.said[0], StartsWith("devices/edge/modules/legacy/inputs/in/a=1&"));
    EXPECT_THAT(door_.said[0], HasSubstr("&%24.cdid=car x"));
    EXPECT_THAT(door_.said[1], HasSubstr("%24.cdid=edge&%24.cmid=legacy y"));
    door_.last.reset();
  });
  spec.text = "FROM /messages/* INTO BrokeredEndpoint(\"/modules/other/inputs/in\")";
  EXPECT_FALSE(RouteTable::make(
      {spec}, {}, {"edge", sources_, nullptr, nullptr, nullptr, &topics_, &elsewhere}));
}

TEST_F(TopicRoutesTest, WhatATwinReportsIsAMessageOfTheHub) {
  routes(
      {"FROM /twinChangeNotifications WHERE $messageType = 'twinChangeNotification' AND "
       "$connectionModuleId = '$edgeHub' AND $body.speed > 5 INTO $upstream",
       "FROM /messages/* INTO MqttTopic(\"no\")",
       "FROM /* WHERE $rpSenderModuleId = 'm' INTO MqttTopic(\"of/{$rpSenderDeviceId}\")"});
  for (const char* principal : {"device/car", "device/car/module/m", "module/m"}) {
    topics_.twinChanged(principal, R"({"speed":9})");
    topics_.twinChanged(principal, R"({"speed":1})");
  }
  on(*shards_[0], [&] {
    EXPECT_THAT(upstream_.said, ::testing::Each("module/$edgeHub/twinChangeNotifications "
                                                R"({"speed":9})"));
    EXPECT_EQ(upstream_.said.size(), 3u);
    EXPECT_EQ(upstream_.last.view().systemProperty("rpSenderDeviceId"), "edge");
    EXPECT_EQ(upstream_.last.view().contentType(), "application/json");
    EXPECT_THAT(door_.said, ElementsAre("of/car {\"speed\":9}", "of/car {\"speed\":1}",
                                        "of/edge {\"speed\":9}", "of/edge {\"speed\":1}"));
    door_.last.reset();
  });
  // A module's input names whose twin it is.
  const std::function<bool(const std::string&)> elsewhere = [](const std::string&) { return true; };
  RouteSpec spec;
  spec.name = "r";
  spec.text = "FROM /twinChangeNotifications INTO BrokeredEndpoint(\"/modules/audit/inputs/in\")";
  topics_.activate(*RouteTable::make(
      {spec}, {}, {"edge", sources_, nullptr, nullptr, nullptr, &topics_, &elsewhere}));
  topics_.twinChanged("device/car/module/m", "{}");
  on(*shards_[0], [&] {
    EXPECT_THAT(door_.said.back(),
                ::testing::AllOf(StartsWith("devices/edge/modules/audit/inputs/in/"),
                                 HasSubstr("%24.schema=twinChangeNotification"),
                                 HasSubstr("%24.cdid=car&%24.cmid=m {}")));
    door_.last.reset();
  });
}

TEST_F(TopicRoutesTest, TwinChangesOnTheirWayAreBounded) {
  routes({"FROM /twinChangeNotifications INTO MqttTopic(\"twins\")"});
  std::promise<void> go;
  shards_[0]->post([held = go.get_future().share()] { held.wait(); });
  for (std::uint32_t i = 0; i < TopicRoutes::kTwinChangesMax + 3; ++i)
    topics_.twinChanged("device/car", "{}");
  go.set_value();
  on(*shards_[0], [&] {
    EXPECT_EQ(door_.said.size(), TopicRoutes::kTwinChangesMax);
    door_.last.reset();
  });
  EXPECT_EQ(topics_.counts().overflow.load(), 3u);
}

TEST_F(TopicRoutesTest, TopicsThatFeedEachOtherEnd) {
  routes({"FROM MqttTopic(\"ping\") INTO MqttTopic(\"pong\")",
          "FROM MqttTopic(\"pong\") INTO MqttTopic(\"ping\")"});
  EXPECT_EQ(publish(car_, "ping", "x").taken, Taken::kTaken);
  on(*shards_[0], [&] { EXPECT_EQ(door_.said.size(), kHopsMax - 1u); });
  EXPECT_EQ(topics_.counts().loop.load(), 1u);
}

TEST_F(TopicRoutesTest, ATopicThatCannotBeFilledIsCounted) {
  routes({"FROM MqttTopic(\"a\") INTO MqttTopic(\"b/{nothing}\")"});
  EXPECT_EQ(publish(car_, "a", "x").taken, Taken::kTaken);
  EXPECT_EQ(dropped(0, DropReason::kNoRoute), 1u);
}

TEST_F(TopicRoutesTest, AFullInputHoldsItsClientUntilThereIsRoom) {
  on(*shards_[1], [this] { at_sink_->setConsumer(nullptr); });
  routes({std::string("FROM MqttTopic(\"a\")") + kInto}, 2);
  TestSender sender(car_);
  EXPECT_EQ(publish(sender, "a", "1").taken, Taken::kTaken);
  EXPECT_EQ(publish(sender, "a", "2").taken, Taken::kTaken);
  EXPECT_EQ(publish(sender, "a", "3").taken, Taken::kHeld);
  EXPECT_EQ(topics_.counts().held.load(), 1u);
  on(*shards_[1], [this] { at_sink_->setConsumer(&collector_); });
  EXPECT_TRUE(eventually([&] { return sender.resumed == 1; }));
  EXPECT_EQ(publish(sender, "a", "3").taken, Taken::kTaken);
  EXPECT_TRUE(eventually([&] { return collector_.count == 3; }));
  EXPECT_EQ(dropped(0, DropReason::kOverflow), 0u);
}

TEST_F(TopicRoutesTest, WhoDoesNotWaitIsDroppedAndCounted) {
  on(*shards_[1], [this] { at_sink_->setConsumer(nullptr); });
  routes(
      {std::string("FROM MqttTopic(\"a\")") + kInto, "FROM MqttTopic(\"b\") INTO MqttTopic(\"a\")"},
      1);
  TestSender gone(car_);
  gone.waits = false;
  EXPECT_EQ(publish(gone, "a", "1").taken, Taken::kTaken);
  EXPECT_EQ(publish(gone, "a", "2").taken, Taken::kTaken);
  EXPECT_EQ(publish(car_, "b", "3").taken, Taken::kTaken) << "over a topic nobody waits";
  EXPECT_EQ(dropped(0, DropReason::kOverflow), 2u);
}

TEST_F(TopicRoutesTest, AQueueOnDiskHoldsItsClientAndRefuses) {
  routes({"FROM MqttTopic(\"a\") INTO $upstream"});
  TestSender sender(car_);
  upstream_.room = false;
  EXPECT_EQ(publish(sender, "a", "1").taken, Taken::kHeld);
  ASSERT_EQ(upstream_.wakers.size(), 1u);
  upstream_.room = true;
  upstream_.wakers[0]();
  EXPECT_EQ(sender.resumed, 1);
  upstream_.full = true;
  EXPECT_EQ(publish(sender, "a", "1").taken, Taken::kTaken);
  EXPECT_EQ(dropped(0, DropReason::kStoreFull), 1u);
}

TEST_F(TopicRoutesTest, ATableIsSwitchedWhole) {
  routes({"FROM MqttTopic(\"a\") INTO MqttTopic(\"b\")"});
  (void)publish(car_, "a", "1");
  routes({"FROM MqttTopic(\"a\") INTO MqttTopic(\"c\")"});
  (void)publish(car_, "a", "2");
  on(*shards_[0], [&] { EXPECT_THAT(door_.said, ElementsAre("b 1", "c 2")); });
}

TEST_F(TopicRoutesTest, WithoutABrokerTopicsAreRefused) {
  for (const char* text :
       {"FROM MqttTopic(\"a\") INTO $upstream", "FROM /messages/* INTO MqttTopic(\"a\")"}) {
    RouteSpec spec;
    spec.name = "r";
    spec.text = text;
    const auto made = RouteTable::make({spec}, {}, {"edge", sources_, &upstream_});
    ASSERT_FALSE(made.has_value());
    EXPECT_THAT(made.error().text, HasSubstr("route r: MqttTopic(…), but this gateway serves no"));
  }
}

}  // namespace
}  // namespace kante
