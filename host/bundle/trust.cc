#include "host/bundle/trust.h"

#include <openssl/x509v3.h>

#include <algorithm>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/base/openssl.h"

namespace kante {

namespace {

constexpr int kChainDepthMax = 8;
constexpr int kSecurityLevel = 2;  // 112 bits: RSA from 2048, P-256, no SHA-1 below the anchor.

// RFC 5280 for code signing, RFC 9336 for documents; OpenSSL 3.0 has no name for the latter.
const char* usageOid(SignerUse use) {
  return use == SignerUse::kBundles ? "1.3.6.1.5.5.7.3.3" : "1.3.6.1.5.5.7.3.36";
}
const char* usageName(SignerUse use) {
  return use == SignerUse::kBundles ? "codeSigning" : "documentSigning";
}
const char* usageThing(SignerUse use) {
  return use == SignerUse::kBundles ? "bundles" : "documents";
}

enum class Usage { kUnsaid, kAllowed, kOther };

Usage extendedUsage(const X509* certificate, SignerUse use) {
  int critical = 0;
  auto* usages = static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, &critical, nullptr));
  if (usages == nullptr) return critical == -1 ? Usage::kUnsaid : Usage::kOther;
  Usage found = Usage::kOther;
  for (int i = 0; i < sk_ASN1_OBJECT_num(usages); ++i) {
    char oid[80];
    OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(usages, i), 1);
    if (std::string_view(oid) == usageOid(use)) found = Usage::kAllowed;
  }
  EXTENDED_KEY_USAGE_free(usages);
  return found;
}

// What the verify callback may overlook.  Lives on the stack of judge().
struct Overlook {
  JudgementTime::Clock clock = JudgementTime::Clock::kTrusted;
};

int overlookIndex() {
  static const int index = X509_STORE_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// No list for a CA is fine, and an old list still revokes what it names: a gateway cannot be made
// to depend on fresh ones.
int onVerify(int ok, X509_STORE_CTX* context) {
  if (ok == 1) return 1;
  const auto* overlook =
      static_cast<const Overlook*>(X509_STORE_CTX_get_ex_data(context, overlookIndex()));
  switch (X509_STORE_CTX_get_error(context)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID: X509_STORE_CTX_set_error(context, X509_V_OK); return 1;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      if (overlook->clock == JudgementTime::Clock::kTrusted) return 0;
      X509_STORE_CTX_set_error(context, X509_V_OK);
      return 1;
    default: return 0;
  }
}

Error refusal(X509_STORE_CTX* context, const JudgementTime& time) {
  const int error = X509_STORE_CTX_get_error(context);
  const X509* culprit = X509_STORE_CTX_get_current_cert(context);
  const std::string who = culprit != nullptr ? subjectOf(culprit) : "the signer's certificate";
  const std::string now = formatUtc(time.at_s * 1'000'000'000);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return fail(Errc::kExpired,
                  "certificate of " + who + " expired on " +
                      formatUtc(secondsOf(X509_get0_notAfter(culprit)) * 1'000'000'000) +
                      " (judged at " + now + ")");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fail(Errc::kUntrusted,
                  "certificate of " + who + " is not yet valid, it begins on " +
                      formatUtc(secondsOf(X509_get0_notBefore(culprit)) * 1'000'000'000) +
                      " (judged at " + now + ")");
    case X509_V_ERR_CERT_REVOKED:
      return fail(Errc::kRevoked, "certificate of " + who + " was revoked");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return fail(Errc::kUntrusted,
                  "signer is not trusted: no trusted certificate issued that of " + who);
    default:
      return fail(Errc::kUntrusted, "signer is not trusted: certificate of " + who + ": " +
                                        X509_verify_cert_error_string(error));
  }
}

// The leaf must say what it is for; an issuer that limits what it is for must include it.
Status checkUsage(const STACK_OF(X509) * chain, SignerUse use) {
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    const Usage usage = extendedUsage(certificate, use);
    const bool signs = (X509_get_key_usage(certificate) & KU_DIGITAL_SIGNATURE) != 0;
    if (usage == Usage::kAllowed && (i > 0 || signs)) continue;
    if (usage == Usage::kUnsaid && i > 0) continue;
    return fail(
        Errc::kDenied,
        "certificate of " + subjectOf(certificate) + " is not made for signing " + usageThing(use) +
            ": it lacks the " +
            (usage == Usage::kAllowed ? "key usage digitalSignature"
                                      : std::string("extended key usage ") + usageName(use)));
  }
  return {};
}

}  // namespace

JudgementTime judgementTime(const Clock& clock, std::int64_t floor_s) {
  const std::int64_t now_s = clock.wallNs() / 1'000'000'000;
  if (now_s >= floor_s) return {now_s, JudgementTime::Clock::kTrusted};
  return {floor_s, JudgementTime::Clock::kUntrusted};
}

std::int64_t buildTimeS() { return KANTE_BUILD_TIME_S; }

