#include "host/api/metrics_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "host/api/process_metrics.h"

namespace kante {
namespace {

TEST(MetricsTextTest, aFamilyIsDescribedOnceWhereverItsSeriesCome) {
  MetricsText out;
  out.counter("a_total", "Of a.", {{"x", "1"}}, 1);
  out.gauge("b", "Of b.", {}, 0.5);
  out.counter("a_total", "Of a.", {{"x", "2"}}, 12'345'678'901);
  EXPECT_EQ(out.text(),
            "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} "
            "12345678901\n"
            "# HELP b Of b.\n# TYPE b gauge\nb 0.5\n");
}

TEST(MetricsTextTest, escapesWhatWouldEndALine) {
  MetricsText out;
  out.gauge("g", "a\\b\nc\"d", {{"l", "a\\b\nc\"d"}}, 1);
  EXPECT_EQ(out.text(), "# HELP g a\\\\b\\nc\"d\n# TYPE g gauge\ng{l=\"a\\\\b\\nc\\\"d\"} 1\n");
}

TEST(MetricsTextTest, aHistogramEndsWithInfinityAndCountsAll) {
  MetricsText out;
  const double infinity = std::numeric_limits<double>::infinity();
  out.histogram("h", "H.", {{"m", "x"}}, {{0.001, 2}, {infinity, 5}}, 1.25);
  out.histogram("h", "H.", {{"m", "y"}}, {{0.001, 2}}, 0);
  EXPECT_EQ(out.text(),
            "# HELP h H.\n# TYPE h histogram\n"
            "h_bucket{m=\"x\",le=\"0.001\"} 2\nh_bucket{m=\"x\",le=\"+Inf\"} 5\nh_sum{m=\"x\"} "
            "1.25\nh_count{m=\"x\"} 5\n"
            "h_bucket{m=\"y\",le=\"0.001\"} 2\nh_bucket{m=\"y\",le=\"+Inf\"} 2\nh_sum{m=\"y\"} "
            "0\nh_count{m=\"y\"} 2\n");
}

TEST(MetricsTextTest, writesWhatIsNoFiniteNumber) {
  MetricsText out;
  out.gauge("a", "", {}, std::nan(""));
  out.gauge("b", "", {}, -std::numeric_limits<double>::infinity());
  out.gauge("c", "", {}, -3);
  const std::string text = out.text();
  EXPECT_NE(text.find("\na NaN\n"), std::string::npos);
  EXPECT_NE(text.find("\nb -Inf\n"), std::string::npos);
  EXPECT_NE(text.find("\nc -3\n"), std::string::npos);
}

TEST(MetricsTextTest, aNameWithTwoTypesKeepsItsFirst) {
  MetricsText out;
  out.counter("a", "A.", {}, 1);
  out.gauge("a", "A.", {}, 2);
  EXPECT_NE(out.text().find("\na 1\n"), std::string::npos);
  EXPECT_EQ(out.text().find("\na 2\n"), std::string::npos);
  EXPECT_NE(out.text().find("\nkante_metrics_cut 1\n"), std::string::npos);
}

TEST(ProcessMetricsTest, thisProcessHasMemoryTimeAndFiles) {
  const ProcessFigures now = processFigures();
  EXPECT_GT(now.pss_bytes, 100'000u);
  EXPECT_GE(now.rss_bytes, now.pss_bytes);
  EXPECT_GE(now.fds, 3u);
  EXPECT_GE(now.threads, 1u);
  EXPECT_GT(now.start_s, 1.7e9);
}

}  // namespace
}  // namespace kante
