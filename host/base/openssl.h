// Owners for OpenSSL's objects, and its last error as text.  Included by .cc files only.
#pragma once

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

template <auto Free>
struct OpensslFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, OpensslFree<X509_CRL_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using CmsPtr = std::unique_ptr<CMS_ContentInfo, OpensslFree<CMS_ContentInfo_free>>;
using StorePtr = std::unique_ptr<X509_STORE, OpensslFree<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, OpensslFree<X509_STORE_CTX_free>>;

// The reason of the first error in this thread's queue, which is emptied; "unknown" when there is
// none.
std::string opensslReason();

// All certificates (CRLs) of PEM text, in order; other kinds of blocks are an error, so that a key
// in the wrong file is noticed.
Result<std::vector<X509Ptr>> readCertificates(std::string_view pem);
Result<std::vector<CrlPtr>> readRevocations(std::string_view pem);

std::string subjectOf(const X509* certificate);
std::string nameOf(const X509_NAME* name);           // RFC 2253, UTF-8
std::string fingerprintOf(const X509* certificate);  // SHA-256, hexadecimal
std::int64_t secondsOf(const ASN1_TIME* time);       // Since 1970; 0 when it cannot be read.

}  // namespace kante
