#include "host/message/pool.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace kante {
namespace {

// Binds a pool to this thread for a scope.
struct Bound {
  Bound() : pool(MessagePool::bind()) {}
  ~Bound() { MessagePool::unbind(); }
  MessagePool* pool;
};

TEST(Pool, EachClassHoldsWhatIsAskedAndTheClassBelowDoesNot) {
  for (std::uint32_t words = 1; words <= 4096; ++words) {
    const std::uint8_t size_class = MessagePool::classOf(words);
    ASSERT_LT(size_class, MessagePool::kClasses) << words;
    ASSERT_GE(MessagePool::classWords(size_class), words);
    if (size_class > 0) {
      const auto below = static_cast<std::uint8_t>(size_class - 1);
      ASSERT_LT(MessagePool::classWords(below), words);
    }
  }
  EXPECT_EQ(MessagePool::classOf(4097), MessagePool::kLoose);
  EXPECT_EQ(MessagePool::classOf(KANTE_MESSAGE_WORDS_MAX), MessagePool::kLoose);
}

TEST(Pool, WastesAtMostAQuarterOfABlock) {
  for (std::uint32_t words = 33; words <= 4096; ++words) {
    EXPECT_LE(MessagePool::classWords(MessagePool::classOf(words)) * 4, words * 5 + 4) << words;
  }
}

TEST(Pool, GivesABlockOutAgain) {
  const Bound bound;
  kante_msg* block = allocateBlock(40);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(block->home, bound.pool);
  EXPECT_GE(block->capacity_words, 40u);
  EXPECT_EQ(block->words, 0u);
  MessageRef::release(block);
  EXPECT_EQ(bound.pool->keptBytes(), std::size_t{40} * 8);
  EXPECT_EQ(allocateBlock(33), block);
  EXPECT_EQ(bound.pool->keptBytes(), 0u);
  MessageRef::release(block);
}

TEST(Pool, RefusesNothingAndTooMuch) {
  EXPECT_EQ(allocateBlock(0), nullptr);
  EXPECT_EQ(allocateBlock(KANTE_MESSAGE_WORDS_MAX + 1), nullptr);
  kante_msg* largest = allocateBlock(KANTE_MESSAGE_WORDS_MAX);
  ASSERT_NE(largest, nullptr);
  MessageRef::release(largest);
}

TEST(Pool, TakesLargeBlocksAndThoseOfThreadsWithoutAPoolFromTheAllocator) {
  kante_msg* foreign = allocateBlock(40);
  EXPECT_EQ(foreign->home, nullptr);
  const Bound bound;
  kante_msg* large = allocateBlock(5000);
  EXPECT_EQ(large->home, nullptr);
  MessageRef::release(foreign);
  MessageRef::release(large);
  EXPECT_EQ(bound.pool->keptBytes(), 0u);
}

TEST(Pool, KeepsNoMoreThanItsBound) {
  const Bound bound;
  std::vector<kante_msg*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(allocateBlock(4096));  // 3.2 MiB
  for (kante_msg* block : blocks) MessageRef::release(block);
  EXPECT_LE(bound.pool->keptBytes(), MessagePool::kKeptBytesMax);
  EXPECT_GE(bound.pool->keptBytes(), MessagePool::kKeptBytesMax - 4096 * 8);
}

TEST(Pool, TakesBackWhatAnotherThreadFreedAtTheEndOfATurn) {
  const Bound bound;
  std::vector<kante_msg*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(allocateBlock(64));
  std::thread([&] {
    const Bound other;
    for (kante_msg* block : blocks) MessageRef::release(block);
    EXPECT_EQ(other.pool->keptBytes(), 0u);
    MessagePool::endTurn();
  }).join();
  EXPECT_EQ(bound.pool->keptBytes(), 0u);
  MessagePool::endTurn();
  EXPECT_EQ(bound.pool->keptBytes(), std::size_t{10} * 64 * 8);
}

TEST(Pool, TakesBackWhatAnotherThreadFreedBeforeItAsksTheAllocator) {
  const Bound bound;
  kante_msg* block = allocateBlock(64);
  std::thread([&] { MessageRef::release(block); }).join();  // Without a pool: goes home at once.
  EXPECT_EQ(allocateBlock(64), block);
  MessageRef::release(block);
}

TEST(Pool, MixesBlocksOfTwoPoolsInOneChain) {
  const Bound bound;
  kante_msg* mine = allocateBlock(64);
  kante_msg* theirs = nullptr;
  std::thread([&] {
    {
      const Bound other;
      theirs = allocateBlock(64);
      MessageRef::release(mine);
    }
    // Its pool is over while one of its blocks is out; it goes with that block.
  }).join();
  EXPECT_EQ(allocateBlock(64), mine);
  MessageRef::release(theirs);
  MessagePool::endTurn();
  MessageRef::release(mine);
}

TEST(Pool, OutlivesItsThreadUntilItsLastBlockIsFreed) {
  std::vector<kante_msg*> blocks;
  std::thread([&] {
    const Bound bound;
    for (int i = 0; i < 200; ++i) blocks.push_back(allocateBlock(64));
  }).join();
  // Half by a thread with a pool (in chains), half by one without; a leak would be
  // AddressSanitizer's to find, a double free too.
  std::thread([&] {
    const Bound bound;
    for (std::size_t i = 0; i < 100; ++i) MessageRef::release(blocks[i]);
  }).join();
  for (std::size_t i = 100; i < 200; ++i) MessageRef::release(blocks[i]);
}

TEST(Pool, SurvivesThreadsThatFreeWhileItsOwnerEnds) {
  for (int round = 0; round < 200; ++round) {
    std::vector<kante_msg*> blocks;
    std::atomic<bool> go{false};
    std::atomic<int> ready{0};
    std::thread owner([&] {
      const Bound bound;
      for (int i = 0; i < 64; ++i) blocks.push_back(allocateBlock(40));
      ready.fetch_add(1);
      while (!go.load()) std::this_thread::yield();
    });
    while (ready.load() < 1) std::this_thread::yield();
    std::thread one([&] {
      const Bound bound;
      while (!go.load()) std::this_thread::yield();
      for (std::size_t i = 0; i < 32; ++i) MessageRef::release(blocks[i]);
    });
    std::thread two([&] {
      while (!go.load()) std::this_thread::yield();
      for (std::size_t i = 32; i < 64; ++i) MessageRef::release(blocks[i]);
    });
    go.store(true);
    owner.join();
    one.join();
    two.join();
  }
}

TEST(MessagePool, KnowsWhatIsOutstanding) {
  const Bound bound;
  const std::int64_t loose = MessagePool::looseOutstanding();
  kante_msg* small = allocateBlock(40);
  kante_msg* large = allocateBlock(KANTE_MESSAGE_WORDS_MAX);
  EXPECT_EQ(bound.pool->outstanding(), 1);
  EXPECT_EQ(MessagePool::looseOutstanding(), loose + 1);
  std::thread([small] { MessageRef::release(small); }).join();
  MessageRef::release(large);
  EXPECT_EQ(bound.pool->outstanding(), 0);
  EXPECT_EQ(MessagePool::looseOutstanding(), loose);
}

TEST(MessageRef, CountsAndNeverCopies) {
  auto message = jsonMessage("1");
  ASSERT_TRUE(message.has_value());
  MessageRef first = *message;
  *message = MessageRef();
  EXPECT_EQ(first.get()->references.load(), 1u);
  {
    const MessageRef second = first;
    EXPECT_EQ(second.words(), first.words());
    EXPECT_EQ(first.get()->references.load(), 2u);
    const MessageRef retained = MessageRef::retain(first.get());
    EXPECT_EQ(first.get()->references.load(), 3u);
  }
  EXPECT_EQ(first.get()->references.load(), 1u);
  MessageRef moved = std::move(first);
  EXPECT_EQ(moved.get()->references.load(), 1u);
  kante_msg* raw = moved.detach();
  EXPECT_FALSE(moved);
  EXPECT_EQ(raw->references.load(), 1u);
  MessageRef::release(raw);
}

TEST(MessageRef, IsFreedOnceByManyThreads) {
  const Bound bound;
  for (int round = 0; round < 200; ++round) {
    auto message = jsonMessage("1");
    MessageRef held = *message;
    *message = MessageRef();
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) threads.emplace_back([copy = held] { EXPECT_TRUE(copy); });
    held = MessageRef();
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_LE(bound.pool->keptBytes(), MessagePool::kKeptBytesMax);
}

}  // namespace
}  // namespace kante
