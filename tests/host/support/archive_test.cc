#include "host/support/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <array>
#include <map>

#include "host/bundle/tar.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

std::map<std::string, std::string> unpack(const std::string& packed) {
  std::string tar(ZSTD_getFrameContentSize(packed.data(), packed.size()), '\0');
  EXPECT_EQ(ZSTD_decompress(tar.data(), tar.size(), packed.data(), packed.size()), tar.size());
  std::map<std::string, std::string> out;
  for (std::size_t at = 0; at + kTarBlockBytes <= tar.size();) {
    std::array<char, kTarBlockBytes> block;
    std::copy_n(tar.begin() + static_cast<std::ptrdiff_t>(at), block.size(), block.begin());
    const auto entry = parseTarHeader(block);
    if (!entry || entry->kind != TarEntry::Kind::kFile) break;
    at += kTarBlockBytes;
    out[entry->name] = tar.substr(at, entry->bytes);
    at += entry->bytes + tarPadding(entry->bytes);
  }
  return out;
}

TEST(SupportArchive, HoldsWhatItWasGiven) {
  SupportArchive archive;
  archive.add("status.json", "{}");
  archive.add("log/module/a.ndjson", "");
  const auto files = unpack(archive.pack("Hello").value());
  EXPECT_EQ(files.at("kante-support/status.json"), "{}");
  EXPECT_EQ(files.at("kante-support/log/module/a.ndjson"), "");
  EXPECT_THAT(files.at("kante-support/README.txt"), HasSubstr("Hello\nstatus.json  2 bytes\n"));
}

TEST(SupportArchive, CutsWhatFindsNoRoomAndSaysSo) {
  SupportArchive archive(20);
  archive.add("a", "0123456789");
  archive.add("log", "line 1\nline 2\nline 3\n", SupportArchive::Keep::kEnd);
  archive.add("b", "more");
  archive.add("c", "more");
  EXPECT_EQ(archive.contents(),
            "a  10 bytes\nlog  7 bytes of 21, cut\nb  3 bytes of 4, cut\nc  0 bytes of 4, cut\n");
  EXPECT_EQ(unpack(archive.pack("").value()).at("kante-support/log"), "line 3\n");
}

TEST(SupportArchive, RefusesANameThatATarCannotHold) {
  SupportArchive archive;
  archive.add(std::string(300, 'x'), "");
  EXPECT_EQ(archive.pack("").error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace kante
