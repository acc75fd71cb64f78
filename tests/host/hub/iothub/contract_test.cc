// IoT Hub's contract without shards: what clients ask, and what comes back to their sessions.
#include "host/hub/iothub/contract.h"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>

#include "host/base/durable_map.h"
#include "host/hub/gateways/gateway_desk.h"
#include "host/hub/twin_secrets.h"
#include "tests/host/store/store_fixture.h"
#include "tests/support/eventually.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class Client final : public Principal {
 public:
  explicit Client(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  bool mayPublish(std::string_view topic) const override { return topic != forbidden; }
  bool maySubscribe(std::string_view) const override { return true; }
  bool mayCall(std::string_view target, std::string_view) const override {
    return target == callable;
  }
  bool mayUseTwin(std::string_view) const override { return has_twin; }
  std::string forbidden, callable;
  bool has_twin = true;

 private:
  const std::string name_;
};

class Registered final : public Access {
 public:
  Admission authenticate(const Credentials&) const override { return {}; }
  std::shared_ptr<const Principal> current(const Principal& principal) const override {
    if (principal.name() == removed) return nullptr;
    return std::make_shared<Client>(principal.name());
  }
  std::string removed;
};

constexpr std::uint32_t kOfOne = AskedBounds::Bounds().of_one;

// What is told of devices that are here.
struct HereDesk final : GatewayDesk {
  std::shared_ptr<void> enter(const std::string&, std::size_t) override { return nullptr; }
  void said(Said) override {}
  Status speaks(const std::string&, std::string_view) override { return {}; }
  std::uint64_t changes() const override { return 0; }
  void arrived(const std::string& device) override { told.push_back("arrived " + device); }
  void left(const std::string& device) override { told.push_back("left " + device); }
  void hears(const SessionRef&, const std::string&, std::uint8_t) override {}
  std::vector<std::string> told;
};

class ContractTest : public StoreTest {
 protected:
  void SetUp() override {
    open();
    twins_ = std::move(*Twins::open(map_));
    reopen();
  }
  void reopen() {
    contract_.reset();
    run();
    auto opened = Contract::open(
        {io_, *twins_, methods_, *store_, clock_, access_, "edge",
         [this](const SessionRef& session, const PublicationRef& publication) {
           said_.push_back(session.key + " " + std::string(publication->topic()) + " " +
                           std::string(publication->payload()));
           publications_.push_back(publication);
         },
         [this](const std::string& principal, DeviceMessage message, DeviceApi::Done done) {
           sent_.push_back(principal + " " + message.body);
           done({});
         },
         &gateways_,
         [](const std::string& principal, TwinSection desired) {
           if (principal != "module/container") return desired;
           return withSecrets(std::move(desired), [](const std::string& name) {
             static const std::string kValue = "hunter2";
             return name == "A" ? &kValue : nullptr;
           });
         }});
    ASSERT_TRUE(opened) << opened.error().text;
    contract_ = std::move(*opened);
  }
  void run() {
    io_.restart();
    io_.poll();
  }
  // Runs the control thread until it is so; the store answers from its own.
  bool until(const std::function<bool()>& so) {
    return eventually([&] {
      run();
      return so();
    });
  }
  void ask(const std::string& topic, const std::string& payload = "") {
    contract_->take(session_, car_, parseContractTopic(topic), payload)();
    run();
  }
  void listen(std::uint8_t interests) {
    contract_->interested(session_, car_->name(), interests);
    run();
  }
  std::vector<std::string> said() { return std::exchange(said_, {}); }
  Status sendTo(const std::string& body) {
    std::optional<Status> result;
    DeviceMessage message;
    message.body = body;
    message.properties = {{"p", "1"}};
    contract_->sendTo("device/car", std::move(message), [&](Status status) { result = status; });
    EXPECT_TRUE(until([&] { return result.has_value(); }));
    return result.value();
  }
  std::optional<DeviceApi::CloudMessage> receive() {
    std::optional<std::optional<DeviceApi::CloudMessage>> result;
    contract_->receive(car_, [&](auto got) { result = got ? *got : std::nullopt; });
    EXPECT_TRUE(until([&] { return result.has_value(); }));
    return result.value();
  }
  Status settle(const std::string& token, DeviceApi::Settlement how) {
    std::optional<Status> result;
    contract_->settle(car_, token, how, [&](Status status) { result = status; });
    EXPECT_TRUE(until([&] { return result.has_value(); }));
    return result.value();
  }

