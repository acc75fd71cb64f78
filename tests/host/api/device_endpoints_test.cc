#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "host/api/endpoints.h"
#include "host/base/durable_map.h"
#include "host/base/trusted_clock.h"
#include "host/identity/connection_string.h"
#include "host/identity/registry.h"
#include "host/identity/sas_token.h"
#include "tests/host/api/wire.h"

namespace kante {
namespace {

namespace json = boost::json;
using testing::RunningApi;

// Keeps nothing once it is told to fail.
class MapThatMayFail final : public DurableMap {
 public:
  Result<std::map<std::string, std::string>> readAll() override { return inner.readAll(); }
  Status put(const std::string& key, const std::string& value) override {
    return inner.put(key, value);
  }
  Status erase(const std::string& key) override { return inner.erase(key); }
  void sync(std::function<void(Status)> done) override {
    done(failing ? Status(fail(Errc::kIo, "store: disk full")) : Status());
  }
  MemoryMap inner;
  bool failing = false;
};

struct Reply {
  unsigned status = 0;
  json::value body;
  std::string text(const char* member) const {
    const json::value& value = body.at(member);
    return value.is_string() ? std::string(value.as_string()) : json::serialize(value);
  }
  std::string error() const { return std::string(body.at("error").at("text").as_string()); }
};

class DeviceEndpointsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry = std::move(*Registry::open(map, seal, clock));
    addDeviceEndpoints(api.router, {*registry, trusted, api.log, "edge-1.local"});
    ASSERT_TRUE(api.start());
  }
  void TearDown() override { api.stop(); }
  Reply ask(const std::string& method, const std::string& path, const std::string& body = {}) {
    const std::string reply =
        api.ask(method + " /v1/devices" + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
                "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
    Reply out;
    out.status = static_cast<unsigned>(std::stoul(reply.substr(9, 3)));
    out.body = json::parse(reply.substr(reply.find("\r\n\r\n") + 4));
    return out;
  }
  static std::string keyOf(const Reply& reply) {
    return std::string(
        reply.body.at("authentication").at("symmetricKey").at("primaryKey").as_string());
  }

  MapThatMayFail map;
  Seal seal = Seal::random();
  ManualClock clock;
  TrustedClock trusted{clock, 1, [] { return false; }};
  std::unique_ptr<Registry> registry;
  RunningApi api;
};

TEST_F(DeviceEndpointsTest, ADeviceIsAddedWithWhatItConnectsBy) {
  const Reply added = ask("POST", "", R"({"id":"car-7"})");
  ASSERT_EQ(added.status, 201u);
  EXPECT_EQ(added.text("principal"), "device/car-7");
  EXPECT_EQ(added.text("deviceId"), "car-7");
  EXPECT_EQ(added.text("moduleId"), "null");
  EXPECT_EQ(added.text("status"), "enabled");
  EXPECT_EQ(added.text("grants"), R"(["default"])");
  EXPECT_EQ(added.text("created"), "2025-10-09T08:53:20.000Z");
  const auto connection = ConnectionString::parse(added.text("connection_string"));
  ASSERT_TRUE(connection);
  EXPECT_EQ(connection->host, "edge-1.local");
  EXPECT_EQ(connection->principal.name(), "device/car-7");
  EXPECT_EQ(toBase64(connection->key.view()), keyOf(added));
  EXPECT_EQ(ask("POST", "", R"({"id":"car-7"})").status, 409u);
  EXPECT_EQ(ask("POST", "", R"({"id":"car-7/module/m"})").status, 201u);
  EXPECT_EQ(ask("POST", "", R"({"id":"car-8/module/m"})").status, 404u);
}

TEST_F(DeviceEndpointsTest, KeysAreShownToWhoAsksForThem) {
  const Reply added = ask("POST", "", R"({"id":"car-7"})");
  const std::string key = keyOf(added);
  for (const char* path : {"", "/car-7", "/device/car-7"})
    EXPECT_EQ(json::serialize(ask("GET", path).body).find("rimaryKey"), std::string::npos) << path;
  EXPECT_EQ(json::serialize(ask("PATCH", "/car-7", R"({"status":"disabled"})").body).find(key),
            std::string::npos);
  EXPECT_EQ(keyOf(ask("GET", "/car-7?keys=1")), key);
  for (const auto& line : api.log.kept("api")) {
    for (const auto& [name, value] : line.fields) EXPECT_EQ(value.find(key), std::string::npos);
  }
}

TEST_F(DeviceEndpointsTest, AllThreeWaysToProveItselfAreTaken) {
  const Reply own = ask("POST", "", R"({"id":"a","authentication":{"type":"sas","symmetricKey":
      {"primaryKey":"AAECAwQFBgcICQoLDA0ODw=="}}})");
  ASSERT_EQ(own.status, 201u);
  EXPECT_EQ(keyOf(own), "AAECAwQFBgcICQoLDA0ODw==");
  const std::string hex = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD";
  const Reply thumbprint = ask("POST", "",
                               R"({"id":"b","authentication":{"type":"selfSigned",
      "x509Thumbprint":{"primaryThumbprint":")" +
                                   hex + R"("}}})");
  ASSERT_EQ(thumbprint.status, 201u);
  EXPECT_EQ(thumbprint.body.at("authentication").at("x509Thumbprint").at("primaryThumbprint"),
            "aabbccddeeff00112233445566778899aabbccdd");
  EXPECT_EQ(thumbprint.text("connection_string"), "HostName=edge-1.local;DeviceId=b;x509=true");
  const Reply authority =
      ask("POST", "", R"({"id":"c","authentication":{"type":"certificateAuthority"}})");
  EXPECT_EQ(authority.status, 201u);
  EXPECT_EQ(ask("POST", "/b/sas").status, 409u);
  EXPECT_EQ(ask("POST", "/c/keys").status, 409u);
}

