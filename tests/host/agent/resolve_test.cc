#include "host/agent/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

using test::document;
using test::Gateway;
using test::kPorts;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// One module x with this bundle and these members more.
std::string oneModule(const std::string& file, const std::string& more = "") {
  return R"({"schema":"kante.deployment/1","id":"a","version":1,"modules":{"x":{"bundle":")" +
         file + R"(","placement":"in-process")" + more + "}}}";
}

class ResolveTest : public testing::Test {
 protected:
  Result<ResolvedDeployment> resolve(const std::string& text) {
    admitted_.clear();
    const auto deployment = parseDeployment(text);
    EXPECT_TRUE(deployment) << deployment.error().text;
    const ResolveFrom from{*gateway_.bundles,   [this] { return test::policyFor(*gateway_.trust); },
                           gateway_.dir.path(), uploads_,
                           upstream_,           topics_};
    return resolveDeployment(*deployment, from, admitted_);
  }
  std::string refused(const std::string& text) {
    const auto resolved = resolve(text);
    return resolved ? "accepted" : resolved.error().text;
  }
  std::string refusedRoute(const std::string& route) {
    return refused(document(1, "", R"({"r":)" + route + "}"));
  }
  std::string refusedBundle(const std::string& file, const std::string& more = "") {
    return refused(oneModule(file, more));
  }

  Gateway gateway_;
  std::map<std::string, std::string> uploads_;
  Upstream upstream_ = Upstream::kServed;
  Topics topics_ = Topics::kServed;
  std::vector<std::string> admitted_;
};