  boost::asio::io_context io_;
  MemoryMap map_;
  std::unique_ptr<Twins> twins_;
  Methods methods_{io_};
  Registered access_;
  HereDesk gateways_;
  std::vector<std::string> said_;
  std::vector<PublicationRef> publications_;
  std::vector<std::string> sent_;
  std::shared_ptr<Client> car_ = std::make_shared<Client>("device/car");
  SessionRef session_{0, 7, "s"};
  std::unique_ptr<Contract> contract_;
};

TEST_F(ContractTest, ATwinIsGotAndReported) {
  ask("$iothub/twin/GET/?$rid=1");
  EXPECT_THAT(said(), ElementsAre("s $iothub/twin/res/200/?$rid=1 "
                                  R"({"desired":{"$version":0},"reported":{"$version":0}})"));
  ask("$iothub/twin/PATCH/properties/reported/?$rid=a-B", R"({"speed":{"max":1},"gone":null})");
  EXPECT_THAT(said(), ElementsAre("s $iothub/twin/res/204/?$rid=a-B "));
  EXPECT_EQ(twins_->reported("device/car").json, R"({"speed":{"max":1}})");
  ask("$iothub/twin/PATCH/properties/reported/?", R"({"quiet":1})");
  EXPECT_THAT(said(), IsEmpty()) << "nobody asked for an answer";
  EXPECT_EQ(twins_->reported("device/car").version, 2u);
}

TEST_F(ContractTest, ADeviceIsHereWhileAnyOfItsSessionsHearsOfSomething) {
  listen(kCloudMessages);
  contract_->interested({0, 8, "t"}, "device/car", kDesiredPatches);
  contract_->interested({0, 9, "u"}, "device/car/module/m", kMethodCalls);
  run();
  EXPECT_THAT(gateways_.told, ElementsAre("arrived device/car"));
  listen(0);
  EXPECT_EQ(gateways_.told.size(), 1u);
  contract_->interested({0, 8, "t"}, "device/car", 0);
  run();
  EXPECT_THAT(gateways_.told, ElementsAre("arrived device/car", "left device/car"));
}

TEST_F(ContractTest, AReportThatBreaksARuleIs400AndOneThatIsNotGranted403) {
  for (const char* bad : {"", "[]", "{", R"({"$version":1})", R"({"a.b":1})", R"({"a":[null]})"}) {
    ask("$iothub/twin/PATCH/properties/reported/?$rid=1", bad);
    EXPECT_THAT(said(),
                ElementsAre(StartsWith("s $iothub/twin/res/400/?$rid=1 {\"errorCode\":400000,"
                                       "\"message\":\"")))
        << bad;
  }
  car_->has_twin = false;
  ask("$iothub/twin/PATCH/properties/reported/?$rid=1", "{}");
  ask("$iothub/twin/GET/?$rid=2");
  EXPECT_THAT(said(),
              ElementsAre(StartsWith("s $iothub/twin/res/403/?$rid=1 {\"errorCode\":403000,"),
                          StartsWith("s $iothub/twin/res/403/?$rid=2 {\"errorCode\":403000,")));
}

