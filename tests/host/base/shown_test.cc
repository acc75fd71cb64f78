#include "host/base/shown.h"

#include <gtest/gtest.h>

#include "host/base/log.h"

namespace kante {
namespace {

TEST(Shown, IsWellFormed) {
  EXPECT_EQ(wellFormed("Müller\n"), "Müller\n");
  EXPECT_EQ(wellFormed("a\xff\xe2\x82z"), "a\uFFFD\uFFFD\uFFFDz");
  EXPECT_EQ(wellFormed(std::string_view("\0x", 2)), std::string_view("\0x", 2));
}

TEST(Shown, SteersNoTerminal) {
  EXPECT_EQ(shown("\x1b[2J a\nb \x7f \xc2\x9b ü"), "?[2J a?b ? ? ü");
}

TEST(Shown, IsCutBehindACharacter) {
  EXPECT_EQ(shown("abcd", 4), "abcd");
  EXPECT_EQ(shown("abcde", 4), "abcd…");
  EXPECT_EQ(shown("abcü", 4), "abc…");
  EXPECT_LT(shown(std::string(3'000'000, 'k')).size(), 300U);
}

TEST(Log, ALineIsOneLineWhateverOthersWrote) {
  const LogLine line{0, LogLevel::kWarn, "hub", "one\ntwo\x7f", {{"client", "a\nb\x1b[2J"}}};
  EXPECT_EQ(formatText(line, false), "00:00:00.000 warn  hub: one two   client=a b [2J");
}

TEST(Log, AJsonLineIsUtf8) {
  const LogLine line{0, LogLevel::kWarn, "module/\xff", "\xfe!", {{"client", "\x80"}}};
  EXPECT_NE(
      formatJson(line).find("\"who\":\"module/\uFFFD\",\"text\":\"\uFFFD!\",\"client\":\"\uFFFD\""),
      std::string::npos)
      << formatJson(line);
}

}  // namespace
}  // namespace kante
