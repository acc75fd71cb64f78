#include "host/agent/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace kante {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Layer layerOf(const std::string& text) {
  auto layer = parseLayer(boost::json::parse(text), "");
  EXPECT_TRUE(layer) << layer.error().text;
  return layer ? *layer : Layer();
}

Layer layer(std::uint32_t priority, const std::string& content,
            const std::vector<std::string>& tags = {}) {
  Layer out;
  out.priority = priority;
  for (const std::string& tag : tags) out.target.of.push_back(tagCondition(tag));
  out.content = content;
  return out;
}

std::string refused(const std::string& text) {
  const auto read = parseLayer(boost::json::parse(text), "/content");
  return read ? "taken" : read.error().text;
}

TEST(LayersTest, ALayerHasAPriorityAConditionAndAPatch) {
  const Layer layer = layerOf(
      R"({"schema":"kante.layer/1","priority":10,"target":{"tag":"site=muc"},"content":{"modules":{"x":null}}})");
  EXPECT_EQ(layer.priority, 10u);
  EXPECT_EQ(layer.target, tagCondition("site=muc"));
  EXPECT_EQ(layer.content, R"({"modules":{"x":null}})");
  EXPECT_EQ(parseLayer(toJson(layer), "").value(), layer);
  EXPECT_EQ(layerOf(R"({"schema":"kante.layer/1","content":{}})").priority, 0u);
}

TEST(LayersTest, EachMistakeIsRefusedWithItsPointer) {
  EXPECT_THAT(refused("1"), StartsWith("/content: expected an object"));
  EXPECT_THAT(refused(R"({"schema":"x","content":{}})"), StartsWith("/content/schema: "));
  EXPECT_THAT(refused(R"({"schema":"kante.layer/1"})"), StartsWith("/content/content: missing"));
  const std::string head = R"({"schema":"kante.layer/1","content":{},)";
  EXPECT_THAT(refused(head + R"("prioritty":1})"),
              StartsWith("/content/prioritty: unknown member"));
  EXPECT_THAT(refused(head + R"("priority":-1})"), StartsWith("/content/priority: "));
  EXPECT_THAT(refused(head + R"("target":{}})"), StartsWith("/content/target: needs one"));
  EXPECT_THAT(refused(head + R"("target":{"tags":["=muc"]}})"), StartsWith("/content/target: "));
  EXPECT_THAT(refused(R"({"schema":"kante.layer/1","content":{"version":3}})"),
              StartsWith("/content/content/version: is the base's alone"));
}

TEST(LayersTest, ThoseWhoseConditionHoldsApplyByPriorityThenName) {
  const Layers layers{{"a", layer(5, R"({"v":"a"})")},
                      {"b", layer(1, R"({"v":"b","b":1})")},
                      {"c", layer(5, R"({"v":"c"})", {"site=muc", "line"})},
                      {"d", layer(9, R"({"v":"d"})", {"site=ber"})}};
  const Tags here{{"site", "muc"}, {"line", "4"}};
  const Tags elsewhere{{"site", "muc"}};
  EXPECT_THAT(layersInForce(layers, {"edge-1", here}), ElementsAre("b", "a", "c"));
  EXPECT_THAT(layersInForce(layers, {"edge-1", elsewhere}), ElementsAre("b", "a"));
  EXPECT_EQ(compose(R"({"v":"base","x":{"y":1}})", layers, {"edge-1", here}).value(),
            R"({"b":1,"v":"c","x":{"y":1}})");
  EXPECT_EQ(compose(R"({"v":"base"})", {}, {"edge-1", here}).value(), R"({"v":"base"})");
}

TEST(LayersTest, WhatIsReplacedIsNotMerged) {
  const Layer whole = layerOf(
      R"({"schema":"kante.layer/1","content":{"a":{"b":{"new":1}}},"replace":["/a/b","/c~1d","/x/y"]})");
  const Tags none;
  EXPECT_EQ(
      compose(R"({"a":{"b":{"old":1},"e":2},"c/d":3})", {{"l", whole}}, {"edge-1", none}).value(),
      R"({"a":{"b":{"new":1},"e":2}})");
  EXPECT_EQ(parseLayer(toJson(whole), "").value(), whole);
  const std::string head = R"({"schema":"kante.layer/1","content":{},"replace":[)";
  EXPECT_THAT(refused(head + R"("a"]})"), StartsWith("/content/replace: \"a\" is no JSON pointer"));
  EXPECT_THAT(refused(head + R"("/a~2"]})"), HasSubstr("is no JSON pointer"));
  EXPECT_THAT(refused(head + R"(""]})"), HasSubstr("is no JSON pointer"));
  EXPECT_THAT(refused(head + R"("/version"]})"), HasSubstr("is the base's alone"));
}

TEST(LayersTest, AreBounded) {
  Layers layers;
  for (std::size_t i = 0; i < kLayersMax; ++i) layers[std::to_string(i)] = layer(0, "{}");
  EXPECT_TRUE(checkLayers(layers));
  layers["more"] = layer(0, "{}");
  EXPECT_THAT(checkLayers(layers).error().text, HasSubstr("at most 64 layers"));
  layers = {{"big", layer(0, std::string(kLayersBytesMax + 1, ' '))}};
  EXPECT_THAT(checkLayers(layers).error().text, HasSubstr("4 MiB"));
}

TEST(LayersTest, TheJournalKeepsThemWhole) {
  Layer one = layer(3, R"({"modules":{}})", {"site"});
  one.who = "deployer/CN=ann";
  one.document = "sha256:00";
  const Layers layers{{"munich", one}};
  EXPECT_EQ(decodeLayers(encodeLayers(layers)).value(), layers);
  EXPECT_TRUE(decodeLayers(boost::json::parse(R"({"x":1})").as_object()).has_error());
}

}  // namespace
}  // namespace kante
