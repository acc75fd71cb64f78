#include "host/bundle/bundle_store.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/bundle/distrust.h"
#include "host/bundle/elf_lint.h"
#include "host/bundle/tree.h"
#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using test::Identity;
using test::Member;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BundleStoreTest : public ::testing::Test {
 protected:
  std::string bundle(std::uint64_t counter = 7, const std::string& more = {},
                     const std::string& id = "com.example.test") const {
    return signedBy(signer_, test::goodPayload(id, counter, more));
  }
  static std::string signedBy(const Identity& signer, const std::string& payload) {
    return test::frameOf(payload, test::makeCms(payload, signer));
  }
  BundleStore open() const { return BundleStore::open(dir_.fd()).value(); }
  Result<AdmittedBundle> admit(BundleStore& store, const std::string& bytes) const {
    return admit(store, bytes, test::policyFor(trust_));
  }
  static Result<AdmittedBundle> admit(BundleStore& store, const std::string& bytes,
                                      const AdmissionPolicy& policy) {
    const FileDescriptor file = test::fileOf(bytes);
    return store.admit(file.get(), policy);
  }
  void expectRefused(const std::string& bytes, Errc code, const std::string& because) {
    BundleStore store = open();
    const auto admitted = admit(store, bytes);
    ASSERT_TRUE(admitted.has_error()) << because;
    EXPECT_EQ(admitted.error().code, code) << admitted.error().text;
    EXPECT_THAT(admitted.error().text, HasSubstr(because));
    EXPECT_THAT(store.list(), IsEmpty());
    EXPECT_THAT(leftovers(), IsEmpty());
  }
  std::vector<std::string> leftovers() const {
    std::vector<std::string> found;
    const auto folder = openDirectory(dir_.path() + "/bundles").value();
    for (const std::string& name : namesIn(folder.get()).value()) {
      if (!name.starts_with("sha256-") && name != "ids.json") found.push_back(name);
    }
    return found;
  }
  std::string placeOf(const std::string& digest) const {
    return dir_.path() + "/bundles/sha256-" + digest.substr(7);
  }

  const test::TempDir dir_;
  const Identity ca_ = test::makeCa("ca");
  const Identity signer_ = test::makeSigner(ca_);
  const TrustStore trust_ = test::trustIn(ca_);
};

TEST_F(BundleStoreTest, AnAdmittedBundleIsFoundListedAndLoaded) {
  BundleStore store = open();
  const auto admitted = admit(store, bundle());
  ASSERT_TRUE(admitted.has_value()) << admitted.error().text;
  const std::string payload = test::goodPayload();
  EXPECT_EQ(admitted->digest, "sha256:" + toHex(sha256(payload)));
  EXPECT_EQ(admitted->payload_bytes, payload.size());
  EXPECT_EQ(admitted->signer.ca_subject, "CN=ca");
  EXPECT_EQ(admitted->admitted_s, test::kNow_s);
  EXPECT_THAT(store.list(), ElementsAre(admitted->digest));

  const auto found = store.find(admitted->digest);
  ASSERT_TRUE(found.has_value()) << found.error().text;
  EXPECT_EQ(found->manifest.id, "com.example.test");
  EXPECT_EQ(found->signer.fingerprint, admitted->signer.fingerprint);
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(BundleStoreTest, LoadedBytesAreSealedAndLoadable) {
  BundleStore store = open();
  const std::string digest = admit(store, bundle())->digest;
  const auto bytes = store.load(digest);
  ASSERT_TRUE(bytes.has_value()) << bytes.error().text;
  const int fd = bytes->sealed.get();
  EXPECT_EQ(::fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(fd, 0), -1);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(readFile("/proc/self/fd/" + std::to_string(fd), 1 << 20).value(),
            test::sampleElf("good"));
  EXPECT_EQ(readFile(bytes->data.get(), "hello.txt", 100).value(), "hello\n");
  EXPECT_EQ(bytes->manifest.id, "com.example.test");

  void* library = ::dlopen(("/proc/self/fd/" + std::to_string(fd)).c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << ::dlerror();
  EXPECT_NE(::dlsym(library, kModuleSymbol), nullptr);
  ::dlclose(library);
}

// Judged from memory: three thousand admissions would spend their time on the disk.
TEST_F(BundleStoreTest, EveryFlippedByteIsRefused) {
  const std::string good = bundle();
  const auto verify = [&](const std::string& bytes) {
    const FileDescriptor file = test::fileOf(bytes);
    test::CollectingSink sink;
    return verifyBundle(file.get(), test::policyFor(trust_), sink);
  };
  ASSERT_TRUE(verify(good).has_value());
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    EXPECT_TRUE(verify(bad).has_error()) << at;
  }
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_TRUE(verify(good.substr(0, length)).has_error()) << length;
  }
}

