#include "host/bundle/payload_writer.h"

#include <gmock/gmock.h>
#include <zstd.h>

#include <random>

#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

std::string noise(std::size_t count) {
  std::mt19937 random(7);
  std::string bytes(count, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string inPieces(PayloadCoding coding, std::string_view bytes, std::size_t piece) {
  std::string out;
  PayloadWriter writer(coding, bytes.size(), [&out](std::string_view part) -> Status {
    out += part;
    return {};
  });
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    EXPECT_TRUE(writer.write(bytes.substr(at, piece)));
  EXPECT_TRUE(writer.finish());
  return out;
}

class PayloadWriterTest : public ::testing::TestWithParam<PayloadCoding> {};

TEST_P(PayloadWriterTest, WritesOneFrameThatIsReadAsItWas) {
  for (const std::size_t count : {1u, 512u, 131'071u, 131'072u, 131'073u, 262'144u, 700'000u}) {
    const std::string bytes = noise(count);
    const std::string frame = test::packedOf(bytes, GetParam());
    std::string back(count + 1, '\0');
    EXPECT_EQ(ZSTD_findFrameCompressedSize(frame.data(), frame.size()), frame.size()) << count;
    EXPECT_EQ(ZSTD_decompress(back.data(), back.size(), frame.data(), frame.size()), count);
    back.resize(count);
    EXPECT_EQ(back, bytes);
  }
}

TEST_P(PayloadWriterTest, TheBytesDoNotDependOnTheirPieces) {
  const std::string bytes = noise(200'000) + std::string(200'000, 'x') + noise(200'000);
  const std::string frame = test::packedOf(bytes, GetParam());
  for (const std::size_t piece : {1'000u, 65'536u, 131'072u, 599'999u})
    EXPECT_EQ(inPieces(GetParam(), bytes, piece), frame) << piece;
}

TEST_P(PayloadWriterTest, WhatWasAnnouncedHasToCome) {
  const auto ignore = [](std::string_view) -> Status { return {}; };
  PayloadWriter more(GetParam(), 3, ignore);
  EXPECT_FALSE(more.write("four"));
  PayloadWriter fewer(GetParam(), 3, ignore);
  EXPECT_TRUE(fewer.write("tw"));
  EXPECT_FALSE(fewer.finish());
}

TEST_P(PayloadWriterTest, AnOutputThatFailsEndsIt) {
  PayloadWriter writer(GetParam(), 300'000,
                       [](std::string_view) -> Status { return fail(Errc::kIo, "disk full"); });
  const Status written = writer.write(noise(300'000));
  EXPECT_FALSE(written && writer.finish());
}

INSTANTIATE_TEST_SUITE_P(Codings, PayloadWriterTest,
                         ::testing::Values(PayloadCoding::kZstd, PayloadCoding::kStored));

}  // namespace
}  // namespace kante
