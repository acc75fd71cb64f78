#include "host/agent/iotedge_manifest.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "host/agent/deployment.h"
#include "tests/host/agent/agent_kit.h"

namespace kante {
namespace {

namespace json = boost::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kDigest = "sha256:" + std::string(64, 'a');

// What the developer tools write: a sensor, a filter behind it, chunked options, routes of both
// forms.
std::string manifest(const std::string& modules, const std::string& routes = "{}",
                     const std::string& more = {}) {
  return R"({"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1",
    "runtime":{"type":"docker","settings":{"minDockerVersion":"v1.25"}},
    "systemModules":{"edgeAgent":{"type":"docker","settings":{}},
                     "edgeHub":{"type":"docker","status":"running","restartPolicy":"always","settings":{}}},
    "modules":)" +
         modules + R"(}},"$edgeHub":{"properties.desired":{"schemaVersion":"1.1","routes":)" +
         routes + R"(,"storeAndForwardConfiguration":{"timeToLiveSecs":7200}}})" + more + "}}";
}

std::string module(const std::string& image, const std::string& more = {}) {
  return R"({"type":"docker","status":"running","restartPolicy":"always","settings":{"image":")" +
         image + R"("})" + (more.empty() ? "" : "," + more) + "}";
}

class ManifestTest : public ::testing::Test {
 protected:
  Result<TranslatedManifest> translate(const std::string& text,
                                       const std::string& current = "null") {
    return translateManifest(json::parse(text), images_, current);
  }
  json::object document(const std::string& text) {
    auto translated = translate(text);
    if (!translated) {
      ADD_FAILURE() << translated.error().text;
      return {};
    }
    report_ = translated->report;
    return json::parse(translated->document).as_object();
  }
  std::string refused(const std::string& text) {
    const auto translated = translate(text);
    return translated ? "taken" : translated.error().text;
  }

  std::vector<ImageRule> images_ = {
      {"acme.test/sensor:*", kDigest, {"https://depot.example/sensor.kmod"}, ""},
      {"acme.test/filter:7", kDigest, {}, "in-process"}};
  std::vector<std::string> report_;
};

TEST_F(ManifestTest, IsToldFromADeployment) {
  EXPECT_TRUE(isIotEdgeManifest(json::parse(manifest("{}"))));
  EXPECT_FALSE(isIotEdgeManifest(json::parse(R"({"schema":"kante.deployment/1"})")));
  EXPECT_FALSE(isIotEdgeManifest(json::parse("[]")));
}

TEST_F(ManifestTest, ImagesWithARuleBecomeBundlesWithTheirTwins) {
  const auto out = document(manifest(R"({"sensor":)" + module("acme.test/sensor:1.2") +
                                         R"(,"filter":)" + module("acme.test/filter:7") + "}",
                                     "{}", R"(,"filter":{"properties.desired":{"threshold":25}})"));
  EXPECT_EQ(out.at("id"), "iotedge");
  EXPECT_EQ(out.at("version"), 1);
  EXPECT_EQ(out.at("modules"), json::parse(R"({
    "sensor":{"bundle":")" + kDigest + R"(","from":["https://depot.example/sensor.kmod"],
              "status":"running","restart":"always"},
    "filter":{"bundle":")" + kDigest + R"(","placement":"in-process","desired":{"threshold":25},
              "status":"running","restart":"always"}})"));
  EXPECT_THAT(report_, IsEmpty());
  EXPECT_TRUE(parseDeployment(json::serialize(out)));
}

TEST_F(ManifestTest, AConfigurationOfIotHubIsTakenForWhatIsInIt) {
  const std::string inner = manifest(R"({"opc":)" + module("factory/opc:3") + "}");
  const auto bare = document(inner);
  EXPECT_EQ(document(R"({"id":"base","priority":3,"targetCondition":"tags.a='b'","labels":{},
    "metrics":{"queries":{"q":"select"}},"content":)" +
                     inner + "}"),
            bare);
  EXPECT_THAT(report_, ElementsAre("/metrics: is IoT Hub's own and not kept",
                                   StartsWith("/targetCondition: a deployment is for"),
                                   StartsWith("/priority: a deployment is for")));
  EXPECT_THAT(refused(R"({"content":{"modulesContent":{"x":3}}})"),
              StartsWith("/content/modulesContent/x: "));
}

