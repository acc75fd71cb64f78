#include "host/bundle/signature.h"

#include <gmock/gmock.h>

#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using test::CmsOptions;
using test::Identity;
using test::makeCms;
using ::testing::HasSubstr;

constexpr std::string_view kPayload = "the payload";

class SignatureTest : public ::testing::Test {
 protected:
  static Result<Sha256> verify(const std::string& der, std::string_view payload) {
    KANTE_TRY(signature, Signature::parse(der));
    const FileDescriptor file = test::fileOf(payload);
    return signature.verify({file.get(), 0, payload.size()});
  }

  static void expectRefused(const std::string& der, const std::string& because) {
    const auto digest = verify(der, kPayload);
    ASSERT_TRUE(digest.has_error()) << because;
    EXPECT_EQ(digest.error().code, Errc::kCorrupt);
    EXPECT_THAT(digest.error().text, HasSubstr(because));
  }

  const Identity signer_ = test::makeIdentity({});
};

TEST_F(SignatureTest, WhatWasSignedIsVerifiedAndDigested) {
  const auto digest = verify(makeCms(kPayload, signer_), kPayload);
  ASSERT_TRUE(digest.has_value()) << digest.error().text;
  EXPECT_EQ(*digest, sha256(kPayload));
  CmsOptions better;
  better.digest = EVP_sha512();
  EXPECT_TRUE(verify(makeCms(kPayload, signer_, better), kPayload).has_value());
}

TEST_F(SignatureTest, OurOwnSignaturesHaveTheShapeThatWeAccept) {
  const FileDescriptor file = test::fileOf(kPayload);
  const FileRange range{file.get(), 0, kPayload.size()};
  test::CertificateOptions options;  // sign() judges by today's clock.
  options.not_before_s = SystemClock().wallNs() / 1'000'000'000 - 60;
  options.not_after_s = options.not_before_s + 3600;
  const Identity today = test::makeIdentity(options);
  const auto der = sign(range, today.keyPem(), today.certificatePem(), SignerUse::kBundles);
  ASSERT_TRUE(der.has_value()) << der.error().text;
  EXPECT_TRUE(verify(*der, kPayload).has_value());

  const auto wrong_use = sign(range, today.keyPem(), today.certificatePem(), SignerUse::kDocuments);
  EXPECT_THAT(wrong_use.error().text, HasSubstr("not made for signing documents"));
  const auto wrong_key =
      sign(range, test::makeIdentity({}).keyPem(), today.certificatePem(), SignerUse::kBundles);
  EXPECT_THAT(wrong_key.error().text, HasSubstr("does not belong to the certificate"));
  EXPECT_THAT(sign(range, "nonsense", today.certificatePem(), SignerUse::kBundles).error().text,
              HasSubstr("cannot be read"));
  EXPECT_THAT(sign(range, today.keyPem(), "", SignerUse::kBundles).error().text,
              HasSubstr("no certificate"));
}

TEST_F(SignatureTest, AnotherPayloadIsRefused) {
  EXPECT_THAT(verify(makeCms("something else", signer_), kPayload).error().text,
              HasSubstr("does not cover this payload"));
}

TEST_F(SignatureTest, UnsignedAttributesAreRefused) {
  CmsOptions options;
  options.unsigned_attribute = true;
  expectRefused(makeCms(kPayload, signer_, options), "has unsigned attributes");
}

TEST_F(SignatureTest, ASecondSignerIsRefused) {
  const Identity second = test::makeIdentity({});
  CmsOptions options;
  options.second = &second;
  expectRefused(makeCms(kPayload, signer_, options), "has 2 signers");
}

TEST_F(SignatureTest, AStrippedSignatureIsRefused) {
  CmsOptions options;
  options.without_signer = true;  // SignedData with certificates and nobody who signed.
  expectRefused(makeCms(kPayload, signer_, options), "has no signer");
}

TEST_F(SignatureTest, AttachedContentIsRefused) {
  CmsOptions options;
  options.without_flags = CMS_DETACHED;
  expectRefused(makeCms(kPayload, signer_, options), "must be detached");
}

TEST_F(SignatureTest, AWeakDigestIsRefused) {
  CmsOptions options;
  options.digest = EVP_sha1();
  expectRefused(makeCms(kPayload, signer_, options), "weaker than SHA-256");
}

TEST_F(SignatureTest, ASignatureWithoutAttributesIsRefused) {
  CmsOptions options;
  options.flags = CMS_NOATTR;
  expectRefused(makeCms(kPayload, signer_, options), "no signed attributes");
}

TEST_F(SignatureTest, ASignatureWithoutItsCertificateIsRefused) {
  CmsOptions options;
  options.flags = CMS_NOCERTS;
  expectRefused(makeCms(kPayload, signer_, options), "lacks the certificate of its signer");
}

TEST_F(SignatureTest, BytesAfterTheMessageAreRefused) {
  expectRefused(makeCms(kPayload, signer_) + "x", "bytes after its CMS message");
}

TEST_F(SignatureTest, AnythingElseIsRefused) {
  expectRefused("", "is not a CMS message");
  expectRefused("nonsense", "is not a CMS message");
  expectRefused(
      std::string("\x30\x11\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x04\x04\x02hi", 19),
      "is not CMS SignedData");
}

TEST_F(SignatureTest, OtherEncodingsOfTheSameMessageAreRefused) {
  // The outer length in its long form: BER, not DER.
  const std::string der = makeCms(kPayload, signer_);
  ASSERT_EQ(static_cast<unsigned char>(der[1]), 0x82);
  const std::string ber = std::string("\x30\x83\x00", 3) + der.substr(2);
  expectRefused(ber, "is not in DER form");
}

TEST_F(SignatureTest, EveryTruncationIsRefused) {
  const std::string der = makeCms(kPayload, signer_);
  for (std::size_t length = 0; length < der.size(); ++length) {
    EXPECT_TRUE(Signature::parse(der.substr(0, length)).has_error()) << length;
  }
}

TEST_F(SignatureTest, AnotherSignersCertificateDoesNotFit) {
  // Both have the same name and serial number, so the message finds the wrong one.
  test::CertificateOptions options;
  options.serial = 42;
  const Identity one = test::makeIdentity(options);
  const Identity other = test::makeIdentity(options);
  CmsOptions swapped;
  swapped.flags = CMS_NOCERTS;
  swapped.chain = {&other};
  expectRefused(makeCms(kPayload, one, swapped), "was not made with the key of its certificate");
}

}  // namespace
}  // namespace kante
