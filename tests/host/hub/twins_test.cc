#include "host/hub/twins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/hub/twin_rules.h"

namespace kante {
namespace {

constexpr char kWho[] = "module/filter";

class TwinsTest : public testing::Test {
 protected:
  void reopen() {
    twins_.reset();
    auto opened = Twins::open(map_);
    ASSERT_TRUE(opened) << opened.error().text;
    twins_ = std::move(*opened);
  }
  void SetUp() override { reopen(); }

  std::string refused(const std::string& patch) {
    const auto result = twins_->patchReported(kWho, patch);
    return result ? "accepted" : result.error().text;
  }

  MemoryMap map_;
  std::unique_ptr<Twins> twins_;
};

TEST_F(TwinsTest, AnUnknownPrincipalHasTwoEmptySections) {
  EXPECT_EQ(twins_->desired(kWho).json, "{}");
  EXPECT_EQ(twins_->desired(kWho).version, 0u);
  EXPECT_EQ(withVersion(twins_->reported(kWho)), R"({"$version":0})");
}

TEST_F(TwinsTest, APatchMergesAndRaisesTheVersionOfItsSectionOnly) {
  EXPECT_EQ(*twins_->patchDesired(kWho, R"({"a":{"b":1,"c":[1,2]},"d":"x"})"), 1u);
  EXPECT_EQ(*twins_->patchDesired(kWho, R"({"a":{"b":null,"e":2.5},"d":{"f":true}})"), 2u);
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":{"c":[1,2],"e":2.5},"d":{"f":true}})");
  EXPECT_EQ(withVersion(twins_->desired(kWho)),
            R"({"a":{"c":[1,2],"e":2.5},"d":{"f":true},"$version":2})");
  EXPECT_EQ(twins_->reported(kWho).version, 0u);
}

TEST_F(TwinsTest, SurvivesTheProcess) {
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1})"));
  ASSERT_TRUE(twins_->patchReported(kWho, R"({"b":"ü\u0001"})"));
  reopen();
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":1})");
  EXPECT_EQ(twins_->reported(kWho).json, "{\"b\":\"ü\\u0001\"}");
  EXPECT_EQ(*twins_->patchReported(kWho, R"({"b":null})"), 2u);
}

TEST_F(TwinsTest, ADamagedRecordCostsOneTwinAndIsNamed) {
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1})"));
  ASSERT_TRUE(twins_->patchDesired("device/d", R"({"a":1})"));
  for (const char* damage : {"", "{}", "[]",
                             R"({"desired":"{","desired_version":1,"reported":"{}",)"
                             R"("reported_version":0,"base":"{}"})"}) {
    ASSERT_TRUE(map_.put("device/d", damage));
    reopen();
    EXPECT_EQ(twins_->damaged(), std::vector<std::string>{"device/d"});
    EXPECT_EQ(twins_->desired(kWho).json, R"({"a":1})");
  }
}

TEST_F(TwinsTest, RefusesWhatIoTHubRefusesAndNamesTheMember) {
  EXPECT_THAT(refused("[]"), testing::HasSubstr("expected a JSON object"));
  EXPECT_THAT(refused("{"), testing::HasSubstr("not JSON"));
  EXPECT_THAT(refused(R"({"a":1,"a":2})"), testing::HasSubstr("twice"));
  EXPECT_THAT(refused(R"({"$version":3})"), testing::StartsWith("/$version: a member name"));
  EXPECT_THAT(refused(R"({"a":{"b.c":3}})"), testing::StartsWith("/a/b.c: a member name"));
  EXPECT_THAT(refused(R"({"a b":3})"), testing::StartsWith("/a b: a member name"));
  EXPECT_THAT(refused(R"({"a#":3})"), testing::StartsWith("/a#: a member name"));
  EXPECT_THAT(refused(R"({"a\u0085":3})"), testing::HasSubstr("control characters"));
  EXPECT_THAT(refused(R"({"":3})"), testing::HasSubstr("empty"));
  EXPECT_THAT(refused(R"({"a":[1,null]})"), testing::StartsWith("/a/1: null inside an array"));
  EXPECT_THAT(refused(R"({"a":[{"b":null}]})"), testing::StartsWith("/a/0/b: null inside"));
  EXPECT_THAT(refused(R"({"a":4503599627370497})"), testing::StartsWith("/a: an integer"));
  EXPECT_THAT(refused(R"({"a":-4503599627370497})"), testing::StartsWith("/a: an integer"));
  EXPECT_THAT(refused(R"({"a":18446744073709551615})"), testing::StartsWith("/a: an integer"));
  EXPECT_THAT(refused(R"({"a":")" + std::string(4097, 'x') + "\"}"),
              testing::StartsWith("/a: a string has at most 4096 bytes"));
  EXPECT_THAT(refused("{\"" + std::string(1025, 'k') + "\":1}"),
              testing::HasSubstr("longer than 1024 bytes"));
  EXPECT_EQ(twins_->reported(kWho).version, 0u);
}

TEST_F(TwinsTest, AcceptsExactlyTheLimits) {
  EXPECT_EQ(refused(R"({"a":4503599627370496,"b":-4503599627370496,"ü":1.5})"), "accepted");
  EXPECT_EQ(refused(R"({"s":")" + std::string(4096, 'x') + "\"}"), "accepted");
  EXPECT_EQ(refused("{\"" + std::string(1024, 'k') + "\":1}"), "accepted");
  const auto nested = [](int levels) {
    std::string text = "1";
    for (int i = 0; i < levels; ++i) text = R"({"a":)" + text + "}";
    return R"({"n":)" + text + "}";
  };
  EXPECT_EQ(refused(nested(10)), "accepted");
  EXPECT_THAT(refused(nested(11)), testing::HasSubstr("nested deeper than 10 levels"));
}

