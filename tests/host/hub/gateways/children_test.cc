// What gateways below say and hear, without shards.
#include "host/hub/gateways/children.h"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>

#include "host/base/durable_map.h"
#include "host/base/events.h"
#include "tests/host/store/store_fixture.h"
#include "tests/support/eventually.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = GatewayTopic::Kind;

constexpr std::uint8_t kAll = kTwinsBelow | kMethodsBelow | kCloudBelow;

class Gateway final : public Principal {
 public:
  explicit Gateway(std::string forbidden) : forbidden_(std::move(forbidden)) {}
  const std::string& name() const override { return name_; }
  bool mayPublish(std::string_view) const override { return true; }
  bool maySubscribe(std::string_view) const override { return true; }
  bool mayActFor(std::string_view place) const override { return place != forbidden_; }

 private:
  const std::string name_ = "gateway/any";
  const std::string forbidden_;
};

class Gateways final : public Access {
 public:
  Admission authenticate(const Credentials&) const override { return {}; }
  std::shared_ptr<const Principal> current(const Principal&) const override { return {}; }
  std::shared_ptr<const Principal> find(std::string_view name) const override {
    if (name == removed) return nullptr;
    return std::make_shared<Gateway>(forbidden);
  }
  std::string removed, forbidden;
};

struct BreakableMap final : DurableMap {
  Result<std::map<std::string, std::string>> readAll() override { return map.readAll(); }
  Status put(const std::string& key, const std::string& value) override {
    if (broken) return fail(*broken, "the disk fails, or is full");
    return map.put(key, value);
  }
  Status erase(const std::string& key) override { return map.erase(key); }
  void sync(std::function<void(Status)> done) override { map.sync(std::move(done)); }
  MemoryMap map;
  std::optional<Errc> broken;
};

class ChildrenTest : public StoreTest {
 protected:
  void SetUp() override {
    open();
    twins_ = std::move(*Twins::open(map_));
    reopen();
  }
  ~ChildrenTest() override { end(); }
  void end() {
    if (children_) children_->serve(nullptr);
    cloud_.reset();
    children_.reset();
    io_.restart();
    io_.poll();
  }
  void reopen() {
    end();
    auto opened =
        Children::open({io_, log_, events_, clock_, *twins_, methods_, *store_, access_,
                        [this](const SessionRef& session, const PublicationRef& publication) {
                          said_.push_back(session.key + " " + std::string(publication->topic()) +
                                          " " + std::string(publication->payload()));
                        }});
    ASSERT_TRUE(opened) << opened.error().text;
    children_ = std::move(*opened);
    cloud_ = std::move(*CloudMessages::open(io_, *store_));
    children_->serve(cloud_.get());
  }
  void run() {
    io_.restart();
    io_.poll();
  }
  bool until(const std::function<bool()>& so) {
    return eventually([&] {
      run();
      return so();
    });
  }
  void listen(std::uint8_t interests, std::uint64_t number = 1) {
    children_->hears({0, number, "s"}, "leaf", interests);
    run();
  }
  // Says it and waits until it is kept.
  Kept say(Kind kind, const std::string& principal, const std::string& id,
           const std::string& payload, const std::string& part = {}) {
    GatewayDesk::Said said;
    said.gateway = "leaf";
    said.kind = kind;
    said.principal = principal;
    said.id = id;
    said.payload = payload;
    said.part = part;
    said.entered = children_->enter("leaf", payload.size());
    const auto kept = std::make_shared<std::atomic<int>>(-1);
    said.kept = [kept](Kept how) { *kept = static_cast<int>(how); };
    children_->said(std::move(said));
    EXPECT_TRUE(until([&] { return *kept >= 0; }));
    return static_cast<Kept>(kept->load());
  }
  void sendTo(const std::string& device) {
    DeviceMessage message;
    message.body = "hello";
    bool stored = false;
    cloud_->send(device, message, [&](const Status& status) { stored = status.has_value(); });
    ASSERT_TRUE(until([&] { return stored; }));
  }
  std::vector<std::string> said() { return std::exchange(said_, {}); }
  void invoke(const std::string& target) {
    answer_.clear();
    MethodRequest request;
    request.target = target;
    request.name = "reset";
    methods_.invoke(std::move(request), [this](int status, const std::string& payload) {
      answer_ = std::to_string(status) + " " + payload;
    });
    run();
  }
  // The id at the end of the topic of the only thing that was said.
  std::string idSaid() {
    const auto all = said();
    if (all.size() != 1) return "none";
    const std::string topic = all[0].substr(2, all[0].find(' ', 2) - 2);
    return topic.substr(topic.rfind('/') + 1);
  }