TEST_F(DeviceEndpointsTest, WhatIsWrongIsNamedByWhereItStands) {
  const std::pair<const char*, const char*> kBad[] = {
      {R"({})", "/id: "},
      {R"({"id":5})", "/id: is a text"},
      {R"({"id":"a b"})", "/id: \"a b\" is no id"},
      {R"({"id":"a","grant":[]})", "/grant: unknown member; did you mean grants?"},
      {R"({"id":"a","grants":"x"})", "/grants: is a list"},
      {R"({"id":"a","grants":["nonsense"]})", "grant \"nonsense\""},
      {R"({"id":"a","status":"off"})", "/status: is \"enabled\""},
      {R"({"id":"a","authentication":1})", "/authentication: is an object"},
      {R"({"id":"a","authentication":{"type":"x"}})", "is none of sas"},
      {R"({"id":"a","authentication":{"symmetricKey":{"primaryKey":"?"}}})",
       "/authentication: primaryKey: not base64"},
      {R"({"id":"a","authentication":{"symmetricKey":{"primaryKey":"AAAA"}}})", "16 to 64 bytes"},
      {R"({"id":"a","authentication":{"type":"selfSigned"}})", "/x509Thumbprint: is an object"},
      {R"({"id":"a","authentication":{"type":"selfSigned","x509Thumbprint":
        {"primaryThumbprint":"abcd"}}})",
       "40 or 64 hexadecimal"},
      {R"([])", ""},
      {R"({"id":"a","id":"b"})", ""}};
  for (const auto& [body, text] : kBad) {
    const Reply reply = ask("POST", "", body);
    EXPECT_EQ(reply.status, 400u) << body;
    EXPECT_NE(reply.error().find(text), std::string::npos) << body << ": " << reply.error();
  }
  EXPECT_EQ(registry->size(), 0u);
  for (const auto& [method, path] :
       {std::pair{"GET", "/none"}, std::pair{"DELETE", "/none"}, std::pair{"POST", "/none/keys"},
        std::pair{"POST", "/none/sas"}})
    EXPECT_EQ(ask(method, path).status, 404u) << method << path;
  EXPECT_EQ(ask("PATCH", "/none", R"({"status":"disabled"})").status, 404u);
  EXPECT_EQ(ask("PATCH", "/none", R"({"status":"disabled","grants":[]})").status, 400u);
  EXPECT_EQ(ask("PATCH", "/none", R"({})").status, 400u);
  EXPECT_EQ(ask("GET", "?max=0").status, 400u);
}

TEST_F(DeviceEndpointsTest, OneThingIsChangedAtATime) {
  ask("POST", "", R"({"id":"car-7"})");
  const PrincipalName car = *PrincipalName::parse("car-7");
  EXPECT_EQ(ask("PATCH", "/car-7", R"({"status":"disabled"})").text("status"), "disabled");
  EXPECT_EQ(ask("PATCH", "/car-7", R"({"status":"enabled"})").text("status"), "enabled");
  EXPECT_EQ(ask("PATCH", "/car-7", R"({"grants":["publish:a"]})").text("grants"),
            R"(["publish:a"])");
  EXPECT_EQ(ask("PATCH", "/car-7", R"({"authentication":{"type":"certificateAuthority"}})").status,
            200u);
  EXPECT_EQ(api.onControl([&] { return registry->find(car)->verifier.kind; }),
            Verifier::Kind::kAuthority);
  const Reply removed = ask("DELETE", "/car-7");
  EXPECT_EQ(removed.status, 200u);
  EXPECT_EQ(removed.text("removed"), "device/car-7");
  EXPECT_EQ(ask("GET", "/car-7").status, 404u);
}

