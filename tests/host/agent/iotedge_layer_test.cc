#include "host/agent/iotedge_layer.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "host/agent/deployment.h"
#include "tests/host/agent/documents_kit.h"

namespace kante {
namespace {

namespace json = boost::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kAgent = "/modulesContent/$edgeAgent/properties.desired.";

std::string manifest(const std::string& agent, const std::string& more = {}) {
  return R"({"modulesContent":{"$edgeAgent":{)" + agent + "}" + (more.empty() ? "" : "," + more) +
         "}}";
}

std::string module(const std::string& image, const std::string& more = {}) {
  return R"({"type":"docker","status":"running","restartPolicy":"always","settings":{"image":")" +
         image + R"("})" + (more.empty() ? "" : "," + more) + "}";
}

// What a base and these layers, by rising priority, become.
const std::string kBase = R"({"schema":"kante.deployment/1","id":"iotedge","version":1,"modules":{
  "opc":{"image":"factory/opc:3","placement":"container","env":{"A":"1","B":"2"},
         "create_options":{"Cmd":["x"]},"status":"running","restart":"always",
         "desired":{"limits":{"min":1,"max":2},"unit":"C"},"grants":{"container":["bind:/a"]}},
  "sensor":{"bundle":")" + kDigest +
                          R"(","status":"running","restart":"always"}},
  "routes":{"up":{"route":"FROM /* INTO $upstream","priority":3,"ttl_s":60}}})";

class IotEdgeLayerTest : public ::testing::Test {
 protected:
  Result<TranslatedLayer> translate(const std::string& text, const std::string& below = kBase) {
    return translateLayer(json::parse(text), images_, below);
  }
  Layer layer(const std::string& text) {
    auto made = translate(text);
    if (!made) {
      ADD_FAILURE() << made.error().text;
      return {};
    }
    report_ = made->report;
    // As it is journalled.
    EXPECT_EQ(parseLayer(toJson(made->layer), "").value(), made->layer);
    return made->layer;
  }
  json::object over(std::initializer_list<std::string> layers) {
    Layers all;
    std::uint32_t priority = 0;
    for (const std::string& text : layers) {
      Layer one = layer(text);
      one.priority = ++priority;
      all["layer-" + std::to_string(priority)] = std::move(one);
    }
    const Tags tags;
    return json::parse(compose(kBase, all, {"edge-1", tags}).value()).as_object();
  }
  json::value moduleOver(const std::string& name, std::initializer_list<std::string> layers) {
    return over(layers).at("modules").at(name);
  }
  std::string refused(const std::string& text) {
    const auto made = translate(text);
    return made ? "taken" : made.error().text;
  }

  std::vector<ImageRule> images_ = {{"acme.test/sensor:*", kDigest, {}, "in-process"}};
  std::vector<std::string> report_;
};

TEST_F(IotEdgeLayerTest, IsToldFromAWholeManifest) {
  EXPECT_TRUE(isLayeredManifest(json::parse(manifest(R"("properties.desired.modules.x":{})"))));
  EXPECT_TRUE(isLayeredManifest(
      json::parse(R"({"content":{"modulesContent":{"x":{"properties.desired":{}}}}})")));
  EXPECT_FALSE(isLayeredManifest(json::parse(manifest(R"("properties.desired":{})"))));
  EXPECT_FALSE(isLayeredManifest(json::parse(R"({"modulesContent":{}})")));
  EXPECT_FALSE(isLayeredManifest(json::parse(R"({"schema":"kante.layer/1","content":{}})")));
}

TEST_F(IotEdgeLayerTest, AModuleIsPutThereAsAWholeAndKeepsItsTwinAndGrants) {
  EXPECT_EQ(moduleOver("opc", {manifest(R"("properties.desired.modules.opc":)" +
                                        module("factory/opc:4", R"("env":{"C":{"value":3}})"))}),
            json::parse(R"({"image":"factory/opc:4","placement":"container","env":{"C":"3"},
              "status":"running","restart":"always","desired":{"limits":{"min":1,"max":2},"unit":"C"},
              "grants":{"container":["bind:/a"]}})"));
  EXPECT_THAT(report_, IsEmpty());
  EXPECT_EQ(moduleOver("other", {manifest(R"("properties.desired.modules.other":)" + module("x:1"),
                                          R"("other":{"properties.desired":{"a":1}})")}),
            json::parse(R"({"image":"x:1","placement":"container","status":"running",
                            "restart":"always","desired":{"a":1}})"));
}

