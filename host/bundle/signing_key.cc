#include "host/bundle/signing_key.h"

#include <openssl/x509v3.h>

#include "host/base/certificate.h"

namespace kante {

namespace {

constexpr std::int64_t kBackdated_s = 3'600;

}  // namespace

Result<SigningKey> makeSigningKey(SignerUse use, const std::string& common_name,
                                  std::int64_t now_s) {
  CertificateSpec spec;
  spec.common_name = common_name;
  spec.not_before_s = now_s - kBackdated_s;
  spec.not_after_s = now_s + kSigningKeyDays * 86'400;
  spec.extensions = {
      {NID_basic_constraints, "critical,CA:FALSE"},
      {NID_key_usage, "critical,digitalSignature"},
      {NID_ext_key_usage,
       use == SignerUse::kBundles ? "critical,codeSigning" : "critical,1.3.6.1.5.5.7.3.36"},
      {NID_subject_key_identifier, "hash"}};
  KANTE_TRY(key, makeKey());
  KANTE_TRY(certificate, makeCertificate(spec, key.get()));
  return SigningKey{pemOf(key.get()), pemOf(certificate.get())};
}

}  // namespace kante
