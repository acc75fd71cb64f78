#include "host/bundle/differences.h"

#include <gtest/gtest.h>

#include <random>

#include "host/bundle/little_endian.h"

namespace kante {
namespace {

std::string noise(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(count, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string again(std::string_view base, std::string_view text, std::size_t count) {
  std::string made(count, '\0');
  const Status done = applyDifferences(base, text, made);
  EXPECT_TRUE(done) << done.error().text;
  return made;
}

// A program of calls, whose addresses move by `moved`.
std::string program(std::uint32_t moved) {
  std::mt19937 random(1);
  std::string code;
  for (int n = 0; n < 2'000; ++n) {
    for (int i = 0; i < 14; ++i) code += static_cast<char>(random());
    appendLittle(code, static_cast<std::uint32_t>(random()) + moved, 4);
  }
  return code;
}

TEST(Differences, WhatTheyMakeIsWhatTheyWereMadeOf) {
  const std::string base = noise(50'000, 1);
  for (const std::string& made :
       {base, std::string(), std::string("x"), noise(20'000, 2), base + base,
        base.substr(30'000) + noise(500, 3) + base.substr(0, 30'000), std::string(70'000, 'a'),
        base.substr(1), "x" + base}) {
    const std::string text = makeDifferences(base, made);
    EXPECT_LE(text.size(), differencesBytesMax(made.size()));
    EXPECT_EQ(again(base, text, made.size()), made);
  }
  EXPECT_EQ(again("", makeDifferences("", "made"), 4), "made");
}

TEST(Differences, ManySmallChangesStayTogether) {
  std::mt19937 random(5);
  std::string made = noise(100'000, 1);
  const std::string base = made;
  for (int n = 0; n < 3'000; ++n) made[random() % made.size()] ^= 0x55;
  made.erase(40'000, 100);
  made.insert(70'000, noise(100, 6));
  const std::string text = makeDifferences(base, made);
  EXPECT_EQ(again(base, text, made.size()), made);
  EXPECT_LT(readLittle(text, 0, 4), 200u);
}

TEST(Differences, AddressesThatMovedTogetherCostNoStepEach) {
  const std::string base = program(0), made = program(0x1230);
  const std::string text = makeDifferences(base, made);
  EXPECT_EQ(again(base, text, made.size()), made);
  EXPECT_LT(readLittle(text, 0, 4), 100u);
}

TEST(Differences, FilesOfFewBytesDoNotTakeForEver) {
  std::string base(2'000'000, '\0'), made = base;
  for (std::size_t at = 0; at < made.size(); at += 997) made[at] = '!';
  EXPECT_EQ(again(base, makeDifferences(base, made), made.size()), made);
  for (std::size_t at = 0; at < base.size(); at += 3) base[at] = 'x';
  EXPECT_EQ(again(base, makeDifferences(base, made), made.size()), made);
  EXPECT_EQ(again(made, makeDifferences(made, base), base.size()), base);
}

TEST(Differences, NothingThatDoesNotFitIsTaken) {
  const std::string base = noise(1'000, 1);
  const std::string text = makeDifferences(base, base.substr(100, 500));
  std::string made(500, '\0');
  std::mt19937 random(9);
  for (int n = 0; n < 20'000; ++n) {
    std::string damaged = text.substr(0, n % 7 == 0 ? random() % text.size() : text.size());
    for (int i = 0; i < 3 && !damaged.empty(); ++i)
      damaged[random() % std::min<std::size_t>(damaged.size(), 40)] =
          static_cast<char>(n % 2 == 0 ? random() : 0xff);
    (void)applyDifferences(base, damaged, made);  // Within its bounds, which sanitizers watch.
  }
  EXPECT_FALSE(applyDifferences(base, text, std::span(made).first(499)));
  EXPECT_FALSE(applyDifferences(base, "abc", made));
  EXPECT_FALSE(applyDifferences(base.substr(0, 400), text, made));
}

}  // namespace
}  // namespace kante