  boost::asio::io_context io_;
  BreakableMap map_;
  EventLog events_{clock_};
  std::unique_ptr<Twins> twins_;
  Methods methods_{io_};
  Gateways access_;
  std::vector<std::string> said_;
  std::string answer_;
  std::unique_ptr<Children> children_;
  std::unique_ptr<CloudMessages> cloud_;
};

TEST_F(ChildrenTest, TellsDesiredPropertiesOfWhatIsBehindAGateway) {
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  ASSERT_TRUE(twins_->patchDesired("device/x", R"({"a":1})"));
  ASSERT_TRUE(twins_->patchDesired("gateway/leaf/module/m", R"({"b":2})"));
  ASSERT_TRUE(twins_->patchDesired("device/elsewhere", R"({"c":3})"));
  run();
  EXPECT_THAT(said(), IsEmpty());
  listen(kAll);
  EXPECT_THAT(said(), ElementsAre(R"(s kante/v1/leaf/twin/device/x/desired {"a":1,"$version":1})",
                                  R"(s kante/v1/leaf/twin/module/m/desired {"b":2,"$version":1})"));
  ASSERT_TRUE(twins_->patchDesired("device/x", R"({"a":2})"));
  run();
  EXPECT_THAT(said(), ElementsAre(R"(s kante/v1/leaf/twin/device/x/desired {"a":2,"$version":2})"));
  listen(kAll);
  EXPECT_THAT(said(), IsEmpty()) << "the same session has it";
  listen(kAll, 2);
  EXPECT_EQ(said().size(), 2u) << "another one under the same name has not";
}

TEST_F(ChildrenTest, TakesReportedPropertiesAsTheyStand) {
  EXPECT_EQ(say(Kind::kReported, "device/x", "", R"({"v":1,"old":true,"$version":9})"), Kept::kYes);
  EXPECT_EQ(say(Kind::kReported, "device/x", "", R"({"v":2,"$version":10})"), Kept::kYes);
  EXPECT_EQ(twins_->reported("device/x").json, R"({"v":2})");
  EXPECT_EQ(say(Kind::kReported, "device/x", "", "no JSON"), Kept::kYes);
  EXPECT_EQ(twins_->reported("device/x").json, R"({"v":2})");
}

TEST_F(ChildrenTest, ReportedPropertiesThatCannotBeKeptAreNotAnsweredAsKept) {
  map_.broken = Errc::kIo;
  EXPECT_EQ(say(Kind::kReported, "device/x", "", R"({"v":1})"), Kept::kFailed);
  map_.broken = Errc::kLimit;
  EXPECT_EQ(say(Kind::kReported, "device/x", "", R"({"v":1})"), Kept::kNoRoom);
  const std::string long_one(Twins::kStringBytesMax + 1, 'x');
  EXPECT_EQ(say(Kind::kReported, "device/x", "", R"({"v":")" + long_one + R"("})"), Kept::kYes)
      << "it is wrong whenever it comes again";
  EXPECT_EQ(twins_->reported("device/x").version, 0u);
}

TEST_F(ChildrenTest, TwinsOfWhoIsBelowAreBoundedAndGoWithTheGateway) {
  for (const char* place : {"gateway/leaf", "gateway/lower", "device/x"}) {
    const std::string module = std::string(place) + "/module/m";
    for (std::size_t i = 0; i < Children::kTwinsOfOneMax; ++i)
      ASSERT_TRUE(twins_->patchReported(module + std::to_string(i), "{}"));
    EXPECT_EQ(say(Kind::kReported, module + "ore", "", R"({"v":1})"), Kept::kNoRoom);
    EXPECT_EQ(say(Kind::kReported, module + "7", "", R"({"v":1})"), Kept::kYes);
  }
  children_->forget("leaf");
  EXPECT_THAT(twins_->principalsOf("gateway/leaf"), IsEmpty());
  EXPECT_EQ(say(Kind::kReported, "gateway/leaf/module/more", "", R"({"v":1})"), Kept::kYes);
  for (std::size_t i = twins_->principals().size(); i < Twins::kPrincipalsMax; ++i)
    ASSERT_TRUE(twins_->patchReported("device/other-" + std::to_string(i), "{}"));
  EXPECT_EQ(say(Kind::kReported, "device/more", "", R"({"v":1})"), Kept::kNoRoom);
}

