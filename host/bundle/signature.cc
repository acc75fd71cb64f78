#include "host/bundle/signature.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>

#include "host/base/openssl.h"

namespace kante {

namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;

Error malformed(const std::string& text) { return fail(Errc::kCorrupt, "signature " + text); }

bool isStrongDigest(const X509_ALGOR* algorithm) {
  const ASN1_OBJECT* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, algorithm);
  const int nid = OBJ_obj2nid(object);
  return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

// Feeds the range to `take` in chunks.
template <typename Take>
Status stream(const FileRange& range, Take take) {
  std::vector<char> chunk(kChunkBytes);
  for (std::uint64_t done = 0; done < range.bytes;) {
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>(range.bytes - done, chunk.size()));
    const ssize_t n =
        ::pread(range.fd, chunk.data(), want, static_cast<off_t>(range.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("read");
    if (n == 0) return fail(Errc::kCorrupt, "file became shorter while it was read");
    KANTE_CHECK(take(std::string_view(chunk.data(), static_cast<std::size_t>(n))));
    done += static_cast<std::uint64_t>(n);
  }
  return {};
}

Sha256 finish(EVP_MD_CTX* context) {
  Sha256 digest{};
  KANTE_ASSERT(EVP_DigestFinal_ex(context, digest.data(), nullptr) == 1);
  return digest;
}

Result<KeyPtr> readKey(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // No callback and an empty pass phrase: an encrypted key fails instead of asking the terminal.
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, const_cast<char*>("")));
  if (key == nullptr) return fail(Errc::kInvalid, "signing key cannot be read: " + opensslReason());
  return key;
}

}  // namespace

struct Signature::State {
  CmsPtr cms;
  STACK_OF(X509) * certificates = nullptr;  // Of the message; owned.
  X509* signer = nullptr;                   // One of them.

  ~State() { sk_X509_pop_free(certificates, X509_free); }
};

Signature::Signature(std::unique_ptr<State> state) : state_(std::move(state)) {}
Signature::Signature(Signature&&) noexcept = default;
Signature& Signature::operator=(Signature&&) noexcept = default;
Signature::~Signature() = default;

namespace {

Status checkSignerInfo(CMS_SignerInfo* info) {
  X509_ALGOR* digest = nullptr;
  X509_ALGOR* algorithm = nullptr;
  CMS_SignerInfo_get0_algs(info, nullptr, nullptr, &digest, &algorithm);
  if (!isStrongDigest(digest)) return malformed("uses a digest weaker than SHA-256");
  if (CMS_unsigned_get_attr_count(info) > 0) {
    return malformed("has unsigned attributes, which anyone could have added");
  }
  if (CMS_signed_get_attr_count(info) <= 0) return malformed("has no signed attributes");
  return {};
}

}  // namespace

Result<Signature> Signature::parse(std::string_view der) {
  ERR_clear_error();
  auto state = std::make_unique<State>();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  state->cms.reset(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(der.size())));
  CMS_ContentInfo* cms = state->cms.get();
  if (cms == nullptr) return malformed("is not a CMS message: " + opensslReason());
  if (at != reinterpret_cast<const unsigned char*>(der.data()) + der.size()) {
    return malformed("has bytes after its CMS message");
  }
  if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
    return malformed("is not CMS SignedData");
  if (OBJ_obj2nid(CMS_get0_eContentType(cms)) != NID_pkcs7_data)
    return malformed("is over something else than data");
  ASN1_OCTET_STRING** content = CMS_get0_content(cms);
  if (content == nullptr || *content != nullptr)
    return malformed("carries content, it must be detached");
  unsigned char* again = nullptr;
  const int again_bytes = i2d_CMS_ContentInfo(cms, &again);
  const bool is_der =
      again_bytes >= 0 && std::string_view(reinterpret_cast<char*>(again),
                                           static_cast<std::size_t>(again_bytes)) == der;
  OPENSSL_free(again);
  if (!is_der) return malformed("is not in DER form");
  STACK_OF(CMS_SignerInfo)* infos = CMS_get0_SignerInfos(cms);
  const int signers = sk_CMS_SignerInfo_num(infos);
  if (signers <= 0) return malformed("has no signer: it was stripped");
  if (signers > 1) return malformed("has " + std::to_string(signers) + " signers, one is allowed");
  CMS_SignerInfo* info = sk_CMS_SignerInfo_value(infos, 0);
  KANTE_CHECK(checkSignerInfo(info));
  state->certificates = CMS_get1_certs(cms);
  for (int i = 0; i < sk_X509_num(state->certificates); ++i) {
    X509* certificate = sk_X509_value(state->certificates, i);
    if (CMS_SignerInfo_cert_cmp(info, certificate) == 0) state->signer = certificate;
  }
  if (state->signer == nullptr) return malformed("lacks the certificate of its signer");
  CMS_SignerInfo_set1_signer_cert(info, state->signer);
  return Signature(std::move(state));
}