TEST_F(ManifestTest, OtherImagesStayContainers) {
  const auto out = document(
      manifest(R"({"opc":)" +
               module("factory/opc:3",
                      R"("env":{"LEVEL":{"value":3},"NAME":{"value":"a"},"ON":{"value":true}})") +
               "}"));
  EXPECT_EQ(out.at("modules").at("opc"), json::parse(R"({"image":"factory/opc:3",
    "placement":"container","env":{"LEVEL":"3","NAME":"a","ON":"true"},"status":"running",
    "restart":"always"})"));
}

TEST_F(ManifestTest, RoutesKeepPriorityAndTimeToLive) {
  const auto out = document(manifest("{}", R"({
    "plain":"FROM /messages/modules/filter/outputs/ok INTO $upstream",
    "alarm":{"route":"FROM /messages/* INTO $upstream","priority":0,"timeToLiveSecs":86400},
    "blank":"  "})"));
  EXPECT_EQ(out.at("routes"), json::parse(R"({
    "plain":{"route":"FROM /messages/modules/filter/outputs/ok INTO $upstream","ttl_s":7200},
    "alarm":{"route":"FROM /messages/* INTO $upstream","priority":0,"ttl_s":86400}})"));
  EXPECT_THAT(report_, ElementsAre(StartsWith(
                           "/modulesContent/$edgeHub/properties.desired/routes/blank: is blank")));
}

TEST_F(ManifestTest, CreateOptionsComeInPieces) {
  const auto out = document(manifest(R"({"opc":{"type":"docker","status":"running","settings":{
    "image":"factory/opc:3","createOptions":"{\"HostConfig\":{\"Bin",
    "createOptions01":"ds\":[\"/a:/b\"]","CREATEOPTIONS02":"}}"}}})"));
  EXPECT_EQ(out.at("modules").at("opc").at("create_options"),
            json::parse(R"({"HostConfig":{"Binds":["/a:/b"]}})"));
  EXPECT_EQ(out.at("modules").at("opc").at("restart"), "on-failure") << "the default";
  const std::string gap = manifest(R"({"opc":{"type":"docker","status":"running","settings":{
    "image":"x","createOptions":"{","createOptions02":"}"}}})");
  EXPECT_THAT(refused(gap), HasSubstr("a piece is missing before createOptions02"));
  const std::string broken = manifest(
      R"({"opc":{"type":"docker","status":"running","settings":{"image":"x","createOptions":"{"}}})");
  EXPECT_THAT(refused(broken),
              StartsWith("/modulesContent/$edgeAgent/properties.desired/modules/opc/"
                         "settings/createOptions: "));
  const auto object = document(manifest(
      R"({"opc":{"type":"docker","status":"running","settings":{"image":"x","createOptions":{"Cmd":["a"]}}}})"));
  EXPECT_EQ(object.at("modules").at("opc").at("create_options"), json::parse(R"({"Cmd":["a"]})"));
}

TEST_F(ManifestTest, WhatABundleHasNoPlaceForIsReported) {
  const auto out = document(manifest(R"({"sensor":{"type":"docker","status":"running",
    "env":{"LEVEL":{"value":3}},"settings":{"image":"acme.test/sensor:1","createOptions":
    "{\"Cmd\":[\"x\"],\"HostConfig\":{\"Memory\":67108864,\"NanoCpus\":500000000,\"Binds\":[\"/a:/b\"]}}"}}})"));
  EXPECT_EQ(out.at("modules").at("sensor").at("limits"),
            json::parse(R"({"memory_mb":64,"cpu_percent":50})"));
  EXPECT_THAT(report_, Contains(HasSubstr("sensor/env: a bundle has no environment")));
  EXPECT_THAT(report_, Contains(HasSubstr("mean nothing to a bundle: Cmd, Binds")));
}

