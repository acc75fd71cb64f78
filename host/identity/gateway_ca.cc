#include "host/identity/gateway_ca.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "host/base/certificate.h"
#include "host/base/fd.h"

namespace kante {
namespace {

constexpr std::size_t kFileBytesMax = 64 * 1024;
constexpr const char* kContext = "identity/ca.key";

Result<KeyPtr> readKey(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return fail(Errc::kCorrupt, "no private key: " + opensslReason());
  return key;
}

Result<std::string> alternativeName(const std::string& name) {
  unsigned char address[16];
  if (::inet_pton(AF_INET, name.c_str(), address) == 1 ||
      ::inet_pton(AF_INET6, name.c_str(), address) == 1)
    return "IP:" + name;
  if (name.empty() || name.size() > 253 ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
          std::string::npos)
    return fail(Errc::kInvalid, "\"" + name + "\" is neither a host name nor an address");
  return "DNS:" + name;
}

}  // namespace

struct GatewayCa::State {
  int dir;
  Seal seal;
  std::string gateway_id;
  KeyPtr key;
  X509Ptr certificate;
  std::string pem;

  Status read(const std::string& text);
  Status make(std::int64_t now_s);
  Status certify(std::int64_t now_s);
  std::int64_t notBeforeS() const { return secondsOf(X509_get0_notBefore(certificate.get())); }
  std::int64_t notAfterS() const { return secondsOf(X509_get0_notAfter(certificate.get())); }
};

Status GatewayCa::State::read(const std::string& text) {
  const std::string advice =
      "; put both files of a backup there, or take both away for a new one that clients must be "
      "given";
  KANTE_TRY(certificates, readCertificates(text));
  if (certificates.size() != 1)
    return fail(Errc::kCorrupt,
                std::string("identity/") + kFileName + " is no certificate" + advice);
  const auto sealed = readFile(dir, kKeyFileName, kFileBytesMax);
  const auto opened = sealed ? seal.unseal(*sealed, kContext) : sealed;
  auto read = opened ? readKey(*opened) : Result<KeyPtr>(opened.error());
  if (!read)
    return fail(read.error().code,
                std::string("identity/") + kKeyFileName + ": " + read.error().text + advice);
  if (X509_check_private_key(certificates[0].get(), read->get()) != 1) {
    (void)opensslReason();
    return fail(Errc::kCorrupt, std::string("identity/") + kKeyFileName + " is not the key of " +
                                    kFileName + advice);
  }
  key = std::move(*read);
  certificate = std::move(certificates[0]);
  pem = pemOf(certificate.get());
  return {};
}

// The key first: a certificate on disk is the sign that both are.
Status GatewayCa::State::make(std::int64_t now_s) {
  KANTE_TRY(made, makeKey());
  key = std::move(made);
  KANTE_CHECK(replaceFile(dir, kKeyFileName, seal.seal(pemOf(key.get()), kContext)));
  return certify(now_s);
}

Status GatewayCa::State::certify(std::int64_t now_s) {
  CertificateSpec spec;
  spec.common_name = "Kante gateway " + gateway_id;
  spec.not_before_s = now_s - kBackdatedS;
  spec.not_after_s = now_s + kLifeS;
  spec.extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                     {NID_key_usage, "critical,keyCertSign,cRLSign"},
                     {NID_subject_key_identifier, "hash"}};
  KANTE_TRY(made, makeCertificate(spec, key.get()));
  std::string text = pemOf(made.get());
  KANTE_CHECK(replaceFile(dir, kFileName, text, 0644));
  certificate = std::move(made);
  pem = std::move(text);
  return {};
}

Result<std::unique_ptr<GatewayCa>> GatewayCa::open(int dir, const Seal& seal,
                                                   const std::string& gateway_id,
                                                   std::int64_t now_s) {
  auto state = std::unique_ptr<State>(new State{dir, seal, gateway_id, {}, {}, {}});
  const auto text = readFile(dir, kFileName, kFileBytesMax);
  if (!text && text.error().code != Errc::kNotFound)
    return within(std::string("identity/") + kFileName, text.error());
  const Status ready = text ? state->read(*text) : state->make(now_s);
  if (!ready) return within("the gateway's CA", ready.error());
  return std::unique_ptr<GatewayCa>(new GatewayCa(std::move(state)));
}

GatewayCa::GatewayCa(std::unique_ptr<State> state) : state_(std::move(state)) {}
GatewayCa::~GatewayCa() = default;

Result<ServerCredential> GatewayCa::issue(const std::vector<std::string>& names,
                                          std::int64_t now_s) {
  if (names.empty()) return fail(Errc::kInvalid, "a server's certificate needs a name");
  Order order;
  order.common_name = names.front();
  order.names = names;
  return issueFor(order, now_s);
}

Result<ServerCredential> GatewayCa::issueFor(const Order& order, std::int64_t now_s) {
  std::string alternatives;
  for (const std::string& name : order.names) {
    KANTE_TRY(alternative, alternativeName(name));
    alternatives += (alternatives.empty() ? "" : ",") + alternative;
  }
  if (order.uri.find_first_of(",\n") != std::string::npos)
    return fail(Errc::kInvalid, "a certificate's URI has no comma");
  if (!order.uri.empty()) alternatives += (alternatives.empty() ? "" : ",") + ("URI:" + order.uri);
  if (alternatives.empty()) return fail(Errc::kInvalid, "a certificate needs a name");
  // One that begins later than now was made by a clock that was wrong.
  if (state_->notAfterS() - now_s < kRenewLeftS || now_s < state_->notBeforeS())
    KANTE_CHECK(state_->certify(now_s));
  CertificateSpec spec;
  spec.common_name = order.common_name;
  spec.not_before_s = std::max(now_s - kBackdatedS, state_->notBeforeS());
  spec.not_after_s = std::min(now_s + order.life_s, state_->notAfterS());
  spec.extensions = {
      {NID_basic_constraints, "critical,CA:FALSE"},
      {NID_key_usage, "critical,digitalSignature"},
      {NID_ext_key_usage, order.purpose == Order::For::kServer ? "serverAuth" : "clientAuth"},
      {NID_subject_alt_name, alternatives},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid:always"}};
  KANTE_TRY(key, makeKey());
  KANTE_TRY(leaf, makeCertificate(spec, key.get(), {state_->certificate.get(), state_->key.get()}));
  return ServerCredential{pemOf(leaf.get()) + state_->pem, pemOf(key.get()),
                          fingerprintOf(leaf.get()), spec.not_before_s, spec.not_after_s};
}

const std::string& GatewayCa::pem() const { return state_->pem; }
std::string GatewayCa::fingerprint() const { return fingerprintOf(state_->certificate.get()); }
std::int64_t GatewayCa::notAfterS() const { return state_->notAfterS(); }

}  // namespace kante