TEST_F(DeviceEndpointsTest, ARotationGivesTheNewKeyAndTellsWhetherSessionsEnd) {
  const std::string first = keyOf(ask("POST", "", R"({"id":"car-7"})"));
  std::vector<Registry::Sessions> told;
  const auto observation = api.onControl([&] {
    return registry->observe(
        [&](const Registry::Change& change) { told.push_back(change.sessions); });
  });
  const Reply second = ask("POST", "/car-7/keys");
  EXPECT_NE(keyOf(second), first);
  EXPECT_EQ(second.body.at("authentication").at("symmetricKey").at("secondaryKey").as_string(),
            first);
  EXPECT_EQ(ask("POST", "/car-7/keys", R"({"which":"both","sessions":"end"})").status, 200u);
  EXPECT_EQ(told, (std::vector{Registry::Sessions::kKeep, Registry::Sessions::kEnd}));
  EXPECT_EQ(ask("POST", "/car-7/keys", R"({"which":"third"})").status, 400u);
  EXPECT_EQ(ask("POST", "/car-7/keys", R"({"sessions":"x"})").status, 400u);
}

TEST_F(DeviceEndpointsTest, ATokenIsMadeForTheDevice) {
  const std::string key = *fromBase64(keyOf(ask("POST", "", R"({"id":"car-7"})")));
  const Reply reply = ask("POST", "/car-7/sas", R"({"ttl_s":60})");
  ASSERT_EQ(reply.status, 200u);
  const std::string text = reply.text("token");
  const auto token = SasToken::parse(text);
  ASSERT_TRUE(token);
  EXPECT_TRUE(token->signedWith(key));
  EXPECT_TRUE(resourceCovers(token->resource, "edge-1.local", "devices/car-7"));
  EXPECT_EQ(token->expires_s, 1'760'000'060);
  EXPECT_EQ(reply.text("expires"), "2025-10-09T08:54:20.000Z");
  for (const char* bad : {R"({"ttl_s":0})", R"({"ttl_s":"60"})", R"({"ttl":60})"})
    EXPECT_EQ(ask("POST", "/car-7/sas", bad).status, 400u) << bad;
}

TEST_F(DeviceEndpointsTest, GrantsAreExplained) {
  ask("POST", "", R"({"id":"car-7","grants":["default","method:module/a/reset"]})");
  const Reply topic = ask("GET", "/car-7?explain=devices%2Fcar-7%2Fx");
  const json::array& both = topic.body.at("explained").as_array();
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].at("allowed").as_bool(), true);
  EXPECT_EQ(both[0].at("grant").as_string(), "publish:devices/{id}/#");
  EXPECT_EQ(both[1].at("action").as_string(), "subscribe");
  const Reply method = ask("GET", "/car-7?explain=method:module%2Fa%2Freset");
  ASSERT_EQ(method.body.at("explained").as_array().size(), 1u);
  EXPECT_EQ(method.body.at("explained").as_array()[0].at("allowed").as_bool(), true);
  const Reply denied = ask("GET", "/car-7?explain=method:module%2Fa%2Fother");
  EXPECT_EQ(denied.body.at("explained").as_array()[0].at("allowed").as_bool(), false);
}

TEST_F(DeviceEndpointsTest, TheListComesInPages) {
  for (const char* id : {"c", "a", "b"}) ask("POST", "", R"({"id":")" + std::string(id) + R"("})");
  const auto names = [&](const std::string& query) {
    const Reply page = ask("GET", query);
    std::string out;
    for (const json::value& each : page.body.as_array())
      out += std::string(each.at("deviceId").as_string());
    return out;
  };
  EXPECT_EQ(names(""), "abc");
  EXPECT_EQ(names("?max=2"), "ab");
  EXPECT_EQ(names("?max=2&after=device%2Fb"), "c");
}

TEST_F(DeviceEndpointsTest, WhatIsNotOnDiskIsNotAcknowledged) {
  api.onControl([&] { map.failing = true; });
  const Reply reply = ask("POST", "", R"({"id":"car-7"})");
  EXPECT_EQ(reply.status, 500u);
  EXPECT_NE(reply.error().find("disk full"), std::string::npos);
}

TEST_F(DeviceEndpointsTest, OddIdsFindTheirWay) {
  const std::string id = "a%2F:.+#*?!(),=@;$'";
  ASSERT_EQ(ask("POST", "", json::serialize(json::object{{"id", id}})).status, 201u);
  const Reply reply = ask("GET", "/" + percentEncode(id) + "?keys=1");
  EXPECT_EQ(reply.status, 200u);
  EXPECT_EQ(reply.text("deviceId"), id);
  EXPECT_EQ(reply.text("connection_string"), "null");  // SDKs cut at the semicolon.
}

}  // namespace
}  // namespace kante
