// Makes keys and X.509 certificates: those that sign bundles and documents, the gateway's own CA
// and what it issues.  Included by .cc files only.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/base/openssl.h"
#include "host/base/result.h"

namespace kante {

struct CertificateSpec {
  std::string common_name;  // Cut at 64 bytes, the bound of RFC 5280.
  std::int64_t not_before_s = 0;
  std::int64_t not_after_s = 0;
  // Numeric id and value, as OpenSSL's configuration files write it.
  std::vector<std::pair<int, std::string>> extensions;
};

// Whom a certificate comes from; both borrowed.
struct Issuer {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
};

Result<KeyPtr> makeKey();  // ECDSA on P-256.
// Signed with SHA-256, serial number random; self-signed without an issuer.
Result<X509Ptr> makeCertificate(const CertificateSpec& spec, EVP_PKEY* key, Issuer issuer = {});

std::string pemOf(const X509* certificate);
std::string pemOf(const EVP_PKEY* key);  // PKCS #8, not encrypted.

}  // namespace kante