TEST_F(IotEdgeLayerTest, AnImageWithARuleTurnsAContainerIntoABundleAndBack) {
  const std::string to_bundle =
      manifest(R"("properties.desired.modules.opc.settings.image":"acme.test/sensor:2")");
  EXPECT_EQ(moduleOver("opc", {to_bundle}),
            json::parse(R"({"bundle":")" + kDigest + R"(","placement":"in-process",
              "status":"running","restart":"always","grants":{"container":["bind:/a"]},
              "desired":{"limits":{"min":1,"max":2},"unit":"C"}})"));
  EXPECT_EQ(moduleOver("sensor",
                       {manifest(R"("properties.desired.modules.sensor.settings.image":"x:1")")}),
            json::parse(R"({"image":"x:1","placement":"container","status":"running",
                            "restart":"always"})"));
}

TEST_F(IotEdgeLayerTest, DeepPathsChangeWhatTheyNameAndTheLaterPriorityWins) {
  const std::string env = R"("properties.desired.modules.opc.env.)";
  const auto out =
      moduleOver("opc", {manifest(env + R"(A":{"value":"low"},)" + env + R"(C.value":true)"),
                         manifest(env + R"(A":{"value":"high"})")});
  EXPECT_EQ(out.at("env"), json::parse(R"({"A":"high","B":"2","C":"true"})"));
  EXPECT_EQ(out.at("image"), "factory/opc:3");
  EXPECT_EQ(out.at("create_options"), json::parse(R"({"Cmd":["x"]})"));
  EXPECT_EQ(
      moduleOver("opc", {manifest(R"("properties.desired.modules.opc.env":{"Z":{"value":1}})")})
          .at("env"),
      json::parse(R"({"Z":"1"})"))
      << "a shorter path takes away what lay in it";
  EXPECT_EQ(moduleOver("opc", {manifest(R"("properties.desired.modules.opc.status":"stopped",
              "properties.desired.modules.opc.restartPolicy":"never",
              "properties.desired.modules.opc.imagePullPolicy":"never",
              "properties.desired.modules.opc.settings.createOptions":"{\"Cmd\":[\"y\"]}")")}),
            json::parse(R"({"image":"factory/opc:3","placement":"container","env":{"A":"1","B":"2"},
              "create_options":{"Cmd":["y"]},"status":"stopped","restart":"never","pull":"never",
              "desired":{"limits":{"min":1,"max":2},"unit":"C"},"grants":{"container":["bind:/a"]}})"));
}

TEST_F(IotEdgeLayerTest, ShorterAndLongerPathsOfOneModuleAreOne) {
  EXPECT_EQ(moduleOver("opc", {manifest(R"("properties.desired.modules.opc.env.D":{"value":4},
                                           "properties.desired.modules.opc":)" +
                                        module("x:1"))})
                .at("env"),
            json::parse(R"({"D":"4"})"));
}

TEST_F(IotEdgeLayerTest, WhatABundleHasNoPlaceForIsReported) {
  const auto out =
      moduleOver("sensor", {manifest(R"("properties.desired.modules.sensor.env.A":{"value":1},
    "properties.desired.modules.sensor.imagePullPolicy":"never",
    "properties.desired.modules.sensor.startupOrder":3,
    "properties.desired.modules.sensor.settings.createOptions":
      {"Cmd":["y"],"HostConfig":{"Memory":67108864}})")});
  EXPECT_EQ(out, json::parse(R"({"bundle":")" + kDigest +
                             R"(","status":"running","restart":"always",
                                "limits":{"memory_mb":64}})"));
  EXPECT_THAT(report_,
              UnorderedElementsAre(HasSubstr("modules.sensor/env: a bundle has no environment"),
                                   HasSubstr("imagePullPolicy: a bundle is not pulled"),
                                   HasSubstr("startupOrder: counts among"),
                                   HasSubstr("mean nothing to a bundle: Cmd")));
}

TEST_F(IotEdgeLayerTest, TwinsArePutThereByPath) {
  EXPECT_EQ(moduleOver("opc", {manifest("", R"("opc":{"properties.desired.limits.max":5})")})
                .at("desired"),
            json::parse(R"({"limits":{"min":1,"max":5},"unit":"C"})"));
  EXPECT_EQ(moduleOver("opc", {manifest("", R"("opc":{"properties.desired.limits":{"max":5}})")})
                .at("desired"),
            json::parse(R"({"limits":{"max":5},"unit":"C"})"));
  EXPECT_EQ(moduleOver("opc", {manifest("", R"("opc":{"properties.desired.limits":{"max":5}})"),
                               manifest("", R"("opc":{"properties.desired":{"a":{"b":1}}})"),
                               manifest("", R"("opc":{"properties.desired.a.b":2})")})
                .at("desired"),
            json::parse(R"({"a":{"b":2}})"))
      << "the plain one replaces all that lies below";
  EXPECT_EQ(
      moduleOver("opc", {manifest("", R"("opc":{"properties.desired.unit":null})")}).at("desired"),
      json::parse(R"({"limits":{"min":1,"max":2}})"));
}

TEST_F(IotEdgeLayerTest, RoutesAreMergedByName) {
  const auto routes = [this](const std::string& hub) {
    return over({R"({"modulesContent":{"$edgeHub":{)" + hub + "}}}"}).at("routes");
  };
  EXPECT_EQ(routes(R"("properties.desired.routes.more":"FROM /a INTO $upstream",
                      "properties.desired.routes.up":{"route":"FROM /b INTO $upstream"})"),
            json::parse(R"({"more":{"route":"FROM /a INTO $upstream"},
                            "up":{"route":"FROM /b INTO $upstream"}})"));
  EXPECT_EQ(routes(R"("properties.desired.routes.up.priority":0)"),
            json::parse(R"({"up":{"route":"FROM /* INTO $upstream","priority":0,"ttl_s":60}})"));
  EXPECT_EQ(routes(R"("properties.desired.routes.up":"FROM /a INTO $upstream",
                      "properties.desired.routes.up.priority":2)"),
            json::parse(R"({"up":{"route":"FROM /a INTO $upstream","priority":2}})"));
  EXPECT_EQ(routes(R"("properties.desired.routes.up":" ")"), json::parse("{}"));
  EXPECT_THAT(report_, ElementsAre(HasSubstr("is blank: no route of that name")));
  EXPECT_EQ(routes(R"("properties.desired.schemaVersion":"1.1",
                      "properties.desired.storeAndForwardConfiguration.timeToLiveSecs":30,
                      "properties.desired.routes.more":"FROM /a INTO $upstream")")
                .at("more"),
            json::parse(R"({"route":"FROM /a INTO $upstream","ttl_s":30})"));
}

TEST_F(IotEdgeLayerTest, PriorityAndConditionAreThoseOfTheConfiguration) {
  const std::string inner = manifest(R"("properties.desired.modules.x":)" + module("x:1"));
  const Layer made = layer(R"({"id":"muc","priority":7,"labels":{"a":"b"},"metrics":{"queries":{}},
    "targetCondition":"tags.site='muc' AND deviceId <> 'edge-9'","content":)" +
                           inner + "}");
  EXPECT_EQ(made.priority, 7u);
  const Tags muc{{"site", "muc"}};
  EXPECT_TRUE(holds(made.target, {"edge-1", muc}));
  EXPECT_FALSE(holds(made.target, {"edge-9", muc}));
  EXPECT_THAT(report_, ElementsAre("/labels: is IoT Hub's own and not kept"));
  EXPECT_EQ(refused(R"({"targetCondition":"tags.a > 3","content":)" + inner + "}"),
            "/targetCondition: character 8: \">\": tags are texts, which are equal or not");
  EXPECT_EQ(refused(R"({"priority":-1,"content":)" + inner + "}"),
            "/priority: expected a whole number from 0 to 1000000");
  EXPECT_TRUE(isAlways(layer(inner).target));
  const auto given = withTarget(json::parse(inner), 9, "tags.site='ber'");
  EXPECT_EQ(layer(json::serialize(*given)).priority, 9u);
  EXPECT_FALSE(holds(layer(json::serialize(*given)).target, {"edge-1", muc}));
  EXPECT_THAT(withTarget(*given, 9, {}).error().text, StartsWith("/priority: is there"));
  EXPECT_EQ(configurationId(json::parse(R"({"id":"muc"})")), "muc");
  EXPECT_EQ(configurationId(json::parse(R"({"id":"a b"})")), "");
}

TEST_F(IotEdgeLayerTest, EachFaultIsNamedWhereItIs) {
  EXPECT_EQ(refused(manifest(R"("properties.desired.modules.x":{"type":"docker"})")),
            kAgent + "modules.x/status: missing");
  EXPECT_EQ(refused(manifest(R"("properties.desired.modules.x.status":"paused")")),
            kAgent + "modules.x/status: \"paused\" is not \"running\" or \"stopped\"");
  EXPECT_THAT(refused(manifest(R"("properties.desired.modules":{})")),
              HasSubstr("would take away all that lies below"));
  EXPECT_THAT(refused(manifest(R"("properties.desired.modules..x":{})")),
              HasSubstr("a part of the path is empty"));
  EXPECT_THAT(refused(manifest(R"("modules.x":{})")), HasSubstr("expected \"properties.desired\""));
  EXPECT_THAT(refused(manifest(R"("properties.desired.schemaVersion":"2.0")")),
              StartsWith("/modulesContent/$edgeAgent/schemaVersion: expected"));
  EXPECT_THAT(
      refused(manifest(R"("properties.desired.modules.opc.settings.createOptions.Cmd":["x"])")),
      HasSubstr("is put there as a whole"));
  EXPECT_THAT(refused(manifest("", R"("x":{"properties.desired":3})")),
              StartsWith("/modulesContent/x/properties.desired: expected an object"));
  EXPECT_THAT(refused(R"({"modulesContent":{"$edgeHub":{"properties.desired.routes.r.ttl":1}}})"),
              StartsWith("/modulesContent/$edgeHub/properties.desired.routes.r/ttl: unknown"));
  EXPECT_THAT(refused(manifest(R"("properties.desired":{})")), HasSubstr("is a whole manifest"));
  std::string deep = "properties.desired";
  for (int i = 0; i < 30; ++i) deep += ".a";
  EXPECT_THAT(refused(manifest("", R"("x":{")" + deep + R"(":1})")), HasSubstr("more than 24"));
}

TEST_F(IotEdgeLayerTest, WhatTheHostIsItselfIsReported) {
  (void)layer(
      manifest(R"("properties.desired.runtime.settings.registryCredentials.a":{"password":"hidden"},
    "properties.desired.systemModules.edgeHub.env.X":{"value":1})",
               R"("$edgeHub":{"properties.desired.mqttBroker":{}})"));
  EXPECT_THAT(report_, Contains(HasSubstr("registryCredentials.a: passwords")));
  EXPECT_THAT(report_, Contains(HasSubstr("edgeHub.env.X: this host is edgeAgent")));
  EXPECT_THAT(report_, Contains(HasSubstr("mqttBroker: rights are grants")));
  for (const std::string& line : report_) EXPECT_THAT(line, ::testing::Not(HasSubstr("hidden")));
}

class IotEdgeLayerDocumentsTest : public test::DocumentsTest {};

TEST_F(IotEdgeLayerDocumentsTest, ADocumentOfALayerTakesOne) {
  ASSERT_EQ(take(set(3, 10).file()), "taken");
  const auto tuned = [](const std::string& condition, int priority, int ms) {
    return R"({"priority":)" + std::to_string(priority) + R"(,"targetCondition":")" + condition +
           R"(","content":{"modulesContent":{"x":{"properties.desired.period":)" +
           std::to_string(ms) + "}}}}";
  };
  EXPECT_EQ(take(layer("high", 1, tuned("tags.site='muc'", 9, 50)).file()), "taken");
  EXPECT_EQ(take(layer("low", 1, tuned("deviceId='edge-1'", 2, 60)).file()), "taken");
  EXPECT_EQ(take(layer("other", 1, tuned("deviceId='edge-2'", 10, 70)).file()), "taken");
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("low", "high"));
  EXPECT_THAT(gateway_.agent->effectiveDocument(), HasSubstr(R"("desired":{"period":50})"));
  restart();
  EXPECT_THAT(gateway_.agent->layersInForce(), ElementsAre("low", "high"));
  EXPECT_EQ(take(layer("bad", 1, tuned("tags.site > 3", 1, 1)).file()), "malformed");
  EXPECT_THAT(documents_->errors().back().text, StartsWith("/content/targetCondition: character"));
  const std::string layered = R"({"modulesContent":{"x":{"properties.desired.period":1}}})";
  EXPECT_EQ(take(test::Says{DocumentKind::kDeployment, 20, layered}.file()), "invalid");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("kante fleet apply FILE --name NAME"));
}

}  // namespace
}  // namespace kante
