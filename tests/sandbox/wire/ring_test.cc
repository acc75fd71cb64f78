#include "sandbox/wire/ring.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <thread>

#include "tests/sandbox/wire/ring_pair.h"

namespace kante {
namespace {

constexpr std::uint32_t kWords = kRingBytesMin / 8;
constexpr std::uint32_t kQuarter = kWords / 4;

TEST(RingTest, WhatIsWrittenIsReadOnceItIsPublished) {
  RingPair pair;
  EXPECT_TRUE(pair.put(3, 100));
  EXPECT_EQ(pair.get(100), 0u);
  pair.writer.publish();
  EXPECT_EQ(pair.get(100), 3u);
  EXPECT_EQ(pair.get(0), 0u);
  EXPECT_FALSE(pair.reader.broken());
}

TEST(RingTest, ARecordMayEndExactlyAtTheEnd) {
  RingPair pair;
  for (int round = 0; round < 12; ++round) {  // Three times through, no PAD ever.
    ASSERT_TRUE(pair.put(kQuarter, 7));
    pair.writer.publish();
    ASSERT_EQ(pair.get(7), kQuarter);
    (void)pair.reader.giveBack(RingReader::Returning::kEverything);
  }
  EXPECT_EQ(pair.writers.head.load(), 12u * kQuarter * 8);
}

TEST(RingTest, APadAndItsRecordNeedRoomTogether) {
  RingPair pair;
  // Up to one word before the end, all of it read but only told up to the last record.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.put(kQuarter, 1));
  ASSERT_TRUE(pair.put(kQuarter - 1, 1));
  pair.writer.publish();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(pair.get(1), kQuarter);
  // The PAD takes the last word, and there is nothing behind it that is free.
  EXPECT_EQ(pair.writer.reserve(2), nullptr);
  EXPECT_TRUE(pair.writer.isFull());
  (void)pair.reader.giveBack(RingReader::Returning::kEverything);
  EXPECT_FALSE(pair.writer.isFull());
  ASSERT_TRUE(pair.put(2, 9));
  pair.writer.publish();
  EXPECT_EQ(pair.get(1), kQuarter - 1);
  EXPECT_EQ(pair.get(9), 2u);
  EXPECT_EQ(pair.writers.head.load(), std::uint64_t{kRingBytesMin} + 16);
}

TEST(RingTest, AFullRingStaysFullUntilHalfOfItIsFree) {
  RingPair pair;
  std::uint32_t records = 0;
  while (pair.put(64, records)) ++records;
  EXPECT_EQ(records, kWords / 64);
  pair.writer.publish();
  for (std::uint32_t i = 0; i < records / 2 - 1; ++i) ASSERT_EQ(pair.get(i), 64u);
  (void)pair.reader.giveBack(RingReader::Returning::kEverything);
  EXPECT_TRUE(pair.writer.isFull());
  EXPECT_FALSE(pair.put(64, 0));
  ASSERT_EQ(pair.get(records / 2 - 1), 64u);
  (void)pair.reader.giveBack(RingReader::Returning::kEverything);
  EXPECT_TRUE(pair.put(64, 0));
}

TEST(RingTest, RoomIsGivenBackByTheEighth) {
  RingPair pair;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(pair.put(kWords / 16, 5));
  pair.writer.publish();
  ASSERT_EQ(pair.get(5), kWords / 16);
  (void)pair.reader.giveBack(RingReader::Returning::kEighth);
  EXPECT_EQ(pair.readers.tail.load(), 0u);
  ASSERT_EQ(pair.get(5), kWords / 16);
  (void)pair.reader.giveBack(RingReader::Returning::kEighth);
  EXPECT_EQ(pair.readers.tail.load(), kRingBytesMin / 8u);
}

TEST(RingTest, ThereIsOneDoorbellASleepAndOnlyForWhatIsWanted) {
  RingPair pair;
  OwnSleep own(pair.readers);
  ASSERT_TRUE(pair.put(2, 0));
  EXPECT_EQ(pair.writer.publish(), Wake::kNo);  // It is awake.
  own.announce(kWantsSpace);
  ASSERT_TRUE(pair.put(2, 0));
  EXPECT_EQ(pair.writer.publish(), Wake::kNo);  // Data is not what it waits for.
  own.announce(kWantsData);
  ASSERT_TRUE(pair.put(2, 0));
  EXPECT_EQ(pair.writer.publish(), Wake::kYes);
  ASSERT_TRUE(pair.put(2, 0));
  EXPECT_EQ(pair.writer.publish(), Wake::kNo);  // Already rung for this sleep.
  own.announce(kWantsData);
  EXPECT_EQ(pair.writer.publish(), Wake::kNo);  // Nothing new.
  ASSERT_TRUE(pair.put(2, 0));
  EXPECT_EQ(pair.writer.publish(), Wake::kYes);
}

TEST(RingTest, AWriterThatWaitsIsWokenForHalfOfTheRing) {
  RingPair pair;
  while (pair.put(64, 0)) {
  }
  pair.writer.publish();
  OwnSleep own(pair.writers);
  own.announce(kWantsSpace);
  int records = 0;
  while (pair.reader.giveBack(RingReader::Returning::kEverything) == Wake::kNo) {
    ASSERT_EQ(pair.get(0), 64u);
    ++records;
  }
  EXPECT_EQ(records, static_cast<int>(kWords / 64 / 2));
}

// ---- breaches

std::string breach(const std::function<void(RingPair&)>& spoil) {
  RingPair pair;
  EXPECT_TRUE(pair.put(4, 1));
  EXPECT_TRUE(pair.put(4, 2));
  pair.writer.publish();
  EXPECT_EQ(pair.get(1), 4u);
  spoil(pair);
  EXPECT_FALSE(pair.reader.next() && !pair.reader.broken());
  EXPECT_FALSE(pair.reader.next());  // For good.
  return pair.reader.broken().value_or("nothing");
}

void head(RingPair& pair, std::uint64_t value) {
  (void)pair.get(2);
  pair.writers.head.store(value);
}

void record(RingPair& pair, RecordHead head) { std::memcpy(&pair.memory[4], &head, sizeof head); }

TEST(RingTest, EachBreachOfTheWriterIsFinalAndNamed) {
  EXPECT_EQ(breach([](RingPair& p) { head(p, 32); }),
            "the ring's writer says that it is at byte 32, and was at 64");
  EXPECT_EQ(breach([](RingPair& p) { head(p, 65); }),
            "the ring's writer says that it is at byte 65, which is no multiple of 8");
  EXPECT_EQ(breach([](RingPair& p) { head(p, kRingBytesMin + 8); }),
            "the ring's writer says that it is at byte 65544, a whole ring and more before the "
            "reader, who is at 0");
  EXPECT_EQ(breach([](RingPair& p) { head(p, UINT64_MAX - 7); }),
            "the ring's writer says that it is at byte 18446744073709551608, a whole ring and more "
            "before the reader, who is at 0");
  EXPECT_EQ(breach([](RingPair& p) { record(p, {0, 67, 0}); }), "a record of no words");
  EXPECT_EQ(breach([](RingPair& p) {
              record(p, {kQuarter + 1, 67, 0});
            }),
            "a record of 2049 words, of at most 2048");
  EXPECT_EQ(breach([](RingPair& p) {
              record(p, {5, 67, 0});
            }),
            "a record that goes beyond what was published");
  EXPECT_EQ(breach([](RingPair& p) { record(p, {4, 0, 0}); }), "a PAD that does not fill the end");
}

TEST(RingTest, ARecordDoesNotGoBeyondTheEnd) {
  RingPair pair;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.put(kQuarter, 1));
  ASSERT_TRUE(pair.put(kQuarter - 8, 1));
  pair.writer.publish();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(pair.get(1), kQuarter);
  ASSERT_EQ(pair.get(1), kQuarter - 8);
  (void)pair.reader.giveBack(RingReader::Returning::kEverything);
  pair.writers.head.store(kRingBytesMin + 64);
  const RecordHead head{9, 67, 0};
  std::memcpy(&pair.memory[kWords - 8], &head, sizeof head);
  EXPECT_FALSE(pair.reader.next());
  EXPECT_EQ(pair.reader.broken(), "a record that goes beyond the end of the ring");
}

TEST(RingTest, APadHasARecordBehindIt) {
  RingPair pair;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.put(kQuarter, 1));
  ASSERT_TRUE(pair.put(kQuarter - 8, 1));
  pair.writer.publish();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(pair.get(1), kQuarter);
  ASSERT_EQ(pair.get(1), kQuarter - 8);
  pair.writers.head.store(kRingBytesMin);
  const RecordHead head{8, 0, 0};
  std::memcpy(&pair.memory[kWords - 8], &head, sizeof head);
  EXPECT_FALSE(pair.reader.next());
  EXPECT_EQ(pair.reader.broken(), "a PAD with no record behind it");
}