TEST_F(ChildrenTest, CallsGoDownAndTheirAnswersComeBack) {
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  listen(kAll);
  invoke("device/x");
  const std::string id = idSaid();
  EXPECT_EQ(say(Kind::kMethod, "", id, R"({"status":207,"payload":{"ok":true}})"), Kept::kYes);
  run();
  EXPECT_EQ(answer_, R"(207 {"ok":true})");
  (void)say(Kind::kMethod, "", id, R"({"status":200})");
  EXPECT_EQ(answer_, R"(207 {"ok":true})") << "answered once";
  invoke("gateway/leaf/module/m");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("kante/v1/leaf/methods/module/m/reset/")));
}

TEST_F(ChildrenTest, AnswersInPartsArePutTogether) {
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  listen(kAll);
  invoke("device/x");
  std::string id = idSaid();
  (void)say(Kind::kMethod, "", id, R"({"status":200,"pay)", "1/2");
  EXPECT_EQ(answer_, "");
  (void)say(Kind::kMethod, "", id, R"(load":5})", "2/2");
  run();
  EXPECT_EQ(answer_, "200 5");
  invoke("device/x");
  id = idSaid();
  (void)say(Kind::kMethod, "", id, R"(load":5})", "2/2");
  run();
  EXPECT_THAT(answer_, HasSubstr("503"));
}

TEST_F(ChildrenTest, WhoIsBehindAGatewayThatIsAwayDoesNotAnswerInTime) {
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  invoke("device/x");
  EXPECT_THAT(answer_, HasSubstr("504"));
  EXPECT_THAT(answer_, HasSubstr("gateway/leaf"));
  invoke("device/nobody");
  EXPECT_THAT(answer_, HasSubstr("404"));
}

TEST_F(ChildrenTest, AMessageForADeviceStaysUntilTheGatewayBelowHasIt) {
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  run();
  DeviceMessage message;
  message.body = "hello";
  message.properties = {{"p", "1"}};
  bool stored = false;
  cloud_->send("device/x", message, [&](const Status& status) { stored = status.has_value(); });
  ASSERT_TRUE(until([&] { return stored; }));
  listen(kAll);
  ASSERT_TRUE(until([&] { return !said_.empty(); }));
  EXPECT_THAT(said_[0], HasSubstr("kante/v1/leaf/c2d/device/x/"));
  std::string id = idSaid();
  (void)say(Kind::kCloud, "", id, R"({"status":429})");
  ASSERT_TRUE(until([&] { return !said_.empty(); })) << "it comes again";
  EXPECT_EQ(idSaid(), id);
  (void)say(Kind::kCloud, "", id, R"({"status":200})");
  DurableQueue* queue = *store_->find("device/x");
  EXPECT_TRUE(until([&] { return queue == nullptr || queue->messages() == 0; }));
}

TEST_F(ChildrenTest, WhatIsForADeviceThatIsHereNoGatewayTakes) {
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  listen(kAll);
  sendTo("device/x");
  ASSERT_TRUE(until([&] { return !said().empty(); }));
  std::vector<std::string> got;
  children_->arrived("device/x");
  cloud_->listen("device/x", [&](const MessageRef& message, std::shared_ptr<Receipt> receipt) {
    got.emplace_back(message.view().body());
    receipt->settled();
  });
  ASSERT_TRUE(until([&] { return got.size() == 1; })) << "what the gateway had comes here";
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  ASSERT_TRUE(twins_->patchDesired("device/x", R"({"secret":1})"));
  sendTo("device/x");
  ASSERT_TRUE(until([&] { return got.size() == 2; }));
  listen(0);
  listen(kAll);
  sendTo("device/x");
  ASSERT_TRUE(until([&] { return got.size() == 3; })) << "the gateway's end is not its end";
  EXPECT_THAT(said(), IsEmpty());
  cloud_->unlisten("device/x");
  children_->left("device/x");
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  sendTo("device/x");
  ASSERT_TRUE(until([&] { return said_.size() == 2; }));
  EXPECT_THAT(said(), ElementsAre(HasSubstr("twin/device/x"), HasSubstr("c2d/device/x/")));
}

