#include "host/base/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "host/base/encoding.h"

namespace kante {

namespace {

BioPtr memory(std::string_view bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// True when reading stopped because there are no more blocks; empties the queue either way.
bool endOfPem() {
  const unsigned long last = ERR_peek_last_error();
  const bool end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

}  // namespace

std::string opensslReason() {
  const unsigned long first = ERR_peek_error();
  const char* reason = first != 0 ? ERR_reason_error_string(first) : nullptr;
  std::string text = reason != nullptr ? reason : "unknown";
  ERR_clear_error();
  return text;
}

Result<std::vector<X509Ptr>> readCertificates(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio = memory(pem);
  std::vector<X509Ptr> all;
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) all.emplace_back(one);
  if (!endOfPem()) return fail(Errc::kInvalid, "a certificate cannot be read: " + opensslReason());
  return all;
}

Result<std::vector<CrlPtr>> readRevocations(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio = memory(pem);
  std::vector<CrlPtr> all;
  while (X509_CRL* one = PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr))
    all.emplace_back(one);
  if (!endOfPem())
    return fail(Errc::kInvalid, "a revocation list cannot be read: " + opensslReason());
  return all;
}

std::string subjectOf(const X509* certificate) {
  return nameOf(X509_get_subject_name(certificate));
}

std::string nameOf(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

std::string fingerprintOf(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  return toHex(std::string_view(reinterpret_cast<const char*>(digest), size));
}

std::int64_t secondsOf(const ASN1_TIME* time) {
  std::tm utc{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &utc) != 1) return 0;
  return ::timegm(&utc);
}

}  // namespace kante
