#include "host/bundle/delta.h"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "host/base/encoding.h"
#include "host/bundle/bundle_store.h"
#include "host/bundle/delta_make.h"
#include "host/bundle/little_endian.h"
#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using test::Member;
using ::testing::HasSubstr;

std::string noise(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string bytes(count, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string contentOf(int fd) {
  std::string bytes(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

class DeltaTest : public ::testing::Test {
 protected:
  // A module with this data, as a file.
  std::string bundle(const std::string& name, const std::string& data,
                     const std::string& id = "com.example.test",
                     PayloadCoding coding = PayloadCoding::kZstd) {
    const std::vector<Member> files{{test::libraryName(), test::sampleElf("good"), '0', {}},
                                    {"data/blob", data, '0', {}}};
    return put(name, test::packedOf(test::tarOf(test::membersOf(files, {}, id)), coding));
  }
  std::string put(const std::string& name, const std::string& payload) {
    const std::string bytes = test::frameOf(payload, test::makeCms(payload, signer_));
    bytes_[name] = bytes;
    return dir_.write(name, bytes);
  }
  Result<MadeDelta> make(const std::string& from, const std::string& to,
                         std::optional<Machine> machine = {}) {
    delta_ = FileDescriptor(::memfd_create("delta", MFD_CLOEXEC));
    return makeDelta({from, to, dir_.path(), machine}, delta_.get());
  }
  // From one to two, which differ in one byte of many.
  DeltaHead simple() {
    std::string data = noise(100'000);
    const std::string one = bundle("one.kmod", data);
    data[50'000] = '!';
    const auto made = make(one, bundle("two.kmod", data));
    EXPECT_TRUE(made) << made.error().text;
    admit("one.kmod");
    return made->head;
  }
  void admit(const std::string& name) {
    const auto admitted =
        store_.admit(test::fileOf(bytes_.at(name)).get(), test::policyFor(trust_));
    ASSERT_TRUE(admitted) << admitted.error().text;
    digest_ = admitted->digest;
  }
  Result<std::string> apply(const std::string& delta) { return apply(delta, base()); }
  static Result<std::string> apply(const std::string& delta, const BaseForm& base) {
    const FileDescriptor out(::memfd_create("made", MFD_CLOEXEC));
    KANTE_CHECK(applyDelta(test::fileOf(delta).get(), base, out.get(), [] { return true; }));
    return contentOf(out.get());
  }
  BaseForm base() const { return store_.base(digest_).value(); }
  std::string delta() const { return contentOf(delta_.get()); }
  // With another head, whose sum is right.
  std::string with(DeltaHead head) const {
    return makeDeltaHead(head) + delta().substr(kDeltaHeadBytes);
  }
  void expectRefused(const std::string& delta, Errc code, const std::string& because) {
    const auto made = apply(delta);
    ASSERT_FALSE(made) << because;
    EXPECT_EQ(made.error().code, code) << made.error().text;
    EXPECT_THAT(made.error().text, HasSubstr(because));
  }

  const test::TempDir dir_;
  const test::Identity ca_ = test::makeCa("CA");
  const test::Identity signer_ = test::makeSigner(ca_);
  const TrustStore trust_ = test::trustIn(ca_);
  BundleStore store_ = BundleStore::open(dir_.fd()).value();
  std::map<std::string, std::string> bytes_;
  FileDescriptor delta_;
  std::string digest_;
};

TEST_F(DeltaTest, MakesTheVeryBundleOfWhatTheStoreHas) {
  const DeltaHead head = simple();
  EXPECT_EQ(head.base, digest_);
  EXPECT_EQ(head.bundle_bytes, bytes_.at("two.kmod").size());
  EXPECT_EQ(head.delta_bytes, delta().size());
  EXPECT_LT(head.delta_bytes, 3'000u);
  EXPECT_EQ(apply(delta()).value(), bytes_.at("two.kmod"));
  EXPECT_EQ(readDelta(delta_.get())->digest, head.digest);
}

TEST_F(DeltaTest, OnePercentOfALargeBundleCostsAboutOnePercent) {
  std::string data = noise(9'000'000);
  const std::string one = bundle("one.kmod", data, "com.example.test", PayloadCoding::kStored);
  data.insert(0, noise(30'000, 2));
  data.replace(5'000'000, 60'000, noise(60'000, 3));
  const auto made = make(one, bundle("two.kmod", data, "com.example.test", PayloadCoding::kStored));
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_LT(made->head.delta_bytes, 100'000u);
  EXPECT_EQ(made->head.segments, 5u);
  EXPECT_EQ(made->head.zstd_version, 0u);
  admit("one.kmod");
  EXPECT_EQ(apply(delta()).value(), bytes_.at("two.kmod"));
}

TEST_F(DeltaTest, TheBaseMayBePackedInAnyWay) {
  const std::string data = noise(50'000);
  const std::string one = bundle("one.kmod", data, "com.example.test", PayloadCoding::kStored);
  ASSERT_TRUE(make(one, bundle("two.kmod", data + "more")));
  admit("one.kmod");
  EXPECT_EQ(apply(delta()).value(), bytes_.at("two.kmod"));
}

TEST_F(DeltaTest, FilesOfOtherMachinesTravelWhole) {
  const std::string other = hostMachine() == Machine::kArm64 ? "amd64" : "arm64";
  const auto both = [&](const std::string& name, const std::string& text) {
    const std::vector<Member> files{{test::libraryName(), test::sampleElf("good"), '0', {}},
                                    {"data/bin/" + other + "/kante", noise(40'000), '0', {}},
                                    {"data/text", text, '0', {}}};
    return put(name, test::packedOf(test::tarOf(test::membersOf(files))));
  };
  const auto made = make(both("one.kmod", "one"), both("two.kmod", "two"));
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_EQ(made->without_base_bytes, 0u) << "of a module all data is kept";
  const auto elsewhere =
      make(dir_.path() + "/one.kmod", dir_.path() + "/two.kmod", machineNamed(other));
  ASSERT_TRUE(elsewhere) << elsewhere.error().text;
  EXPECT_EQ(elsewhere->without_base_bytes, test::sampleElf("good").size());
  admit("one.kmod");
  expectRefused(delta(), Errc::kUnsupported, "delta is for " + other);
}

TEST_F(DeltaTest, LeadsFromOneVersionToAnother) {
  const std::string one = bundle("one.kmod", "one");
  EXPECT_THAT(make(one, one).error().text, HasSubstr("both are the same bundle"));
  EXPECT_THAT(make(one, bundle("b.kmod", "b", "com.example.b")).error().text,
              HasSubstr("of com.example.test and of com.example.b"));
  EXPECT_THAT(make(one, dir_.path() + "/nothing").error().text, HasSubstr("nothing: No such file"));
}

TEST_F(DeltaTest, WhatCannotBePackedAgainIsNotPromised) {
  const std::string one = bundle("one.kmod", "one");
  const std::vector<Member> files{{test::libraryName(), test::sampleElf("good"), '0', {}}};
  const std::string two = put("two.kmod", test::zstdOf(test::tarOf(test::membersOf(files)), 18));
  const auto made = make(one, two);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kUnsupported);
  EXPECT_THAT(made.error().text, HasSubstr("two.kmod: its payload cannot be made again"));
}

TEST_F(DeltaTest, NoDamagedByteMakesAnotherBundle) {
  simple();
  const BaseForm good = base();
  const std::string whole = delta();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const auto made = apply(damaged, good);
    // The signature is judged by admission; it is no part of what the digest names.
    if (made) {
      EXPECT_EQ(made->size(), bytes_.at("two.kmod").size());
      EXPECT_TRUE(payloadDigest(test::fileOf(*made).get()).value() ==
                  readDelta(delta_.get())->digest);
    }
  }
  expectRefused(whole.substr(0, whole.size() - 1), Errc::kCorrupt, "bytes");
  expectRefused(whole + "x", Errc::kCorrupt, "bytes");
  expectRefused(whole.substr(0, 40), Errc::kCorrupt, "shorter than its head");
  expectRefused("KANTEKM1" + whole.substr(8), Errc::kCorrupt, "does not begin with KANTEKD1");
}

TEST_F(DeltaTest, SizesAboveTheirBoundsAreRefusedByTheHead) {
  const DeltaHead good = simple();
  const auto expect = [&](auto change, Errc code, const std::string& because) {
    DeltaHead head = good;
    change(head);
    expectRefused(with(head), code, because);
  };
  expect([](DeltaHead& h) { h.segments = 0; }, Errc::kLimit, "no part");
  expect([](DeltaHead& h) { h.segments = 1u << 30; }, Errc::kLimit, "more than");
  expect([](DeltaHead& h) { h.archive_bytes = std::uint64_t{1} << 40; }, Errc::kLimit, "archive");
  expect([](DeltaHead& h) { h.bundle_bytes = std::uint64_t{2} << 30; }, Errc::kLimit,
         "longer than a bundle can be");
  expect([](DeltaHead& h) { h.start_bytes = 1u << 20; }, Errc::kLimit, "signature");
  expect([](DeltaHead& h) { h.delta_bytes = std::uint64_t{2} << 30; }, Errc::kLimit, "longer");
  expect([](DeltaHead& h) { h.delta_bytes += 1; }, Errc::kCorrupt, "bytes");
  expect([](DeltaHead& h) { h.bundle_bytes -= 1; }, Errc::kCorrupt, "another size");
  expect([](DeltaHead& h) { h.archive_bytes -= 1; }, Errc::kState, "longer than was announced");
  expect([](DeltaHead& h) { h.segments += 1; }, Errc::kCorrupt, "ends within its parts");
}

TEST_F(DeltaTest, SizesOfAPartAreRefusedBeforeTheyAreTaken) {
  const DeltaHead head = simple();
  const std::size_t at = kDeltaHeadBytes + head.start_bytes;
  const auto changed = [&](std::size_t where, std::uint64_t value, std::size_t count) {
    std::string bytes, whole = delta();
    appendLittle(bytes, value, count);
    return whole.replace(at + where, count, bytes);
  };
  expectRefused(changed(0, std::uint64_t{1} << 50, 8), Errc::kCorrupt, "the base has");
  expectRefused(changed(8, UINT32_MAX, 4), Errc::kLimit, "above its bounds");
  expectRefused(changed(12, UINT32_MAX, 4), Errc::kLimit, "above its bounds");
  expectRefused(changed(12, 0, 4), Errc::kLimit, "above its bounds");
  expectRefused(changed(16, UINT32_MAX, 4), Errc::kLimit, "above its bounds");
  expectRefused(changed(20, 2, 4), Errc::kUnsupported, "of a kind");
  expectRefused(changed(16, head.delta_bytes, 4), Errc::kCorrupt, "ends within its parts");
}

TEST_F(DeltaTest, AnotherBaseMachineOrLibzstdIsNamed) {
  const DeltaHead good = simple();
  DeltaHead head = good;
  head.zstd_version = 10'000;
  expectRefused(with(head), Errc::kUnsupported, "delta is for libzstd 10000");
  head = good;
  head.machine = hostMachine() == Machine::kArmhf ? Machine::kAmd64 : Machine::kArmhf;
  expectRefused(with(head), Errc::kUnsupported, "delta is for ");
  head = good;
  head.base = good.digest;
  expectRefused(with(head), Errc::kCorrupt, "is made against another bundle");
  head = good;
  head.base_bytes += 1;
  expectRefused(with(head), Errc::kCorrupt, "the bundle here has");
  EXPECT_THAT(checkDelta(good, base(), good.base).error().text, HasSubstr("makes another bundle"));
}

TEST_F(DeltaTest, ABaseThatIsDamagedOnDiskMakesNothing) {
  simple();
  const std::string blob = dir_.path() + "/bundles/sha256-" + digest_.substr(7) + "/data/blob";
  std::string bytes = readFile(blob, 1 << 20).value();
  bytes[20'000] = static_cast<char>(bytes[20'000] ^ 1);
  dir_.write(blob.substr(dir_.path().size() + 1), bytes);
  const auto damaged = apply(delta());
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Errc::kCorrupt);
  ASSERT_EQ(::truncate(blob.c_str(), 1'000), 0);
  expectRefused(delta(), Errc::kCorrupt, "data/blob of the base became shorter");
}

TEST_F(DeltaTest, CanBeGivenUp) {
  simple();
  const FileDescriptor out(::memfd_create("made", MFD_CLOEXEC));
  const Status made = applyDelta(delta_.get(), base(), out.get(), [] { return false; });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kCancelled);
}

TEST_F(DeltaTest, TheStoreAdmitsWhatADeltaMakes) {
  const DeltaHead head = simple();
  const auto admitted = store_.admit(delta_.get(), test::policyFor(trust_));
  ASSERT_TRUE(admitted) << admitted.error().text;
  EXPECT_EQ(admitted->digest, head.digest);
  EXPECT_TRUE(store_.find(head.digest));
  ASSERT_TRUE(store_.remove(head.base));
  const auto without = store_.admit(delta_.get(), test::policyFor(trust_));
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, Errc::kNotFound);
  EXPECT_THAT(without.error().text, HasSubstr(head.base));
}

TEST_F(DeltaTest, TheStoreJudgesWhatADeltaMakesAsAnyOther) {
  simple();
  const TrustStore others = test::trustIn(test::makeCa("others"));
  const auto admitted = store_.admit(delta_.get(), test::policyFor(others));
  ASSERT_FALSE(admitted);
  EXPECT_EQ(admitted.error().code, Errc::kUntrusted);
}

}  // namespace
}  // namespace kante
