#include <fmt/format.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <memory>

#include "host/base/fd.h"
#include "host/base/openssl.h"
#include "host/bundle/trust.h"
#include "host/cli/checks.h"
#include "host/cli/in_file.h"
#include "host/cli/output.h"
#include "host/config/config.h"

namespace kante::cli {
namespace {

constexpr int kDeadlineMs = 5000;
constexpr int kAlertMs = 500;
constexpr int kExpiresSoonDays = 30;
constexpr std::size_t kPemBytesMax = 1 << 20;

using TlsContext = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
using Tls = std::unique_ptr<SSL, OpensslFree<SSL_free>>;
using Addresses = std::unique_ptr<addrinfo, OpensslFree<freeaddrinfo>>;

void add(CheckResults& out, const char* name, Verdict verdict, std::string text,
         std::string hint = {}) {
  out.push_back({name, verdict, std::move(text), std::move(hint)});
}

// The certificate of a file that ends first, judged.
void judgeFile(const char* check, const std::string& file, const char* setting, CheckResults& out) {
  const auto pem = readFile(file, kPemBytesMax);
  if (!pem)
    return add(out, check, Verdict::kFail, pem.error().text, fmt::format("mend {}", setting));
  const auto certificates = readCertificates(*pem);
  if (!certificates || certificates->empty()) {
    const std::string why =
        certificates ? "no certificate in PEM form in it" : certificates.error().text;
    return add(out, check, Verdict::kFail, file + ": " + why, fmt::format("mend {}", setting));
  }
  int days_left = 1 << 30;
  std::string first;
  for (const X509Ptr& certificate : *certificates) {
    int days = 0;
    int seconds = 0;
    ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate.get()));
    if (days >= days_left) continue;
    days_left = seconds < 0 && days == 0 ? -1 : days;
    first = subjectOf(certificate.get());
  }
  if (days_left < 0) {
    return add(out, check, Verdict::kFail, fmt::format("{}: {} has expired", file, first),
               "have it issued anew");
  }
  const std::string text = fmt::format("{}: valid for {} days", file, days_left);
  if (days_left < kExpiresSoonDays) {
    return add(out, check, Verdict::kWarn, text + " only (" + first + ")",
               "have it issued anew soon");
  }
  add(out, check, Verdict::kOk, text);
}

// `pair`: the section of the file that has `key` and `cert`.
void judgeKey(const char* check, const std::string& key_file, const std::string& certificate_file,
              const std::string& pair, CheckResults& out) {
  const auto key_pem = readFile(key_file, kPemBytesMax);
  const auto certificate_pem = readFile(certificate_file, kPemBytesMax);
  if (!key_pem)
    return add(out, check, Verdict::kFail, key_pem.error().text, "mend " + pair + " key");
  if (!certificate_pem) return;  // Said already.
  const BioPtr key_bio(BIO_new_mem_buf(key_pem->data(), static_cast<int>(key_pem->size())));
  const BioPtr certificate_bio(
      BIO_new_mem_buf(certificate_pem->data(), static_cast<int>(certificate_pem->size())));
  char no_password[] = "";  // Without it OpenSSL would ask the terminal.
  const KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, no_password));
  const X509Ptr certificate(PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr));
  if (!key || !certificate || X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return add(out, check, Verdict::kFail, key_file + " is not the key of " + certificate_file,
               "name the pair that belongs together in " + pair);
  }
  add(out, check, Verdict::kOk, key_file + " belongs to its certificate");
}

Result<FileDescriptor> connectOne(const addrinfo& address) {
  FileDescriptor fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return failErrno("socket");
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return fd;
  if (errno != EINPROGRESS) return failErrno("connect");
  pollfd ready{fd.get(), POLLOUT, 0};
  if (::poll(&ready, 1, kDeadlineMs) != 1) return fail(Errc::kTimeout, "no answer within 5 s");
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return failErrno("connect", error);
  return fd;
}

Result<FileDescriptor> connectTo(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (failed != 0) {
    return fail(Errc::kUnavailable,
                std::string("its name is not known: ") + ::gai_strerror(failed));
  }
  const Addresses addresses(found);
  Result<FileDescriptor> last = fail(Errc::kUnavailable, "it has no address");
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    last = connectOne(*each);
    if (last) return last;
  }
  return last;
}

