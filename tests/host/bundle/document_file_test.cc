#include "host/bundle/document_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/bundle/signing_key.h"
#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using testing::HasSubstr;

class DocumentFileTest : public testing::Test {
 protected:
  static constexpr JudgementTime kNow{test::kNow_s, JudgementTime::Clock::kTrusted};

  std::string fileOf(const std::string& payload, const test::Identity& signer) {
    const std::string cms = test::makeCms(payload, signer);
    return makeFrameStart(FrameKind::kDocument, cms, payload.size()).value() + payload;
  }
  Errc refused(const std::string& file) {
    const auto opened = openDocument(file, trust_, kNow);
    return opened ? Errc::kState : opened.error().code;
  }
  test::Identity make(const std::string& usage) {
    test::CertificateOptions options;
    options.issuer = &ca_;
    options.usage = usage;
    return test::makeIdentity(options);
  }

  const test::Identity ca_ = test::makeCa("deployers");
  const test::Identity deployer_ = make("1.3.6.1.5.5.7.3.36");
  const TrustStore trust_ = test::trustIn(ca_);
  const std::string payload_ = R"({"hello":"world"})";
};

TEST_F(DocumentFileTest, OfATrustedDeployerIsOpened) {
  const std::string file = fileOf(payload_, deployer_);
  const auto opened = openDocument(file, trust_, kNow);
  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_EQ(opened->payload, payload_);
  EXPECT_EQ(opened->signer.subject, "CN=signer");
  EXPECT_EQ(opened->digest, "sha256:" + toHex(sha256(payload_)));
  EXPECT_EQ(documentDigest(file), opened->digest);
}

TEST_F(DocumentFileTest, EveryFlippedBitIsRefused) {
  const std::string file = fileOf(payload_, deployer_);
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(openDocument(flipped, trust_, kNow).has_error()) << bit;
  }
}

TEST_F(DocumentFileTest, ATamperedPayloadAnotherFileAndAStrangerAreToldApart) {
  std::string tampered = fileOf(payload_, deployer_);
  tampered.back() = ']';
  EXPECT_EQ(refused(tampered), Errc::kDenied);
  EXPECT_EQ(refused("KANTEDC1"), Errc::kCorrupt);
  EXPECT_EQ(refused(test::frameOf(payload_, test::makeCms(payload_, deployer_))), Errc::kCorrupt);
  EXPECT_EQ(refused(fileOf(payload_, test::makeSigner(test::makeCa("other")))), Errc::kUntrusted);
  EXPECT_EQ(documentDigest("KANTEDC1"), "");
}

TEST_F(DocumentFileTest, ASignerOfBundlesSignsNoDocuments) {
  const auto opened = openDocument(fileOf(payload_, make("codeSigning")), trust_, kNow);
  ASSERT_TRUE(opened.has_error());
  EXPECT_EQ(opened.error().code, Errc::kUntrusted);
  EXPECT_THAT(opened.error().text, HasSubstr("documentSigning"));
}

TEST_F(DocumentFileTest, WithoutDeployersNobodyIsTrusted) {
  const auto nobody = TrustStore::fromPem("").value();
  const auto opened = openDocument(fileOf(payload_, deployer_), nobody, kNow);
  ASSERT_TRUE(opened.has_error());
  EXPECT_EQ(opened.error().code, Errc::kUntrusted);
}

TEST_F(DocumentFileTest, IsSignedWithAKeyThatKeyInitMakes) {
  const std::int64_t now_s = SystemClock().wallNs() / 1'000'000'000;
  const auto key = makeSigningKey(SignerUse::kDocuments, "ann", now_s).value();
  const auto file = signDocument(payload_, key.key_pem, key.certificate_pem);
  ASSERT_TRUE(file) << file.error().text;
  const auto trust = TrustStore::fromPem(key.certificate_pem).value();
  const JudgementTime now{now_s, JudgementTime::Clock::kTrusted};
  EXPECT_EQ(openDocument(*file, trust, now).value().payload, payload_);
  EXPECT_EQ(lookAtDocument(*file).value().signer.subject, "CN=ann");
  const auto wrong = makeSigningKey(SignerUse::kBundles, "bob", now_s).value();
  EXPECT_TRUE(signDocument(payload_, wrong.key_pem, wrong.certificate_pem).has_error());
}

}  // namespace
}  // namespace kante