TEST_F(ManifestTest, AFigureThatIsNoneLimitsNothing) {
  for (const char* figure : {"-1", "1e30", "1.5", "\"64m\"", "null", "0"}) {
    const auto out = document(manifest(
        R"({"sensor":{"type":"docker","status":"running","settings":{"image":"acme.test/sensor:1",
        "createOptions":{"HostConfig":{"Memory":)" +
        std::string(figure) + "}}}}}"));
    EXPECT_FALSE(out.at("modules").at("sensor").as_object().contains("limits")) << figure;
  }
}

TEST_F(ManifestTest, WhatTheHostIsItselfIsReported) {
  const std::string text = R"({"modulesContent":{"$edgeAgent":{"properties.desired":{
    "schemaVersion":"1.0","runtime":{"type":"docker","settings":{"registryCredentials":
      {"acme":{"address":"a","username":"u","password":"hidden"}}}},
    "systemModules":{"edgeAgent":{"type":"docker","env":{"RuntimeLogLevel":{"value":"warn"}},"settings":{"image":"a"}}},
    "modules":{}}},"$edgeHub":{"properties.desired":{"schemaVersion":"1.3","routes":{},"mqttBroker":{},
    "storeAndForwardConfiguration":{"timeToLiveSecs":-1,"storeLimits":{"maxSizeBytes":1}}}},
    "ghost":{"properties.desired":{"a":1}}}})";
  (void)document(text);
  EXPECT_THAT(report_, Contains(HasSubstr("registryCredentials: passwords")));
  EXPECT_THAT(report_, Contains(HasSubstr("edgeAgent/env: this host is edgeAgent")));
  EXPECT_THAT(report_, Contains(HasSubstr("mqttBroker: rights are grants")));
  EXPECT_THAT(report_, Contains(HasSubstr("storeLimits: [store] max_bytes")));
  EXPECT_THAT(report_, Contains(StartsWith("/modulesContent/ghost: there is no module")));
  for (const std::string& line : report_) EXPECT_THAT(line, ::testing::Not(HasSubstr("hidden")));
}

TEST_F(ManifestTest, StartupOrderIsWhoWaitsForWhom) {
  const auto order = [](int n) { return R"("startupOrder":)" + std::to_string(n); };
  const std::string modules = R"({"a":)" + module("acme.test/sensor:1", order(5)) + R"(,"b":)" +
                              module("acme.test/sensor:1", order(2)) + R"(,"c":)" +
                              module("acme.test/sensor:1", order(5)) + R"(,"d":)" +
                              module("acme.test/sensor:1") + "}";
  const auto out = document(manifest(modules)).at("modules").as_object();
  EXPECT_EQ(out.at("a").at("start_after"), json::parse(R"(["b"])"));
  EXPECT_EQ(out.at("c").at("start_after"), json::parse(R"(["b"])"));
  EXPECT_EQ(out.at("d").at("start_after"), json::parse(R"(["a","c"])"));
  EXPECT_FALSE(out.at("b").as_object().contains("start_after"));
}

