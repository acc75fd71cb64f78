#include "host/base/certificate.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "host/base/encoding.h"

namespace kante {
namespace {

constexpr std::size_t kCommonNameBytesMax = 64;

std::string textOf(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

bool number(X509* certificate) {
  std::string serial = randomBytes(16);
  serial[0] = static_cast<char>(serial[0] & 0x7f);  // Positive, as RFC 5280 wants it.
  BIGNUM* big = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr);
  const bool done = BN_to_ASN1_INTEGER(big, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(big);
  return done;
}

bool extend(X509* certificate, X509V3_CTX* context, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str());
  const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool fill(X509* certificate, const CertificateSpec& spec, EVP_PKEY* key, const Issuer& issuer) {
  X509* const by = issuer.certificate != nullptr ? issuer.certificate : certificate;
  const std::string cn = spec.common_name.substr(0, kCommonNameBytesMax);
  X509_NAME* subject = X509_get_subject_name(certificate);
  ASN1_TIME_set(X509_getm_notBefore(certificate), spec.not_before_s);
  ASN1_TIME_set(X509_getm_notAfter(certificate), spec.not_after_s);
  if (!number(certificate) || X509_set_version(certificate, X509_VERSION_3) != 1 ||
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(cn.data()),
                                 static_cast<int>(cn.size()), -1, 0) != 1 ||
      X509_set_issuer_name(certificate, X509_get_subject_name(by)) != 1 ||
      X509_set_pubkey(certificate, key) != 1)
    return false;
  X509V3_CTX context;
  X509V3_set_ctx(&context, by, certificate, nullptr, nullptr, 0);
  for (const auto& [nid, value] : spec.extensions) {
    if (!extend(certificate, &context, nid, value)) return false;
  }
  EVP_PKEY* const signer = issuer.key != nullptr ? issuer.key : key;
  return X509_sign(certificate, signer, EVP_sha256()) > 0;
}

}  // namespace

Result<KeyPtr> makeKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return fail(Errc::kState, "a key cannot be made: " + opensslReason());
  return key;
}

Result<X509Ptr> makeCertificate(const CertificateSpec& spec, EVP_PKEY* key, Issuer issuer) {
  X509Ptr certificate(X509_new());
  if (certificate == nullptr || !fill(certificate.get(), spec, key, issuer))
    return fail(Errc::kState, "a certificate for \"" + spec.common_name +
                                  "\" cannot be made: " + opensslReason());
  return certificate;
}

std::string pemOf(const X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), const_cast<X509*>(certificate));
  return textOf(out.get());
}

std::string pemOf(const EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), const_cast<EVP_PKEY*>(key), nullptr, nullptr, 0, nullptr,
                                nullptr);
  return textOf(out.get());
}

}  // namespace kante
