#include "host/bundle/frame.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

const std::string kGood = makeFrameStart(FrameKind::kBundle, "signature", 7).value() + "payload";

Result<SignedFrame> parse(const std::string& bytes, FrameKind kind = FrameKind::kBundle) {
  return parseFrame(kind, bytes, bytes.size());
}

std::string with(std::size_t at, std::string_view bytes) {
  std::string changed = kGood;
  changed.replace(at, bytes.size(), bytes);
  return changed;
}

void expectRefused(const std::string& bytes, Errc code, const std::string& because) {
  const auto frame = parse(bytes);
  ASSERT_TRUE(frame.has_error()) << because;
  EXPECT_EQ(frame.error().code, code);
  EXPECT_THAT(frame.error().text, HasSubstr(because));
}

TEST(FrameTest, HeadSignatureAndPayloadAreFound) {
  const auto frame = parse(kGood);
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->signature, "signature");
  EXPECT_EQ(frame->payload_offset, 56u + 9u);
  EXPECT_EQ(frame->payload_bytes, 7u);
  EXPECT_EQ(kGood.substr(0, 24), std::string("KANTEKM1\x09\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0", 24));
}

TEST(FrameTest, DocumentsHaveTheirOwnMagicAndLimit) {
  const std::string document = makeFrameStart(FrameKind::kDocument, "signature", 2).value() + "{}";
  EXPECT_EQ(document.substr(0, 8), "KANTEDC1");
  EXPECT_TRUE(parse(document, FrameKind::kDocument).has_value());
  EXPECT_THAT(parse(document).error().text, HasSubstr("not a bundle"));
  EXPECT_THAT(parse(kGood, FrameKind::kDocument).error().text, HasSubstr("not a document"));
  EXPECT_EQ(makeFrameStart(FrameKind::kDocument, "s", kDocumentPayloadBytesMax + 1).error().code,
            Errc::kLimit);
}

TEST(FrameTest, OtherFilesAreRefused) {
  expectRefused("", Errc::kCorrupt, "not a bundle");
  expectRefused(std::string(100, 'x'), Errc::kCorrupt, "does not begin with KANTEKM1");
}

TEST(FrameTest, SizesMustBeInTheirBounds) {
  expectRefused(with(8, std::string(4, '\0')), Errc::kCorrupt, "is not signed");
  expectRefused(with(8, std::string("\x01\x00\x01\x00", 4)), Errc::kLimit, "longer than 65536");
  expectRefused(with(12, "\x01"), Errc::kCorrupt, "must be zero");
  expectRefused(with(16, std::string(8, '\0')), Errc::kCorrupt, "no payload");
  expectRefused(with(16, std::string("\x01\x00\x00\x40\x00\x00\x00\x00", 8)), Errc::kLimit,
                "longer than 1073741824");
  expectRefused(with(16, "\xff\xff\xff\xff\xff\xff\xff\xff"), Errc::kLimit, "longer than");
}

TEST(FrameTest, EveryTruncationAndEveryAdditionIsRefused) {
  for (std::size_t length = 0; length < kGood.size(); ++length) {
    EXPECT_TRUE(parse(kGood.substr(0, length)).has_error()) << length;
  }
  expectRefused(kGood.substr(0, kGood.size() - 1), Errc::kCorrupt, "truncated");
  expectRefused(kGood + "x", Errc::kCorrupt, "1 bytes after its payload");
}

TEST(FrameTest, ADamagedSignatureIsNoticedBeforeItIsParsed) {
  for (std::size_t at = 24; at < 56 + 9; ++at) {
    expectRefused(with(at, std::string(1, static_cast<char>(kGood[at] ^ 1))), Errc::kCorrupt,
                  "SHA-256 differs");
  }
}

TEST(FrameTest, OnlyRegularFilesAreRead) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reading(ends[0]);
  const FileDescriptor writing(ends[1]);
  EXPECT_EQ(readFrame(FrameKind::kBundle, reading.get()).error().code, Errc::kInvalid);
  const FileDescriptor file = test::fileOf(kGood);
  EXPECT_EQ(readFrame(FrameKind::kBundle, file.get())->signature, "signature");
}

TEST(FrameTest, NothingIsWrittenThatCouldNotBeRead) {
  EXPECT_TRUE(makeFrameStart(FrameKind::kBundle, "", 1).has_error());
  EXPECT_TRUE(
      makeFrameStart(FrameKind::kBundle, std::string(kSignatureBytesMax + 1, 's'), 1).has_error());
  EXPECT_TRUE(makeFrameStart(FrameKind::kBundle, "s", 0).has_error());
  EXPECT_TRUE(makeFrameStart(FrameKind::kBundle, "s", kBundlePayloadBytesMax + 1).has_error());
}

}  // namespace
}  // namespace kante
