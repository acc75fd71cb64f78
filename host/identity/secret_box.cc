#include "host/identity/secret_box.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include <cerrno>

#include "host/base/certificate.h"
#include "host/base/fd.h"
#include "host/base/openssl.h"

namespace kante {
namespace {

constexpr std::size_t kFileBytesMax = 64 * 1024;
constexpr const char* kContext = "identity/secrets.key";
constexpr std::int64_t kBackdatedS = 3'600;
constexpr std::int64_t kLifeS = 20LL * 365 * 86'400;  // Its end is asked by nobody.

std::string textOf(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

BioPtr readFrom(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

}  // namespace

struct SecretBox::State {
  KeyPtr key;
  X509Ptr certificate;
  std::string pem;
  std::string broken;
};

SecretBox::SecretBox(std::unique_ptr<State> state) : state_(std::move(state)) {}
SecretBox::~SecretBox() = default;

namespace {

struct Pair {
  KeyPtr key;
  X509Ptr certificate;
};

Result<Pair> read(int dir, const Seal& seal, const std::string& pem) {
  const std::string which = std::string("identity/") + SecretBox::kKeyFileName;
  KANTE_TRY(certificates, readCertificates(pem));
  const auto sealed = readFile(dir, SecretBox::kKeyFileName, kFileBytesMax);
  const auto opened = sealed ? seal.unseal(*sealed, kContext) : sealed;
  if (!opened) return within(which, opened.error());
  KeyPtr key(PEM_read_bio_PrivateKey(readFrom(*opened).get(), nullptr, nullptr, nullptr));
  if (certificates.size() != 1 || key == nullptr ||
      X509_check_private_key(certificates[0].get(), key.get()) != 1) {
    (void)opensslReason();
    return fail(Errc::kCorrupt, which + " is not the key of " + SecretBox::kFileName +
                                    "; put both files of a backup there, or take both away for new "
                                    "ones that secrets must be encrypted to");
  }
  return Pair{std::move(key), std::move(certificates[0])};
}

// The key first: a certificate on disk is the sign that both are.
Result<Pair> make(int dir, const Seal& seal, const std::string& gateway_id, std::int64_t now_s) {
  KANTE_TRY(key, makeKey());
  KANTE_CHECK(replaceFile(dir, SecretBox::kKeyFileName, seal.seal(pemOf(key.get()), kContext)));
  CertificateSpec spec;
  spec.common_name = "Secrets of Kante gateway " + gateway_id;
  spec.not_before_s = now_s - kBackdatedS;
  spec.not_after_s = now_s + kLifeS;
  spec.extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                     {NID_key_usage, "critical,keyAgreement"}};
  KANTE_TRY(certificate, makeCertificate(spec, key.get()));
  KANTE_CHECK(replaceFile(dir, SecretBox::kFileName, pemOf(certificate.get()), 0644));
  return Pair{std::move(key), std::move(certificate)};
}

Status setAside(int dir) {
  for (const std::string file : {SecretBox::kFileName, SecretBox::kKeyFileName})
    if (::renameat(dir, file.c_str(), dir, (file + ".broken").c_str()) != 0 && errno != ENOENT)
      return failErrno("identity/" + file);
  return {};
}

}  // namespace

Result<std::unique_ptr<SecretBox>> SecretBox::open(int dir, const Seal& seal,
                                                   const std::string& gateway_id,
                                                   std::int64_t now_s) {
  const auto text = readFile(dir, kFileName, kFileBytesMax);
  if (!text && text.error().code != Errc::kNotFound)
    return within(std::string("identity/") + kFileName, text.error());
  auto pair = text ? read(dir, seal, *text) : make(dir, seal, gateway_id, now_s);
  std::string broken;
  if (!pair && text && pair.error().code == Errc::kCorrupt) {
    broken = pair.error().text;
    KANTE_CHECK(setAside(dir));
    pair = make(dir, seal, gateway_id, now_s);
  }
  if (!pair) return pair.error();
  std::string pem = pemOf(pair->certificate.get());
  return std::unique_ptr<SecretBox>(new SecretBox(std::make_unique<State>(State{
      std::move(pair->key), std::move(pair->certificate), std::move(pem), std::move(broken)})));
}

Result<std::string> SecretBox::open(std::string_view der) const {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const CmsPtr cms(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(der.size())));
  if (cms == nullptr ||
      OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_id_smime_ct_authEnvelopedData) {
    (void)opensslReason();
    return fail(Errc::kCorrupt, "no CMS message of type AuthEnvelopedData");
  }
  if (CMS_decrypt_set1_pkey(cms.get(), state_->key.get(), state_->certificate.get()) != 1) {
    (void)opensslReason();
    return fail(Errc::kDenied,
                "it is not encrypted to this gateway; encrypt it to what kante "
                "identity show --public says here");
  }
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (CMS_decrypt(cms.get(), nullptr, nullptr, nullptr, out.get(), 0) != 1) {
    (void)opensslReason();
    return fail(Errc::kCorrupt, "it was changed after it was encrypted");
  }
  return textOf(out.get());
}

const std::string& SecretBox::broken() const { return state_->broken; }
const std::string& SecretBox::pem() const { return state_->pem; }
std::string SecretBox::fingerprint() const { return fingerprintOf(state_->certificate.get()); }
std::int64_t SecretBox::notAfterS() const {
  return secondsOf(X509_get0_notAfter(state_->certificate.get()));
}

Result<std::string> encryptFor(std::string_view recipients_pem, std::string_view text) {
  KANTE_TRY(certificates, readCertificates(recipients_pem));
  if (certificates.empty() || certificates.size() > SecretBox::kRecipientsMax)
    return fail(Errc::kInvalid, "recipients: 1 to 1000 certificates in PEM form");
  STACK_OF(X509)* recipients = sk_X509_new_null();
  for (const X509Ptr& one : certificates) sk_X509_push(recipients, one.get());
  const CmsPtr cms(CMS_encrypt(recipients, readFrom(text).get(), EVP_aes_256_gcm(), CMS_BINARY));
  sk_X509_free(recipients);
  unsigned char* der = nullptr;
  const int size = cms == nullptr ? -1 : i2d_CMS_ContentInfo(cms.get(), &der);
  if (size < 0)
    return fail(Errc::kInvalid, "it cannot be encrypted to these recipients: " + opensslReason());
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

}  // namespace kante
