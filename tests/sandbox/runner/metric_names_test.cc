#include "sandbox/runner/metric_names.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

namespace kante {
namespace {

using Changes = std::vector<std::tuple<std::uint32_t, double, std::int64_t>>;

Changes takeChanges(MetricNames& metrics) {
  Changes all;
  metrics.takeChanges([&](std::uint32_t id, MetricNames::Change change) {
    all.emplace_back(id, change.value, change.delta);
  });
  return all;
}

std::uint32_t defined(MetricNames& metrics, const std::string& name, std::uint32_t kind) {
  std::uint32_t id = 99;
  bool is_new = false;
  EXPECT_EQ(metrics.define(name, kind, &id, &is_new), KANTE_OK);
  EXPECT_TRUE(is_new);
  return id;
}

TEST(MetricNamesTest, KnowANameOnceAndOfOneKind) {
  MetricNames metrics;
  EXPECT_EQ(defined(metrics, "a", 0), 0u);
  EXPECT_EQ(defined(metrics, "b_2", 1), 1u);
  std::uint32_t id = 99;
  bool is_new = true;
  EXPECT_EQ(metrics.define("b_2", 1, &id, &is_new), KANTE_OK);
  EXPECT_EQ(id, 1u);
  EXPECT_FALSE(is_new);
  EXPECT_EQ(metrics.define("b_2", 2, &id, &is_new), KANTE_E_INVALID);
  for (const char* wrong : {"", "A", "1a", "a-b", "ä"})
    EXPECT_EQ(metrics.define(wrong, 0, &id, &is_new), KANTE_E_INVALID) << wrong;
  EXPECT_EQ(metrics.define(std::string(65, 'a'), 0, &id, &is_new), KANTE_E_INVALID);
  for (std::uint32_t i = 2; i < MetricNames::kMax; ++i)
    EXPECT_EQ(defined(metrics, "m" + std::to_string(i), 0), i);
  EXPECT_EQ(metrics.define("one_more", 0, &id, &is_new), KANTE_E_LIMIT);
}

TEST(MetricNamesTest, SumUpWhatWasAddedAndForgetIt) {
  MetricNames metrics;
  const auto counter = defined(metrics, "counter", MetricNames::kCounter);
  const auto gauge = defined(metrics, "gauge", MetricNames::kGauge);
  EXPECT_TRUE(metrics.add(counter, 2));
  EXPECT_TRUE(metrics.add(counter, 3));
  EXPECT_FALSE(metrics.add(counter, -1));  // A counter only rises.
  EXPECT_FALSE(metrics.add(7, 1));
  EXPECT_TRUE(metrics.add(gauge, 5));
  EXPECT_TRUE(metrics.setGauge(gauge, 20));
  EXPECT_TRUE(metrics.add(gauge, -3));
  EXPECT_FALSE(metrics.setGauge(counter, 1));
  EXPECT_EQ(takeChanges(metrics), (Changes{{counter, 0, 5}, {gauge, 20, 0}, {gauge, 0, -3}}));
  EXPECT_FALSE(metrics.isChanged());
  EXPECT_EQ(takeChanges(metrics), Changes{});
}

}  // namespace
}  // namespace kante
