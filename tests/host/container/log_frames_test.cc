#include "host/container/log_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace kante {
namespace {

using ::testing::ElementsAre;
using Framing = LogFrames::Framing;
using From = ContainerLine::From;

constexpr char kTime[] = "2026-11-26T14:36:41.000000007Z ";
constexpr std::int64_t kTimeNs = 1'795'703'801'000'000'007;

std::string frame(int stream, const std::string& text) {
  const std::size_t size = text.size();
  std::string out{static_cast<char>(stream), 0, 0, 0};
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(size >> shift & 0xff);
  return out + text;
}

struct Read {
  Status status;
  std::vector<ContainerLine> lines;
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const auto& line : lines) out.push_back(line.text);
    return out;
  }
};

Read read(const std::string& bytes, std::size_t step, Framing framing = Framing::kFrames) {
  Read out;
  LogFrames frames(framing, [&out](const ContainerLine& line) { out.lines.push_back(line); });
  for (std::size_t at = 0; at < bytes.size() && out.status; at += step)
    out.status = frames.take(std::string_view(bytes).substr(at, step));
  frames.finish();
  return out;
}

TEST(LogFrames, AreLinesOfBothStreamsWhateverThePieces) {
  const std::string bytes = frame(1, std::string(kTime) + "one\n") +
                            frame(2, std::string(kTime) + "bad\r\n") +
                            frame(1, std::string(kTime) + "two ") +  // Cut by the engine: no end.
                            frame(1, std::string(kTime) + "three\n");
  for (const std::size_t step : {1u, 3u, 8u, 1000u}) {
    const Read got = read(bytes, step);
    ASSERT_TRUE(got.status);
    EXPECT_THAT(got.texts(), ElementsAre("one", "bad", "two three"));
    EXPECT_EQ(got.lines[1].from, From::kError);
    EXPECT_EQ(got.lines[0].from, From::kOutput);
    EXPECT_EQ(got.lines[0].wall_ns, kTimeNs);
  }
}

TEST(LogFrames, WithoutATimeAreTextFromTheirBeginning) {
  for (const std::size_t step : {1u, 5u, 1000u}) {
    const Read got = read(frame(1, "no time here\n") + frame(1, "\n") + frame(1, "bare\n") +
                              frame(1, std::string(60, 'x') + " y\n") + frame(2, "last"),
                          step);
    EXPECT_THAT(got.texts(),
                ElementsAre("no time here", "bare", std::string(60, 'x') + " y", "last"));
    EXPECT_EQ(got.lines[0].wall_ns, 0);
  }
}

TEST(LogFrames, CutALineThatIsTooLong) {
  const std::string text(3 * LogFrames::kLineMax, 'a');
  for (const std::size_t step : {7u, 100'000u}) {
    const Read got =
        read(frame(1, kTime + text + "\n") + frame(1, std::string(kTime) + "b\n"), step);
    EXPECT_THAT(got.texts(), ElementsAre(std::string(LogFrames::kLineMax, 'a') + "…", "b"));
  }
}

TEST(LogFrames, ThatAreNoneEndTheStream) {
  for (const std::string& bytes :
       {std::string("hello, this is text\n"), frame(4, "x"), std::string("\1\0\1\0\0\0\0\1x", 9)}) {
    const Read got = read(bytes, 1000);
    ASSERT_FALSE(got.status);
    EXPECT_EQ(got.status.error().code, Errc::kCorrupt);
  }
}

TEST(LogFrames, OfATerminalAreOneStream) {
  const std::string bytes = std::string(kTime) + "one\r\n" + kTime + "two\r\n\nplain";
  for (const std::size_t step : {1u, 1000u}) {
    const Read got = read(bytes, step, Framing::kRaw);
    EXPECT_THAT(got.texts(), ElementsAre("one", "two", "plain"));
    EXPECT_EQ(got.lines[1].wall_ns, kTimeNs);
  }
}

}  // namespace
}  // namespace kante
