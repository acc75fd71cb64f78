#include "host/hub/http/device_endpoints.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <deque>

#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

namespace json = boost::json;

// Devices that come with "token-ID" and may do what is theirs.
class TokenAccess final : public Access {
 public:
  Admission authenticate(const Credentials&) const override { return {}; }
  Admission verify(const RequestCredentials& credentials) const override {
    asked_for = credentials.resource;
    const std::string who(credentials.principal);
    if (credentials.token != "token-" + who) return {};
    return {std::make_shared<TestPrincipal>(who), Reason::kSuccess};
  }
  std::shared_ptr<const Principal> current(const Principal&) const override { return nullptr; }
  mutable std::string asked_for;
};

class FakeApi final : public DeviceApi {
 public:
  void send(const Asker& asker, const std::string& principal, DeviceMessage message,
            Done done) override {
    EXPECT_EQ(asker->name(), principal);
    sent.push_back(std::move(message));
    waiting.push_back(std::move(done));
  }
  void invoke(const Asker& asker, MethodRequest request, Methods::Answer answer) override {
    caller = asker->name();
    call = std::move(request);
    answer(status, payload);
  }
  void receive(const Asker&, Received received) override {
    if (cloud.empty()) return received(std::optional<CloudMessage>());
    received(std::optional(cloud.front()));
  }
  void settle(const Asker&, const std::string& lock_token, Settlement how, Done done) override {
    settled.emplace_back(lock_token, how);
    done(lock_token == "lock-1" ? Status() : Status(fail(Errc::kNotFound, "not locked")));
  }
  void sendTo(const std::string&, DeviceMessage, Done) override {}

  std::vector<DeviceMessage> sent;
  std::deque<Done> waiting;
  std::string caller;
  MethodRequest call;
  int status = 200;
  std::string payload = "null";
  std::deque<CloudMessage> cloud;
  std::vector<std::pair<std::string, Settlement>> settled;
};

class DeviceEndpointsTest : public ::testing::Test {
 protected:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  std::optional<WebResponse> ask(const std::string& method, const std::string& target,
                                 const Fields& fields = {}, const std::string& body = "") {
    const auto answer = std::make_shared<std::optional<WebResponse>>();
    answer_ = answer;
    endpoints_.handle({method, target, fields, body}, peer_,
                      [answer](WebResponse response) { *answer = std::move(response); });
    control_.restart();
    control_.run();
    return *answer;
  }
  std::optional<WebResponse> send(Fields fields, const std::string& body = "hello",
                                  const std::string& who = "device/car-1") {
    fields.emplace_back("Authorization", "token-" + who);
    return ask("POST", "/devices/car-1/messages/events?api-version=2021-04-12", fields, body);
  }
  static std::string property(const std::vector<DeviceMessage::Property>& from,
                              const std::string& name) {
    for (const auto& [known, value] : from)
      if (known == name) return value;
    return "(none)";
  }
  static std::string codeOf(const std::optional<WebResponse>& response) {
    for (const auto& [name, value] : response->fields)
      if (name == "iothub-errorcode") {
        const std::string text(json::parse(response->body).at("Message").as_string());
        EXPECT_TRUE(text.starts_with("ErrorCode:" + value + ";")) << text;
        return value;
      }
    return "";
  }

  boost::asio::io_context control_;
  TokenAccess access_;
  FakeApi api_;
  Peer peer_;
  DeviceEndpoints endpoints_{{control_, access_, api_, "edge-1"}};
  std::shared_ptr<std::optional<WebResponse>> answer_;
};

TEST_F(DeviceEndpointsTest, TelemetryIsAnsweredWhenItIsKept) {
  EXPECT_FALSE(send({})) << "it is not on disk yet";
  ASSERT_EQ(api_.sent.size(), 1u);
  EXPECT_EQ(api_.sent[0].body, "hello");
  EXPECT_EQ(access_.asked_for, "devices/car-1/messages/events");
  api_.waiting[0](Status());
  ASSERT_TRUE(*answer_);
  EXPECT_EQ((*answer_)->status, 204u);
}

