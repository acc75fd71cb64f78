#include "host/bundle/payload.h"

#include <gmock/gmock.h>

#include "host/base/encoding.h"
#include "host/bundle/tar.h"
#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using test::Member;
using test::tarOf;
using test::zstdOf;
using ::testing::HasSubstr;

const std::vector<Member> kFiles{{test::libraryName(), "library", '0', {}},
                                 {"data/a.txt", "aaa", '0', {}}};

Result<Manifest> unpack(const std::string& payload, test::CollectingSink* sink = nullptr) {
  const FileDescriptor file = test::fileOf(payload);
  test::CollectingSink unused;
  return unpackPayload({file.get(), 0, payload.size()}, sha256(payload),
                       sink != nullptr ? *sink : unused);
}

void expectRefused(const std::string& payload, Errc code, const std::string& because) {
  const auto manifest = unpack(payload);
  ASSERT_TRUE(manifest.has_error()) << because;
  EXPECT_EQ(manifest.error().code, code) << manifest.error().text;
  EXPECT_THAT(manifest.error().text, HasSubstr(because));
}

// The good members with one more behind them.
std::string withMember(const Member& member) {
  auto members = test::membersOf(kFiles);
  members.push_back(member);
  return zstdOf(tarOf(members));
}

TEST(PayloadTest, MembersComeOutAsTheyWentIn) {
  test::CollectingSink sink;
  const auto manifest = unpack(zstdOf(tarOf(test::membersOf(kFiles))), &sink);
  ASSERT_TRUE(manifest.has_value()) << manifest.error().text;
  EXPECT_EQ(manifest->id, "com.example.test");
  ASSERT_EQ(sink.members.size(), 2u);
  EXPECT_EQ(sink.members[0].content, "library");
  EXPECT_EQ(sink.members[1].name, "data/a.txt");
  EXPECT_EQ(sink.members[1].content, "aaa");
}

TEST(PayloadTest, WhatLeavesTheBundleIsRefused) {
  for (const char* name :
       {"data/../../etc/passwd", "/etc/passwd", "data//a", "./data/a", "data/a b", "data/", ".."}) {
    expectRefused(withMember({name, "x", '0', {}}), Errc::kDenied, "leaves the bundle");
  }
}

TEST(PayloadTest, ANameThatIsNoTextIsNotRepeatedAsItIs) {
  expectRefused(withMember({"data/\xff\x1b[2J", "x", '0', {}}), Errc::kDenied,
                "\"data/\uFFFD?[2J\" has a name that leaves");
  expectRefused(withMember({"data/\xff", "", '2', {}}), Errc::kDenied,
                "data/\uFFFD is a symbolic link");
}

TEST(PayloadTest, OnlyRegularFilesAreMembers) {
  const std::pair<char, const char*> kinds[] = {
      {'1', "a hard link"},     {'2', "a symbolic link"}, {'3', "a character device"},
      {'4', "a block device"},  {'5', "a directory"},     {'6', "a fifo"},
      {'L', "a GNU long name"}, {'S', "a sparse file"},   {'g', "a global pax header"},
      {'?', "unknown type"}};
  for (const auto& [type, text] : kinds)
    expectRefused(withMember({"data/x", "", type, {}}), Errc::kDenied, text);
  expectRefused(withMember({"data/x", "", '0', "/etc/passwd"}), Errc::kDenied, "has a link target");
}

TEST(PayloadTest, AMemberTwiceIsRefused) {
  expectRefused(withMember({"data/a.txt", "aaa", '0', {}}), Errc::kDenied,
                "data/a.txt is there twice");
  expectRefused(withMember({"manifest.json", "{}", '0', {}}), Errc::kDenied,
                "manifest.json is there twice");
}

TEST(PayloadTest, AMemberThatTheManifestDoesNotListIsRefused) {
  expectRefused(withMember({"data/extra", "x", '0', {}}), Errc::kDenied,
                "data/extra is not listed");
}

