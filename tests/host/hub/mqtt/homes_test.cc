#include "host/hub/mqtt/homes.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace kante::hub {
namespace {

std::string key(int i) { return "device/" + std::to_string(i); }

TEST(Homes, KeepTheFirstFewTogetherAndSpreadOthers) {
  const auto homes = std::make_shared<Homes>(4, 1000, 5);
  std::set<std::uint32_t> first, more;
  for (int i = 0; i < 200; ++i) {
    const Homes::Claim claim = homes->claim(key(i));
    ASSERT_TRUE(homes->began(key(i)));
    (i < 5 ? first : more).insert(claim.home());
  }
  EXPECT_EQ(first, (std::set<std::uint32_t>{0}));
  EXPECT_EQ(more, (std::set<std::uint32_t>{0, 1, 2, 3}));
}

TEST(Homes, StayWhileThereIsASessionOrSomebodyOnTheWay) {
  const auto homes = std::make_shared<Homes>(4, 1000, 1);
  { const Homes::Claim only = homes->claim("a"); }
  const Homes::Claim first = homes->claim("b");
  EXPECT_EQ(first.home(), 0u) << "nothing is left of a claim that came to nothing";
  std::string elsewhere;
  for (int i = 0; elsewhere.empty(); ++i)
    if (Homes::spread(key(i), 4) != 0) elsewhere = key(i);
  Homes::Claim on_its_way = homes->claim(elsewhere);
  const std::uint32_t home = on_its_way.home();
  EXPECT_NE(home, 0u);
  ASSERT_TRUE(homes->began(elsewhere));
  homes->ended(elsewhere);
  EXPECT_EQ(homes->claim(elsewhere).home(), home) << "the claim holds it";
  ASSERT_TRUE(homes->began(elsewhere));
  on_its_way = {};
  EXPECT_EQ(homes->claim(elsewhere).home(), home) << "the session holds it";
}

TEST(Homes, HaveNoMoreSessionsThanMayBe) {
  const auto homes = std::make_shared<Homes>(2, 2);
  EXPECT_TRUE(homes->began("a"));
  EXPECT_TRUE(homes->began("b"));
  EXPECT_FALSE(homes->began("c"));
  homes->ended("a");
  EXPECT_TRUE(homes->began("c"));
  homes->ended("never was");
  EXPECT_FALSE(homes->began("d"));
}

TEST(Homes, OutliveNoClaim) {
  Homes::Claim claim = std::make_shared<Homes>(2, 10)->claim("a");
  EXPECT_EQ(claim.home(), 0u);
}

}  // namespace
}  // namespace kante::hub