TEST_F(TwinsTest, ASectionHasAtMost32KilobytesAfterTheMerge) {
  for (int i = 0; i < 7; ++i)
    ASSERT_TRUE(twins_->patchReported(
        kWho, "{\"k" + std::to_string(i) + "\":\"" + std::string(4096, 'x') + "\"}"));
  const auto over = twins_->patchReported(kWho, R"({"k8":")" + std::string(4096, 'x') + "\"}");
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Errc::kLimit);
  EXPECT_EQ(twins_->reported(kWho).version, 7u);
}

TEST_F(TwinsTest, ANullInAWholeSectionIsRefused) {
  EXPECT_THAT(checkTwinSection(R"({"a":null})").error().text, testing::StartsWith("/a: null"));
  EXPECT_TRUE(checkTwinSection(R"({"a":[{}]})"));
}

TEST_F(TwinsTest, ReplacingWithWhatIsThereChangesNothing) {
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1,"b":2})"));
  EXPECT_EQ(*twins_->replaceDesired(kWho, R"({"b":2,"a":1})"), 1u);
  EXPECT_EQ(*twins_->replaceDesired(kWho, R"({"b":3})"), 2u);
  EXPECT_EQ(twins_->desired(kWho).json, R"({"b":3})");
}

TEST_F(TwinsTest, ANewBaseReplacesDesiredAndTheSameBaseKeepsLaterPatches) {
  ASSERT_TRUE(twins_->stage({{kWho, R"({"threshold":25})"}}));
  ASSERT_TRUE(twins_->commitStaged());
  EXPECT_EQ(twins_->desired(kWho).json, R"({"threshold":25})");
  EXPECT_EQ(twins_->desired(kWho).version, 1u);
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"threshold":30,"x":1})"));

  reopen();  // The base is remembered over a restart.
  ASSERT_TRUE(twins_->stage({{kWho, R"({ "threshold" : 25 })"}}));
  ASSERT_TRUE(twins_->commitStaged());
  EXPECT_EQ(twins_->desired(kWho).json, R"({"threshold":30,"x":1})");
  EXPECT_EQ(twins_->desired(kWho).version, 2u);

  ASSERT_TRUE(twins_->stage({{kWho, R"({"threshold":26})"}}));
  ASSERT_TRUE(twins_->commitStaged());
  EXPECT_EQ(twins_->desired(kWho).json, R"({"threshold":26})");
  ASSERT_TRUE(twins_->stage({{kWho, "{}"}}));  // The member was taken out of the deployment.
  ASSERT_TRUE(twins_->commitStaged());
  EXPECT_EQ(twins_->desired(kWho).json, "{}");
  EXPECT_EQ(twins_->desired(kWho).version, 4u);
}

TEST_F(TwinsTest, AStagedBaseIsSeenByWhatStartsAndByNobodyElseUntilItIsCommitted) {
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1})"));
  ASSERT_TRUE(twins_->stage({{kWho, R"({"a":2})"}}));
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":1})");
  EXPECT_EQ(twins_->desiredAtStart(kWho).json, R"({"a":2})");
  EXPECT_EQ(twins_->desiredAtStart(kWho).version, 2u);
  twins_->discardStaged();
  EXPECT_EQ(twins_->desiredAtStart(kWho).json, R"({"a":1})");
  ASSERT_TRUE(twins_->commitStaged());
  EXPECT_EQ(twins_->desired(kWho).version, 1u);
}