TEST(PayloadTest, AMissingMemberIsRefused) {
  auto members = test::membersOf(kFiles);
  members.pop_back();
  expectRefused(zstdOf(tarOf(members)), Errc::kCorrupt, "lacks data/a.txt");
}

TEST(PayloadTest, SizeAndDigestMustBeWhatTheManifestSays) {
  auto members = test::membersOf(kFiles);
  members[2].content = "aab";
  expectRefused(zstdOf(tarOf(members)), Errc::kCorrupt, "another SHA-256");
  members[2].content = "aaaa";
  expectRefused(zstdOf(tarOf(members)), Errc::kCorrupt, "4 bytes, its manifest says 3");
}

TEST(PayloadTest, TheManifestComesFirst) {
  auto members = test::membersOf(kFiles);
  std::swap(members[0], members[1]);
  expectRefused(zstdOf(tarOf(members)), Errc::kInvalid, "does not begin with manifest.json");
  expectRefused(zstdOf(tarOf({})), Errc::kInvalid, "does not begin with manifest.json");
}

TEST(PayloadTest, AManifestAboveItsLimitIsRefused) {
  expectRefused(
      zstdOf(tarOf({{"manifest.json", std::string(kManifestBytesMax + 1, ' '), '0', {}}})),
      Errc::kLimit, "manifest.json is longer");
}

TEST(PayloadTest, ABombStopsAtTheSizesThatTheManifestDeclares) {
  // A gigabyte of zeros in a few hundred bytes, declared as three: never written.
  auto members = test::membersOf(kFiles);
  members[2].content = std::string(32 << 20, '\0');
  test::CollectingSink sink;
  const auto manifest = unpack(zstdOf(tarOf(members)), &sink);
  ASSERT_TRUE(manifest.has_error());
  EXPECT_THAT(manifest.error().text, HasSubstr("its manifest says 3"));
  EXPECT_EQ(sink.members.size(), 1u);
}

TEST(PayloadTest, ABombBehindTheArchiveIsRefused) {
  const std::string archive = tarOf(test::membersOf(kFiles));
  expectRefused(zstdOf(archive + std::string(1 << 20, '\0')), Errc::kCorrupt,
                "more than 64 KiB of zeros");
  EXPECT_TRUE(unpack(zstdOf(archive + std::string(10'240, '\0'))).has_value());
}

TEST(PayloadTest, AManifestThatDeclaresABombIsRefused) {
  const std::string text =
      R"({"schema":"kante.module/1","id":"a.b","version":"1.0.0","counter":1,"abi":"1.0",)"
      R"("kind":"host","files":{"data/a":{"size":2000000000,"sha256":")" +
      std::string(64, '0') + R"("},"data/b":{"size":2000000000,"sha256":")" + std::string(64, '0') +
      R"("}}})";
  expectRefused(zstdOf(tarOf({{"manifest.json", text, '0', {}}})), Errc::kInvalid,
                "unpacks to more than");
}

TEST(PayloadTest, AWindowAbove8MiBIsRefused) {
  const std::string archive = tarOf(test::membersOf(kFiles));
  EXPECT_TRUE(unpack(zstdOf(archive, 23)).has_value());
  expectRefused(zstdOf(archive, 24), Errc::kLimit, "window above 8 MiB");
}

TEST(PayloadTest, NothingMayFollow) {
  const std::string archive = tarOf(test::membersOf(kFiles));
  const std::string payload = zstdOf(archive);
  expectRefused(payload + "x", Errc::kCorrupt, "bytes after its zstd frame");
  expectRefused(payload + payload, Errc::kCorrupt, "bytes after its zstd frame");
  expectRefused(zstdOf(archive + "x"), Errc::kCorrupt, "bytes after the end of its archive");
  expectRefused(zstdOf(archive + archive), Errc::kCorrupt, "bytes after the end of its archive");
}

