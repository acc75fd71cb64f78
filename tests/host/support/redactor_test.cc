#include "host/support/redactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/support/secret_name.h"

namespace kante {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;

std::string clean(std::string_view text) { return Redactor().text(text); }

TEST(SecretName, IsToldByItsWords) {
  for (const char* name : {"password",
                           "db_password",
                           "mqttPassword",
                           "PASSWD",
                           "apiKey",
                           "api-key",
                           "APIKEY",
                           "key",
                           "shared_access_key",
                           "SharedAccessKey",
                           "token",
                           "authToken",
                           "client.secret",
                           "psk",
                           "sas",
                           "connectionString",
                           "AzureConnectionString",
                           "credentials",
                           "pin",
                           "x-auth",
                           "pwd"})
    EXPECT_TRUE(namesSecret(name)) << name;
  for (const char* name : {"keyboard", "monkey", "period_ms", "author", "spin", "password_file",
                           "tokenFile", "", "123", "compass", "passage", "keep_alive"})
    EXPECT_FALSE(namesSecret(name)) << name;
  EXPECT_FALSE(namesSecret("key", NameIn::kProse));
  EXPECT_TRUE(namesSecret("password", NameIn::kProse));
}

TEST(Redactor, TakesOutWhatHasTheFormOfASecret) {
  EXPECT_EQ(clean("password=hunter2, next"), "password=***, next");
  EXPECT_EQ(clean("the password: hunter2 was wrong"), "the password: *** was wrong");
  EXPECT_EQ(clean(R"({"api_key":"a\"b","x":1})"), R"({"api_key":"***","x":1})");
  EXPECT_EQ(clean(R"(said {\"token\":\"abc\",\"x\":1})"), R"(said {\"token\":\"***\",\"x\":1})");
  EXPECT_EQ(clean("https://me:pa/ss@host/path?sig=abc&x=1 ok"), "https://***@host/path?*** ok");
  EXPECT_EQ(clean("mqtts://host:8883/a?b"), "mqtts://host:8883/a?***");
  EXPECT_EQ(clean("mqtts://host:8883"), "mqtts://host:8883");
  EXPECT_EQ(clean("Authorization: Bearer abcdefgh.ijk"), "Authorization: Bearer ***");
  EXPECT_EQ(clean("HostName=h;DeviceId=d;SharedAccessKey=c2VjcmV0"),
            "HostName=h;DeviceId=d;SharedAccessKey=***");
  EXPECT_EQ(clean("SharedAccessSignature sr=h&sig=x&se=1"), "SharedAccessSignature ***");
  EXPECT_EQ(clean("jwt eyJhbGciOiJI.eyJzdWIi.c2ln end"), "jwt *** end");
  EXPECT_EQ(clean("a -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- b"),
            "a *** b");
  EXPECT_EQ(clean(R"({"pem":"-----BEGIN PRIVATE KEY-----\nMH","x":1})"), R"({"pem":"***","x":1})");
  EXPECT_EQ(clean("primary " + toBase64(std::string(32, '\x9d') + "x1")), "primary ***");
}

TEST(Redactor, LeavesWhatIsNone) {
  for (const char* text :
       {"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "FROM /messages/modules/sensor/outputs/* INTO "
        "BrokeredEndpoint(\"/modules/filter/inputs/in\")",
        "key: none", "the signature is no good: untrusted", "kante_queue_messages{queue=\"up\"} 1",
        "2026-11-26T12:00:00.000Z", "-----BEGIN CERTIFICATE-----", "Basic is", "a = b", "://", "=",
        "password", "password=", R"({"auth":{"a":[1]},"keys":["a"],"token":true,"pin":null})", "\"",
        "\\"})
    EXPECT_EQ(clean(text), text);
}

TEST(Redactor, CleansJsonByNameAndKeepsItsShape) {
  auto value = json::parse(R"({
    "period_ms": 5, "password": "hunter2", "pin": 1234, "secrets": {"a": "x", "b": ["y", true, null]},
    "key": "", "env": [{"name": "MQTT_TOKEN", "value": "abc"}, {"name": "MODE", "value": "fast"}],
    "cmd": ["--password", "abc", "--mode", "fast", "--token=abc"],
    "create_options": "{\"Env\":[\"PASSWORD=abc\",\"MODE=fast\"]}"})");
  Redactor redactor;
  redactor.json(value);
  EXPECT_EQ(
      json::serialize(value),
      R"({"period_ms":5,"password":"***","pin":"***","secrets":{"a":"***","b":["***",true,null]},)"
      R"("key":"","env":[{"name":"MQTT_TOKEN","value":"***"},{"name":"MODE","value":"fast"}],)"
      R"("cmd":["--password","***","--mode","fast","--token=***"],)"
      R"("create_options":"{\"Env\":[\"PASSWORD=***\",\"MODE=fast\"]}"})");
}

TEST(Redactor, FindsWhatItLearnedAnywhere) {
  auto value = json::parse(R"({"password": "hunter2hunter2", "key": "temperature",
                               "from": "https://u:curl-pass@h/x?sas-query-value"})");
  Redactor redactor;
  redactor.json(value);
  redactor.learn("from \"a\" file");
  const std::string secret = "hunter2hunter2";
  for (const std::string& form :
       {secret, toBase64(secret), toBase64(secret + "and more"), toHex(secret),
        std::string("sas-query-value"), std::string("from \"a\" file"),
        std::string(R"(from \"a\" file)"), percentEncode("from \"a\" file")}) {
    EXPECT_THAT(redactor.text("log <" + form + "> end"), Not(HasSubstr(form)));
    EXPECT_THAT(redactor.text("log <" + form + "> end"), HasSubstr("log <***"));
  }
  EXPECT_EQ(redactor.text("the temperature is 5"), "the temperature is 5");
  EXPECT_EQ(redactor.text("hunter"), "hunter");
}

TEST(Redactor, DoingItAgainChangesNothing) {
  const std::string text =
      "password=a https://u:p@h/x?q \"token\": \"b\" Bearer abcdefghij eyJh.b -----BEGIN PRIVATE "
      "KEY";
  EXPECT_EQ(clean(clean(text)), clean(text));
}

// What modules log is no friend's: no text takes more than a look at each of its characters.
TEST(Redactor, IsQuickWithTextsThatAreMadeToBeSlow) {
  for (const char* piece : {"://", "a/", "a://b@", "password=", "\\", "eyJ", "eyJ+", "-----BEGIN ",
                            "Bearer ", "\"key\":\"", "https://h?", "a@"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += piece;
    EXPECT_LE(clean(text).size(), 8 * text.size());
  }
}

}  // namespace
}  // namespace kante