TEST_F(ResolveTest, TakesFromTheManifestWhatTheModuleHostNeeds) {
  const std::string more = std::string(kPorts) + R"(,"execution":"dedicated")";
  gateway_.makeBundle("a.kmod", "com.example.a", 9, more);
  const auto resolved = resolve(document(
      1, R"("config":{"b":1,"a":2},"desired":{"t":1},"stop_ms":7,"start_after":["y"])",
      R"j({"in":"FROM /messages/modules/x/outputs/* INTO BrokeredEndpoint(\"/modules/y/inputs/in\")"})j"));
  ASSERT_TRUE(resolved) << resolved.error().text;
  const ModuleSpec& x = resolved->target.modules.at(0);
  EXPECT_EQ(x.name, "x");
  EXPECT_EQ(x.digest, Gateway::digestOf("com.example.a", 9, more));
  EXPECT_EQ(x.id, "com.example.a");
  EXPECT_EQ(x.version, "1.0.0");
  EXPECT_THAT(x.inputs, ElementsAre("in"));
  EXPECT_THAT(x.outputs, ElementsAre("out", "alert"));
  EXPECT_THAT(x.methods, ElementsAre("reset"));
  EXPECT_EQ(x.execution, Execution::kDedicated);
  EXPECT_EQ(x.config, R"({"a":2,"b":1})");
  EXPECT_EQ(x.stop_ms, 7u);
  EXPECT_THAT(x.start_after, ElementsAre("y"));
  EXPECT_EQ(resolved->bases.at("module/x"), R"({"t":1})");
  EXPECT_EQ(resolved->bases.at("module/y"), "{}");
  EXPECT_EQ(resolved->target.routes.size(), 1u);
  EXPECT_EQ(resolved->digests.size(), 2u);
  EXPECT_EQ(admitted_.size(), 2u);
  EXPECT_THAT(resolved->deployment.json, HasSubstr(x.digest));
  EXPECT_THAT(resolved->deployment.json, testing::Not(HasSubstr("a.kmod")));
}

TEST_F(ResolveTest, ABundleComesFromAFileAnUploadOrTheStore) {
  const std::string digest = Gateway::digestOf("com.example.a", 7, kPorts);
  EXPECT_THAT(refusedBundle(digest),
              StartsWith("/modules/x/bundle: " + digest + " is not in the store"));
  EXPECT_EQ(refusedBundle("a.kmod"), "accepted");
  EXPECT_THAT(admitted_, ElementsAre(digest));
  EXPECT_EQ(refusedBundle(digest), "accepted");
  EXPECT_THAT(admitted_, IsEmpty());
  uploads_["elsewhere/a.kmod"] = digest;
  EXPECT_EQ(refusedBundle("elsewhere/a.kmod"), "accepted");
  EXPECT_EQ(refusedBundle(gateway_.dir.path() + "/a.kmod"), "accepted");
}

TEST_F(ResolveTest, WhatIsNoBundleIsRefusedWithThePointer) {
  EXPECT_THAT(refusedBundle("none.kmod"), StartsWith("/modules/x/bundle: "));
  gateway_.dir.write("text.kmod", "hello");
  EXPECT_THAT(refusedBundle("text.kmod"), StartsWith("/modules/x/bundle: text.kmod: "));
  ASSERT_EQ(::mkfifo((gateway_.dir.path() + "/pipe.kmod").c_str(), 0600), 0);
  EXPECT_THAT(refusedBundle("pipe.kmod"), HasSubstr("is not a file"));
  const auto stranger = test::makeSigner(test::makeCa("other"));
  const std::string payload = test::goodPayload("com.example.z");
  gateway_.dir.write("stranger.kmod", test::frameOf(payload, test::makeCms(payload, stranger)));
  const auto untrusted = resolve(oneModule("stranger.kmod"));
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().code, Errc::kUntrusted);
  EXPECT_THAT(untrusted.error().text, StartsWith("/modules/x/bundle: stranger.kmod: "));
}

TEST_F(ResolveTest, WithoutADirectoryFilesAreRefused) {
  const auto deployment = parseDeployment(document(1));
  ASSERT_TRUE(deployment);
  ResolveFrom from{
      *gateway_.bundles, [this] { return test::policyFor(*gateway_.trust); }, "", {}, upstream_};
  EXPECT_THAT(resolveDeployment(*deployment, from, admitted_).error().text,
              HasSubstr("upload the bundle and name its digest"));
  from.policy = {};
  EXPECT_THAT(resolveDeployment(*deployment, from, admitted_).error().text,
              HasSubstr("\"a.kmod\" is a file; expected a digest here"));
}

TEST_F(ResolveTest, AConfigurationIsJudgedByTheSchemaAndCompletedFromIt) {
  gateway_.makeBundle(
      "s.kmod", "com.example.s", 1,
      R"("config_schema":{"type":"object","required":["period_ms"],"additionalProperties":false,)"
      R"("properties":{"period_ms":{"type":"integer","minimum":1},)"
      R"("unit":{"type":"string","default":"C"}}})");
  EXPECT_THAT(refusedBundle("s.kmod"), StartsWith("/modules/x/config/period_ms: is missing"));
  EXPECT_THAT(refusedBundle("s.kmod", R"(,"config":{"period_ms":0})"),
              StartsWith("/modules/x/config/period_ms: "));
  EXPECT_THAT(refusedBundle("s.kmod", R"(,"config":{"period_ms":5,"perod":1})"),
              StartsWith("/modules/x/config"));
  const auto resolved = resolve(oneModule("s.kmod", R"(,"config":{"period_ms":5})"));
  ASSERT_TRUE(resolved) << resolved.error().text;
  EXPECT_EQ(resolved->target.modules[0].config, R"({"period_ms":5,"unit":"C"})");
}

TEST_F(ResolveTest, WhatOnlyASandboxGivesIsRefused) {
  gateway_.makeBundle("lib.kmod", "com.example.l", 1, R"("libraries":["libsqlite3.so.0"])");
  EXPECT_THAT(refusedBundle("lib.kmod"),
              StartsWith("/modules/x/placement: its bundle needs libraries of its own"));
}

TEST_F(ResolveTest, AModuleMayDoWhatIsBothAskedForAndGranted) {
  gateway_.makeBundle("g.kmod", "com.example.g", 1,
                      R"("permissions":{"methods":["module/*/reset","device/d/on"]})");
  const auto resolved = resolve(oneModule(
      "g.kmod",
      R"(,"grants":{"methods":["module/sensor/reset","module/sensor/stop","device/*/*"]})"));
  ASSERT_TRUE(resolved) << resolved.error().text;
  EXPECT_THAT(resolved->target.modules[0].method_grants,
              ElementsAre("module/sensor/reset", "device/d/on"));
  ASSERT_EQ(resolved->warnings.size(), 1u);
  EXPECT_THAT(resolved->warnings[0],
              StartsWith("/modules/x/grants/methods/1: \"module/sensor/stop\" has no effect"));
}

TEST_F(ResolveTest, AModuleMayOpenWhatIsBothAskedForAndGranted) {
  gateway_.makeBundle("d.kmod", "com.example.d", 1,
                      R"("permissions":{"files":{"read":["/proc"]},"tcp":["*:502"]})");
  const auto resolved = resolve(
      oneModule("d.kmod", R"(,"grants":{"files":{"read":["/proc/stat","/"],"write":["/tmp"]},)"
                          R"("tcp":["10.0.0.5:502","10.0.0.5:80"]})"));
  ASSERT_TRUE(resolved) << resolved.error().text;
  using Grants = std::vector<DeviceGrant>;
  EXPECT_EQ(resolved->target.modules[0].device_grants,
            (Grants{{DeviceKind::kRead, "/proc/stat"},
                    {DeviceKind::kRead, "/proc"},
                    {DeviceKind::kTcp, "10.0.0.5:502"}}));
  ASSERT_EQ(resolved->warnings.size(), 2u);
  EXPECT_THAT(resolved->warnings[0],
              StartsWith("/modules/x/grants/files/write/0: \"/tmp\" has no effect"));
  EXPECT_THAT(resolved->warnings[1],
              StartsWith("/modules/x/grants/tcp/1: \"10.0.0.5:80\" has no effect"));
  gateway_.makeBundle("bad.kmod", "com.example.bad", 1, R"("permissions":{"tcp":["nowhere"]})");
  EXPECT_THAT(
      refusedBundle("bad.kmod"),
      StartsWith("/modules/x/bundle: its manifest: /permissions/tcp/0: \"nowhere\" is not "));
}

TEST_F(ResolveTest, ARouteThatDoesNotCompileNamesPointerAndCharacter) {
  EXPECT_THAT(refusedRoute("\"FROM /messages/* INTO\""), StartsWith("/routes/r: character 21: "));
  EXPECT_THAT(refusedRoute(R"({"route":"FROM x INTO $upstream"})"),
              StartsWith("/routes/r/route: character 5: "));
}

TEST_F(ResolveTest, ARouteNamesWhatIsThere) {
  const auto into = [](const std::string& endpoint) {
    return R"("FROM /messages/modules/x/outputs/* INTO BrokeredEndpoint(\")" + endpoint + "\\\")\"";
  };
  EXPECT_EQ(refusedRoute(into("/modules/y/inputs/in")), "accepted");
  EXPECT_EQ(refusedRoute(into("/modules/z/inputs/in")),
            "/routes/r: INTO names the module \"z\", which is not in the deployment; did you mean "
            "\"x\"?");
  EXPECT_EQ(
      refusedRoute(into("/modules/y/inputs/inn")),
      "/routes/r: INTO names the input \"inn\", which \"y\" does not have; did you mean \"in\"?");
  const auto from = [](const std::string& path) { return "\"FROM " + path + " INTO $upstream\""; };
  for (const char* path : {"/*", "/messages/*", "/messages/modules/*", "/messages/modules/x",
                           "/messages/modules/X/*", "/messages/modules/x/outputs/*",
                           "/messages/modules/*/outputs/alert", "/Messages/Modules/x/Outputs/OUT"})
    EXPECT_EQ(refusedRoute(from(path)), "accepted") << path;
  EXPECT_THAT(refusedRoute(from("/messages/modules/sensor/outputs/*")),
              HasSubstr("FROM names the module \"sensor\", which is not in the deployment"));
  EXPECT_THAT(refusedRoute(from("/messages/modules/x/outputs/alerts")),
              HasSubstr("FROM names the output \"alerts\", which \"x\" does not have; did you mean "
                        "\"alert\"?"));
}

TEST_F(ResolveTest, AContainerHasAnyInputAndOutput) {
  const auto text = [](const std::string& route) {
    return R"({"schema":"kante.deployment/1","id":"a","version":1,"modules":{
      "c":{"image":"registry.test:5000/opc:3@sha256:77","grants":{"methods":["module/y/reset"]},"desired":{"a":1}}},
      "routes":{"r":)" +
           route + "}}";
  };
  const std::string good =
      R"-("FROM /messages/modules/c/outputs/any INTO BrokeredEndpoint(\"/modules/c/inputs/other\")")-";
  topics_ = Topics::kAbsent;
  EXPECT_EQ(refused(text(good)),
            "/modules/c/image: a container speaks to the hub, but this gateway serves no MQTT "
            "clients; set [hub.mqtt] tls_listen");
  topics_ = Topics::kServed;
  const auto resolved = resolve(text(good));
  ASSERT_TRUE(resolved) << resolved.error().text;
  const ModuleSpec& spec = resolved->target.modules.at(0);
  EXPECT_EQ(spec.id, "registry.test:5000/opc");
  EXPECT_EQ(spec.version, "3@sha256:77");
  EXPECT_THAT(spec.method_grants, ElementsAre("module/y/reset"));
  EXPECT_EQ(resolved->bases.at("module/c"), R"({"a":1})");
  EXPECT_THAT(resolved->digests, ElementsAre("image:registry.test:5000/opc:3@sha256:77"));
  EXPECT_THAT(
      refused(text(R"-({"route":"FROM /messages/* INTO BrokeredEndpoint(\"/modules/c/inputs/x\")",
                               "overflow":"spill"
})-")),
      StartsWith("/routes/r/overflow: what goes to a topic waits in the sessions"));
}

TEST_F(ResolveTest, RoutesThatThisBuildDoesNotServeAreRefused) {
  const std::string from_topic = R"j("FROM MqttTopic(\"a/b\") INTO $upstream")j";
  const std::string to_topic = R"j("FROM /* INTO MqttTopic(\"a/{$connectionDeviceId}\")")j";
  EXPECT_EQ(refusedRoute(from_topic), "accepted");
  EXPECT_EQ(refusedRoute(to_topic), "accepted");
  topics_ = Topics::kAbsent;
  for (const std::string& route : {from_topic, to_topic})
    EXPECT_EQ(
        refusedRoute(route),
        "/routes/r: MqttTopic, but this gateway serves no MQTT clients; set [hub.mqtt] listen");
  topics_ = Topics::kServed;
  const std::string topic = R"j({"route":"FROM /* INTO MqttTopic(\"a\")",)j";
  EXPECT_THAT(refusedRoute(topic + R"("durable":true})"),
              StartsWith("/routes/r/durable: what goes to a topic waits in the sessions"));
  EXPECT_THAT(refusedRoute(topic + R"("overflow":"block"})"), StartsWith("/routes/r/overflow: "));
  EXPECT_THAT(refusedRoute(topic + R"("full":"refuse"})"), StartsWith("/routes/r/full: "));
  EXPECT_THAT(refusedRoute(topic + R"("queue":{}})"), StartsWith("/routes/r/queue: "));
  EXPECT_THAT(refusedRoute(topic + R"("stall_ms":5})"), StartsWith("/routes/r/stall_ms: "));
  EXPECT_EQ(refusedRoute(topic + R"("ttl_s":5})"), "accepted");
  EXPECT_EQ(refusedRoute("\"FROM /twinChangeNotifications INTO $upstream\""), "accepted");
  EXPECT_THAT(refusedRoute("\"FROM /twinChangeEvents INTO $upstream\""),
              StartsWith("/routes/r: FROM /twinChangeEvents: nothing has this source; there are "));
  EXPECT_EQ(refusedRoute("\"FROM /*/modules INTO $upstream\""), "accepted");
  topics_ = Topics::kAbsent;
  EXPECT_THAT(refusedRoute("\"FROM /twinChangeNotifications INTO $upstream\""),
              StartsWith("/routes/r: twin changes are messages of the hub, but"));
  topics_ = Topics::kServed;
  const std::string into =
      R"j({"route":"FROM /messages/modules/x/* INTO BrokeredEndpoint(\"/modules/y/inputs/in\")",)j";
  EXPECT_EQ(refusedRoute(into + R"("durable":false})"), "accepted");
  EXPECT_EQ(refusedRoute(into + R"("durable":true,"queue":{"messages":5},"full":"refuse"})"),
            "accepted");
  EXPECT_EQ(refusedRoute(into + R"("overflow":"spill","ttl_s":5,"priority":1})"), "accepted");
  EXPECT_EQ(
      refusedRoute(into + R"("durable":false,"overflow":"spill"})"),
      "/routes/r/overflow: \"spill\" needs a durable route; leave \"durable\" out or say true");
  EXPECT_EQ(refusedRoute(into + R"("full":"refuse"})"),
            "/routes/r/full: is for durable routes; say \"durable\": true, or choose \"overflow\"");
  for (const char* overflow : {"block", "drop-oldest", "drop-newest"}) {
    EXPECT_THAT(
        refusedRoute(into + R"("durable":true,"overflow":")" + overflow + "\"}"),
        StartsWith("/routes/r/overflow: is for routes through memory; a durable route spills"));
  }
  EXPECT_EQ(refusedRoute(into + R"("durable":true,"stall_ms":5})"),
            "/routes/r/stall_ms: a durable route never stalls; leave it out");
  const std::string up = R"({"route":"FROM /messages/modules/x/* INTO $upstream",)";
  EXPECT_EQ(refusedRoute(up + R"("durable":true,"overflow":"spill"})"), "accepted");
  EXPECT_THAT(refusedRoute(up + R"("durable":false})"), StartsWith("/routes/r/durable: "));
  EXPECT_THAT(refusedRoute(up + R"("overflow":"block"})"), StartsWith("/routes/r/overflow: "));
  EXPECT_THAT(refusedRoute(up + R"("full":"refuse"})"), StartsWith("/routes/r/full: "));
  EXPECT_THAT(refusedRoute(up + R"("queue":{}})"), StartsWith("/routes/r/queue: "));
  EXPECT_THAT(refusedRoute(up + R"("stall_ms":5})"), StartsWith("/routes/r/stall_ms: "));
  upstream_ = Upstream::kAbsent;
  EXPECT_THAT(refusedRoute("\"FROM /* INTO $upstream\""), HasSubstr("set [uplink] kind"));
}

TEST_F(ResolveTest, ModulesThatCouldWaitForEachOtherAreRefused) {
  const auto routes = [](const std::string& options) {
    return R"({"there":"FROM /messages/modules/x/outputs/out INTO )"
           R"j(BrokeredEndpoint(\"/modules/y/inputs/in\")",)j"
           R"("back":{"route":"FROM /messages/modules/y/* WHERE a = 'b' INTO )"
           R"j(BrokeredEndpoint(\"/modules/x/inputs/in\")")j" +
           options + "}}";
  };
  EXPECT_THAT(refused(document(1, "", routes(""))),
              StartsWith("/routes: these modules could wait for each other for ever: "));
  EXPECT_EQ(refused(document(1, "", routes(R"(,"overflow":"drop-oldest")"))), "accepted");
}

}  // namespace
}  // namespace kante