TEST_F(ContractTest, ASecretIsToldToTheOneThatItIsFor) {
  ASSERT_TRUE(twins_->patchDesired("module/container", R"({"login":"u:${secret:A}"})"));
  ASSERT_TRUE(twins_->patchDesired("device/car", R"({"login":"u:${secret:A}"})"));
  ask("$iothub/twin/GET/?$rid=1");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("${secret:A}")));
  car_ = std::make_shared<Client>("module/container");
  ask("$iothub/twin/GET/?$rid=2");
  EXPECT_THAT(said(), ElementsAre(HasSubstr(R"({"desired":{"login":"u:hunter2","$version":1})")));
  listen(kDesiredPatches);
  ASSERT_TRUE(twins_->patchDesired(
      "module/container", R"({"other":["${secret:A}"],"missing":"${secret:B} ${secret:A}"})"));
  EXPECT_THAT(said(), ElementsAre(HasSubstr("${secret:B} ${secret:A}")))
      << "half of it would be no help";
  ASSERT_TRUE(twins_->patchDesired("module/container", R"({"missing":null,"a":1})"));
  const std::string again = retold(twins_->desired("module/container"), "A");
  EXPECT_EQ(again, R"({"login":"u:${secret:A}","other":["${secret:A}"]})");
  (void)said();
  ASSERT_TRUE(twins_->patchDesired("module/container", again));
  EXPECT_THAT(said(), ElementsAre(HasSubstr(R"({"login":"u:hunter2","other":["hunter2"],)")));
  EXPECT_EQ(retold(twins_->desired("module/container"), "B"), "");
  EXPECT_THAT(twins_->desired("module/container").json, ::testing::Not(HasSubstr("hunter2")));
}