TEST_F(BundleStoreTest, ADamagedBundleLeavesNothingBehind) {
  std::string bad = bundle();
  bad[bad.size() - 20] = static_cast<char>(bad[bad.size() - 20] ^ 1);
  expectRefused(bad, Errc::kCorrupt, "does not cover this payload");
  expectRefused(bundle() + "x", Errc::kCorrupt, "after its payload");
  expectRefused(bundle().substr(0, 1000), Errc::kCorrupt, "truncated");
}

TEST_F(BundleStoreTest, ASwappedSignatureIsRefused) {
  const std::string other = test::goodPayload("com.example.other");
  const std::string payload = test::goodPayload();
  expectRefused(test::frameOf(payload, test::makeCms(other, signer_)), Errc::kCorrupt,
                "does not cover this payload");
}

TEST_F(BundleStoreTest, SignersAreJudgedBeforeThePayloadIsLookedAt) {
  const std::string garbage = "no archive at all";
  expectRefused(signedBy(test::makeIdentity({}), garbage), Errc::kUntrusted, "not trusted");
  expectRefused(signedBy(signer_, garbage), Errc::kCorrupt, "does not begin with a zstd frame");
}

TEST_F(BundleStoreTest, ExpiredRevokedAndWrongUsageAreRefused) {
  test::CertificateOptions options;
  options.issuer = &ca_;
  options.not_after_s = test::kNow_s - 1;
  expectRefused(signedBy(test::makeIdentity(options), test::goodPayload()), Errc::kExpired,
                "expired");
  options.not_after_s = test::kNow_s + 100;
  options.not_before_s = test::kNow_s + 50;
  expectRefused(signedBy(test::makeIdentity(options), test::goodPayload()), Errc::kUntrusted,
                "not yet valid");
  options.not_before_s = test::kNow_s - 50;
  options.usage = "1.3.6.1.5.5.7.3.36";
  expectRefused(signedBy(test::makeIdentity(options), test::goodPayload()), Errc::kDenied,
                "not made for signing bundles");

  BundleStore store = open();
  const TrustStore trust = test::trustIn(ca_, test::makeRevocations(ca_, {&signer_}));
  const auto revoked = admit(store, bundle(), test::policyFor(trust));
  ASSERT_TRUE(revoked.has_error());
  EXPECT_EQ(revoked.error().code, Errc::kRevoked);
}

TEST_F(BundleStoreTest, ALibraryThatBreaksARuleIsRefusedAtAdmission) {
  const std::vector<Member> files{
      {test::libraryName(), test::sampleElf("executable_stack"), '0', {}}};
  expectRefused(signedBy(signer_, test::zstdOf(test::tarOf(test::membersOf(files)))), Errc::kDenied,
                test::libraryName() + ": wants an executable stack");
}

TEST_F(BundleStoreTest, ABundleForOtherMachinesIsRefused) {
  BundleStore store = open();
  AdmissionPolicy policy = test::policyFor(trust_);
  policy.machine = hostMachine() == Machine::kRiscv64 ? Machine::kAmd64 : Machine::kRiscv64;
  const auto admitted = admit(store, bundle(), policy);
  ASSERT_TRUE(admitted.has_error());
  EXPECT_EQ(admitted.error().code, Errc::kUnsupported);
  EXPECT_THAT(admitted.error().text, HasSubstr("has no library for"));
}

