#include "series.h"

#include <gtest/gtest.h>

namespace {

using kante::json::Value;

double p95(const Series& series) { return series.summary().find("p95")->number().value(); }

TEST(SeriesTest, TakesTheNearestRank) {
  std::minstd_rand random;
  Series series;
  series.add(7, 1000, random);
  EXPECT_EQ(p95(series), 7);
  Series twenty;
  for (int i = 20; i >= 1; --i) twenty.add(i, 1000, random);
  EXPECT_EQ(p95(twenty), 19);
  Series hundred;
  for (int i = 1; i <= 100; ++i) hundred.add(i, 1000, random);
  EXPECT_EQ(hundred.summary().dump(), R"({"count":100,"min":1,"max":100,"mean":50.5,"p95":95})");
}

TEST(SeriesTest, SamplesBeyondItsBoundWithinTheErrorItPromises) {
  int outside = 0;
  std::minstd_rand random;
  for (int round = 0; round < 200; ++round) {
    Series series;
    for (int i = 1; i <= 20'000; ++i) series.add(i, 1000, random);
    EXPECT_EQ(series.samples(), 1000u);
    EXPECT_EQ(series.summary().find("sampled")->boolean(), true);
    if (p95(series) < 0.936 * 20'000 || p95(series) > 0.964 * 20'000) ++outside;
  }
  EXPECT_LE(outside, 20);  // One of twenty, and the luck of 200 rounds.
}

TEST(SeriesTest, KeepsItsMeanForLargeValues) {
  std::minstd_rand random;
  Series series;
  for (int i = 0; i < 1'000'000; ++i) series.add(1e15 + i % 2, 10, random);
  EXPECT_NEAR(series.summary().find("mean")->number().value(), 1e15 + 0.5, 0.2);
}

TEST(SeriesTest, RestoresWhatItSavedAndRefusesTheRest) {
  std::minstd_rand random;
  Series series;
  for (int i = 1; i <= 10; ++i) series.add(i, 5, random);
  EXPECT_EQ(Series::fromJson(series.toJson()).toJson(), series.toJson());
  for (const char* text : {R"({})", R"({"count":1,"min":0,"max":0,"mean":0,"samples":[1,2]})",
                           R"({"count":1,"min":0,"max":0,"mean":0,"samples":["x"]})",
                           R"({"count":-1,"min":0,"max":0,"mean":0,"samples":[]})"}) {
    const Value json = kante::json::parse(text);
    EXPECT_THROW(Series::fromJson(json), kante::Failure) << text;
  }
}

}  // namespace