Result<Signer> Signature::judge(const TrustStore& trust, SignerUse use,
                                const JudgementTime& time) const {
  std::vector<X509*> others;
  for (int i = 0; i < sk_X509_num(state_->certificates); ++i) {
    others.push_back(sk_X509_value(state_->certificates, i));
  }
  return trust.judge(state_->signer, others, use, time);
}

Signer Signature::claimed() const {
  const X509* certificate = state_->signer;
  Signer signer;
  signer.fingerprint = fingerprintOf(certificate);
  signer.subject = subjectOf(certificate);
  signer.not_before_s = secondsOf(X509_get0_notBefore(certificate));
  signer.not_after_s = secondsOf(X509_get0_notAfter(certificate));
  return signer;
}

Result<Sha256> Signature::verify(const FileRange& payload) {
  ERR_clear_error();
  // The chain of digest filters that CMS builds; what is read through it is digested for the
  // signer.
  const BioPtr sink(BIO_new(BIO_s_null()));
  BIO* digesting = CMS_dataInit(state_->cms.get(), sink.get());
  if (digesting == nullptr) return malformed("cannot be checked: " + opensslReason());
  const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  auto checked = [&]() -> Result<Sha256> {
    KANTE_ASSERT(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
    KANTE_CHECK(stream(payload, [&](std::string_view bytes) -> Status {
      if (BIO_write(digesting, bytes.data(), static_cast<int>(bytes.size())) !=
          static_cast<int>(bytes.size())) {
        return malformed("cannot be checked: " + opensslReason());
      }
      EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
      return {};
    }));
    CMS_SignerInfo* info = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(state_->cms.get()), 0);
    if (CMS_SignerInfo_verify(info) != 1)
      return malformed("was not made with the key of its certificate");
    if (CMS_SignerInfo_verify_content(info, digesting) != 1) {
      return malformed("does not cover this payload: one of them was changed or swapped");
    }
    return finish(context.get());
  }();
  ERR_clear_error();
  while (digesting != nullptr && digesting != sink.get()) {
    BIO* next = BIO_pop(digesting);
    BIO_free(digesting);
    digesting = next;
  }
  return checked;
}

Result<std::string> sign(const FileRange& payload, std::string_view key_pem,
                         std::string_view certificates_pem, SignerUse use) {
  KANTE_TRY(key, readKey(key_pem));
  KANTE_TRY(certificates, readCertificates(certificates_pem));
  if (certificates.empty())
    return fail(Errc::kInvalid, "no certificate in PEM form beside the signing key");
  X509* signer = certificates.front().get();
  if (X509_check_private_key(signer, key.get()) != 1) {
    return fail(Errc::kInvalid,
                "signing key does not belong to the certificate of " + subjectOf(signer));
  }
  // A signature that nobody would accept is not worth making: judged as if its own certificate were
  // trusted.
  KANTE_TRY(trust, TrustStore::fromPem(certificates_pem));
  SystemClock clock;
  KANTE_CHECK(trust.judge(signer, {}, use, judgementTime(clock, 0)));

  STACK_OF(X509)* others = sk_X509_new_null();
  for (std::size_t i = 1; i < certificates.size(); ++i) sk_X509_push(others, certificates[i].get());
  constexpr unsigned kFlags = CMS_DETACHED | CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL;
  const CmsPtr cms(CMS_sign(nullptr, nullptr, others, nullptr, kFlags));
  sk_X509_free(others);
  if (cms == nullptr ||
      CMS_add1_signer(cms.get(), signer, key.get(), EVP_sha256(), kFlags) == nullptr) {
    return fail(Errc::kInvalid, "payload cannot be signed with this key: " + opensslReason());
  }
  const BioPtr sink(BIO_new(BIO_s_null()));
  BIO* digesting = CMS_dataInit(cms.get(), sink.get());
  Status streamed = stream(payload, [&](std::string_view bytes) -> Status {
    const int written = BIO_write(digesting, bytes.data(), static_cast<int>(bytes.size()));
    if (written == static_cast<int>(bytes.size())) return {};
    return fail(Errc::kIo, "payload cannot be digested: " + opensslReason());
  });
  const bool finished = streamed.has_value() && CMS_dataFinal(cms.get(), digesting) == 1;
  while (digesting != nullptr && digesting != sink.get()) {
    BIO* next = BIO_pop(digesting);
    BIO_free(digesting);
    digesting = next;
  }
  KANTE_CHECK(streamed);
  if (!finished)
    return fail(Errc::kInvalid, "payload cannot be signed with this key: " + opensslReason());
  unsigned char* der = nullptr;
  const int size = i2d_CMS_ContentInfo(cms.get(), &der);
  if (size < 0) return fail(Errc::kInvalid, "signature cannot be written: " + opensslReason());
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

}  // namespace kante
