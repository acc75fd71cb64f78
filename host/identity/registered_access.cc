#include "host/identity/registered_access.h"

#include <openssl/x509v3.h>

#include <algorithm>

#include "host/base/encoding.h"
#include "host/base/metrics.h"
#include "host/base/openssl.h"
#include "host/base/trusted_clock.h"
#include "host/identity/sas_token.h"
#include "host/identity/user_name.h"

namespace kante {
namespace {

using mqtt::Reason;
using Refusal = RegisteredAccess::Refusal;
using Kind = PrincipalName::Kind;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kNeverS = 100LL * 365 * 86'400;

// What a session keeps: about 150 bytes.
class Registered final : public hub::Principal {
 public:
  Registered(const PrincipalName& principal, const std::string& name, const Identity& identity,
             bool of_contract)
      : principal_(principal),
        name_(name),
        grants_(identity.grants),
        generation_(identity.generation),
        epoch_(identity.epoch),
        of_contract_(of_contract) {}

  bool isOfContract() const override { return of_contract_; }
  const std::string& name() const override { return name_; }
  bool mayPublish(std::string_view topic) const override {
    return grants_->mayPublish(topic, caller());
  }
  bool maySubscribe(std::string_view filter) const override {
    return grants_->maySubscribe(filter, caller());
  }
  bool mayCall(std::string_view target, std::string_view method) const override {
    return grants_->mayCall(target, method, caller());
  }
  bool mayUseTwin(std::string_view target) const override {
    return grants_->mayUseTwin(target == name_ ? principal_.name() : target, caller());
  }
  bool mayActFor(std::string_view target) const override {
    return grants_->mayActFor(target, caller());
  }

  const PrincipalName& principal() const { return principal_; }
  // Whether sessions that began with this one may go on with that one.
  bool sameAs(const Identity& identity) const {
    return identity.generation == generation_ && identity.epoch == epoch_;
  }

 private:
  Caller caller() const { return {principal_.id(), principal_.module()}; }

  const PrincipalName principal_;
  const std::string name_;
  const GrantsPtr grants_;
  const std::uint64_t generation_;
  const std::uint32_t epoch_;
  const bool of_contract_;
};

bool matchesThumbprint(const X509* certificate, const Secret& thumbprint) {
  const EVP_MD* digest = thumbprint.view().size() == 20 ? EVP_sha1() : EVP_sha256();
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  return X509_digest(certificate, digest, bytes, &size) == 1 &&
         thumbprint.same({reinterpret_cast<const char*>(bytes), size});
}

std::string commonNameOf(const X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
  unsigned char* utf8 = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return name;
}

X509Ptr readDer(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) (void)opensslReason();
  return certificate;
}

}  // namespace

struct RegisteredAccess::Verdict {
  Refusal why = Refusal::kCount;  // kCount: let in.
  std::string text;
  std::int64_t until_s = 0;
};

const char* name(Refusal why) {
  switch (why) {
    case Refusal::kName: return "name";
    case Refusal::kUnknown: return "unknown";
    case Refusal::kDisabled: return "disabled";
    case Refusal::kKind: return "kind";
    case Refusal::kToken: return "token";
    case Refusal::kAudience: return "audience";
    case Refusal::kSignature: return "signature";
    case Refusal::kExpired: return "expired";
    case Refusal::kCertificate: return "certificate";
    case Refusal::kChannel: return "channel";
    case Refusal::kCount: break;
  }
  return "";
}

RegisteredAccess::RegisteredAccess(const Registry& registry, const TrustedClock& clock,
                                   std::vector<std::string> hosts, std::string gateway_id)
    : registry_(registry),
      clock_(clock),
      hosts_(std::move(hosts)),
      gateway_id_(std::move(gateway_id)) {}

hub::Admission RegisteredAccess::refuse(const std::string& who, Refusal why,
                                        const std::string& text, Reason reason) const {
  refused_[static_cast<std::size_t>(why)].fetch_add(1, std::memory_order_relaxed);
  return {nullptr, reason, (who.empty() ? "" : who + ": ") + text};
}

std::uint64_t RegisteredAccess::refused(Refusal why) const {
  return refused_[static_cast<std::size_t>(why)].load(std::memory_order_relaxed);
}

void RegisteredAccess::collect(MetricWriter& metrics) const {
  metrics.gauge("kante_devices", "Registered identities", {},
                static_cast<double>(registry_.size()));
  for (std::size_t i = 0; i < refused_.size(); ++i) {
    const auto why = static_cast<Refusal>(i);
    metrics.counter("kante_authentication_refused_total", "Clients that were not let in",
                    {{"reason", name(why)}}, static_cast<double>(refused(why)));
  }
}

// Where the hub's own clock will stand then, should the wall clock not be worth anything.
std::int64_t RegisteredAccess::endNs(std::int64_t at_s) const {
  const std::int64_t left_s = at_s - clock_.judgement().at_s;
  if (left_s > kNeverS) return 0;
  return clock_.clock().wallNs() + left_s * kSecond;
}

