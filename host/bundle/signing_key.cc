#include "host/bundle/signing_key.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "host/base/encoding.h"
#include "host/bundle/openssl.h"

namespace kante {

namespace {

constexpr std::int64_t kBackdated_s = 3'600;
constexpr std::size_t kCommonNameBytesMax = 64;  // ub-common-name of RFC 5280.

std::string textOf(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return {text, static_cast<std::size_t>(size)};
}

bool extend(X509* certificate, X509V3_CTX* context, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, context, nid, value);
  const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool fill(X509* certificate, EVP_PKEY* key, SignerUse use, const std::string& common_name,
          std::int64_t now_s) {
  std::string serial = randomBytes(16);
  serial[0] = static_cast<char>(serial[0] & 0x7f);  // Positive, as RFC 5280 wants it.
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr);
  const bool numbered = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  const std::string cn = common_name.substr(0, kCommonNameBytesMax);
  X509_NAME* subject = X509_get_subject_name(certificate);
  ASN1_TIME_set(X509_getm_notBefore(certificate), now_s - kBackdated_s);
  ASN1_TIME_set(X509_getm_notAfter(certificate), now_s + kSigningKeyDays * 86'400);
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const char* usage =
      use == SignerUse::kBundles ? "critical,codeSigning" : "critical,1.3.6.1.5.5.7.3.36";
  return numbered && X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(cn.data()),
                                    static_cast<int>(cn.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, subject) == 1 &&
         X509_set_pubkey(certificate, key) == 1 &&
         extend(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
         extend(certificate, &context, NID_key_usage, "critical,digitalSignature") &&
         extend(certificate, &context, NID_ext_key_usage, usage) &&
         extend(certificate, &context, NID_subject_key_identifier, "hash") &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

}  // namespace

Result<SigningKey> makeSigningKey(SignerUse use, const std::string& common_name,
                                  std::int64_t now_s) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  if (key == nullptr || certificate == nullptr ||
      !fill(certificate.get(), key.get(), use, common_name, now_s)) {
    return fail(Errc::kState, "signing key cannot be made: " + opensslReason());
  }
  const BioPtr key_out(BIO_new(BIO_s_secmem()));
  const BioPtr certificate_out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1 ||
      PEM_write_bio_X509(certificate_out.get(), certificate.get()) != 1) {
    return fail(Errc::kState, "signing key cannot be written: " + opensslReason());
  }
  return SigningKey{textOf(key_out.get()), textOf(certificate_out.get())};
}

}  // namespace kante