TEST_F(BundleStoreTest, DeclaredLibrariesAreForASandboxOnly) {
  const std::vector<Member> files{{test::libraryName(), test::sampleElf("other_library"), '0', {}}};
  const auto payload = [&](const std::string& more) {
    return test::zstdOf(test::tarOf(test::membersOf(files, more)));
  };
  expectRefused(signedBy(signer_, payload("")), Errc::kDenied, "needs the library libgood.so");
  const std::string declared = signedBy(signer_, payload(R"("libraries":["libgood.so"])"));
  BundleStore store = open();
  AdmissionPolicy strict = test::policyFor(trust_);
  strict.libraries = AdmissionPolicy::Libraries::kRefused;
  EXPECT_TRUE(admit(store, declared, strict).has_error());
  const auto admitted = admit(store, declared);
  ASSERT_TRUE(admitted.has_value()) << admitted.error().text;
  EXPECT_THAT(store.load(admitted->digest).error().text, HasSubstr("needs the library libgood.so"));
  EXPECT_TRUE(store.load(admitted->digest, LoadFor::kSandbox).has_value());
}

TEST_F(BundleStoreTest, OnlyACommittedCounterIsAFloor) {
  BundleStore store = open();
  const std::string newer = admit(store, bundle(9))->digest;
  const std::string older = admit(store, bundle(8))->digest;  // Staged is not committed.
  ASSERT_TRUE(store.commitCounter(newer).has_value());
  EXPECT_EQ(store.counterFloor("com.example.test"), 9u);

  const auto downgrade = admit(store, bundle(8));
  ASSERT_TRUE(downgrade.has_error());
  EXPECT_EQ(downgrade.error().code, Errc::kDowngrade);
  EXPECT_THAT(downgrade.error().text, HasSubstr("counter 8, at least 9"));
  EXPECT_TRUE(store.load(older).has_value());  // For a rollback: what was admitted may come back.
  EXPECT_TRUE(store.commitCounter(older).has_value());
  EXPECT_EQ(store.counterFloor("com.example.test"), 9u);  // Floors never sink.

  BundleStore again = open();
  EXPECT_EQ(admit(again, bundle(8)).error().code, Errc::kDowngrade);
  EXPECT_TRUE(admit(again, bundle(1, {}, "com.example.other")).has_value());
}

TEST_F(BundleStoreTest, RevokedCountersNeverRunAgain) {
  BundleStore store = open();
  const std::string flawed = admit(store, bundle(8))->digest;
  const std::string fixed = admit(store, bundle(9, R"("revokes":9)"))->digest;
  EXPECT_TRUE(store.load(flawed).has_value());
  ASSERT_TRUE(store.commitCounter(fixed).has_value());
  const auto refused = store.load(flawed);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, Errc::kRevoked);
  EXPECT_TRUE(store.load(fixed).has_value());
}

TEST_F(BundleStoreTest, AModuleIdBelongsToTheCaThatBroughtItFirst) {
  const Identity other_ca = test::makeCa("other");
  const Identity stranger = test::makeSigner(other_ca);
  const TrustStore both =
      TrustStore::fromPem(ca_.certificatePem() + other_ca.certificatePem()).value();
  BundleStore store = open();
  AdmissionPolicy policy = test::policyFor(both);
  ASSERT_TRUE(admit(store, bundle(), policy).has_value());
  const std::string taken = signedBy(stranger, test::goodPayload("com.example.test", 8));
  const auto refused = admit(store, taken, policy);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, Errc::kDenied);
  EXPECT_THAT(refused.error().text, HasSubstr("belongs to the CA"));
  EXPECT_TRUE(
      admit(store,
            signedBy(test::makeSigner(ca_, "colleague"), test::goodPayload("com.example.test", 8)),
            policy)
          .has_value());

  policy.rebind = AdmissionPolicy::Rebind::kYes;
  EXPECT_TRUE(admit(store, taken, policy).has_value());
  policy.rebind = AdmissionPolicy::Rebind::kNo;
  EXPECT_TRUE(admit(store, bundle(), policy).has_error());
}

