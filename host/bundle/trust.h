// Who may sign what: the certificates that the operator trusts, the lists of what was revoked, and
// the judgement of one signer's certificate against them.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/base/trusted_clock.h"

namespace kante {

// What a certificate must be made for (extended key usage), always said explicitly.
enum class SignerUse { kBundles, kDocuments };  // codeSigning, documentSigning

// For commands that know no floor but the build's; a host asks its TrustedClock.
JudgementTime judgementTime(const Clock& clock, std::int64_t floor_s);
std::int64_t buildTimeS();  // When this build was configured.

// The outcome of a judgement: whom to bind a module id to, and whom to show.
struct Signer {
  std::string ca_fingerprint;  // SHA-256 of the trust anchor's certificate, hexadecimal.
  std::string ca_subject;
  std::string fingerprint;  // Of the signer's own certificate.
  std::string subject;      // RFC 2253, UTF-8.
  std::int64_t not_before_s = 0;
  std::int64_t not_after_s = 0;
};

// Immutable once loaded, so any thread may judge with it.
class TrustStore {
 public:
  static constexpr std::size_t kFileBytesMax = 1 << 20;
  static constexpr std::size_t kCertificatesMax = 256;

  // PEM files.  Every certificate in `anchors` is trusted as it stands, be it a root, an
  // intermediate CA or a signer's own self-signed certificate.  `revoked` are CRLs; one that is out
  // of date still counts.
  static Result<TrustStore> load(const std::vector<std::string>& anchors,
                                 const std::vector<std::string>& revoked);
  static Result<TrustStore> fromPem(std::string_view anchors, std::string_view revoked = {});
  // The files as one text.  kInvalid names one without what is wanted in it.
  static Result<std::string> readAnchors(const std::vector<std::string>& files);
  static Result<std::string> readRevoked(const std::vector<std::string>& files);

  TrustStore(TrustStore&&) noexcept;
  TrustStore& operator=(TrustStore&&) noexcept;
  ~TrustStore();

  // Chain, key strength, usage, validity, revocation.  `others` are untrusted certificates that may
  // link the chain.  Fails with kUntrusted, kExpired, kRevoked or kDenied (wrong usage), each in
  // its own words.
  Result<Signer> judge(X509* certificate, const std::vector<X509*>& others, SignerUse use,
                       const JudgementTime& time) const;

  std::size_t anchors() const;
  // Of these, how many have neither ended nor been revoked.
  std::size_t usable(const JudgementTime& time) const;

 private:
  struct State;
  explicit TrustStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kante
