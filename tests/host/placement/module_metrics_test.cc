#include "host/placement/module_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kante {
namespace {

struct Names : MetricWriter {
  std::vector<std::string> all;
  void counter(std::string_view name, std::string_view, Labels, double) override {
    all.emplace_back(name);
  }
  void gauge(std::string_view name, std::string_view, Labels, double) override {
    all.emplace_back(name);
  }
  void histogram(std::string_view name, std::string_view, Labels, const std::vector<Bucket>&,
                 double) override {
    all.emplace_back(name);
  }
};

TEST(ModuleMetrics, NoneOfThemIsTakenForTheHosts) {
  ModuleMetrics metrics;
  std::uint32_t id = 0;
  ASSERT_EQ(metrics.define("alerts", 0, &id), KANTE_OK);
  ASSERT_EQ(metrics.define("running", 1, &id), KANTE_OK);
  ASSERT_EQ(metrics.define("restarts_total", 0, &id), KANTE_OK);
  Names names;
  metrics.collect(names, "m");
  EXPECT_THAT(names.all, testing::ElementsAre("kante_module_alerts", "kante_module_own_running",
                                              "kante_module_own_restarts_total"));
}

}  // namespace
}  // namespace kante