TEST_F(TwinsTest, ABaseThatIsTriedIsSeenByAllAndBroughtBackWithWhatWasPatchedMeanwhile) {
  ASSERT_TRUE(twins_->stage({{kWho, R"({"a":1})"}}));
  ASSERT_TRUE(twins_->commitStaged());
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"b":1})"));
  std::vector<std::string> seen;
  const auto handle = twins_->subscribeDesired(
      kWho, [&](const TwinSection& section) { seen.push_back(withVersion(section)); });
  ASSERT_TRUE(twins_->stage({{kWho, R"({"a":2})"}}));
  twins_->tryStaged();
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":2})");
  EXPECT_EQ(*twins_->patchDesired(kWho, R"({"c":3})"), 4u);
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":2,"c":3})");
  ASSERT_TRUE(twins_->patchReported(kWho, R"({"r":1})"));
  twins_->discardStaged();
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":1,"b":1,"c":3})");
  EXPECT_THAT(seen, testing::ElementsAre(R"({"a":2,"$version":3})", R"({"a":2,"c":3,"$version":4})",
                                         R"({"a":1,"b":1,"c":3,"$version":5})"));
  reopen();
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":1,"b":1,"c":3})");
  EXPECT_EQ(twins_->desired(kWho).version, 5u);
  EXPECT_EQ(twins_->reported(kWho).json, R"({"r":1})");
  ASSERT_TRUE(twins_->stage({{kWho, R"({"a":1})"}}));  // It is the base again.
  EXPECT_EQ(twins_->desiredAtStart(kWho).json, R"({"a":1,"b":1,"c":3})");
}

TEST_F(TwinsTest, ABaseThatIsTriedIsGoneIfThatEndsAndStaysIfItIsCommitted) {
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1})"));
  ASSERT_TRUE(twins_->stage({{kWho, R"({"a":2})"}}));
  twins_->tryStaged();
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"c":3})"));
  ASSERT_TRUE(twins_->patchReported(kWho, R"({"r":1})"));
  reopen();  // As after a power cut.
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":1,"c":3})");
  EXPECT_EQ(twins_->desired(kWho).version, 4u) << "above the third, which was told";
  EXPECT_EQ(twins_->reported(kWho).json, R"({"r":1})");

  ASSERT_TRUE(twins_->stage({{kWho, R"({"a":2})"}}));
  twins_->tryStaged();
  ASSERT_TRUE(twins_->commitStaged());
  reopen();
  EXPECT_EQ(twins_->desired(kWho).json, R"({"a":2})");
}

TEST_F(TwinsTest, ABadBaseStagesNothing) {
  const Status staged = twins_->stage({{"module/a", R"({"x":1})"}, {"module/b", R"({"y":null})"}});
  ASSERT_FALSE(staged);
  EXPECT_THAT(staged.error().text, testing::HasSubstr("module/b: /y: null"));
  EXPECT_EQ(twins_->desiredAtStart("module/a").json, "{}");
}

TEST_F(TwinsTest, SubscribersGetTheWholeSectionOfTheirPrincipal) {
  std::vector<std::string> seen;
  auto subscription = twins_->subscribeDesired(
      kWho, [&](const TwinSection& section) { seen.push_back(withVersion(section)); });
  ASSERT_TRUE(twins_->patchDesired("module/other", R"({"z":1})"));
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1})"));
  ASSERT_TRUE(twins_->patchReported(kWho, R"({"r":1})"));
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"b":2})"));
  subscription.reset();
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"c":3})"));
  EXPECT_EQ(seen,
            (std::vector<std::string>{R"({"a":1,"$version":1})", R"({"a":1,"b":2,"$version":2})"}));
}

TEST_F(TwinsTest, ObserversGetThePatchWithItsNulls) {
  std::vector<std::string> seen;
  auto handle = twins_->observeReported([&](const Twins::Change& change) {
    seen.push_back(change.principal + " " + change.patch + " " + change.section.json);
  });
  ASSERT_TRUE(twins_->patchReported(kWho, R"({"a":1, "b":2})"));
  ASSERT_TRUE(twins_->patchReported(kWho, R"({"a":null})"));
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"q":1})"));
  EXPECT_EQ(seen, (std::vector<std::string>{R"(module/filter {"a":1,"b":2} {"a":1,"b":2})",
                                            R"(module/filter {"a":null} {"b":2})"}));
}

TEST_F(TwinsTest, AChangeMadeWithinACallbackIsSeenByAllAfterTheOneBeforeIt) {
  std::vector<std::uint64_t> first, second;
  auto one = twins_->subscribeDesired(kWho, [&](const TwinSection& section) {
    first.push_back(section.version);
    if (section.version == 1) {
      ASSERT_TRUE(twins_->patchDesired(kWho, R"({"b":1})"));
    }
  });
  auto two = twins_->subscribeDesired(
      kWho, [&](const TwinSection& section) { second.push_back(section.version); });
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1})"));
  EXPECT_EQ(first, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(second, (std::vector<std::uint64_t>{1, 2}));
}