TEST_F(BundleStoreTest, TheSameBundleAgainReplacesItsRecord) {
  BundleStore store = open();
  const std::string payload = test::goodPayload();
  ASSERT_TRUE(admit(store, signedBy(signer_, payload)).has_value());
  const Identity successor = test::makeSigner(ca_, "successor");
  ASSERT_TRUE(admit(store, signedBy(successor, payload)).has_value());
  ASSERT_EQ(store.list().size(), 1u);
  EXPECT_EQ(store.find(store.list()[0])->signer.subject, "CN=successor");
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(BundleStoreTest, ASignerRevokedLaterIsReported) {
  BundleStore store = open();
  const std::string digest = admit(store, bundle())->digest;
  const JudgementTime now{test::kNow_s, JudgementTime::Clock::kTrusted};
  EXPECT_TRUE(store.judgeAgain(digest, trust_, now).has_value());
  const TrustStore later = test::trustIn(ca_, test::makeRevocations(ca_, {&signer_}));
  EXPECT_EQ(store.judgeAgain(digest, later, now).error().code, Errc::kRevoked);
  EXPECT_TRUE(store.load(digest).has_value());  // Whether it stops is the agent's to say.
}

TEST_F(BundleStoreTest, DistrustIsForTheRevokedAndTheStrangerAndNotForTheExpired) {
  BundleStore store = open();
  const std::string digest = admit(store, bundle())->digest;
  JudgementTime now{test::kNow_s, JudgementTime::Clock::kTrusted};
  const auto why = [&](const TrustStore& trust) {
    return Distrust(store, trust, [&] { return now; }).why(digest);
  };
  EXPECT_EQ(why(trust_), "");
  EXPECT_THAT(why(test::trustIn(ca_, test::makeRevocations(ca_, {&signer_}))),
              HasSubstr("was revoked"));
  EXPECT_THAT(why(test::trustIn(test::makeCa("another"))), HasSubstr("not trusted"));
  now.at_s += 3650 * test::kDay_s;
  EXPECT_EQ(store.judgeAgain(digest, trust_, now).error().code, Errc::kExpired);
  EXPECT_EQ(why(trust_), "");
  EXPECT_TRUE(store.load(digest).has_value());
}

// A gateway that is deployed to for years sees more bundles than it should remember.
TEST_F(BundleStoreTest, JudgementsOfBundlesThatAreGoneAreForgotten) {
  BundleStore store = open();
  const std::string digest = admit(store, bundle())->digest;
  const JudgementTime now{test::kNow_s, JudgementTime::Clock::kTrusted};
  const TrustStore strangers = test::trustIn(test::makeCa("another"));
  Distrust distrust(store, strangers, [&] { return now; });
  for (std::size_t i = 0; i < 2 * Distrust::kJudgedMax; ++i)
    EXPECT_EQ(distrust.why("sha256:" + std::to_string(i)), "");
  EXPECT_LE(distrust.judged(), Distrust::kJudgedMax);
  EXPECT_THAT(distrust.why(digest), HasSubstr("not trusted"));
}

TEST_F(BundleStoreTest, ChangedBytesInTheStoreAreNotLoaded) {
  BundleStore store = open();
  const std::string digest = admit(store, bundle())->digest;
  const std::string library = placeOf(digest) + "/" + test::libraryName();
  std::string bytes = test::sampleElf("good");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const auto overwrite = [&](const std::string& path, const std::string& content) {
    const auto file = openAt(AT_FDCWD, path, O_WRONLY | O_TRUNC).value();
    ASSERT_TRUE(writeAll(file.get(), content).has_value());
  };
  overwrite(library, bytes);
  EXPECT_THAT(store.load(digest).error().text, HasSubstr("differs from what was admitted"));
  overwrite(library, bytes + "x");
  EXPECT_THAT(store.load(digest).error().text, HasSubstr("another size"));
  overwrite(placeOf(digest) + "/manifest.json",
            test::manifestFor({{test::libraryName(), bytes + "x", '0', {}}}));
  EXPECT_THAT(store.load(digest).error().text,
              HasSubstr("manifest.json in the bundle store is damaged"));
  overwrite(placeOf(digest) + "/.admission.json", "{}");
  EXPECT_THAT(store.load(digest).error().text,
              HasSubstr("admission record in the bundle store is damaged"));
}

TEST_F(BundleStoreTest, WhatACrashLeftBehindIsRemovedAtTheNextStart) {
  std::string digest;
  {
    BundleStore store = open();
    digest = admit(store, bundle())->digest;
  }
  dir_.write("bundles/.new-0123456789abcdef/lib/amd64/module.so", "half");
  dir_.write("bundles/ids.json.new-1-0", "half");
  BundleStore store = open();
  EXPECT_THAT(leftovers(), IsEmpty());
  EXPECT_THAT(store.list(), ElementsAre(digest));
  EXPECT_TRUE(store.load(digest).has_value());
}

TEST_F(BundleStoreTest, BundlesAreRemovedOneByOneOrAllButSome) {
  BundleStore store = open();
  const std::string one = admit(store, bundle(7))->digest;
  const std::string two = admit(store, bundle(8))->digest;
  const std::string three = admit(store, bundle(9))->digest;
  ASSERT_TRUE(store.remove(one).has_value());
  EXPECT_EQ(store.remove(one).error().code, Errc::kNotFound);
  EXPECT_EQ(store.removeAllBut({three}).value(), 1u);
  EXPECT_THAT(store.list(), ElementsAre(three));
  EXPECT_EQ(store.load(two).error().code, Errc::kNotFound);
}

TEST_F(BundleStoreTest, ADigestThatIsNoneNamesNoFolder) {
  BundleStore store = open();
  for (const std::string digest : {"", "sha256:..", "sha256:../../x", "../ids.json"}) {
    EXPECT_EQ(store.find(digest).error().code, Errc::kInvalid);
    EXPECT_TRUE(store.remove(digest).has_error());
  }
}

TEST_F(BundleStoreTest, DamagedIdsAreAnErrorNotAFreshStart) {
  { BundleStore store = open(); }
  dir_.write("bundles/ids.json", "{");
  EXPECT_EQ(BundleStore::open(dir_.fd()).error().code, Errc::kCorrupt);
}

TEST_F(BundleStoreTest, AnHeirTakesOverTheModuleIdsOfItsCa) {
  BundleStore store = open();
  const Identity ca = test::makeCa("next"), other_ca = test::makeCa("last");
  const Identity next = test::makeSigner(ca), last = test::makeSigner(other_ca);
  const TrustStore all =
      TrustStore::fromPem(ca_.certificatePem() + ca.certificatePem() + other_ca.certificatePem())
          .value();
  AdmissionPolicy policy = test::policyFor(all);
  const auto id = [](int counter) { return test::goodPayload("com.example.test", counter, ""); };
  const auto fingerprint = [](const Identity& of) { return fingerprintOf(of.certificate.get()); };
  ASSERT_TRUE(admit(store, signedBy(signer_, id(7)), policy));
  EXPECT_EQ(admit(store, signedBy(next, id(8)), policy).error().code, Errc::kDenied);
  const Heirs heirs = {{fingerprint(ca_), fingerprint(ca)},
                       {fingerprint(ca), fingerprint(other_ca)},
                       {fingerprint(other_ca), fingerprint(ca)}};
  policy.heirs = &heirs;
  ASSERT_TRUE(admit(store, signedBy(signer_, id(8)), policy)) << "until the heir brings something";
  ASSERT_TRUE(admit(store, signedBy(last, id(9)), policy)) << "also an heir's heir";
  EXPECT_EQ(admit(store, signedBy(signer_, id(10)), policy).error().code, Errc::kDenied);
  const Heirs none;
  policy.heirs = &none;
  ASSERT_TRUE(admit(store, signedBy(last, id(10)), policy));
  EXPECT_EQ(admit(store, signedBy(next, id(11)), policy).error().code, Errc::kDenied);
}

}  // namespace
}  // namespace kante