TEST_F(ContractTest, ADesiredPatchReachesWhoSubscribed) {
  ASSERT_TRUE(twins_->patchDesired("device/car", R"({"a":1,"b":{"c":1}})"));
  EXPECT_THAT(said(), IsEmpty());
  listen(kDesiredPatches);
  ASSERT_TRUE(twins_->patchDesired("device/car", R"({"a":null})"));
  ASSERT_TRUE(twins_->patchDesired("device/van", R"({"a":1})"));
  EXPECT_THAT(said(), ElementsAre("s $iothub/twin/PATCH/properties/desired/?$version=2 "
                                  R"({"a":null,"$version":2})"));
  ASSERT_TRUE(twins_->replaceDesired("device/car", R"({"b":{"d":2}})"));
  EXPECT_THAT(said(), ElementsAre("s $iothub/twin/PATCH/properties/desired/?$version=3 "
                                  R"({"b":{"c":null,"d":2},"$version":3})"))
      << "what was replaced as a whole comes as a patch too";
  listen(0);
  ASSERT_TRUE(twins_->patchDesired("device/car", R"({"a":1})"));
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(ContractTest, WhatClientsDoAtOnceIsBounded) {
  for (std::uint32_t i = 0; i < kOfOne; ++i)
    contract_->take(session_, car_, parseContractTopic("$iothub/twin/GET/?$rid=1"), "")();
  EXPECT_FALSE(contract_->take(session_, car_, parseContractTopic("$iothub/twin/GET/?$rid=1"), ""));
  run();
  EXPECT_EQ(said().size(), kOfOne);
  ask("$iothub/twin/GET/?$rid=2");
  for (int i = 0; i < 1000; ++i)
    contract_->interested(session_, car_->name(), i % 2 == 0 ? 0 : kMethodCalls | kDesiredPatches);
  io_.restart();
  EXPECT_LE(io_.poll(), 2u) << "a session that changes its mind again and again is looked at once";
  said();
  ASSERT_TRUE(twins_->patchDesired("device/car", R"({"a":1})"));
  EXPECT_EQ(said().size(), 1u) << "and its last word counts";
}

TEST_F(ContractTest, AMethodGoesDownAndItsAnswerUp) {
  std::vector<std::string> answers;
  const auto invoke = [&] {
    methods_.invoke({"device/car", "reset", R"({"hard":true})"}, [&](int status, auto payload) {
      answers.push_back(std::to_string(status) + payload);
    });
    run();
  };
  invoke();
  EXPECT_THAT(answers, ElementsAre(HasSubstr("404")));
  listen(kMethodCalls);
  invoke();
  const auto down = said();
  ASSERT_EQ(down.size(), 1u);
  EXPECT_THAT(down[0], StartsWith("s $iothub/methods/POST/reset/?$rid="));
  EXPECT_THAT(down[0], HasSubstr(R"( {"hard":true})"));
  const std::string rid = down[0].substr(35, 36);
  EXPECT_EQ(rid[8], '-');
  EXPECT_EQ(rid[14], '4');
  // Another device cannot answer for it.
  const auto van = std::make_shared<Client>("device/van");
  const std::string topic = "$iothub/methods/res/201/?$rid=" + rid;
  contract_->take(session_, van, parseContractTopic(topic), "\"mine\"")();
  run();
  EXPECT_EQ(answers.size(), 1u);
  ask(topic, R"({"done":true})");
  EXPECT_THAT(answers.back(), R"(201{"done":true})");
  ask(topic, "again");
  EXPECT_EQ(answers.size(), 2u);
  invoke();
  listen(0);
  run();
  EXPECT_THAT(answers.back(), HasSubstr("404")) << "it left before it answered";
}

TEST_F(ContractTest, WhoAsksWithoutEndKeepsNobodyElseFromBeingHeard) {
  const auto topic = parseContractTopic("$iothub/twin/GET/?$rid=1");
  std::vector<Desk::Request> requests;
  for (std::uint32_t i = 0; i < kOfOne; ++i)
    requests.push_back(contract_->take(session_, car_, topic, ""));
  EXPECT_FALSE(contract_->take(session_, car_, topic, ""));
  EXPECT_TRUE(contract_->take(session_, std::make_shared<Client>("device/van"), topic, ""));
}

TEST_F(ContractTest, WhatWaitsIsBoundedInBytes) {
  const auto topic = parseContractTopic("$iothub/twin/PATCH/properties/reported/?$rid=1");
  const std::string large(Contract::kAskedBytesMax, 'x');
  EXPECT_FALSE(contract_->take(session_, car_, topic, large + "x"));
  std::vector<Desk::Request> requests;
  const std::size_t fit = AskedBounds::Bounds().bytes / large.size();
  for (std::size_t i = 0; i < fit; ++i)
    requests.push_back(contract_->take(
        session_, std::make_shared<Client>("device/" + std::to_string(i / 50)), topic, large));
  EXPECT_TRUE(requests.back());
  EXPECT_FALSE(contract_->take(session_, car_, topic, large));
  requests.pop_back();
  EXPECT_TRUE(contract_->take(session_, car_, topic, large));
}

TEST_F(ContractTest, TooMuchAtOnceIsSaidSo) {
  const auto topic = parseContractTopic("$iothub/twin/GET/?$rid=1");
  std::vector<Desk::Request> requests;
  for (std::uint32_t i = 0; i < kOfOne; ++i)
    requests.push_back(contract_->take(session_, car_, topic, ""));
  EXPECT_TRUE(requests.back());
  EXPECT_FALSE(contract_->take(session_, car_, topic, ""));
  requests.pop_back();
  EXPECT_TRUE(contract_->take(session_, car_, topic, "")) << "one was dropped undone";
  run();
  EXPECT_THAT(said(), IsEmpty()) << "nothing is done before it is called";
}

TEST_F(ContractTest, ACloudMessageWaitsForItsDeviceAndIsSettledByIt) {
  ASSERT_TRUE(sendTo("one"));
  ASSERT_TRUE(sendTo("two"));
  reopen();  // And for the host.
  listen(kCloudMessages);
  ASSERT_TRUE(until([&] { return said_.size() == 2; }));
  EXPECT_THAT(said_[0], StartsWith("s devices/car/messages/devicebound/p=1&%24.ctime="));
  EXPECT_THAT(said_[1], HasSubstr(" two"));
  publications_[0]->receipt()->settled();
  publications_.clear();  // The second was lost with its session.
  said();
  ASSERT_TRUE(until([&] { return said_.size() == 1; }));
  EXPECT_THAT(said_[0], HasSubstr(" two"));
  publications_[0]->receipt()->settled();
  publications_.clear();
  listen(0);
  EXPECT_FALSE(receive());
}

TEST_F(ContractTest, WhatARemovedDeviceAskedBeforeItsSessionEndedMakesNoTwin) {
  const Desk::Request request = contract_->take(
      session_, car_, parseContractTopic("$iothub/twin/PATCH/properties/reported/?$rid=1"), "{}");
  access_.removed = "device/car";
  request();
  run();
  EXPECT_EQ(twins_->reported("device/car").version, 0u);
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(ContractTest, WhatWaitsForADeviceGoesWithIt) {
  const auto nothingIsStored = [&] {
    const auto queues = *store_->queues();
    return std::all_of(queues.begin(), queues.end(),
                       [](const QueueStats& queue) { return queue.messages == 0; });
  };
  const auto remove = [&] {
    contract_->removed("device/car");
    (void)*store_->queues();  // Waits for the store, as does whoever syncs the registry.
    EXPECT_TRUE(nothingIsStored());
    EXPECT_FALSE(receive());
  };
  ASSERT_TRUE(sendTo("nobody takes it"));
  remove();
  ASSERT_TRUE(sendTo("it waits over a start"));
  reopen();
  remove();
  ASSERT_TRUE(sendTo("locked"));
  ASSERT_TRUE(sendTo("behind it"));
  const auto locked = receive();
  ASSERT_TRUE(locked);
  remove();
  EXPECT_EQ(settle(locked->lock_token, DeviceApi::Settlement::kAbandon).error().code,
            Errc::kNotFound);
  listen(kCloudMessages);
  ASSERT_TRUE(sendTo("with a session"));
  ASSERT_TRUE(until([&] { return said_.size() == 1; }));
  ASSERT_TRUE(sendTo("behind it"));
  contract_->removed("device/car");
  EXPECT_TRUE(nothingIsStored());
  listen(0);
  publications_.clear();  // It is dropped with the session.
  run();
  EXPECT_FALSE(receive());
  // Another one of that name.
  ASSERT_TRUE(sendTo("new"));
  EXPECT_EQ(receive().value().message.view().body(), "new");
}

TEST_F(ContractTest, OverHttpsAMessageIsLockedUntilItIsSettled) {
  EXPECT_FALSE(receive());
  ASSERT_TRUE(sendTo("one"));
  const auto first = receive();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->message.view().body(), "one");
  EXPECT_EQ(first->delivered, 0u);
  EXPECT_FALSE(receive()) << "it is locked";
  EXPECT_EQ(settle("nonsense", DeviceApi::Settlement::kComplete).error().code, Errc::kNotFound);
  ASSERT_TRUE(settle(first->lock_token, DeviceApi::Settlement::kAbandon));
  const auto again = receive();
  ASSERT_TRUE(again);
  EXPECT_GE(again->delivered, 1u);
  ASSERT_TRUE(settle(again->lock_token, DeviceApi::Settlement::kComplete));
  EXPECT_FALSE(receive());
}

TEST_F(ContractTest, ADeviceHasAtMostFiftyWaiting) {
  for (std::size_t i = 0; i < DeviceApi::kCloudMessagesMax; ++i) ASSERT_TRUE(sendTo("x"));
  EXPECT_EQ(sendTo("x").error().code, Errc::kLimit);
  std::optional<Status> result;
  contract_->sendTo("module/filter", {}, [&](Status status) { result = status; });
  run();
  EXPECT_EQ(result->error().code, Errc::kInvalid);
}

TEST_F(ContractTest, OtherProtocolsAskByTheSameGrants) {
  std::vector<std::string> outcomes;
  const auto done = [&](const Status& status) {
    outcomes.push_back(status ? "done" : status.error().text);
  };
  contract_->send(car_, "device/car", {"{}"}, done);
  contract_->send(car_, "device/van", {"{}"}, done);
  car_->forbidden = "devices/car/messages/events";
  contract_->send(car_, "device/car", {"{}"}, done);
  run();
  EXPECT_THAT(outcomes, ElementsAre("done", "device/car may not send as device/van",
                                    "device/car may not send as device/car"));
  EXPECT_THAT(sent_, ElementsAre("device/car {}"));
  std::vector<int> statuses;
  const auto answer = [&](int status, const std::string&) { statuses.push_back(status); };
  contract_->invoke(car_, {"module/a", "m"}, answer);
  car_->callable = "module/a";
  contract_->invoke(car_, {"module/a", "m"}, answer);
  run();
  EXPECT_THAT(statuses, ElementsAre(DeviceApi::kMethodDenied, kMethodNotFound));
}

}  // namespace
}  // namespace kante::hub
