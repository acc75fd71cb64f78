#include "host/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "host/config/toml_guard.h"

namespace kante {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kGateway[] = "[gateway]\nid = \"edge-1\"\n";

Config accepted(const std::string& text, const std::string& file = "gateway.toml") {
  auto config = parseConfig(text, file);
  EXPECT_TRUE(config) << config.error().text;
  return config ? *config : Config{};
}

// Of a file that begins with kGateway, so what follows begins at line 3.
std::string refused(const std::string& text) {
  const auto config = parseConfig(kGateway + text, "gateway.toml");
  return config ? "accepted" : config.error().text;
}

std::string unsupported(const std::string& text) {
  const Status status = supported(accepted(kGateway + text));
  EXPECT_TRUE(status || status.error().code == Errc::kUnsupported);
  return status ? "supported" : status.error().text;
}

TEST(Config, WithNothingButAnIdHasTheDefaultsOfTheContract) {
  const Config config = accepted(kGateway);
  EXPECT_EQ(config.gateway.id, "edge-1");
  EXPECT_EQ(config.gateway.data_dir, "/var/lib/kante");
  EXPECT_EQ(config.gateway.shards, 0u);
  EXPECT_EQ(config.trust.signers, std::vector<std::string>{"/etc/kante/signers.pem"});
  EXPECT_TRUE(config.trust.deployers.empty());
  EXPECT_EQ(config.trust.on_revoked, OnRevoked::kReport);
  EXPECT_EQ(config.api.socket, "/run/kante/api.sock");
  EXPECT_EQ(config.api.group, "kante");
  EXPECT_EQ(config.api.http, "127.0.0.1:9180");
  EXPECT_EQ(config.runtime.in_process_loads_max, 64u);
  EXPECT_EQ(config.hub.hostname, "edge-1.local");
  EXPECT_EQ(config.hub.mqtt.listen, std::vector<std::string>{"127.0.0.1:1883"});
  EXPECT_EQ(config.hub.mqtt.tls_listen, std::vector<std::string>{"0.0.0.0:8883"});
  EXPECT_FALSE(config.hub.mqtt.anonymous);
  EXPECT_EQ(config.uplink.kind, UplinkKind::kNone);
  EXPECT_EQ(config.uplink.topic, "kante/v1/{gateway}/telemetry/{source}");
  EXPECT_EQ(config.uplink.order, UplinkOrder::kLiveFirst);
  EXPECT_EQ(config.uplink.window, 64u);
  EXPECT_EQ(config.uplink.meter_bytes, 4096u);
  EXPECT_EQ(config.uplink.at_budget, AtBudget::kHold);
  EXPECT_EQ(config.uplink.commands, Commands::kSigned);
  EXPECT_EQ(config.store.max_bytes, 268'435'456u);
  EXPECT_EQ(config.store.full, StoreFull::kDropLowest);
  EXPECT_EQ(config.store.sync, StoreSync::kAlways);
  EXPECT_EQ(config.store.sync_ms, 200u);
  EXPECT_EQ(config.sandbox.minimum_tier, 2u);
  EXPECT_TRUE(supported(config));
}

TEST(Config, ReadsEveryKeyOfTheContract) {
  const Config config = accepted(R"(
[gateway]
id = "edge-1"
tags = { site = "muc", line = "4" }
data_dir = "/data"
shards = 2
[trust]
signers = ["/etc/s.pem"]
deployers = ["/etc/d.pem"]
roots = ["/etc/r.pem"]
revoked = ["/etc/crl.pem"]
on_revoked = "stop"
[[trust.rule]]
signer = "CN=vendor"
ids = ["com.vendor.*"]
permissions = ["methods"]
[api]
socket = "/run/k.sock"
group = "ops"
http = ""
[runtime]
in_process_loads_max = 8
[hub]
hostname = "edge.example"
[hub.mqtt]
listen = ["127.0.0.1:1883", "[::1]:1883", "10.0.0.1:1883"]
tls_listen = []
anonymous = true
insecure_plain_text = true
[hub.http]
listen = ["localhost:8080"]
[hub.https]
listen = ["0.0.0.0:443"]
[hub.tls]
cert = "/c"
key = "/k"
client_ca = "/a"
[uplink]
kind = "mqtt"
url = "mqtts://broker.example"
ca = "/ca"
cert = "/cert"
key = "/key"
username = "u"
password_file = "/p"
proxy = "http://proxy:3128"
topic = "t/{gateway}/{source}"
protocol = "3.1.1"
order = "fifo"
window = 128
backlog_per_s = 10
messages_per_day = 8000
meter_bytes = 512
bytes_per_day = 1000000
at_budget = "drop-lowest"
pack = true
pack_bytes = 8192
pack_ms = 250
compress = "zstd"
commands = "broker"
[store]
max_bytes = 1048576
full = "refuse"
sync = "interval"
sync_ms = 50
[sandbox]
minimum_tier = 1
[fetch]
ca = "/depot.pem"
proxy = "http://proxy.example:3128"
bytes_per_s = 20000
[[image]]
name = "acme.test/filter:*"
bundle = "/opt/filter.kmod"
placement = "in-process"
)");
  EXPECT_EQ(config.gateway.tags.at("line"), "4");
  EXPECT_EQ(config.gateway.shards, 2u);
  EXPECT_EQ(config.trust.on_revoked, OnRevoked::kStop);
  ASSERT_EQ(config.trust.rules.size(), 1u);
  EXPECT_EQ(config.trust.rules[0].ids->at(0), "com.vendor.*");
  EXPECT_EQ(config.trust.rules[0].permissions->at(0), "methods");
  EXPECT_EQ(config.api.http, "");
  EXPECT_EQ(config.hub.mqtt.listen.size(), 3u);
  EXPECT_EQ(config.hub.http.listen, std::vector<std::string>{"localhost:8080"});
  EXPECT_EQ(config.hub.https.listen, std::vector<std::string>{"0.0.0.0:443"});
  EXPECT_EQ(config.hub.tls.client_ca, "/a");
  EXPECT_EQ(config.uplink.kind, UplinkKind::kMqtt);
  EXPECT_EQ(config.uplink.protocol, UplinkProtocol::k311);
  EXPECT_EQ(config.uplink.order, UplinkOrder::kFifo);
  EXPECT_EQ(config.uplink.messages_per_day, 8000u);
  EXPECT_TRUE(config.uplink.pack);
  EXPECT_EQ(config.uplink.pack_bytes, 8192u);
  EXPECT_EQ(config.uplink.pack_ms, 250u);
  EXPECT_EQ(config.uplink.compress, Compress::kZstd);
  EXPECT_EQ(config.uplink.commands, Commands::kBroker);
  EXPECT_EQ(config.store.full, StoreFull::kRefuse);
  EXPECT_EQ(config.store.sync, StoreSync::kInterval);
  EXPECT_EQ(config.set_at.at("store.sync_ms"), 65u);
  EXPECT_EQ(config.fetch.ca, "/depot.pem");
  EXPECT_EQ(config.fetch.proxy, "http://proxy.example:3128");
  EXPECT_EQ(config.fetch.bytes_per_s, 20'000u);
  ASSERT_EQ(config.images.size(), 1u);
  EXPECT_EQ(config.images[0].name, "acme.test/filter:*");
  EXPECT_EQ(config.images[0].bundle, "/opt/filter.kmod");
}

TEST(Config, AnImageIsABundleByDigestOrPath) {
  EXPECT_EQ(
      refused("[[image]]\nname = \"a:1\"\nbundle = \"a.kmod\"\n"),
      "gateway.toml:5: [image] bundle: expected \"sha256:…\" or the absolute path of a bundle");
  EXPECT_THAT(refused("[[image]]\nbundle = \"/a.kmod\"\n"), HasSubstr("[image] name: is missing"));
}

TEST(Config, AProxySaysWhatItSpeaks) {
  EXPECT_EQ(refused("[fetch]\nproxy = \"proxy.example:3128\"\n"),
            "gateway.toml:4: [fetch] proxy: expected http://HOST:PORT, https://HOST:PORT or "
            "socks5h://HOST:PORT");
}

TEST(Config, AnUnknownKeyIsNamedWithItsLineAndTheNearestKnownOne) {
  EXPECT_EQ(refused("[uplink]\nwindw = 3\n"),
            "gateway.toml:4: [uplink] windw: unknown key; did you mean window?");
  EXPECT_EQ(refused("[hub.mqtt]\nTls_listen = []\n"),
            "gateway.toml:4: [hub.mqtt] Tls_listen: unknown key; did you mean tls_listen?");
  EXPECT_EQ(refused("[gatewy]\nid = 1\n"),
            "gateway.toml:3: [gatewy]: unknown section; did you mean gateway?");
  EXPECT_EQ(refused("[hub.mqqt]\n"),
            "gateway.toml:3: [hub] mqqt: unknown section; did you mean mqtt?");
  EXPECT_EQ(refused("somethingelse = 1\n"), "gateway.toml:3: [gateway] somethingelse: unknown key");
  EXPECT_EQ(refused("[[trust.rule]]\nsigner=\"x\"\npermissions=[]\nid=[]\n"),
            "gateway.toml:6: [trust.rule] id: unknown key; did you mean ids?");
}

TEST(Config, TheFirstFaultInTheFileIsToldAndTheOthersAreCounted) {
  EXPECT_EQ(
      refused("[store]\nsync_ms = 0\nful = 1\n[uplink]\nwindow = \"x\"\n"),
      "gateway.toml:4: [store] sync_ms: 0 is not between 1 and 60000 (and 2 more in this file)");
}

TEST(Config, AWrongTypeIsNamed) {
  EXPECT_EQ(refused("shards = \"2\"\n"),
            "gateway.toml:3: [gateway] shards: expected a whole number, not a text in quotes");
  EXPECT_EQ(
      refused("shards = 2.0\n"),
      "gateway.toml:3: [gateway] shards: expected a whole number, not a number with a fraction");
  EXPECT_EQ(refused("data_dir = 2020-01-01\n"),
            "gateway.toml:3: [gateway] data_dir: expected a text in quotes, not a date or time");
  EXPECT_EQ(refused("tags = { a = 1 }\n"),
            "gateway.toml:3: [gateway] tags: expected texts in quotes, not a whole number");
  EXPECT_EQ(refused("[trust]\nsigners = \"x\"\n"),
            "gateway.toml:4: [trust] signers: expected a list, not a text in quotes");
  EXPECT_EQ(
      refused("[trust]\nsigners = [1]\n"),
      "gateway.toml:4: [trust] signers: expected a list of texts in quotes, not a whole number");
  EXPECT_EQ(refused("[hub]\nmqtt = 1\n"),
            "gateway.toml:4: [hub] mqtt: expected a section, not a whole number");
  EXPECT_EQ(
      refused("[trust]\nrule = [1]\n"),
      "gateway.toml:4: [trust] rule: expected sections in double brackets, not a whole number");
  EXPECT_EQ(refused("[hub.mqtt]\nanonymous = 1\n"),
            "gateway.toml:4: [hub.mqtt] anonymous: expected true or false, not a whole number");
}

TEST(Config, AValueOutOfItsRangeIsNamed) {
  EXPECT_THAT(refused("shards = 65\n"), HasSubstr("[gateway] shards: 65 is not between 0 and 64"));
  EXPECT_THAT(refused("shards = -1\n"), HasSubstr("-1 is not between"));
  EXPECT_THAT(refused("[uplink]\nwindow = 0\n"), HasSubstr("[uplink] window: 0 is not between 1"));
  EXPECT_THAT(refused("[store]\nmax_bytes = 9223372036854775807\n"), HasSubstr("is not between"));
  EXPECT_EQ(refused("[uplink]\norder = \"random\"\n"),
            "gateway.toml:4: [uplink] order: \"random\" is not \"live-first\" or \"fifo\"");
  for (const char* key : {"username='u'", "topic='{source}'", "protocol='5'", "pack=false",
                          "compress='none'", "commands='broker'"})
    EXPECT_THAT(refused(std::string("[uplink]\nkind='kante'\nurl='mqtts://h'\n") + key + "\n"),
                HasSubstr("is settled between gateways; leave it out"))
        << key;
  EXPECT_THAT(refused("[uplink]\nkind='kante'\nurl='mqtt://plant.example'\n"),
              HasSubstr("plain text beyond loopback"));
  EXPECT_THAT(refused("[uplink]\nprotocol = \"4\"\n"),
              HasSubstr("\"4\" is not \"auto\", \"5\" or \"3.1.1\""));
  EXPECT_THAT(refused("[uplink]\nkind = \"amqp\"\n"),
              HasSubstr("\"amqp\" is not \"none\", \"mqtt\", \"iothub\" or \"kante\""));
  EXPECT_THAT(refused("tags = { \"a b\" = \"x\" }\n"), HasSubstr("[gateway] tags: a b: "));
  EXPECT_THAT(refused("[api]\nsocket = \"" + std::string(108, 'x') + "\"\n"),
              HasSubstr("[api] socket: a socket's path has 1 to 107 bytes"));
  EXPECT_THAT(refused("[api]\nhttp = \"9180\"\n"), HasSubstr("[api] http: \"9180\" has no"));
  EXPECT_THAT(refused("[hub]\nhostname = \"a b\"\n"), HasSubstr("[hub] hostname: "));
  EXPECT_THAT(refused("[trust]\nsigners = [\"\"]\n"),
              HasSubstr("[trust] signers: a path is empty"));
  EXPECT_THAT(refused("[[trust.rule]]\nids = []\n"), HasSubstr("[trust.rule] signer: is missing"));
  EXPECT_THAT(refused("[[trust.rule]]\nsigner = \"s\"\n"), HasSubstr("narrowed to nothing"));
  EXPECT_THAT(refused("[[trust.rule]]\nsigner = \"\"\nids = []\n"), HasSubstr("signer: is empty"));
  EXPECT_THAT(refused("[[trust.rule]]\nsigner = \"s\"\nids = [\"a*b\"]\n"),
              HasSubstr("[trust.rule] ids: \"a*b\": a name, or its beginning"));
}

TEST(Config, TheIdIsNeededAndIsAName) {
  EXPECT_EQ(parseConfig("", "g.toml").error().text,
            "g.toml: [gateway] id: is missing; say what this gateway is called");
  EXPECT_THAT(parseConfig("[gateway]\nid = \"a/b\"\n", "g.toml").error().text,
              StartsWith("g.toml:2: [gateway] id: \"a/b\" is no name"));
}

TEST(Config, PlainTextBeyondLoopbackIsRefused) {
  EXPECT_THAT(
      refused("[uplink]\nkind=\"mqtt\"\nurl = \"mqtt://broker.example:1883\"\n"),
      HasSubstr("gateway.toml:5: [uplink] url: \"mqtt://broker.example:1883\" is plain text "
                "beyond loopback"));
  EXPECT_EQ(refused("[uplink]\nkind=\"mqtt\"\nurl = \"mqtt://127.0.0.1:1883\"\n"), "accepted");
  EXPECT_EQ(refused("[uplink]\nkind=\"mqtt\"\nurl = \"mqtt://localhost\"\n"), "accepted");
  EXPECT_EQ(refused("[uplink]\nkind=\"mqtt\"\nurl = \"mqtt://[::1]:1884\"\n"), "accepted");
  EXPECT_THAT(refused("[uplink]\nkind=\"mqtt\"\nurl = \"mqtt://127.0.0.1.example\"\n"),
              HasSubstr("plain text"));
  EXPECT_THAT(refused("[hub.mqtt]\nlisten = [\"0.0.0.0:1883\"]\n"),
              HasSubstr("gateway.toml:4: [hub.mqtt] listen: \"0.0.0.0:1883\" is plain text"));
  EXPECT_THAT(refused("[hub.http]\nlisten = [\"0.0.0.0:80\"]\n"),
              HasSubstr("[hub.http] listen: \"0.0.0.0:80\" is plain text beyond loopback; use "
                        "[hub.https] listen"));
}

TEST(Config, WhatBelongsTogetherIsSetTogether) {
  EXPECT_THAT(refused("[uplink]\nkind = \"mqtt\"\n"), HasSubstr("[uplink] url: is missing"));
  EXPECT_THAT(refused("[uplink]\nkind = \"mqtt\"\nurl = \"http://x\"\n"),
              HasSubstr("does not begin with mqtts://"));
  EXPECT_THAT(refused("[uplink]\ncert = \"c\"\n"), HasSubstr("cert and key are set together"));
  EXPECT_THAT(refused("[uplink]\npassword_file = \"c\"\n"),
              HasSubstr("[uplink] username: is missing"));
  EXPECT_THAT(refused("[hub.tls]\nkey = \"c\"\n"), HasSubstr("cert and key are set together"));
  EXPECT_THAT(refused("[uplink]\ntopic = \"a/{device}\"\n"),
              HasSubstr("\"{device}\" is not a place"));
  EXPECT_THAT(refused("[uplink]\ntopic = \"a/{source\"\n"),
              HasSubstr("\"{source\" is not a place"));
  EXPECT_THAT(refused("[uplink]\ntopic = \"a/#\"\n"), HasSubstr("a topic has"));
  for (const char* mixed : {"a/b", "{source}/{source}"})
    EXPECT_THAT(refused(std::string("[uplink]\ntopic = \"") + mixed + "\"\n"),
                HasSubstr("topic: {source} has to be there once"));
  EXPECT_THAT(refused("[uplink]\ntopic = \"a/\\u0001/{source}\"\n"),
              HasSubstr("topic: a topic has no control characters"));
}

TEST(Config, RelativePathsStartAtTheFile) {
  const Config config = accepted(
      "[gateway]\nid=\"x\"\ndata_dir=\"data\"\n[trust]\nsigners=[\"s.pem\",\"/abs.pem\"]\n",
      "/etc/kante/gateway.toml");
  EXPECT_EQ(config.gateway.data_dir, "/etc/kante/data");
  EXPECT_EQ(config.trust.signers, (std::vector<std::string>{"/etc/kante/s.pem", "/abs.pem"}));
}

TEST(Config, WhatIsNotTomlIsToldWithItsLine) {
  EXPECT_THAT(refused("[store\n"), StartsWith("gateway.toml:3: "));
  EXPECT_THAT(refused("x = \n"), StartsWith("gateway.toml:3: "));
  EXPECT_THAT(refused("id = \"again\"\n"), StartsWith("gateway.toml:"));
  EXPECT_THAT(refused("\xff"), HasSubstr("not UTF-8"));
  EXPECT_THAT(refused("data_dir = \"\\uD800\"\n"),
              StartsWith("gateway.toml:3: codepoints in the range"));
  EXPECT_THAT(refused("data_dir = \"a\\u0000b\"\n"), StartsWith("gateway.toml:3: a text is not"));
}

TEST(Config, SizeAndNestingAreBounded) {
  EXPECT_EQ(parseConfig(std::string(kConfigBytesMax + 1, '\n'), "g").error().code, Errc::kLimit);
  EXPECT_THAT(refused("x = " + std::string(200'000, '[')), HasSubstr("line 3: arrays and tables"));
  std::string dotted = "a";
  for (int i = 0; i < 100'000; ++i) dotted += ".a";
  EXPECT_THAT(refused(dotted + " = 1\n"), HasSubstr("line 3: a dotted name"));
  EXPECT_THAT(refused("[" + dotted + "]\n"), HasSubstr("line 3: a dotted name"));
}

TEST(TomlGuard, LooksThroughStringsAndComments) {
  EXPECT_TRUE(checkTomlDepth("a = '[[[[[[' # [[[[[[\nb = \"[[[[\\\"[[[\"", 3));
  EXPECT_TRUE(checkTomlDepth("a = \"\"\"[[[[\n[[[[\"\"\"", 3));
  EXPECT_TRUE(
      checkTomlDepth("a = ['1.2.3.4', '1.2.3.4']\nb = 1.5\nc = 1.5\nd = [1.5, 1.5, 1.5]", 3));
  // What closes a string must not hide what follows.
  EXPECT_FALSE(checkTomlDepth("a = \"]]]]\\\\\"[[[[", 3));
  EXPECT_FALSE(checkTomlDepth("a = \"\"\"x\"\"\"\"[[[[", 3));
  EXPECT_FALSE(checkTomlDepth("a = 'x\\'[[[[", 3));
  EXPECT_FALSE(checkTomlDepth("a = \"x\n[[[[", 3));
  EXPECT_FALSE(checkTomlDepth("a = ''[[[[", 3));
  EXPECT_FALSE(checkTomlDepth("'a'.'a'.'a'.'a' = 1", 3));
}

TEST(Supported, NamesWhatThisBuildDoesNotServe) {
  EXPECT_EQ(
      unsupported("[uplink]\nproxy='x'\n"),
      "gateway.toml:4: [uplink] proxy: an uplink through a proxy is not part of this build; leave "
      "the key out");
  EXPECT_EQ(unsupported("[hub.mqtt]\nlisten = [\"127.0.0.1:1883\"]\ntls_listen=['[::1]:8883']\n"
                        "[hub.https]\nlisten = [\"0.0.0.0:443\"]\n"),
            "supported");
  EXPECT_EQ(unsupported("[trust]\non_revoked='stop'\n"), "supported");
  EXPECT_THAT(unsupported("[uplink]\nkind='iothub'\nurl='x'\n"), HasSubstr("[uplink] kind"));
  EXPECT_EQ(unsupported("[uplink]\nkind='kante'\nurl='mqtts://plant.local'\nca='ca.pem'\n"
                        "password_file='key'\n"),
            "supported");
  EXPECT_EQ(unsupported("[uplink]\nmessages_per_day=1\nbacklog_per_s=5\npack=true\n"), "supported");
  EXPECT_EQ(unsupported("[uplink]\nkind='mqtt'\nurl='mqtts://b'\norder='fifo'\n"), "supported");
}

TEST(Config, TheDefaultOfTheDemoListensNowhere) {
  const Config config = defaultConfig("/tmp/demo");
  EXPECT_TRUE(supported(config));
  EXPECT_EQ(config.gateway.data_dir, "/tmp/demo");
  EXPECT_EQ(config.api.socket, "/tmp/demo/api.sock");
  EXPECT_TRUE(config.api.http.empty());
  EXPECT_TRUE(config.hub.mqtt.listen.empty());
  EXPECT_TRUE(config.hub.mqtt.tls_listen.empty());
}

TEST(Config, IsReadFromItsFile) {
  const std::string path = testing::TempDir() + "/kante_config_test.toml";
  std::ofstream(path) << kGateway;
  EXPECT_EQ(loadConfig(path)->gateway.id, "edge-1");
  EXPECT_EQ(loadConfig(path + ".none").error().code, Errc::kNotFound);
  ::unlink(path.c_str());
}

TEST(Config, AHostNameIsOneThatACertificateMayHave) {
  for (const char* good : {"edge-1.local", "e", "10.0.0.5", "a.b-c.d"})
    EXPECT_EQ(refused(std::string("[hub]\nhostname = \"") + good + "\"\n"), "accepted") << good;
  for (const std::string& wrong :
       {std::string(), std::string("-x"), std::string("x-.local"), std::string("a..b"),
        std::string(".a"), std::string("a."), std::string("a_b"), std::string(64, 'x')})
    EXPECT_THAT(refused("[hub]\nhostname = \"" + wrong + "\"\n"), HasSubstr("is no host name"))
        << wrong;
}

TEST(Endpoint, IsHostAndPort) {
  EXPECT_EQ(parseEndpoint("[fe80::1]:80")->host, "fe80::1");
  EXPECT_EQ(parseEndpoint("edge:80")->port, 80);
  for (const char* wrong : {"", "edge", ":80", "edge:", "edge:0", "edge:65536", "edge:8x", "::1:80",
                            "[::1", "[::1]", "[::1]80", "[x]:80", "a b:80", "u@h:80"})
    EXPECT_FALSE(parseEndpoint(wrong)) << wrong;
  EXPECT_EQ(parseUplinkUrl("mqtts://b")->endpoint.port, 8883);
  EXPECT_EQ(parseUplinkUrl("mqtt://b/")->endpoint.port, 1883);
  for (const char* wrong : {"", "b:1883", "mqtts://", "mqtts://b:", "mqtts://u:p@b", "mqtts://b/x"})
    EXPECT_FALSE(parseUplinkUrl(wrong)) << wrong;
  EXPECT_EQ(parseUplinkUrl("mqtts://u:secret@b:8883").error().text,
            "a URL holds no user and no password; say username and password_file");
}

}  // namespace
}  // namespace kante
