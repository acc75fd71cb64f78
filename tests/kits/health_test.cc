// HEALTH in each placement: asked for while a module runs, told when the answer changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/kits/module_kit.h"
#include "tests/support/eventually.h"

namespace kante {
namespace {

class Health : public ::testing::TestWithParam<PlacementUnderTest> {
 protected:
  static ModuleKit::Options often() {
    ModuleKit::Options options;
    options.health_ms = 5;
    return options;
  }
  void run(const std::string& library, const std::string& config) {
    RuntimeTarget target;
    target.modules = {kit.spec("m", library, config)};
    const auto applied = kit.apply(target);
    ASSERT_TRUE(applied.has_value()) << applied.error().text;
  }
  bool had(const std::string& event) {
    return eventually([&] {
      const auto events = kit.events();
      return std::find(events.begin(), events.end(), event) != events.end();
    });
  }

  ModuleKit kit{GetParam(), often()};
};

TEST_P(Health, IsToldWhenItChanges) {
  run("life", R"({"ill":3})");
  EXPECT_TRUE(had("module.unhealthy m"));
  EXPECT_TRUE(had("module.healthy m"));
  EXPECT_EQ(kit.status("m").complaint, "");
  EXPECT_EQ(kit.times("m", "is not well: the fan stands still"), 1u) << "not at each answer";
}

TEST_P(Health, LastsUntilAnotherLife) {
  run("life", R"({"unhealthy":1})");
  ASSERT_TRUE(eventually([&] { return kit.status("m").complaint == "the fan stands still"; }));
  EXPECT_EQ(kit.status("m").state, ModuleState::kRunning) << "that it complains ends nothing";
  run("life", R"({"drained_ms":0})");
  EXPECT_EQ(kit.status("m").complaint, "");
}

TEST_P(Health, OfAModuleThatDoesNotKnowItIsGood) {
  run("relay", "{}");
  ASSERT_TRUE(eventually([&] { return kit.status("m").state == ModuleState::kRunning; }));
  run("relay", R"({"v":2})");  // So that the first one was asked for long enough to be drained.
  EXPECT_EQ(kit.status("m").complaint, "");
  EXPECT_FALSE(kit.saw("m", "is not well"));
}

INSTANTIATE_TEST_SUITE_P(Placements, Health, ::testing::ValuesIn(placementsUnderTest()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kante