TEST_F(ChildrenTest, AGatewayThatIsConnectedHereIsBehindNoOther) {
  ASSERT_TRUE(children_->speaks("mid", "gateway/leaf/module/m"));
  children_->hears({0, 9, "mid"}, "mid", kAll);
  listen(kAll);
  ASSERT_TRUE(children_->speaks("mid", "gateway/leaf/module/m"));
  invoke("gateway/leaf/module/m");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("s kante/v1/leaf/methods/module/m/reset/")));
  listen(0);
  ASSERT_TRUE(children_->speaks("mid", "gateway/leaf/module/m"));
  invoke("gateway/leaf/module/m");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("mid kante/v1/mid/methods/gateway/leaf/module/m/")));
}

TEST_F(ChildrenTest, IsKnownWithItsLossesAfterARestart) {
  (void)say(Kind::kState, "", "", R"({"state":"online","version":"1.2"})");
  listen(kAll);
  EXPECT_EQ(say(Kind::kLost, "", "", R"({"epoch":"ab","seq":5,"reason":"too large"})"), Kept::kYes);
  EXPECT_EQ(say(Kind::kLost, "", "", "nothing"), Kept::kYes);
  const auto events = events_.since();
  EXPECT_EQ(events.back().kind, "gateway.lost");
  EXPECT_THAT(events.back().text, HasSubstr("too large"));
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  run();
  reopen();
  ASSERT_EQ(children_->status().size(), 1u);
  const ChildStatus leaf = children_->status()[0];
  EXPECT_EQ(leaf.id, "leaf");
  EXPECT_FALSE(leaf.connected);
  EXPECT_EQ(leaf.version, "1.2");
  EXPECT_EQ(leaf.lost, 1u);
  EXPECT_EQ(leaf.devices, 1u);
  EXPECT_TRUE(children_->knows("device/x"));
  children_->forget("leaf");
  EXPECT_FALSE(children_->knows("device/x"));
  EXPECT_THAT(children_->status(), IsEmpty());
}

TEST_F(ChildrenTest, WhatAGatewayMayNoLongerSpeakForIsNotBehindItAnyMore) {
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  ASSERT_TRUE(children_->speaks("leaf", "device/y"));
  children_->whereabouts().pin("device/pinned", "leaf");
  listen(kAll);
  access_.forbidden = "device/x";
  children_->reconsider("leaf");
  run();
  EXPECT_FALSE(children_->knows("device/x"));
  EXPECT_TRUE(children_->knows("device/y"));
  ASSERT_TRUE(twins_->patchDesired("device/x", R"({"a":1})"));
  sendTo("device/x");
  sendTo("device/y");
  ASSERT_TRUE(until([&] { return !said_.empty(); }));
  EXPECT_THAT(said(), ElementsAre(HasSubstr("c2d/device/y/")));
  ASSERT_TRUE(children_->speaks("leaf", "device/x")) << "by the grants that the session had";
  run();
  EXPECT_FALSE(children_->knows("device/x"));
  EXPECT_EQ(say(Kind::kReported, "device/x", "", R"({"v":1})"), Kept::kFailed);
  access_.forbidden = "device/z";
  ASSERT_TRUE(children_->speaks("leaf", "device/x"));
  run();
  access_.forbidden = "device/x";
  reopen();
  EXPECT_FALSE(children_->knows("device/x")) << "the end of a life came in between";
  EXPECT_TRUE(children_->knows("device/y"));
  run();
  access_.forbidden.clear();
  reopen();
  EXPECT_FALSE(children_->knows("device/x")) << "nor is it kept";
  children_->whereabouts().pin("device/pinned", "leaf");
  access_.removed = "gateway/leaf";  // Or disabled.
  children_->reconsider("leaf");
  EXPECT_FALSE(children_->knows("device/y"));
  EXPECT_TRUE(children_->knows("device/pinned")) << "the operator's word stands";
}

TEST_F(ChildrenTest, AGatewayThatWasRemovedDoesNotComeBack) {
  listen(kAll);
  access_.removed = "gateway/leaf";
  children_->forget("leaf");
  EXPECT_EQ(say(Kind::kReported, "device/x", "", R"({"v":1})"), Kept::kFailed);
  EXPECT_EQ(twins_->reported("device/x").version, 0u);
  (void)say(Kind::kState, "", "", R"({"version":"1"})");
  (void)say(Kind::kLost, "", "", R"({"epoch":"ab","seq":5})");
  listen(kAll);
  EXPECT_THAT(children_->status(), IsEmpty());
  access_.removed.clear();
  listen(0);
  EXPECT_THAT(children_->status(), IsEmpty()) << "nor by its session's end, when it is added again";
  listen(kAll);
  EXPECT_EQ(children_->status().size(), 1u);
}

}  // namespace
}  // namespace kante::hub
