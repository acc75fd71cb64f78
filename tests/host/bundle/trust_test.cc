#include "host/bundle/trust.h"

#include <gmock/gmock.h>

#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using test::CertificateOptions;
using test::Identity;
using test::kDay_s;
using test::kNow_s;
using ::testing::HasSubstr;

constexpr JudgementTime kNow{kNow_s, JudgementTime::Clock::kTrusted};

Result<Signer> judge(const TrustStore& trust, const Identity& signer, JudgementTime time = kNow,
                     SignerUse use = SignerUse::kBundles, const std::vector<X509*>& others = {}) {
  return trust.judge(signer.certificate.get(), others, use, time);
}

void expectRefused(const Result<Signer>& signer, Errc code, const std::string& because) {
  ASSERT_TRUE(signer.has_error()) << because;
  EXPECT_EQ(signer.error().code, code) << signer.error().text;
  EXPECT_THAT(signer.error().text, HasSubstr(because));
}

TEST(TrustTest, ASignerOfATrustedCaIsNamedWithItsCa) {
  const Identity ca = test::makeCa("ca");
  const auto signer = judge(test::trustIn(ca), test::makeSigner(ca, "alice"));
  ASSERT_TRUE(signer.has_value()) << signer.error().text;
  EXPECT_EQ(signer->subject, "CN=alice");
  EXPECT_EQ(signer->ca_subject, "CN=ca");
  EXPECT_EQ(signer->ca_fingerprint, fingerprintOf(ca.certificate.get()));
  EXPECT_EQ(signer->not_before_s, kNow_s - 10 * kDay_s);
}

TEST(TrustTest, AnIntermediateMayComeWithTheSignature) {
  const Identity root = test::makeCa("root");
  const Identity middle = test::makeCa("middle", &root);
  const Identity signer = test::makeSigner(middle);
  const TrustStore trust = test::trustIn(root);
  EXPECT_TRUE(
      judge(trust, signer, kNow, SignerUse::kBundles, {middle.certificate.get()}).has_value());
  expectRefused(judge(trust, signer), Errc::kUntrusted,
                "no trusted certificate issued that of CN=signer");
}

TEST(TrustTest, ASelfSignedSignerAndAnIntermediateCanBeAnchors) {
  const Identity alone = test::makeIdentity({});
  EXPECT_EQ(judge(test::trustIn(alone), alone)->ca_fingerprint,
            fingerprintOf(alone.certificate.get()));
  const Identity root = test::makeCa("root");
  const Identity middle = test::makeCa("middle", &root);
  EXPECT_EQ(judge(test::trustIn(middle), test::makeSigner(middle))->ca_subject, "CN=middle");
}

TEST(TrustTest, AStrangersSignatureIsUntrusted) {
  const Identity ca = test::makeCa("ca");
  const Identity namesake = test::makeCa("ca");  // The same name, another key.
  expectRefused(judge(test::trustIn(ca), test::makeSigner(namesake)), Errc::kUntrusted,
                "not trusted");
  expectRefused(judge(test::trustIn(ca), test::makeIdentity({})), Errc::kUntrusted, "not trusted");
}

TEST(TrustTest, NobodyIsTrustedByDefault) {
  const auto trust = TrustStore::fromPem("");
  ASSERT_TRUE(trust.has_value());
  expectRefused(judge(*trust, test::makeIdentity({})), Errc::kUntrusted, "[trust]");
}

TEST(TrustTest, ACertificateIsGoodForItsTimeOnly) {
  const Identity ca = test::makeCa("ca");
  const Identity signer = test::makeSigner(ca);
  const TrustStore trust = test::trustIn(ca);
  const JudgementTime late{kNow_s + 101 * kDay_s, JudgementTime::Clock::kTrusted};
  const JudgementTime early{kNow_s - 11 * kDay_s, JudgementTime::Clock::kTrusted};
  expectRefused(judge(trust, signer, late), Errc::kExpired, "expired on");
  expectRefused(judge(trust, signer, early), Errc::kUntrusted, "is not yet valid");
}

TEST(TrustTest, AnUntrustedClockForgivesTheFutureButNotThePast) {
  const Identity ca = test::makeCa("ca");
  const Identity signer = test::makeSigner(ca);
  const TrustStore trust = test::trustIn(ca);
  const JudgementTime early{kNow_s - 11 * kDay_s, JudgementTime::Clock::kUntrusted};
  const JudgementTime late{kNow_s + 101 * kDay_s, JudgementTime::Clock::kUntrusted};
  EXPECT_TRUE(judge(trust, signer, early).has_value());
  expectRefused(judge(trust, signer, late), Errc::kExpired, "expired on");
}