Result<TlsContext> tlsContext(const UplinkConfig& uplink) {
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const int anchors =
      uplink.ca.empty() ? SSL_CTX_set_default_verify_paths(context.get())
                        : SSL_CTX_load_verify_locations(context.get(), uplink.ca.c_str(), nullptr);
  if (anchors != 1) return fail(Errc::kInvalid, "[uplink] ca: " + opensslReason());
  if (!uplink.cert.empty() &&
      (SSL_CTX_use_certificate_chain_file(context.get(), uplink.cert.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context.get(), uplink.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    return fail(Errc::kInvalid, "[uplink] cert, key: " + opensslReason());
  }
  return context;
}

// With TLS 1.3 a broker that does not take our certificate says so only after the handshake.
Status heardNoAlert(SSL* tls, int fd) {
  pollfd ready{fd, POLLIN, 0};
  if (::poll(&ready, 1, kAlertMs) != 1) return {};
  char first = 0;
  const int answer = SSL_peek(tls, &first, 1);
  if (answer > 0 || SSL_get_error(tls, answer) == SSL_ERROR_WANT_READ) return {};
  return fail(Errc::kDenied, "it does not take this gateway's certificate: " + opensslReason());
}

// The version that was agreed on.
Result<std::string> shakeHands(const UplinkConfig& uplink, const Endpoint& endpoint, int fd) {
  KANTE_TRY(context, tlsContext(uplink));
  const Tls tls(SSL_new(context.get()));
  SSL_set_fd(tls.get(), fd);
  SSL_set_tlsext_host_name(tls.get(), endpoint.host.c_str());
  X509_VERIFY_PARAM* rules = SSL_get0_param(tls.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(rules, endpoint.host.c_str()) != 1) {
    SSL_set1_host(tls.get(), endpoint.host.c_str());
  }
  ERR_clear_error();
  for (;;) {
    const int answer = SSL_connect(tls.get());
    if (answer == 1) {
      KANTE_CHECK(heardNoAlert(tls.get(), fd));
      return std::string(SSL_get_version(tls.get()));
    }
    const int why = SSL_get_error(tls.get(), answer);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) break;
    pollfd ready{fd, static_cast<short>(why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0};
    if (::poll(&ready, 1, kDeadlineMs) != 1) return fail(Errc::kTimeout, "no answer within 5 s");
  }
  const long verdict = SSL_get_verify_result(tls.get());
  if (verdict != X509_V_OK) {
    ERR_clear_error();
    return fail(Errc::kUntrusted, std::string("its certificate is not good: ") +
                                      X509_verify_cert_error_string(verdict));
  }
  return fail(Errc::kUnavailable, opensslReason());
}

}  // namespace

void checkCertificates(const Config& config, CheckResults& out) {
  const bool unset = !config.set_at.contains("trust.signers");
  for (const std::string& file : config.trust.signers) {
    if (unset && ::access(file.c_str(), F_OK) != 0) {
      add(out, "signers", Verdict::kWarn, "no signer is trusted, so no bundle can be deployed",
          "name certificates in [trust] signers");
    } else {
      judgeFile("signers", file, "[trust] signers", out);
    }
  }
  for (const std::string& file : config.trust.deployers)
    judgeFile("deployers", file, "[trust] deployers", out);
  for (const std::string& file : config.trust.roots) judgeFile("roots", file, "[trust] roots", out);
  if (const auto revoked = TrustStore::readRevoked(config.trust.revoked); !revoked)
    add(out, "revoked", Verdict::kFail, revoked.error().text, "mend [trust] revoked");
  if (!config.fetch.ca.empty()) judgeFile("fetch", config.fetch.ca, "[fetch] ca", out);
  const HubTlsConfig& hub = config.hub.tls;
  if (!hub.cert.empty()) {
    judgeFile("hub", hub.cert, "[hub.tls] cert", out);
    judgeKey("hub-key", hub.key, hub.cert, "[hub.tls]", out);
  }
  if (!hub.client_ca.empty()) judgeFile("client-ca", hub.client_ca, "[hub.tls] client_ca", out);
  const UplinkConfig& uplink = config.uplink;
  if (uplink.kind == UplinkKind::kNone) return;
  if (!uplink.ca.empty()) judgeFile("ca", uplink.ca, "[uplink] ca", out);
  if (!uplink.password_file.empty())
    if (const auto file = openInFile(uplink.password_file); !file)
      add(out, "password", Verdict::kFail, file.error().text, "mend [uplink] password_file");
  if (!uplink.cert.empty()) {
    judgeFile("cert", uplink.cert, "[uplink] cert", out);
    judgeKey("key", uplink.key, uplink.cert, "[uplink]", out);
  }
}

void checkBroker(const Config& config, CheckResults& out) {
  const UplinkConfig& uplink = config.uplink;
  if (uplink.kind == UplinkKind::kNone) {
    return add(out, "broker", Verdict::kOk, "no uplink is configured");
  }
  const auto url = parseUplinkUrl(uplink.url);
  if (!url) return add(out, "broker", Verdict::kFail, url.error().text, "mend [uplink] url");
  const auto fd = connectTo(url->endpoint);
  if (!fd) {
    return add(out, "broker", Verdict::kFail, uplink.url + ": " + fd.error().text,
               "look at the network, the firewall and whether the broker runs");
  }
  if (url->scheme == UplinkUrl::Scheme::kMqtt) {
    return add(out, "broker", Verdict::kOk, uplink.url + " takes connections, without TLS");
  }
  const auto version = shakeHands(uplink, url->endpoint, fd->get());
  if (!version) {
    return add(out, "broker", Verdict::kFail, uplink.url + ": TLS: " + version.error().text,
               "look at [uplink] ca, cert and key, and at the broker's own certificate");
  }
  add(out, "broker", Verdict::kOk, uplink.url + " speaks " + *version);
}

}  // namespace kante::cli