TEST_F(DeviceEndpointsTest, FieldsBecomePropertiesAndSystemProperties) {
  (void)send({{"iothub-app-Temp", "21"},
              {"IoTHub-App-unit", "C"},
              {"IoTHub-MessageId", "m-1"},
              {"iothub-correlationid", "c-1"},
              {"iothub-contenttype", "application/json"},
              {"iothub-contentencoding", "utf-8"},
              {"dt-subject", "thermostat"},
              {"iothub-to", "/devices/car-1/messages/events"},
              {"User-Agent", "sdk"},
              {"iothub-creationtimeutc", "2026-01-31T12:00:00Z"},
              {"iothub-app-", "nameless"}});
  ASSERT_EQ(api_.sent.size(), 1u);
  const DeviceMessage& sent = api_.sent[0];
  EXPECT_EQ(sent.properties, (Fields{{"Temp", "21"}, {"unit", "C"}}));
  EXPECT_EQ(property(sent.system, "messageId"), "m-1");
  EXPECT_EQ(property(sent.system, "cid"), "c-1");
  EXPECT_EQ(property(sent.system, "dt-subject"), "thermostat");
  EXPECT_EQ(property(sent.system, "to"), "(none)") << "the address of the request is none";
  EXPECT_EQ(sent.content_type, "application/json");
  EXPECT_EQ(sent.content_encoding, "utf-8");
  EXPECT_EQ(sent.created_ns, 1'769'860'800'000'000'000);
}

TEST_F(DeviceEndpointsTest, ABatchIsOneAnswer) {
  const Fields kBatch = {{"Content-Type", "application/vnd.microsoft.iothub.json"}};
  (void)send(kBatch, R"([{"body":"aGVsbG8="},{"body":"plain","base64Encoded":false,
                         "properties":{"iothub-app-a":"b","iothub-messageid":"m-2"}}])");
  ASSERT_EQ(api_.sent.size(), 2u);
  EXPECT_EQ(api_.sent[0].body, "hello");
  EXPECT_EQ(api_.sent[1].body, "plain");
  EXPECT_EQ(property(api_.sent[1].properties, "a"), "b");
  EXPECT_EQ(property(api_.sent[1].system, "messageId"), "m-2");
  api_.waiting[0](Status());
  EXPECT_FALSE(*answer_);
  api_.waiting[1](fail(Errc::kLimit, "a queue is full"));
  ASSERT_TRUE(*answer_);
  EXPECT_EQ((*answer_)->status, 429u);
  EXPECT_EQ(codeOf(*answer_), "ThrottlingException");

  for (const char* wrong :
       {"", "{}", "[]", "[1]", "[{}]", R"([{"body":1}])", R"([{"body":"?"}])",
        R"([{"body":"","properties":[]}])", R"([{"body":"","properties":{"iothub-app-a":1}}])"}) {
    const auto refused = send(kBatch, wrong);
    ASSERT_TRUE(refused) << wrong;
    EXPECT_EQ(refused->status, 400u) << wrong;
    EXPECT_EQ(codeOf(refused), "ArgumentInvalid");
  }
  std::string many = "[";
  for (std::size_t i = 0; i <= DeviceEndpoints::kBatchMax; ++i)
    many += std::string(i == 0 ? "" : ",") + R"({"body":""})";
  EXPECT_EQ(send(kBatch, many + "]")->status, 413u);
}

