#include "host/store/record.h"

#include <gmock/gmock.h>

#include <cstring>

#include "host/base/fd.h"
#include "host/store/crc32c.h"
#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

std::vector<std::uint64_t> encoded(const RecordView& record, std::size_t& bytes) {
  bytes = recordBytes(record);
  std::vector<std::uint64_t> words((bytes + 7) / 8);
  encodeRecord(record, reinterpret_cast<std::uint8_t*>(words.data()));
  return words;
}

std::string_view view(const std::vector<std::uint64_t>& words, std::size_t bytes) {
  return {reinterpret_cast<const char*>(words.data()), bytes};
}

TEST(RecordTest, ComesBackAsItWasWritten) {
  const MessageRef message = textMessage("body");
  RecordView record;
  record.message = message.view();
  record.source = SourceView::of(testSource());
  record.enqueued_ns = 1;
  record.expires_ns = 2;
  record.arrived_ns = 3;
  record.number = 4;
  record.attempts = 5;
  record.hops = 6;
  record.reason = "because";
  record.origin = "upstream";
  std::size_t bytes = 0;
  const auto words = encoded(record, bytes);
  const auto back = decodeRecord(view(words, bytes));
  ASSERT_FALSE(back.has_error()) << back.error().text;
  EXPECT_EQ(back->message.body(), "body");
  EXPECT_EQ(back->source.copy().path, testSource().path);
  EXPECT_EQ(back->enqueued_ns, 1);
  EXPECT_EQ(back->expires_ns, 2);
  EXPECT_EQ(back->arrived_ns, 3);
  EXPECT_EQ(back->number, 4u);
  EXPECT_EQ(back->attempts, 5);
  EXPECT_EQ(back->hops, 6);
  EXPECT_EQ(back->reason, "because");
  EXPECT_EQ(back->origin, "upstream");
  EXPECT_EQ(peekEnqueued(view(words, bytes)), 1);
  EXPECT_EQ(peekExpires(view(words, bytes)), 2);
}

TEST(RecordTest, KeepsTheOriginOfWhatCameFromAGatewayBelow) {
  const MessageRef message = textMessage("body");
  Source source = testSource();
  source.origin_gateway = "plant-2";
  source.origin_epoch = "00ff";
  RecordView record;
  record.message = message.view();
  record.source = SourceView::of(source);
  record.origin_number = kOriginNumberMax;
  record.reason = "because";
  std::size_t bytes = 0;
  const auto words = encoded(record, bytes);
  const auto back = decodeRecord(view(words, bytes));
  ASSERT_FALSE(back.has_error()) << back.error().text;
  EXPECT_EQ(back->source.copy().origin_gateway, "plant-2");
  EXPECT_EQ(back->source.copy().origin_epoch, "00ff");
  EXPECT_EQ(back->origin_number, kOriginNumberMax);
  EXPECT_EQ(back->reason, "because");
}

TEST(RecordTest, WritesWhatHasNoOriginAsTheReleaseBeforeReadsIt) {
  const MessageRef message = textMessage("body");
  RecordView record;
  record.message = message.view();
  record.source = SourceView::of(testSource());
  std::size_t bytes = 0;
  auto words = encoded(record, bytes);
  EXPECT_EQ(view(words, bytes)[4], 1);
  record.origin_number = 7;
  words = encoded(record, bytes);
  EXPECT_EQ(view(words, bytes)[4], 2);
}

TEST(RecordTest, RefusesAnOriginWithoutANumber) {
  const MessageRef message = textMessage("body");
  RecordView record;
  record.message = message.view();
  record.origin_number = 7;
  std::size_t bytes = 0;
  for (const char wrong : {'0', 'x'}) {
    auto words = encoded(record, bytes);
    char* const raw = reinterpret_cast<char*>(words.data());
    raw[bytes - 1] = wrong;
    const std::uint32_t crc = crc32c(raw + 4, bytes - 4);
    std::memcpy(raw, &crc, sizeof crc);
    const auto back = decodeRecord(view(words, bytes));
    ASSERT_TRUE(back.has_error()) << wrong;
    EXPECT_THAT(back.error().text, HasSubstr("origin"));
  }
}

