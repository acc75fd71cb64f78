#include "host/cli/fleet_patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace kante::cli {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kNow_s = 1'800'000'000;
constexpr char kContent[] =
    R"({"schema":"kante.deployment/1","id":"line-4","version":3,"modules":{"x":{"bundle":"a.kmod"}}})";

class FleetPatchTest : public testing::Test {
 protected:
  FleetPatchTest() {
    retained_.gateway = "edge-1";
    retained_.counter = 7;
    retained_.content = kContent;
  }

  Result<Document> patch(const std::string& patch = R"({"modules":{"x":{"stop_ms":100}}})",
                         DocumentKind kind = DocumentKind::kMergePatch) const {
    return patchRetained(writeDocument(retained_), boost::json::parse(patch), kind,
                         {"edge-1", reported_, kNow_s});
  }
  std::string refusal() const {
    const auto patched = patch();
    return patched ? "none" : patched.error().text;
  }

  Document retained_;
  boost::json::value reported_ = boost::json::parse(
      R"({"id":"line-4","version":3,"state":"committed","tags":{"site":"muc"}})");
};

TEST_F(FleetPatchTest, WhatIsRetainedForTheGatewayIsPatchedUnderTheNextVersion) {
  const auto next = patch();
  ASSERT_TRUE(next) << next.error().text;
  EXPECT_EQ(next->gateway, "edge-1");
  const auto content = boost::json::parse(next->content);
  EXPECT_EQ(content.at("version"), 4);
  EXPECT_EQ(content.at("modules").at("x").at("stop_ms"), 100);
  EXPECT_EQ(boost::json::parse(
                patch(R"([{"op":"replace","path":"/version","value":9}])", DocumentKind::kJsonPatch)
                    ->content)
                .at("version"),
            9);
}

TEST_F(FleetPatchTest, WhatIsSignedAlreadyGoesOnlyToWhomItIsFor) {
  EXPECT_TRUE(checkTarget(retained_, "edge-1", {}));
  EXPECT_THAT(checkTarget(retained_, "edge-2", reported_).error().text,
              HasSubstr("is for gateway edge-1; sign one for it"));
  retained_.gateway.clear();
  retained_.tag = "site=muc";
  EXPECT_TRUE(checkTarget(retained_, "edge-2", reported_));
  EXPECT_THAT(checkTarget(retained_, "edge-2", {}).error().text,
              HasSubstr("is for tag site=muc, which it does not report"));
}

TEST_F(FleetPatchTest, OfOneForATagThatTheGatewayReportsItBecomesItsOwn) {
  retained_.gateway.clear();
  retained_.tag = "site=muc";
  ASSERT_TRUE(patch());
  EXPECT_EQ(patch()->gateway, "edge-1");
  EXPECT_EQ(patch()->tag, "");
  retained_.tag = "site=ber";
  EXPECT_THAT(refusal(), HasSubstr("what is retained for it is for tag site=ber"));
}

TEST_F(FleetPatchTest, OneForAnotherGatewayIsNotSignedForThisOne) {
  retained_.gateway = "edge-2";
  EXPECT_THAT(refusal(), HasSubstr("what is retained for it is for gateway edge-2"));
}

TEST_F(FleetPatchTest, OneThatIsOverIsNotSignedAgain) {
  retained_.not_after_s = kNow_s;
  EXPECT_TRUE(patch());
  retained_.not_after_s = kNow_s - 1;
  EXPECT_THAT(refusal(), HasSubstr("good until 2027-01-15T07:59:59Z"));
}

TEST_F(FleetPatchTest, WhatItWasForAndUntilWhenDoesNotComeAlong) {
  retained_.not_after_s = kNow_s + 10;
  retained_.base = 2;
  EXPECT_FALSE(patch()->not_after_s);
  EXPECT_FALSE(patch()->base);
}

TEST_F(FleetPatchTest, WhatItRunsIsSignedAgainWithoutTheVersionThatItReplaced) {
  retained_.base = 2;
  const auto again = retainedThatRuns(writeDocument(retained_), {"edge-1", reported_, kNow_s});
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_EQ(boost::json::parse(again->content), boost::json::parse(retained_.content));
  EXPECT_EQ(again->gateway, "edge-1");
  EXPECT_FALSE(again->base);
  reported_ = boost::json::parse(R"({"id":"line-4","version":4})");
  EXPECT_FALSE(retainedThatRuns(writeDocument(retained_), {"edge-1", reported_, kNow_s}));
}

TEST_F(FleetPatchTest, OnlyWhatTheGatewaySaysItRunsIsPatched) {
  for (const char* other : {R"({"id":"line-4","version":4,"state":"committed"})",
                            R"({"id":"line-4","version":2,"state":"rolled-back"})",
                            R"({"id":"line-5","version":3,"state":"committed"})",
                            R"({"id":null,"version":0,"state":"none"})"}) {
    reported_ = boost::json::parse(other);
    EXPECT_THAT(refusal(), HasSubstr("line-4 version 3 is retained")) << other;
  }
  reported_ = nullptr;
  EXPECT_THAT(refusal(), HasSubstr("it has not reported what it runs"));
}

TEST_F(FleetPatchTest, OnlyADeploymentIsPatched) {
  for (const auto& [kind, content] : {std::pair{DocumentKind::kLayer, "null"},
                                      {DocumentKind::kMergePatch, kContent},
                                      {DocumentKind::kDesired, "{}"}}) {
    retained_.kind = kind;
    retained_.content = content;
    retained_.name = kind == DocumentKind::kDesired ? "module/x" : "x";
    retained_.base.reset();
    if (kind == DocumentKind::kMergePatch) retained_.base = 2;
    EXPECT_THAT(refusal(), HasSubstr("of kind " + std::string(name(kind))));
  }
}

TEST_F(FleetPatchTest, WhatIsNoObjectIsNoDeployment) {
  retained_.content = "[1]";
  EXPECT_NE(refusal(), "none");
  retained_.content = kContent;
  EXPECT_FALSE(patch("[]"));
  EXPECT_FALSE(patch("7"));
}

}  // namespace
}  // namespace kante::cli
