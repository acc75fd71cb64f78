#include "sandbox/wire/frame_codec.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/sandbox/wire/ring_pair.h"

namespace kante {
namespace {

using Got = FrameReader::Got;
using Wrote = FrameWriter::Wrote;

constexpr std::uint32_t kQuarter = kRingBytesMin / 8 / 4;

struct Wire {
  explicit Wire(FrameReader::From from) : reader(ring.reader, from) {}
  Got read() {
    ring.writer.publish();
    const Got got = reader.next(frame);
    (void)ring.reader.giveBack(RingReader::Returning::kEverything);
    return got;
  }

  RingPair ring;
  FrameWriter writer{ring.writer};
  FrameReader reader;
  FrameIn frame;
};

std::vector<std::uint64_t> numbers(std::size_t count) {
  std::vector<std::uint64_t> words(count);
  for (std::size_t i = 0; i < count; ++i) words[i] = i * 3 + 1;
  return words;
}

TEST(FrameCodecTest, CarriesWhatItWasGiven) {
  Wire wire(FrameReader::From::kHost);
  const auto words = numbers(20);
  ASSERT_EQ(wire.writer.write({.kind = Frame::kInput,
                               .id = 3,
                               .token = 77,
                               .arg = 2,
                               .text = "module/sensor/out",
                               .words = words.data(),
                               .word_count = 20}),
            Wrote::kAll);
  ASSERT_EQ(wire.read(), Got::kFrame);
  EXPECT_EQ(wire.frame.kind, Frame::kInput);
  EXPECT_EQ(wire.frame.head.id, 3u);
  EXPECT_EQ(wire.frame.head.token, 77u);
  EXPECT_EQ(wire.frame.head.arg, 2u);
  EXPECT_EQ(wire.frame.text, "module/sensor/out");
  ASSERT_TRUE(wire.frame.message);
  EXPECT_EQ(wire.frame.message.get()->words, 0u);  // Not judged yet.
  EXPECT_TRUE(std::equal(words.begin(), words.end(), wire.frame.message.get()->data()));
  EXPECT_EQ(wire.read(), Got::kNothing);
}

TEST(FrameCodecTest, AFrameWithoutTextAndMessageHasNone) {
  Wire wire(FrameReader::From::kRunner);
  ASSERT_EQ(wire.writer.write({.kind = Frame::kDrained}), Wrote::kAll);
  ASSERT_EQ(wire.read(), Got::kFrame);
  EXPECT_EQ(wire.frame.kind, Frame::kDrained);
  EXPECT_FALSE(wire.frame.message);
  EXPECT_EQ(wire.frame.text, "");
}

TEST(FrameCodecTest, AMessageLargerThanTheRingTravelsInParts) {
  Wire wire(FrameReader::From::kRunner);
  const auto words = numbers(KANTE_MESSAGE_WORDS_MAX);
  const std::string key(256, 'k');
  Wrote wrote = wire.writer.write({.kind = Frame::kStoragePut,
                                   .token = 5,
                                   .text = key,
                                   .words = words.data(),
                                   .word_count = KANTE_MESSAGE_WORDS_MAX});
  int rounds = 0;
  while (wrote == Wrote::kSome) {
    ASSERT_EQ(wire.read(), Got::kNothing);
    wrote = wire.writer.resume();
    ++rounds;
  }
  ASSERT_EQ(wrote, Wrote::kAll);
  ASSERT_EQ(wire.read(), Got::kFrame);
  EXPECT_GT(rounds, 10);
  EXPECT_EQ(wire.frame.text, key);
  EXPECT_EQ(wire.frame.head.message_words, KANTE_MESSAGE_WORDS_MAX);
  EXPECT_TRUE(std::equal(words.begin(), words.end(), wire.frame.message.get()->data()));
}

TEST(FrameCodecTest, TheBorderBetweenOneRecordAndPartsIsAWord) {
  for (const std::uint32_t count : {kQuarter - 6, kQuarter - 5, kQuarter - 4}) {
    Wire wire(FrameReader::From::kRunner);
    const auto words = numbers(count);
    ASSERT_EQ(wire.writer.write({.kind = Frame::kEmit, .words = words.data(), .word_count = count}),
              Wrote::kAll);
    ASSERT_EQ(wire.read(), Got::kFrame) << count;
    EXPECT_EQ(wire.frame.head.message_words, count);
    EXPECT_TRUE(std::equal(words.begin(), words.end(), wire.frame.message.get()->data()));
  }
}

TEST(FrameCodecTest, AStateKeepsItsBytes) {
  for (const std::size_t size : {0u, 1u, 7u, 8u, 9u, 100'001u}) {
    Wire wire(FrameReader::From::kRunner);
    std::string bytes(size, 's');
    if (size > 0) bytes.back() = 'e';
    std::vector<std::uint64_t> words((size + 7) / 8);
    if (size > 0) std::memcpy(words.data(), bytes.data(), size);
    Wrote wrote = wire.writer.write(stateFrame(Frame::kSaved, 9, 4, words.data(), size));
    while (wrote == Wrote::kSome) {
      ASSERT_EQ(wire.read(), Got::kNothing);
      wrote = wire.writer.resume();
    }
    ASSERT_EQ(wire.read(), Got::kFrame);
    EXPECT_EQ(wire.frame.head.token, 9u);
    EXPECT_EQ(wire.frame.head.arg, 4u);
    EXPECT_EQ(wire.frame.state, bytes);
  }
}

// ---- breaches

constexpr std::uint64_t header(std::uint32_t words, Frame kind, std::uint16_t flags = 0) {
  return words | std::uint64_t{static_cast<std::uint16_t>(kind)} << 32 | std::uint64_t{flags} << 48;
}

// Puts these records, each from its header on, and says what broke.
std::string breach(FrameReader::From from, const std::vector<std::vector<std::uint64_t>>& records) {
  Wire wire(from);
  for (const auto& words : records) {
    std::uint64_t* to = wire.ring.writer.reserve(static_cast<std::uint32_t>(words.size()));
    std::copy(words.begin(), words.end(), to);
    wire.ring.writer.commit();
  }
  Got got = wire.read();
  while (got == Got::kFrame) got = wire.read();
  EXPECT_EQ(wire.read(), got);  // For good.
  return got == Got::kBroken ? wire.reader.broken().value_or("?") : "nothing";
}

std::vector<std::uint64_t> frame(Frame kind, std::uint16_t flags, FrameHead head,
                                 std::uint32_t more_words) {
  std::vector<std::uint64_t> words(5 + more_words);
  words[0] = header(5 + more_words, kind, flags);
  std::memcpy(&words[1], &head, sizeof head);
  return words;
}

std::string runnerBreach(Frame kind, std::uint16_t flags, FrameHead head, std::uint32_t more = 0) {
  return breach(FrameReader::From::kRunner, {frame(kind, flags, head, more)});
}

TEST(FrameCodecTest, EachBreachOfAFrameIsFinalAndNamed) {
  const auto kRunner = FrameReader::From::kRunner;
  EXPECT_EQ(breach(kRunner, {{header(1, Frame::kEmit)}}), "EMIT without its head");
  EXPECT_EQ(breach(kRunner, {{header(2, Frame::kPart), 0}}),
            "a PART with no record before it that has more");
  EXPECT_EQ(runnerBreach(Frame::kInput, 0, {}), "INPUT from a runner");
  EXPECT_EQ(breach(FrameReader::From::kHost, {frame(Frame::kEmit, 0, {}, 0)}), "EMIT from a host");
  EXPECT_EQ(runnerBreach(static_cast<Frame>(9999), 0, {}), "frame 9999 from a runner");
  EXPECT_EQ(runnerBreach(Frame::kEmit, 2, {.message_words = 1}, 1), "EMIT with unknown flags");
  EXPECT_EQ(runnerBreach(Frame::kDrained, 0, {.token = 1}),
            "DRAINED with a field that it does not have");
  EXPECT_EQ(runnerBreach(Frame::kEmit, 0, {.text_bytes = 8, .message_words = 1}, 2),
            "EMIT with a field that it does not have");
  EXPECT_EQ(runnerBreach(Frame::kLog, 0, {.text_bytes = 8193}, 1025),
            "LOG with a text of 8193 bytes, of at most 8192");
  EXPECT_EQ(runnerBreach(Frame::kLog, 0, {.text_bytes = 9}, 1), "LOG with half a text");
  EXPECT_EQ(runnerBreach(Frame::kDrained, 0, {.message_words = 1}, 1),
            "DRAINED with a message of 1 words, of at most 0");
  EXPECT_EQ(runnerBreach(Frame::kEmit, kMore, {.message_words = KANTE_MESSAGE_WORDS_MAX + 1}, 1),
            "EMIT with a message of 139265 words, of at most 139264");
  EXPECT_EQ(runnerBreach(Frame::kEmit, 0, {}), "EMIT without a message");
  EXPECT_EQ(runnerBreach(Frame::kEmit, 0, {.message_words = 2}, 1),
            "EMIT of 2 words of message has 1");
  EXPECT_EQ(runnerBreach(Frame::kEmit, 0, {.message_words = 1}, 2),
            "EMIT of 1 words of message has 2");
  EXPECT_EQ(runnerBreach(Frame::kEmit, kMore, {.message_words = 1}, 1),
            "EMIT of 1 words of message has 1 and says that there is more");
  EXPECT_EQ(runnerBreach(Frame::kSaved, 0, {.status = 9, .message_words = 1}, 1),
            "SAVED of 1 words whose last word has 9 bytes");
  EXPECT_EQ(runnerBreach(Frame::kSaved, 0, {.message_words = 1}, 1),
            "SAVED of 1 words whose last word has 0 bytes");
  EXPECT_EQ(runnerBreach(Frame::kSaved, kMore, {.status = 8, .message_words = 2097153}, 1),
            "SAVED with a message of 2097153 words, of at most 2097152");
}

TEST(FrameCodecTest, EachBreachOfAPartIsFinalAndNamed) {
  const auto first = frame(Frame::kEmit, kMore, {.message_words = 10}, 4);
  const auto then = [&first](const std::vector<std::uint64_t>& part) {
    return breach(FrameReader::From::kRunner, {first, part});
  };
  std::vector<std::uint64_t> part(7);
  part[0] = header(7, Frame::kPart);
  EXPECT_EQ(then(part), "nothing");  // As it should be.
  part[0] = header(7, Frame::kPart, kMore);
  EXPECT_EQ(then(part), "a PART of 6 words where 6 are left of EMIT");
  part[0] = header(7, Frame::kPart, 4);
  EXPECT_EQ(then(part), "a PART with unknown flags");
  part.push_back(0);
  part[0] = header(8, Frame::kPart);
  EXPECT_EQ(then(part), "a PART of 7 words where 6 are left of EMIT");
  EXPECT_EQ(then({header(1, Frame::kPart, kMore)}), "a PART of 0 words where 6 are left of EMIT");
  EXPECT_EQ(then(frame(Frame::kDrained, 0, {}, 0)), "DRAINED amid the parts of EMIT");
}

}  // namespace
}  // namespace kante