// These bytes were written by the first release of the format; every later one must read them.
TEST(RecordTest, ReadsTheGoldenRecord) {
  const auto golden = readFile(KANTE_SOURCE_DIR "/tests/fuzz/corpus/store_record/golden", 4096);
  ASSERT_FALSE(golden.has_error()) << golden.error().text;
  std::vector<std::uint64_t> words((golden->size() + 7) / 8);
  std::memcpy(words.data(), golden->data(), golden->size());
  const auto record = decodeRecord(view(words, golden->size()));
  ASSERT_FALSE(record.has_error()) << record.error().text;
  EXPECT_EQ(record->message.body(), "golden body");
  EXPECT_EQ(record->message.property("kind"), "test");
  EXPECT_EQ(record->source.telemetry_name, "module/a/out");
  EXPECT_EQ(record->enqueued_ns, 11);
  EXPECT_EQ(record->expires_ns, 22);
  EXPECT_EQ(record->arrived_ns, 33);
}

TEST(RecordTest, ReadsTheGoldenRecordWithAnOrigin) {
  const auto golden =
      readFile(KANTE_SOURCE_DIR "/tests/fuzz/corpus/store_record/golden-origin", 4096);
  ASSERT_FALSE(golden.has_error()) << golden.error().text;
  std::vector<std::uint64_t> words((golden->size() + 7) / 8);
  std::memcpy(words.data(), golden->data(), golden->size());
  const auto record = decodeRecord(view(words, golden->size()));
  ASSERT_FALSE(record.has_error()) << record.error().text;
  EXPECT_EQ(record->message.body(), "golden body");
  EXPECT_EQ(record->source.origin_gateway, "plant-2");
  EXPECT_EQ(record->source.origin_epoch, "00ff00ff");
  EXPECT_EQ(record->origin_number, 41u);
}

TEST(RecordTest, RefusesEveryFlippedBitAndEveryCut) {
  const MessageRef message = textMessage("some body");
  RecordView record;
  record.message = message.view();
  record.source = SourceView::of(testSource());
  std::size_t bytes = 0;
  const auto words = encoded(record, bytes);
  for (std::size_t bit = 0; bit < bytes * 8; ++bit) {
    auto flipped = words;
    reinterpret_cast<std::uint8_t*>(flipped.data())[bit / 8] ^=
        static_cast<std::uint8_t>(1u << (bit % 8));
    const auto back = decodeRecord(view(flipped, bytes));
    ASSERT_TRUE(back.has_error()) << "bit " << bit;
    EXPECT_EQ(back.error().code, Errc::kCorrupt);
  }
  for (std::size_t cut = 0; cut < bytes; ++cut)
    EXPECT_TRUE(decodeRecord(view(words, cut)).has_error());
}

TEST(RecordTest, CutsTextsThatAreTooLongBetweenCharacters) {
  const MessageRef message = textMessage("x");
  RecordView record;
  record.message = message.view();
  const std::string longer = std::string(kRecordTextBytesMax - 1, 'a') + "\xc3\xa4\xc3\xa4";
  record.source.topic = longer;
  std::size_t bytes = 0;
  const auto words = encoded(record, bytes);
  const auto back = decodeRecord(view(words, bytes));
  ASSERT_FALSE(back.has_error()) << back.error().text;
  EXPECT_EQ(back->source.topic, std::string(kRecordTextBytesMax - 1, 'a'));
}

TEST(Crc32cTest, KnowsTheCheckValue) {
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c("56789", 5, crc32c("1234", 4)), 0xe3069283u);
}

}  // namespace
}  // namespace kante