TEST_F(ManifestTest, TheVersionRisesWhenSomethingChanged) {
  const std::string first = translate(manifest("{}"))->document;
  EXPECT_EQ(translate(manifest("{}"), first)->document, first);
  const auto second = translate(manifest("{}", R"({"up":"FROM /* INTO $upstream"})"), first);
  EXPECT_THAT(second->document, HasSubstr(R"("version":2)"));
  const auto other = translate(manifest("{}"), R"({"id":"line-4","version":9})");
  EXPECT_THAT(other->document, HasSubstr(R"("version":1)"));
}

TEST_F(ManifestTest, EachFaultIsNamedWhereItIs) {
  const std::string agent = "/modulesContent/$edgeAgent/properties.desired";
  EXPECT_EQ(refused(manifest(R"({"x":{"type":"podman"}})")),
            agent + "/modules/x/type: expected \"docker\"");
  EXPECT_EQ(refused(manifest(R"({"x":{"type":"docker","settings":{"image":"a"}}})")),
            agent + "/modules/x/status: missing");
  EXPECT_EQ(refused(manifest(R"({"x":{"type":"docker","status":"running","settings":{}}})")),
            agent + "/modules/x/settings/image: missing");
  EXPECT_THAT(refused(manifest(R"({"x":{"type":"docker","status":"paused"}})")),
              StartsWith(agent + "/modules/x/status: "));
  EXPECT_THAT(
      refused(
          R"({"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"2.0"}}}})"),
      StartsWith(agent + "/schemaVersion: expected"));
  EXPECT_THAT(refused(R"({"modulesContent":{"$edgeAgent":{"properties.desired.modules.x":{}}}})"),
              HasSubstr("a layered manifest, which changes what is deployed"));
  EXPECT_THAT(refused(R"({"modulesContent":{"x":{"properties.desired":{}}}})"),
              HasSubstr("kante fleet apply FILE --name NAME"));
  EXPECT_THAT(refused(R"({"modulesContent":{"$edgeAgent":{"properties.desired":{},
                          "properties.desired.modules.x":{}}}})"),
              HasSubstr("paths are for layered manifests"));
  EXPECT_THAT(refused(R"({"modulesContent":{"x":3}})"), StartsWith("/modulesContent/x: "));
  EXPECT_THAT(refused(R"({"modulesContent":[]})"), StartsWith("/modulesContent: "));
  EXPECT_THAT(refused(manifest("{}", R"({"r":{"route":"x","ttl":1}})")),
              HasSubstr("/routes/r/ttl: unknown member"));
  EXPECT_THAT(refused(manifest("{}", R"({"r":{"route":"x","priority":10}})")),
              HasSubstr("/routes/r/priority: "));
  EXPECT_THAT(refused(manifest(R"({"x":)" + module("a", R"("env":{"A":"b"})") + "}")),
              HasSubstr("/modules/x/env/A: expected"));
  images_ = {{"*", "/nowhere/a.kmod", {}, ""}};
  EXPECT_THAT(refused(manifest(R"({"x":)" + module("a") + "}")),
              HasSubstr("/modules/x/settings/image: [[image]] names /nowhere/a.kmod for it: "));
}

TEST_F(ManifestTest, TheAgentTakesOneAndTellsWhatIsLost) {
  test::Gateway gateway;
  gateway.images = {{"a:*", gateway.dir.path() + "/a.kmod", {}, "in-process"}};
  gateway.restart();
  const auto bundle = openAt(gateway.dir.fd(), "a.kmod", O_RDONLY).value();
  ASSERT_TRUE(gateway.agent->admit(bundle.get(), ApplyRequest::Rebind::kNo));
  const std::string text = manifest(R"({"x":)" + module("a:1", R"("env":{"A":{"value":1}})") + "}");
  const auto done = gateway.apply(text);
  ASSERT_TRUE(done) << done.error().text;
  EXPECT_EQ(done->kind, ApplyOutcome::Kind::kCommitted);
  EXPECT_EQ(done->id, "iotedge");
  EXPECT_THAT(done->warnings, ElementsAre(HasSubstr("/modules/x/env: ")));
  EXPECT_EQ(gateway.apply(text)->kind, ApplyOutcome::Kind::kUnchanged);
  const auto next =
      gateway.apply(manifest(R"({"x":)" + module("a:1") + R"(,"y":)" + module("a:2") + "}"));
  ASSERT_TRUE(next) << next.error().text;
  EXPECT_EQ(next->version, 2u);
}

}  // namespace
}  // namespace kante