struct TrustStore::State {
  StorePtr store;
  std::vector<X509Ptr> anchors;
};

TrustStore::TrustStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
TrustStore::TrustStore(TrustStore&&) noexcept = default;
TrustStore& TrustStore::operator=(TrustStore&&) noexcept = default;
TrustStore::~TrustStore() = default;
std::size_t TrustStore::anchors() const { return state_->anchors.size(); }

std::size_t TrustStore::usable(const JudgementTime& time) const {
  return static_cast<std::size_t>(
      std::count_if(state_->anchors.begin(), state_->anchors.end(), [&](const X509Ptr& anchor) {
        const StoreContextPtr context(X509_STORE_CTX_new());
        Overlook overlook{time.clock};
        if (X509_STORE_CTX_init(context.get(), state_->store.get(), anchor.get(), nullptr) != 1 ||
            X509_STORE_CTX_set_ex_data(context.get(), overlookIndex(), &overlook) != 1)
          return false;
        X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), time.at_s);
        return X509_verify_cert(context.get()) == 1;
      }));
}

Result<std::string> TrustStore::readAnchors(const std::vector<std::string>& files) {
  std::string all;
  for (const std::string& path : files) {
    KANTE_TRY(pem, readFile(path, kFileBytesMax));
    KANTE_TRY(certificates, readCertificates(pem));
    if (certificates.empty())
      return fail(Errc::kInvalid, path + ": no certificate in PEM form in it");
    all += pem + "\n";
  }
  return all;
}

Result<std::string> TrustStore::readRevoked(const std::vector<std::string>& files) {
  std::string all;
  for (const std::string& path : files) {
    KANTE_TRY(pem, readFile(path, kFileBytesMax));
    KANTE_TRY(lists, readRevocations(pem));
    if (lists.empty()) return fail(Errc::kInvalid, path + ": no revocation list in PEM form in it");
    all += pem + "\n";
  }
  return all;
}

Result<TrustStore> TrustStore::load(const std::vector<std::string>& anchors,
                                    const std::vector<std::string>& revoked) {
  KANTE_TRY(anchors_pem, readAnchors(anchors));
  KANTE_TRY(revoked_pem, readRevoked(revoked));
  return fromPem(anchors_pem, revoked_pem);
}

Result<TrustStore> TrustStore::fromPem(std::string_view anchors, std::string_view revoked) {
  auto state = std::make_unique<State>();
  state->store.reset(X509_STORE_new());
  KANTE_TRY(certificates, readCertificates(anchors));
  KANTE_TRY(lists, readRevocations(revoked));
  if (certificates.size() > kCertificatesMax) {
    return fail(Errc::kLimit, "more than 256 certificates are trusted, which cannot be meant");
  }
  for (const X509Ptr& certificate : certificates)
    X509_STORE_add_cert(state->store.get(), certificate.get());
  for (const CrlPtr& list : lists) X509_STORE_add_crl(state->store.get(), list.get());
  state->anchors = std::move(certificates);
  X509_VERIFY_PARAM* rules = X509_STORE_get0_param(state->store.get());
  X509_VERIFY_PARAM_set_flags(
      rules, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  X509_VERIFY_PARAM_set_depth(rules, kChainDepthMax);
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
  X509_STORE_set_verify_cb(state->store.get(), onVerify);
  return TrustStore(std::move(state));
}

Result<Signer> TrustStore::judge(X509* certificate, const std::vector<X509*>& others, SignerUse use,
                                 const JudgementTime& time) const {
  if (state_->anchors.empty()) {
    return fail(Errc::kUntrusted,
                "signer is not trusted: no signer is, name certificates in [trust]");
  }
  STACK_OF(X509)* untrusted = sk_X509_new_null();
  for (X509* other : others) sk_X509_push(untrusted, other);
  const StoreContextPtr context(X509_STORE_CTX_new());
  Overlook overlook{time.clock};
  auto judged = [&]() -> Result<Signer> {
    if (X509_STORE_CTX_init(context.get(), state_->store.get(), certificate, untrusted) != 1 ||
        X509_STORE_CTX_set_ex_data(context.get(), overlookIndex(), &overlook) != 1) {
      return fail(Errc::kState, "certificate check cannot start: " + opensslReason());
    }
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context.get()), time.at_s);
    if (X509_verify_cert(context.get()) != 1) return refusal(context.get(), time);
    const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
    KANTE_CHECK(checkUsage(chain, use));
    const X509* anchor = sk_X509_value(chain, sk_X509_num(chain) - 1);
    return Signer{fingerprintOf(anchor),
                  subjectOf(anchor),
                  fingerprintOf(certificate),
                  subjectOf(certificate),
                  secondsOf(X509_get0_notBefore(certificate)),
                  secondsOf(X509_get0_notAfter(certificate))};
  }();
  sk_X509_free(untrusted);
  return judged;
}

}  // namespace kante