TEST(TrustTest, AClockBehindTheFloorIsNotTrustedAndTheFloorIsTheTime) {
  ManualClock clock;
  const std::int64_t now_s = clock.wallNs() / 1'000'000'000;
  EXPECT_EQ(judgementTime(clock, now_s - 1).at_s, now_s);
  EXPECT_EQ(judgementTime(clock, now_s - 1).clock, JudgementTime::Clock::kTrusted);
  EXPECT_EQ(judgementTime(clock, now_s + 5).at_s, now_s + 5);
  EXPECT_EQ(judgementTime(clock, now_s + 5).clock, JudgementTime::Clock::kUntrusted);
  EXPECT_GT(buildTimeS(), 1'700'000'000);
}

TEST(TrustTest, ARevokedSignerIsRefusedEvenByAListOutOfDate) {
  const Identity ca = test::makeCa("ca");
  const Identity good = test::makeSigner(ca, "good");
  const Identity bad = test::makeSigner(ca, "bad");
  const TrustStore trust = test::trustIn(ca, test::makeRevocations(ca, {&bad}));
  EXPECT_TRUE(judge(trust, good).has_value());
  expectRefused(judge(trust, bad), Errc::kRevoked, "CN=bad was revoked");
}

TEST(TrustTest, ARevokedIntermediateTakesItsSignersWithIt) {
  const Identity root = test::makeCa("root");
  const Identity middle = test::makeCa("middle", &root);
  const TrustStore trust = test::trustIn(root, test::makeRevocations(root, {&middle}));
  expectRefused(
      judge(trust, test::makeSigner(middle), kNow, SignerUse::kBundles, {middle.certificate.get()}),
      Errc::kRevoked, "CN=middle was revoked");
}

TEST(TrustTest, AForgedRevocationListRevokesNobody) {
  const Identity ca = test::makeCa("ca");
  const Identity namesake = test::makeCa("ca");
  const Identity signer = test::makeSigner(ca);
  const auto judged = judge(test::trustIn(ca, test::makeRevocations(namesake, {&signer})), signer);
  // It is not obeyed; that it is there is an error all the same, since the true one may have been
  // replaced.
  expectRefused(judged, Errc::kUntrusted, "CRL");
}

TEST(TrustTest, AnotherUsageIsRefused) {
  const Identity ca = test::makeCa("ca");
  const TrustStore trust = test::trustIn(ca);
  CertificateOptions options;
  options.issuer = &ca;
  for (const char* usage : {"", "serverAuth", "1.3.6.1.5.5.7.3.36"}) {
    options.usage = usage;
    expectRefused(judge(trust, test::makeIdentity(options)), Errc::kDenied,
                  "lacks the extended key usage codeSigning");
  }
  options.usage = "codeSigning";
  options.key_usage = "critical,keyEncipherment";
  expectRefused(judge(trust, test::makeIdentity(options)), Errc::kDenied,
                "lacks the key usage digitalSignature");
}

TEST(TrustTest, DocumentsHaveTheirOwnUsage) {
  const Identity ca = test::makeCa("ca");
  const TrustStore trust = test::trustIn(ca);
  CertificateOptions options;
  options.issuer = &ca;
  options.usage = "critical,1.3.6.1.5.5.7.3.36";
  EXPECT_TRUE(judge(trust, test::makeIdentity(options), kNow, SignerUse::kDocuments).has_value());
  expectRefused(judge(trust, test::makeSigner(ca), kNow, SignerUse::kDocuments), Errc::kDenied,
                "documentSigning");
}

TEST(TrustTest, AnIssuerThatLimitsItsUsageMustIncludeSigning) {
  CertificateOptions options;
  options.common_name = "tls only";
  options.is_ca = true;
  options.usage = "serverAuth";
  options.key_usage = "critical,keyCertSign";
  const Identity ca = test::makeIdentity(options);
  expectRefused(judge(test::trustIn(ca), test::makeSigner(ca)), Errc::kDenied,
                "CN=tls only is not made for");
}

TEST(TrustTest, ASignerIsNoCa) {
  const Identity ca = test::makeCa("ca");
  const Identity signer = test::makeSigner(ca);
  const Identity below = test::makeSigner(signer, "below");
  expectRefused(
      judge(test::trustIn(ca), below, kNow, SignerUse::kBundles, {signer.certificate.get()}),
      Errc::kUntrusted, "not trusted");
}

TEST(TrustTest, ACertificateSignedOverSha1IsRefused) {
  const Identity ca = test::makeCa("ca");
  CertificateOptions options;
  options.issuer = &ca;
  options.digest = EVP_sha1();
  expectRefused(judge(test::trustIn(ca), test::makeIdentity(options)), Errc::kUntrusted,
                "CN=signer");
}

TEST(TrustTest, FilesWithoutWhatTheyShouldHoldAreNamed) {
  const test::TempDir dir;
  const Identity ca = test::makeCa("ca");
  const std::string certificate = dir.write("ca.pem", ca.certificatePem());
  const std::string key = dir.write("ca.key", ca.keyPem());
  EXPECT_TRUE(TrustStore::load({certificate}, {}).has_value());
  const auto no_certificate = TrustStore::load({key}, {});
  ASSERT_TRUE(no_certificate.has_error());
  EXPECT_THAT(no_certificate.error().text, HasSubstr("ca.key: no certificate"));
  EXPECT_THAT(TrustStore::load({certificate}, {certificate}).error().text,
              HasSubstr("no revocation list"));
  EXPECT_EQ(TrustStore::load({dir.path() + "/missing.pem"}, {}).error().code, Errc::kNotFound);
  EXPECT_TRUE(
      TrustStore::load(
          {dir.write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
          {})
          .has_error());
}

}  // namespace
}  // namespace kante