TEST_F(DeviceEndpointsTest, EveryErrorHasItsStatus) {
  const std::tuple<Errc, unsigned, const char*> kErrors[] = {
      {Errc::kInvalid, 400, "ArgumentInvalid"},
      {Errc::kDenied, 403, "IotHubUnauthorizedAccess"},
      {Errc::kLimit, 429, "ThrottlingException"},
      {Errc::kUnavailable, 503, "ServiceUnavailable"},
      {Errc::kIo, 500, "ServerError"},
  };
  for (const auto& [code, status, text] : kErrors) {
    (void)send({});
    api_.waiting.back()(fail(code, "why"));
    ASSERT_TRUE(*answer_);
    EXPECT_EQ((*answer_)->status, status);
    EXPECT_EQ(codeOf(*answer_), text);
  }
  EXPECT_EQ(send({{"iothub-expiry", "tomorrow"}})->status, 400u);
  EXPECT_EQ(codeOf(send({{"iothub-app-a", "b"}}, std::string(262'144, 'x'))), "MessageTooLarge");
}

TEST_F(DeviceEndpointsTest, OnlyWhoProvesItSpeaks) {
  const auto refused = send({}, "hello", "device/car-2");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 401u);
  EXPECT_EQ(codeOf(refused), "IotHubUnauthorizedAccess");
  EXPECT_TRUE(refused->close);
  EXPECT_EQ(ask("GET", "/devices/car-1/messages/devicebound?api-version=1")->status, 401u);
  EXPECT_TRUE(api_.sent.empty());
}

TEST_F(DeviceEndpointsTest, PathsAreThoseOfIotHub) {
  EXPECT_EQ(ask("GET", "/")->status, 404u);
  EXPECT_EQ(ask("GET", "/devices/car-1/messages")->status, 404u);
  EXPECT_EQ(ask("GET", "/devices/car-1/messages/events?api-version=1")->status, 405u);
  EXPECT_EQ(ask("POST", "/devices/a%2Fb/messages/events?api-version=1")->status, 404u);
  EXPECT_EQ(ask("POST", "/devices//messages/events?api-version=1")->status, 404u);
  EXPECT_EQ(ask("POST", "/devices/%zz/messages/events?api-version=1")->status, 404u);
  const auto unversioned = ask("POST", "/devices/car-1/messages/events");
  EXPECT_EQ(unversioned->status, 400u);
  EXPECT_EQ(codeOf(unversioned), "InvalidProtocolVersion");
  (void)ask("POST", "/devices/car%2D1/modules/m/messages/events?api-version=1",
            {{"authorization", "token-device/car-1/module/m"}});
  EXPECT_EQ(api_.sent.size(), 1u);
  EXPECT_EQ(access_.asked_for, "devices/car-1/modules/m/messages/events");
}

TEST_F(DeviceEndpointsTest, CloudMessagesAreTakenAndSettled) {
  const Fields kWho = {{"Authorization", "token-device/car-1"}};
  const std::string path = "/devices/car-1/messages/devicebound";
  EXPECT_EQ(ask("GET", path + "?api-version=1", kWho)->status, 204u);
  api_.cloud.push_back({*jsonMessage("{\"a\":1}"), "lock-1", 2, 0});
  const auto got = ask("GET", path + "?api-version=1", kWho);
  EXPECT_EQ(got->status, 200u);
  EXPECT_EQ(got->body, "{\"a\":1}");
  EXPECT_EQ(property(got->fields, "ETag"), "\"lock-1\"");
  EXPECT_EQ(property(got->fields, "iothub-deliverycount"), "2");
  EXPECT_EQ(ask("DELETE", path + "/lock-1?api-version=1", kWho)->status, 204u);
  EXPECT_EQ(ask("DELETE", path + "/lock-1?reject=true&api-version=1", kWho)->status, 204u);
  EXPECT_EQ(ask("POST", path + "/lock-1/abandon?api-version=1", kWho)->status, 204u);
  const auto lost = ask("DELETE", path + "/lock-2?api-version=1", kWho);
  EXPECT_EQ(lost->status, 412u);
  EXPECT_EQ(codeOf(lost), "DeviceMessageLockLost");
  using Settlement = DeviceApi::Settlement;
  EXPECT_EQ(api_.settled,
            (std::vector<std::pair<std::string, Settlement>>{{"lock-1", Settlement::kComplete},
                                                             {"lock-1", Settlement::kReject},
                                                             {"lock-1", Settlement::kAbandon},
                                                             {"lock-2", Settlement::kComplete}}));
}

TEST_F(DeviceEndpointsTest, AMessageSplitsNoAnswer) {
  const Fields kWho = {{"Authorization", "token-device/car-1"}};
  kante_property evil{};
  const std::string name = "a: b\r\nX";
  const std::string value = "1\r\nSet-Cookie: x";
  evil.name = {name.data(), static_cast<std::uint32_t>(name.size())};
  evil.value = {value.data(), static_cast<std::uint32_t>(value.size())};
  kante_message message{};
  message.properties = &evil;
  message.property_count = 1;
  const auto built = buildMessage(message);
  ASSERT_TRUE(built) << built.error().text;
  api_.cloud.push_back({*built, "lock-1", 0, 0});
  const auto got = ask("GET", "/devices/car-1/messages/devicebound?api-version=1", kWho);
  EXPECT_EQ(property(got->fields, "iothub-app-a%3A%20b%0D%0AX"), "1%0D%0ASet-Cookie%3A%20x");
  for (const auto& [field, text] : got->fields) {
    EXPECT_EQ((field + text).find('\r'), std::string::npos);
  }
}

TEST_F(DeviceEndpointsTest, AModuleCallsMethods) {
  const Fields kWho = {{"x-ms-edge-moduleId", "car-1/a"},
                       {"Authorization", "token-device/car-1/module/a"}};
  api_.payload = R"({"done":true})";
  api_.status = 404;  // Of the method itself, which is none of ours.
  const auto answered = ask("POST", "/twins/edge-1/modules/B/methods", kWho,
                            R"({"methodName":"reset","payload":{"hard":false},
                                "responseTimeoutInSeconds":10,"connectTimeoutInSeconds":5})");
  EXPECT_EQ(answered->status, 200u);
  EXPECT_EQ(answered->body, R"({"status":404,"payload":{"done":true}})");
  EXPECT_EQ(api_.caller, "device/car-1/module/a");
  EXPECT_EQ(api_.call.target, "module/B") << "a module of this gateway";
  EXPECT_EQ(api_.call.name, "reset");
  EXPECT_EQ(api_.call.payload, R"({"hard":false})");
  EXPECT_EQ(api_.call.timeout, std::chrono::seconds(10));
  EXPECT_EQ(api_.call.connect_timeout, std::chrono::seconds(5));
  EXPECT_EQ(access_.asked_for, "devices/car-1/modules/a");

  (void)ask("POST", "/twins/car-9/modules/m/methods", kWho, R"({"methodName":"x"})");
  EXPECT_EQ(api_.call.target, "device/car-9/module/m");
  (void)ask("POST", "/twins/car-9/methods", kWho, R"({"methodName":"x"})");
  EXPECT_EQ(api_.call.target, "device/car-9");

  api_.payload = R"({"message":"nobody is there"})";
  const auto absent = ask("POST", "/twins/car-9/methods", kWho, R"({"methodName":"x"})");
  EXPECT_EQ(absent->status, 404u);
  EXPECT_EQ(absent->body, R"({"message":"nobody is there"})");
}

TEST_F(DeviceEndpointsTest, AMethodThatIsNotAskedForWellIsNotCalled) {
  Fields who = {{"Authorization", "token-device/car-1/module/a"}};
  const std::string body = R"({"methodName":"x"})";
  EXPECT_EQ(ask("POST", "/twins/car-9/methods", who, body)->status, 400u) << "by whom?";
  who.emplace_back("x-ms-edge-moduleId", "car-1");
  EXPECT_EQ(ask("POST", "/twins/car-9/methods", who, body)->status, 400u);
  who.back().second = "car-1/b";
  EXPECT_EQ(ask("POST", "/twins/car-9/methods", who, body)->status, 401u);
  who.back().second = "car-1/a";
  for (const char* wrong : {"", "[]", "{}", R"({"methodName":""})", R"({"methodName":1})",
                            R"({"methodName":"x","responseTimeoutInSeconds":4})",
                            R"({"methodName":"x","responseTimeoutInSeconds":301})",
                            R"({"methodName":"x","connectTimeoutInSeconds":"5"})"})
    EXPECT_EQ(ask("POST", "/twins/car-9/methods", who, wrong)->status, 400u) << wrong;
  EXPECT_EQ(api_.caller, "");
}

}  // namespace
}  // namespace kante::hub