TEST_F(TwinsTest, AHandleDroppedWithinACallbackEndsAtOnce) {
  int calls = 0;
  Twins::Subscription two;
  auto one = twins_->subscribeDesired(kWho, [&](const TwinSection&) { two.reset(); });
  two = twins_->subscribeDesired(kWho, [&](const TwinSection&) { ++calls; });
  ASSERT_TRUE(twins_->patchDesired(kWho, R"({"a":1})"));
  EXPECT_EQ(calls, 0);
}

class FullMap final : public DurableMap {
 public:
  Result<std::map<std::string, std::string>> readAll() override {
    return std::map<std::string, std::string>{};
  }
  Status put(const std::string&, const std::string&) override {
    if (full) return fail(Errc::kIo, "the disk is full");
    return {};
  }
  Status erase(const std::string&) override { return {}; }
  void sync(std::function<void(Status)> done) override { done({}); }
  bool full = false;
};

TEST(Twins, WhatTheStoreRefusesDidNotHappen) {
  FullMap map;
  auto twins = std::move(*Twins::open(map));
  int calls = 0;
  auto handle = twins->subscribeDesired(kWho, [&](const TwinSection&) { ++calls; });
  ASSERT_TRUE(twins->stage({{kWho, R"({"a":1})"}}));
  map.full = true;
  EXPECT_EQ(twins->patchDesired(kWho, R"({"b":1})").error().code, Errc::kIo);
  EXPECT_FALSE(twins->commitStaged());
  EXPECT_EQ(twins->desired(kWho).version, 0u);
  EXPECT_EQ(calls, 0);
  map.full = false;  // The base is still a new one.
  ASSERT_TRUE(twins->stage({{kWho, R"({"a":1})"}}));
  ASSERT_TRUE(twins->commitStaged());
  EXPECT_EQ(twins->desired(kWho).version, 1u);
}

TEST(Twins, WhatTheStoreRefusesOfATriedOneIsNotBroughtBack) {
  FullMap map;
  auto twins = std::move(*Twins::open(map));
  ASSERT_TRUE(twins->patchDesired(kWho, R"({"a":1})"));
  ASSERT_TRUE(twins->stage({{kWho, R"({"a":2})"}}));
  twins->tryStaged();
  map.full = true;
  EXPECT_EQ(twins->patchDesired(kWho, R"({"b":1})").error().code, Errc::kIo);
  EXPECT_EQ(twins->replaceDesired(kWho, R"({"c":1})").error().code, Errc::kIo);
  map.full = false;
  twins->discardStaged();
  EXPECT_EQ(twins->desired(kWho).json, R"({"a":1})");
}

TEST(Twins, AWholeSectionThatEqualsTheTriedOneIsWhatComesBack) {
  MemoryMap map;
  auto twins = std::move(*Twins::open(map));
  ASSERT_TRUE(twins->patchDesired(kWho, R"({"t":10})"));
  ASSERT_TRUE(twins->stage({{kWho, R"({"t":25})"}}));
  twins->tryStaged();
  ASSERT_TRUE(twins->replaceDesired(kWho, R"({"t":25})"));
  twins->discardStaged();
  EXPECT_EQ(twins->desired(kWho).json, R"({"t":25})");
}

TEST_F(TwinsTest, ThoseOfADeviceAreItsOwnAndItsModules) {
  for (const char* who : {"device/x", "device/x-1", "device/x/module/m", "device/xy", "device/w"})
    ASSERT_TRUE(twins_->patchReported(who, "{}"));
  EXPECT_THAT(twins_->principalsOf("device/x"),
              testing::ElementsAre("device/x", "device/x/module/m"));
}

TEST(Twins, TheirNumberIsBounded) {
  MemoryMap map;
  auto twins = std::move(*Twins::open(map));
  for (std::size_t i = 0; i < Twins::kPrincipalsMax; ++i)
    ASSERT_TRUE(twins->patchReported("device/" + std::to_string(i), "{}"));
  EXPECT_EQ(twins->patchReported("device/one-more", "{}").error().code, Errc::kLimit);
  EXPECT_TRUE(twins->patchReported("device/1", "{}"));
  ASSERT_TRUE(twins->remove("device/1"));
  EXPECT_TRUE(twins->patchReported("device/one-more", "{}"));
  EXPECT_EQ(twins->patchReported(std::string(281, 'x'), "{}").error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace kante
