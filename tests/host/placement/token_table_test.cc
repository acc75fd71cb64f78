#include "host/placement/token_table.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace kante {
namespace {

TEST(TokenTable, ATokenIsClaimedOnce) {
  TokenTable table(3);
  const std::uint64_t token = table.open({{9, 7}, 100, 2});
  ASSERT_NE(token, 0u);
  EXPECT_EQ(TokenTable::inputOf(token), 3u);
  EXPECT_TRUE(table.claim(token));
  EXPECT_FALSE(table.claim(token));
  const TokenTable::Open delivery = table.close(token);
  EXPECT_EQ(delivery.message, (QueueToken{9, 7}));
  EXPECT_EQ(delivery.attempts, 2);
  EXPECT_FALSE(table.claim(token));
}

TEST(TokenTable, ANewTokenOfAUsedSlotIsNotTheOldOne) {
  TokenTable table(0);
  const std::uint64_t first = table.open({{9, 1}, 1, 0});
  ASSERT_TRUE(table.claim(first));
  (void)table.close(first);
  const std::uint64_t second = table.open({{9, 2}, 1, 0});
  EXPECT_NE(first, second);
  EXPECT_FALSE(table.claim(first));
  EXPECT_TRUE(table.claim(second));
}

TEST(TokenTable, WhatNobodyGaveOutIsNotClaimed) {
  TokenTable table(1);
  const std::uint64_t token = table.open({{9, 1}, 1, 0});
  for (const std::uint64_t other : {std::uint64_t{0}, std::uint64_t{1}, token + 1, ~token,
                                    ~std::uint64_t{0}, token | (std::uint64_t{1} << 63)}) {
    EXPECT_FALSE(table.claim(other)) << other;
  }
}

TEST(TokenTable, IsBoundedAndGivesBackAllInOrder) {
  TokenTable table(0);
  for (std::uint64_t i = TokenTable::kSlots; i > 0; --i) ASSERT_NE(table.open({{9, i}, 1, 0}), 0u);
  EXPECT_EQ(table.open({{9, 0}, 1, 0}), 0u);
  const auto all = table.closeAll();
  ASSERT_EQ(all.size(), TokenTable::kSlots);
  EXPECT_EQ(all.front().position, 1u);
  EXPECT_EQ(all.back().position, TokenTable::kSlots);
  EXPECT_NE(table.open({{9, 0}, 1, 0}), 0u);
}

TEST(TokenTable, ThreadsClaimEachTokenOnce) {
  TokenTable table(0);
  std::vector<std::uint64_t> tokens;
  for (std::uint64_t i = 0; i < 4000; ++i) tokens.push_back(table.open({{9, i}, 1, 0}));
  std::atomic<std::size_t> claimed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (const std::uint64_t token : tokens) claimed += table.claim(token) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(claimed, tokens.size());
}

}  // namespace
}  // namespace kante
