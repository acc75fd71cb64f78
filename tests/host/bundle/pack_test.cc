#include "host/bundle/pack.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/bundle/frame.h"
#include "host/bundle/signing_key.h"
#include "host/bundle/staging.h"
#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

constexpr const char* kManifest =
    R"({"schema":"kante.module/1","id":"com.example.test","version":"1.0.0","abi":"1.0"})";

class PackTest : public ::testing::Test {
 protected:
  PackTest() {
    write("manifest.json", kManifest);
    write(test::libraryName(), test::sampleElf("good"));
  }
  void write(const std::string& name, std::string_view bytes) { dir_.write("in/" + name, bytes); }
  std::string path(const std::string& name) const { return dir_.path() + "/" + name; }
  Result<PackedBundle> pack(const std::string& out = "out.kmod") const {
    return packBundle(path("in"), path(out), key_.key_pem, key_.certificate_pem);
  }
  void expectRefused(const std::string& because) const {
    const auto packed = pack();
    ASSERT_TRUE(packed.has_error()) << because;
    EXPECT_THAT(packed.error().text, HasSubstr(because));
    EXPECT_NE(::access(path("out.kmod").c_str(), F_OK), 0);
  }
  static std::string payloadOf(const std::string& path) {
    const std::string bytes = readFile(path, 64 << 20).value();
    return bytes.substr(parseFrame(FrameKind::kBundle, bytes, bytes.size())->payload_offset);
  }

  const test::TempDir dir_;
  const SigningKey key_ =
      makeSigningKey(SignerUse::kBundles, "packer", SystemClock().wallNs() / 1'000'000'000).value();
};

TEST_F(PackTest, WhatIsPackedVerifiesWithTheCertificateAsItsTrust) {
  write("data/models/a.bin", "aaa");
  const auto packed = pack();
  ASSERT_TRUE(packed.has_value()) << packed.error().text;
  EXPECT_EQ(packed->digest, "sha256:" + toHex(sha256(payloadOf(path("out.kmod")))));

  const TrustStore trust = TrustStore::fromPem(key_.certificate_pem).value();
  AdmissionPolicy policy;
  policy.trust = &trust;
  policy.time = judgementTime(SystemClock(), 0);
  auto scratch = ScratchSink::open("/tmp").value();
  const auto file = openAt(AT_FDCWD, path("out.kmod"), O_RDONLY).value();
  const auto verified = verifyBundle(file.get(), policy, scratch);
  ASSERT_TRUE(verified.has_value()) << verified.error().text;
  EXPECT_EQ(verified->digest, packed->digest);
  EXPECT_EQ(verified->signer.subject, "CN=packer");
  EXPECT_EQ(verified->manifest.files.at("data/models/a.bin").bytes, 3u);
  EXPECT_EQ(packed->bytes, readFile(path("out.kmod"), 1 << 20)->size());
}

TEST_F(PackTest, TheSameFolderGivesTheSamePayload) {
  write("data/b", "b");
  write("data/a", "a");
  ASSERT_TRUE(pack("one.kmod").has_value());
  ASSERT_EQ(::utimensat(AT_FDCWD, path("in/data/a").c_str(), nullptr, 0), 0);
  ASSERT_EQ(::chmod(path("in/data/a").c_str(), 0600), 0);
  ASSERT_TRUE(pack("two.kmod").has_value());
  EXPECT_EQ(payloadOf(path("one.kmod")), payloadOf(path("two.kmod")));
}

TEST_F(PackTest, SeveralArchitecturesGoIntoOneBundle) {
  std::string foreign = test::sampleElf("good");
  const Machine other = hostMachine() == Machine::kArm64 ? Machine::kAmd64 : Machine::kArm64;
  foreign[18] = static_cast<char>(other == Machine::kArm64 ? 183 : 62);  // EM_AARCH64, EM_X86_64
  foreign[19] = 0;
  write(std::string("lib/") + name(other) + "/module.so", foreign);
  const auto packed = pack();
  ASSERT_TRUE(packed.has_value()) << packed.error().text;
  EXPECT_EQ(packed->manifest.lib.size(), 2u);
}

TEST_F(PackTest, ALibraryInTheWrongFolderIsRefused) {
  const Machine other = hostMachine() == Machine::kArm64 ? Machine::kAmd64 : Machine::kArm64;
  write(std::string("lib/") + name(other) + "/module.so", test::sampleElf("good"));
  expectRefused(std::string("/module.so: made for ") + name(hostMachine()) + ", not for " +
                name(other));
}

TEST_F(PackTest, ALibraryThatNobodyWouldLoadIsRefused) {
  write(test::libraryName(), test::sampleElf("text_relocations"));
  expectRefused("module.so: has text relocations");
}

TEST_F(PackTest, FilesThatDoNotBelongAreNamed) {
  write("notes.txt", "x");
  expectRefused("notes.txt: does not belong into a bundle");
}

TEST_F(PackTest, NamesThatNoBundleAllowsAreNamed) {
  write("data/with space", "x");
  expectRefused("data/with space: file names in a bundle");
}

TEST_F(PackTest, LinksAndPipesAreNamed) {
  write("data/a", "x");
  ASSERT_EQ(::symlink("a", path("in/data/link").c_str()), 0);
  expectRefused("data/link: not a regular file");
  ASSERT_EQ(::unlink(path("in/data/link").c_str()), 0);
  ASSERT_EQ(::mkfifo(path("in/data/pipe").c_str(), 0600), 0);
  expectRefused("data/pipe: not a regular file");
}

TEST_F(PackTest, AManifestIsNeededAndMustBeRight) {
  write("manifest.json",
        R"({"schema":"kante.module/1","id":"com.example.test","version":"1","abi":"1.0"})");
  expectRefused("/version: must be a semantic version");
  ASSERT_EQ(::unlink(path("in/manifest.json").c_str()), 0);
  expectRefused("manifest.json");
}

TEST_F(PackTest, AKeyForDocumentsSignsNoBundle) {
  const SigningKey deployer =
      makeSigningKey(SignerUse::kDocuments, "deployer", SystemClock().wallNs() / 1'000'000'000)
          .value();
  const auto packed =
      packBundle(path("in"), path("out.kmod"), deployer.key_pem, deployer.certificate_pem);
  EXPECT_THAT(packed.error().text, HasSubstr("is not made for signing bundles"));
}

TEST_F(PackTest, AnExistingBundleIsReplacedAsAWholeOrNotAtAll) {
  ASSERT_TRUE(pack().has_value());
  const std::string before = readFile(path("out.kmod"), 1 << 20).value();
  write("notes.txt", "x");
  EXPECT_TRUE(pack().has_error());
  EXPECT_EQ(readFile(path("out.kmod"), 1 << 20).value(), before);
}

TEST(SigningKeyTest, AKeyIsItsOwnTrustAnchorForItsUseAlone) {
  const std::int64_t now_s = test::kNow_s;
  const auto made = makeSigningKey(SignerUse::kDocuments, "deployer", now_s);
  ASSERT_TRUE(made.has_value()) << made.error().text;
  const TrustStore trust = TrustStore::fromPem(made->certificate_pem).value();
  const auto certificates = readCertificates(made->certificate_pem).value();
  const JudgementTime now{now_s, JudgementTime::Clock::kTrusted};
  EXPECT_TRUE(trust.judge(certificates[0].get(), {}, SignerUse::kDocuments, now).has_value());
  EXPECT_EQ(trust.judge(certificates[0].get(), {}, SignerUse::kBundles, now).error().code,
            Errc::kDenied);
}

}  // namespace
}  // namespace kante