hub::Admission RegisteredAccess::authenticate(const hub::Credentials& credentials) const {
  const hub::Peer& peer = credentials.peer;
  std::optional<PrincipalName> principal;
  Reason reason = Reason::kNotAuthorized;
  Way way = Way::kPlain;
  if (credentials.user_name && !credentials.user_name->empty()) {
    const auto user = UserName::parse(*credentials.user_name);
    const bool iot = UserName::isIotHub(*credentials.user_name);
    if (!user)
      return refuse({}, Refusal::kName, user.error().text,
                    iot ? Reason::kServerUnavailable : Reason::kBadUserNameOrPassword);
    if (!user->auth_chain.empty())
      return refuse(user->principal.name(), Refusal::kName, "it speaks for another", reason);
    if (iot && credentials.client_id != user->principal.commonName())
      return refuse(user->principal.name(), Refusal::kName,
                    "its client identifier is not its id, as IoT Hub's contract wants it", reason);
    if (!iot) reason = Reason::kBadUserNameOrPassword;
    if (iot) way = Way::kContract;
    principal = user->principal;
  } else {
    const X509Ptr certificate = readDer(peer.certificate);
    if (certificate == nullptr)
      return refuse({}, Refusal::kName, "it has neither user name nor certificate", reason);
    std::string name = commonNameOf(certificate.get());
    if (const auto slash = name.find('/'); slash != std::string::npos)
      name.insert(slash, "/module");
    const auto named = PrincipalName::parse(name);
    if (!named)
      return refuse({}, Refusal::kName,
                    "the common name of its certificate is no id: " + named.error().text, reason);
    principal = *named;
  }
  const Registry::Found found = registry_.lookUp(*principal);
  return admit(*principal, found, judge(*principal, found, credentials), reason, way);
}

hub::Admission RegisteredAccess::verify(const hub::RequestCredentials& credentials) const {
  const auto principal = PrincipalName::parse(credentials.principal);
  if (!principal) return refuse({}, Refusal::kName, principal.error().text, Reason::kNotAuthorized);
  const Registry::Found found = registry_.lookUp(*principal);
  const hub::Peer& peer = credentials.peer;
  if (!credentials.token.empty())
    return admit(*principal, found,
                 judgeToken(*principal, found, credentials.token, credentials.resource),
                 Reason::kNotAuthorized, Way::kContract);
  const Verdict verdict = peer.certificate.empty()
                              ? Verdict{Refusal::kToken, "it has neither token nor certificate"}
                              : judgeCertificate(*principal, found, peer);
  return admit(*principal, found, verdict, Reason::kNotAuthorized, Way::kContract);
}

hub::Admission RegisteredAccess::admit(const PrincipalName& principal, const Registry::Found& found,
                                       const Verdict& verdict, Reason reason, Way way) const {
  const std::string who = principal.name();
  if (principal.kind() == Kind::kGateway && principal.id() == gateway_id_)
    return refuse(who, Refusal::kName,
                  "it has this gateway's own id, so it is this one or goes by a name that is taken",
                  reason);
  if (!found.identity)
    return refuse(who, Refusal::kUnknown, "it is not registered; kante device add does that",
                  reason);
  if (verdict.why != Refusal::kCount) return refuse(who, verdict.why, verdict.text, reason);
  if (!found.enabled())
    return refuse(who, Refusal::kDisabled, "it, or its device, is disabled; kante device enable",
                  reason);
  hub::Admission out;
  out.principal = std::make_shared<Registered>(principal, principal.nameAt(gateway_id_),
                                               *found.identity, way == Way::kContract);
  out.reason = Reason::kSuccess;
  if (verdict.until_s != 0) out.expires_wall_ns = endNs(verdict.until_s);
  return out;
}

std::shared_ptr<const hub::Principal> RegisteredAccess::current(
    const hub::Principal& principal) const {
  const auto* before = dynamic_cast<const Registered*>(&principal);
  if (before == nullptr) return nullptr;
  const Registry::Found found = registry_.lookUp(before->principal());
  if (!found.enabled() || !before->sameAs(*found.identity)) return nullptr;
  return std::make_shared<Registered>(before->principal(), before->name(), *found.identity,
                                      before->isOfContract());
}

std::shared_ptr<const hub::Principal> RegisteredAccess::find(std::string_view name) const {
  const auto principal = PrincipalName::parse(name);
  if (!principal) return nullptr;
  const Registry::Found found = registry_.lookUp(*principal);
  if (!found.enabled()) return nullptr;
  return std::make_shared<Registered>(*principal, principal->nameAt(gateway_id_), *found.identity,
                                      false);
}

// Also for those who are not registered, so that how long it takes tells nobody who is.
RegisteredAccess::Verdict RegisteredAccess::judge(const PrincipalName& principal,
                                                  const Registry::Found& found,
                                                  const hub::Credentials& credentials) const {
  const std::string_view password = credentials.password.value_or("");
  if (password.empty()) {
    if (credentials.peer.certificate.empty())
      return {Refusal::kToken, "it has neither password nor certificate"};
    return judgeCertificate(principal, found, credentials.peer);
  }
  if (password.starts_with(SasToken::kPrefix))
    return judgeToken(principal, found, password, principal.resource());
  return judgeKey(found, password, credentials.peer);
}