TEST(RingTest, EachBreachOfTheReaderIsFinalAndNamed) {
  for (const std::uint64_t tail :
       {std::uint64_t{4}, std::uint64_t{kRingBytesMin} + 8, UINT64_MAX, UINT64_MAX - 7}) {
    RingPair pair;
    while (pair.put(64, 0)) {
    }
    pair.writer.publish();
    pair.readers.tail.store(tail);
    EXPECT_FALSE(pair.put(64, 0));
    ASSERT_TRUE(pair.writer.broken());
    EXPECT_EQ(*pair.writer.broken(), "the ring's reader says that it is at byte " +
                                         std::to_string(tail) + ", after 0 of 65536");
    pair.readers.tail.store(65536);
    EXPECT_FALSE(pair.put(64, 0));  // For good.
  }
}

// Whatever head and headers say, nothing outside the ring is read (AddressSanitizer watches) and
// what is handed out lies within it.
TEST(RingTest, RandomHeadsAndHeadersLeadNowhere) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    RingPair pair;
    std::uint64_t at = 0;
    const int heads = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < heads; ++i) {
      // Mostly plausible, so that it gets further than the first look.
      at += random() % 8 == 0 ? random() : random() % 4096 * 8;
      pair.writers.head.store(at);
      const std::uint32_t words = random() % 4 == 0 ? static_cast<std::uint32_t>(random())
                                                    : static_cast<std::uint32_t>(random() % 700);
      const RecordHead head{words, static_cast<std::uint16_t>(random() % 3), 0};
      for (std::uint64_t k = 0; k < 16; ++k)
        std::memcpy(&pair.memory[random() % kWords], &head, sizeof head);
      std::memcpy(&pair.memory[0], &head, sizeof head);
      while (const auto record = pair.reader.next()) {
        ASSERT_GE(record->body, pair.memory.get() + 1);
        ASSERT_LE(record->body + record->body_words, pair.memory.get() + kWords);
        std::uint64_t sum = 0;
        for (std::uint32_t k = 0; k < record->body_words; ++k) sum += record->body[k];
        ASSERT_EQ(sum, sum);
        pair.reader.take(*record);
        (void)pair.reader.giveBack(RingReader::Returning::kEighth);
      }
    }
  }
}

