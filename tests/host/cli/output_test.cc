#include "host/cli/output.h"

#include <gtest/gtest.h>

#include "host/cli/line_reader.h"
#include "host/cli/metrics_view.h"

namespace kante::cli {
namespace {

TEST(OutputTest, figuresHaveThreeDigitsAndAUnit) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(999), "999 B");
  EXPECT_EQ(formatBytes(1000), "1.00 kB");
  EXPECT_EQ(formatBytes(268'435'456), "268 MB");
  EXPECT_EQ(formatCount(7), "7");
  EXPECT_EQ(formatCount(12.34), "12.3");
  EXPECT_EQ(formatCount(999.9), "1.00k");
  EXPECT_EQ(formatCount(4'560'000), "4.56M");
  EXPECT_EQ(formatSeconds(0), "0");
  EXPECT_EQ(formatSeconds(340e-9), "340 ns");
  EXPECT_EQ(formatSeconds(1.2e-3), "1.20 ms");
  EXPECT_EQ(formatAge(59), "59 s");
  EXPECT_EQ(formatAge(15'000), "4 h 10 min");
  EXPECT_EQ(formatAge(1'050'000), "12 d 3 h");
}

TEST(OutputTest, widthCountsWhatATerminalShows) {
  EXPECT_EQ(width("µs"), 2u);
  EXPECT_EQ(width("\x1b[31mred\x1b[0m"), 3u);
  EXPECT_EQ(cut("abcdef", 4), "abc…");
  EXPECT_EQ(cut("äöü", 3), "äöü");
  EXPECT_EQ(cut("äöüß", 3), "äö…");
}

TEST(OutputTest, whatOthersWroteCannotSteerTheTerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\nc"), "a [2Jb c");
}

TEST(OutputTest, aTableIsAlignedAndEndsNoLineWithSpaces) {
  Table table({{"NAME"}, {"N", Table::Align::kRight}, {"LAST"}});
  table.add({"a", "1", "x"});
  table.add({"längst", "100", ""});
  EXPECT_EQ(table.text(),
            "NAME      N  LAST\n"
            "a         1  x\n"
            "längst  100\n");
}

TEST(LineReaderTest, putsLinesTogetherFromPieces) {
  std::vector<std::string> lines;
  LineReader reader([&](std::string_view line) { lines.emplace_back(line); });
  for (const char* piece : {"on", "e\ntw", "o", "\n\nrest"}) reader.add(piece);
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", ""}));
}

TEST(MetricsViewTest, readsSeriesWithTheirLabelsBack) {
  const auto all =
      parseMetrics("# HELP a A\na 1\nb{x=\"q\\\"\\\\\\n\",y=\"2\"} 2.5\nbroken{x=\"\nc{} +Inf\n");
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(all[1].labels.at("x"), "q\"\\\n");
  EXPECT_EQ(all[1].value, 2.5);
  EXPECT_GT(all[2].value, 1e300);
}

}  // namespace
}  // namespace kante::cli