RegisteredAccess::Verdict RegisteredAccess::judgeToken(const PrincipalName& principal,
                                                       const Registry::Found& found,
                                                       std::string_view text,
                                                       std::string_view resource) const {
  static const Verifier kNobody = Verifier::randomKeys();
  const auto token = SasToken::parse(text);
  if (!token) return {Refusal::kToken, token.error().text};
  const auto covers = [&](std::string_view wanted) {
    return std::any_of(hosts_.begin(), hosts_.end(), [&](const std::string& host) {
      return resourceCovers(token->resource, host, wanted);
    });
  };
  // A module may come with a token of its device, made with the device's key.
  const bool of_device = principal.kind() == Kind::kDeviceModule &&
                         covers(PrincipalName::device(principal.id())->resource());
  const std::optional<Identity>& signer = of_device ? found.device : found.identity;
  const bool has_keys = signer && signer->verifier.kind == Verifier::Kind::kSas;
  const Verifier& keys = has_keys ? signer->verifier : kNobody;
  const bool primary = token->signedWith(keys.primary.view());
  const bool secondary = token->signedWith(keys.secondary.view());
  if (signer && !has_keys)
    return {Refusal::kKind,
            std::string("it proves itself by ") + name(signer->verifier.kind) + ", not by tokens"};
  if (!of_device && !covers(resource))
    return {Refusal::kAudience, "its token is for another host or device; tokens here are for " +
                                    hosts_.front() + "/" + std::string(resource)};
  if (!primary && !secondary) return {Refusal::kSignature, "its token is not signed by its key"};
  const std::int64_t until_s = token->expires_s > kNeverS * 10 ? kNeverS * 10 : token->expires_s;
  if (until_s + kToleranceS < clock_.judgement().at_s)
    return {Refusal::kExpired, "its token expired at " + formatUtc(until_s * kSecond)};
  return {Refusal::kCount, {}, until_s + kToleranceS};
}

RegisteredAccess::Verdict RegisteredAccess::judgeKey(const Registry::Found& found,
                                                     std::string_view text,
                                                     const hub::Peer& peer) const {
  if (!peer.tls && !peer.loopback)
    return {Refusal::kChannel, "its password is no token, and a key goes over TLS only"};
  const auto key = fromBase64(text);
  if (found.identity && found.identity->verifier.kind != Verifier::Kind::kSas)
    return {Refusal::kKind, std::string("it proves itself by ") +
                                name(found.identity->verifier.kind) + ", not by a password"};
  const bool good = key && found.identity &&
                    (found.identity->verifier.primary.same(*key) ||
                     found.identity->verifier.secondary.same(*key));
  if (!good) return {Refusal::kSignature, "its password is neither a token nor its key"};
  return {};
}

RegisteredAccess::Verdict RegisteredAccess::judgeCertificate(const PrincipalName& principal,
                                                             const Registry::Found& found,
                                                             const hub::Peer& peer) const {
  const X509Ptr certificate = readDer(peer.certificate);
  if (certificate == nullptr) return {Refusal::kCertificate, "its certificate cannot be read"};
  if (!found.identity) return {};
  const Verifier& verifier = found.identity->verifier;
  const JudgementTime time = clock_.judgement();
  const std::int64_t ends_s = secondsOf(X509_get0_notAfter(certificate.get()));
  if (verifier.kind == Verifier::Kind::kSas)
    return {Refusal::kKind, "it proves itself by a token, and came with a certificate"};
  if (ends_s < time.at_s)
    return {Refusal::kExpired, "its certificate expired at " + formatUtc(ends_s * kSecond)};
  if (time.clock == JudgementTime::Clock::kTrusted &&
      secondsOf(X509_get0_notBefore(certificate.get())) > time.at_s)
    return {Refusal::kExpired, "its certificate is not valid yet"};
  if (verifier.kind == Verifier::Kind::kThumbprint) {
    if (matchesThumbprint(certificate.get(), verifier.primary) ||
        matchesThumbprint(certificate.get(), verifier.secondary))
      return {Refusal::kCount, {}, ends_s};
    return {Refusal::kCertificate,
            "its certificate has another thumbprint, SHA-256 " + fingerprintOf(certificate.get())};
  }
  if (!peer.chain_verified)
    return {Refusal::kCertificate,
            "its certificate comes from no CA of [hub.tls] client_ca, or not for clients"};
  if (X509_check_ca(certificate.get()) != 0)
    return {Refusal::kCertificate, "its certificate is one of a CA"};
  if (commonNameOf(certificate.get()) != principal.commonName())
    return {Refusal::kCertificate,
            "the common name of its certificate is not " + principal.commonName()};
  return {Refusal::kCount, {}, ends_s};
}

}  // namespace kante