// ---- two threads

// Each end sleeps as the runner does: announces, looks again, waits for the doorbell; no spinning,
// so that each way of losing a wake would hang the test.
class Bell {
 public:
  void ring() {
    count_.fetch_add(1);
    count_.notify_one();
  }
  std::uint32_t count() const { return count_.load(); }
  void wait(std::uint32_t seen) { count_.wait(seen); }

 private:
  std::atomic<std::uint32_t> count_{0};
};

TEST(RingTest, NoWakeIsLostBetweenTwoThatSleepAtOnce) {
  constexpr std::uint64_t kRecords = 300'000;
  RingPair pair;
  Bell for_reader;
  Bell for_writer;
  std::thread reader([&] {
    OwnSleep own(pair.readers);
    for (std::uint64_t next = 0; next < kRecords;) {
      const std::uint32_t seen = for_reader.count();
      if (pair.get(next) != 0) {
        ++next;
        if (pair.reader.giveBack(RingReader::Returning::kEighth) == Wake::kYes) for_writer.ring();
        continue;
      }
      if (pair.reader.giveBack(RingReader::Returning::kEverything) == Wake::kYes) for_writer.ring();
      own.announce(kWantsData);
      if (pair.reader.isEmpty()) for_reader.wait(seen);
      own.awake();
    }
    if (pair.reader.giveBack(RingReader::Returning::kEverything) == Wake::kYes) for_writer.ring();
  });
  OwnSleep own(pair.writers);
  std::mt19937 random(2);
  for (std::uint64_t next = 0; next < kRecords;) {
    const std::uint32_t seen = for_writer.count();
    if (pair.put(static_cast<std::uint32_t>(1 + random() % 300), next)) {
      ++next;
      if (random() % 16 == 0 && pair.writer.publish() == Wake::kYes) for_reader.ring();
      continue;
    }
    if (pair.writer.publish() == Wake::kYes) for_reader.ring();
    own.announce(kWantsSpace);
    if (pair.writer.isFull()) for_writer.wait(seen);
    own.awake();
  }
  if (pair.writer.publish() == Wake::kYes) for_reader.ring();
  reader.join();
  EXPECT_FALSE(pair.reader.broken());
  EXPECT_FALSE(pair.writer.broken());
}

}  // namespace
}  // namespace kante
