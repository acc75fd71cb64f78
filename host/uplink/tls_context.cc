#include "host/uplink/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

namespace kante {
namespace {

std::string lastReason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return reason != nullptr ? reason : "not usable";
}

Error bad(const char* option, const std::string& file) {
  return fail(Errc::kInvalid, std::string("[uplink] ") + option + " " + file + ": " + lastReason());
}

std::int64_t secondsOf(const ASN1_TIME* time) {
  std::tm utc{};
  return ASN1_TIME_to_tm(time, &utc) == 1 ? ::timegm(&utc) : 0;
}

}  // namespace

struct TlsCallbacks {
  static TlsContext* of(SSL_CTX* context) {
    return static_cast<TlsContext*>(SSL_CTX_get_app_data(context));
  }

  static int verify(int accepted, X509_STORE_CTX* store) {
    if (accepted == 1) return 1;
    const auto* ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    TlsContext* self = of(SSL_get_SSL_CTX(ssl));
    const int why = X509_STORE_CTX_get_error(store);
    if (why == X509_V_ERR_CERT_NOT_YET_VALID &&
        self->judged_at_.clock == JudgementTime::Clock::kUntrusted) {
      X509_STORE_CTX_set_error(store, X509_V_OK);
      return 1;
    }
    self->refusal_ = "the certificate of " + self->host_ + " is refused: ";
    self->refusal_ += X509_verify_cert_error_string(why);
    return 0;
  }

  // What the broker thinks of us comes as an alert, with TLS 1.3 only after the handshake.
  static void alert(TlsContext& self, int code) {
    const int description = code & 0xff;
    if (description == SSL3_AD_CLOSE_NOTIFY || !self.refusal_.empty()) return;
    self.refusal_ = "TLS: the broker refuses the connection: ";
    self.refusal_ += description == TLS13_AD_CERTIFICATE_REQUIRED
                         ? "certificate required"
                         : SSL_alert_desc_string_long(code);
  }

  static void done(const TlsContext& self, const SSL* ssl) {
    const X509* server = SSL_get0_peer_certificate(ssl);
    if (self.wall_ == nullptr || server == nullptr || SSL_get_verify_result(ssl) != X509_V_OK)
      return;
    self.wall_->accepted(secondsOf(X509_get0_notBefore(server)));
  }

  // The name to ask for is ours, not that of the address that the library was told to connect to.
  static void info(const SSL* ssl, int where, int code) {
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
      return alert(*of(SSL_get_SSL_CTX(ssl)), code);
    }
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0) return done(*of(SSL_get_SSL_CTX(ssl)), ssl);
    if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
    TlsContext* self = of(SSL_get_SSL_CTX(ssl));
    auto* handshake = const_cast<SSL*>(ssl);
    if (self->wall_ != nullptr) {
      self->judged_at_ = self->wall_->judgement();
      X509_VERIFY_PARAM_set_time(SSL_get0_param(handshake), self->judged_at_.at_s);
    }
    char* name = self->host_is_name_ ? const_cast<char*>(self->host_.c_str()) : nullptr;
    SSL_set_tlsext_host_name(handshake, name);
  }
};

Result<std::unique_ptr<TlsContext>> TlsContext::make(const TlsFiles& files, const std::string& host,
                                                     TrustedClock* wall) {
  if (files.ca.empty()) {
    return fail(Errc::kInvalid,
                "[uplink] ca: mqtts needs the file of the CA that signs the broker");
  }
  if (files.cert.empty() != files.key.empty()) {
    return fail(Errc::kInvalid, "[uplink] cert, key: one without the other");
  }
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return fail(Errc::kIo, "TLS: " + lastReason());
  std::unique_ptr<TlsContext> context(new TlsContext(raw, host, wall));
  SSL_CTX_set_app_data(raw, context.get());
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, TlsCallbacks::verify);
  SSL_CTX_set_info_callback(raw, TlsCallbacks::info);
  X509_VERIFY_PARAM* expect = SSL_CTX_get0_param(raw);
  X509_VERIFY_PARAM_set_hostflags(expect, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  context->host_is_name_ = X509_VERIFY_PARAM_set1_ip_asc(expect, host.c_str()) != 1;
  if (context->host_is_name_ && X509_VERIFY_PARAM_set1_host(expect, host.c_str(), 0) != 1) {
    return fail(Errc::kInvalid, "[uplink] url: host " + host + " is neither a name nor an address");
  }
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(raw, files.ca.c_str()) != 1) return bad("ca", files.ca);
  if (!files.cert.empty()) {
    if (SSL_CTX_use_certificate_chain_file(raw, files.cert.c_str()) != 1)
      return bad("cert", files.cert);
    if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
      return bad("key", files.key);
    }
    if (SSL_CTX_check_private_key(raw) != 1) return bad("key", files.key);
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::string TlsContext::takeRefusal() { return std::exchange(refusal_, {}); }

}  // namespace kante