TEST(PayloadTest, WhatIsNoZstdFrameIsRefused) {
  expectRefused("hello, this is no archive", Errc::kCorrupt, "does not begin with a zstd frame");
  const std::string skippable("\x50\x2a\x4d\x18\x00\x00\x00\x00", 8);
  expectRefused(skippable + zstdOf(tarOf(test::membersOf(kFiles))), Errc::kCorrupt,
                "does not begin");
}

TEST(PayloadTest, EveryTruncationIsRefused) {
  const std::string payload = zstdOf(tarOf(test::membersOf(kFiles)));
  for (std::size_t length = 0; length < payload.size(); ++length) {
    EXPECT_TRUE(unpack(payload.substr(0, length)).has_error()) << length;
  }
  const std::string archive = tarOf(test::membersOf(kFiles));
  for (std::size_t length = 0; length < archive.size(); length += 64) {
    EXPECT_TRUE(unpack(zstdOf(archive.substr(0, length))).has_error()) << length;
  }
}

TEST(PayloadTest, BytesThatChangedSinceTheSignatureAreNoticed) {
  const std::string payload = zstdOf(tarOf(test::membersOf(kFiles)));
  const FileDescriptor file = test::fileOf(payload);
  test::CollectingSink sink;
  const auto manifest =
      unpackPayload({file.get(), 0, payload.size()}, sha256("something else"), sink);
  ASSERT_TRUE(manifest.has_error());
  EXPECT_THAT(manifest.error().text, HasSubstr("changed between its check and its use"));
}

TEST(PayloadTest, HiddenBytesBesideMembersAreRefused) {
  std::string archive = tarOf(test::membersOf(kFiles));
  archive[archive.size() - 1024 - 1] = 'x';  // In the padding of the last member.
  expectRefused(zstdOf(archive), Errc::kCorrupt, "hidden bytes after a member");
}

std::string paxRecord(const std::string& text) {
  std::size_t length = text.size() + 3;
  length = text.size() + 2 + std::to_string(length).size();
  return std::to_string(length) + " " + text + "\n";
}

TEST(PayloadTest, APaxHeaderMaySayANameAndTimesOnly) {
  const auto with = [](const std::string& records, const std::string& name) {
    auto members = test::membersOf(kFiles);
    members.insert(members.end() - 1, {"PaxHeaders/x", records, 'x', {}});
    members.back().name = name;
    return zstdOf(tarOf(members));
  };
  EXPECT_TRUE(
      unpack(with(paxRecord("path=data/a.txt") + paxRecord("mtime=1.5"), "short")).has_value());
  expectRefused(with(paxRecord("path=../a"), "data/a.txt"), Errc::kDenied, "leaves the bundle");
  expectRefused(with(paxRecord("size=3"), "data/a.txt"), Errc::kDenied, "pax record \"size\"");
  expectRefused(with(paxRecord("GNU.sparse.major=1"), "data/a.txt"), Errc::kDenied,
                "which bundles do not allow");
  expectRefused(with("99 path=x\n", "data/a.txt"), Errc::kCorrupt, "malformed pax header");
  expectRefused(with("x", "data/a.txt"), Errc::kCorrupt, "malformed pax header");
  expectRefused(with(std::string(70'000, 'x'), "data/a.txt"), Errc::kLimit,
                "pax header above 64 KiB");
}

TEST(TarTest, LongNamesAreSplitAtASlash) {
  const std::string name = "data/" + std::string(90, 'a') + "/" + std::string(90, 'b');
  const auto header = makeTarHeader(name, 1);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(parseTarHeader(*header)->name, name);
  EXPECT_TRUE(makeTarHeader("data/" + std::string(120, 'a'), 1).has_error());
}

TEST(TarTest, ADamagedHeaderIsRefused) {
  auto header = makeTarHeader("data/a", 3).value();
  for (std::size_t at = 0; at < header.size(); ++at) {
    auto damaged = header;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_TRUE(parseTarHeader(damaged).has_error()) << at;
  }
}

}  // namespace
}  // namespace kante
