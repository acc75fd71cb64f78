#include "host/uplink/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "host/base/clock.h"
#include "host/base/openssl.h"

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

std::int64_t seconds(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? ::timegm(&parts) : 0;
}

std::string commonName(const X509_NAME* name) {
  char text[128] = "";
  const int size =
      X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), NID_commonName, text, sizeof text);
  if (size <= 0) return "nobody";
  for (char* at = text; *at != '\0'; ++at) {
    if (static_cast<unsigned char>(*at) < 0x20 || *at == 0x7f) *at = '?';
  }
  return text;
}

bool mayBeSomebodyElse(int why) {
  switch (why) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return true;
    default: return false;
  }
}

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct StoreFree {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};

Status loadOwn(SSL_CTX* context, const TlsFiles& files) {
  if (files.cert.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1)
    return bad("cert", files.cert);
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return bad("key", files.key);
  }
  return {};
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
    self->refuse(why, X509_STORE_CTX_get_current_cert(store));
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
    if (const std::string ended = self.endedText(); !ended.empty()) {
      self.refusal_ += "; the gateway's certificate " + self.files_.cert + ended;
    }
  }

  static void done(const TlsContext& self, const SSL* ssl) {
    const X509* server = SSL_get0_peer_certificate(ssl);
    if (self.wall_ == nullptr || server == nullptr || SSL_get_verify_result(ssl) != X509_V_OK)
      return;
    self.wall_->accepted(seconds(X509_get0_notBefore(server)));
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

void TlsContext::refuse(int why, x509_st* certificate) {
  refusal_ = "the certificate of " + host_ + " is refused: ";
  refusal_ += X509_verify_cert_error_string(why);
  if (certificate == nullptr) return;
  if (why == X509_V_ERR_CERT_HAS_EXPIRED) {
    refusal_ += " at " + formatUtc(seconds(X509_get0_notAfter(certificate)) * 1'000'000'000);
  } else if (why == X509_V_ERR_CERT_NOT_YET_VALID) {
    refusal_ += " before " + formatUtc(seconds(X509_get0_notBefore(certificate)) * 1'000'000'000);
  }
  if (mayBeSomebodyElse(why)) {
    refusal_ += " (it is that of " + commonName(X509_get_subject_name(certificate)) +
                ", issued by " + commonName(X509_get_issuer_name(certificate)) +
                "): if the broker has another, something else answers there, a captive portal "
                "perhaps";
  }
}

TlsContext::TlsContext(ssl_ctx_st* context, TlsFiles files, TrustedClock* wall)
    : context_(context), files_(std::move(files)), wall_(wall) {}

Result<std::unique_ptr<TlsContext>> TlsContext::make(TlsFiles files, const std::string& host,
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
  std::unique_ptr<TlsContext> context(new TlsContext(raw, std::move(files), wall));
  SSL_CTX_set_app_data(raw, context.get());
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, TlsCallbacks::verify);
  SSL_CTX_set_info_callback(raw, TlsCallbacks::info);
  // A session that is resumed would not be verified again.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(raw), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  KANTE_CHECK(context->expect(host));
  KANTE_CHECK(context->load());
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Status TlsContext::expect(const std::string& host) {
  X509_VERIFY_PARAM* expected = SSL_CTX_get0_param(context_);
  X509_VERIFY_PARAM_set1_ip(expected, nullptr, 0);
  X509_VERIFY_PARAM_set1_host(expected, nullptr, 0);
  refusal_.clear();
  host_ = host;
  host_is_name_ = X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) != 1;
  const bool taken = !host_is_name_ || X509_VERIFY_PARAM_set1_host(expected, host.c_str(), 0) == 1;
  ERR_clear_error();
  if (taken) return {};
  return fail(Errc::kInvalid, "[uplink] url: host " + host + " is neither a name nor an address");
}

// Whole or not at all: what is half written, or does not belong together, is not taken.
Status TlsContext::load() {
  const Stamp before = stamp();
  ERR_clear_error();
  const std::unique_ptr<SSL_CTX, ContextFree> trial(SSL_CTX_new(TLS_client_method()));
  std::unique_ptr<X509_STORE, StoreFree> anchors(X509_STORE_new());
  if (trial == nullptr || anchors == nullptr) return fail(Errc::kIo, "TLS: " + lastReason());
  if (X509_STORE_load_file(anchors.get(), files_.ca.c_str()) != 1) return bad("ca", files_.ca);
  KANTE_CHECK(loadOwn(trial.get(), files_));
  own_ = {};
  own_names_.clear();
  if (X509* own = SSL_CTX_get0_certificate(trial.get()); own != nullptr) {
    STACK_OF(X509)* chain = nullptr;
    SSL_CTX_get0_chain_certs(trial.get(), &chain);
    if (SSL_CTX_use_cert_and_key(context_, own, SSL_CTX_get0_privatekey(trial.get()), chain, 1) !=
        1) {
      return bad("cert", files_.cert);
    }
    own_ = {seconds(X509_get0_notBefore(own)), seconds(X509_get0_notAfter(own))};
    own_names_ = "of " + commonName(X509_get_subject_name(own)) + ", issued by " +
                 commonName(X509_get_issuer_name(own)) + ", SHA-256 " + fingerprintOf(own);
  }
  SSL_CTX_set_cert_store(context_, anchors.release());
  loaded_ = before;
  return {};
}

// Empty: it has not, or there is none.
std::string TlsContext::endedText() const {
  if (own_.ends_s == 0 || nowS() <= own_.ends_s) return {};
  return " expired at " + formatUtc(own_.ends_s * 1'000'000'000) + ": renew it";
}

std::string TlsContext::ownText() const {
  if (own_.ends_s == 0) return {};
  const std::string ended = endedText();
  return "the certificate " + files_.cert + " (" + own_names_ + ")" +
         (ended.empty() ? "; the other side's log says why" : ", which" + ended);
}

std::int64_t TlsContext::nowS() const {
  return wall_ != nullptr ? wall_->judgement().at_s : SystemClock().wallNs() / 1'000'000'000;
}

TlsContext::Stamp TlsContext::stamp() const {
  Stamp stamp{};
  const std::string* files[] = {&files_.ca, &files_.cert, &files_.key};
  for (std::size_t i = 0; i < stamp.size(); ++i) {
    struct stat status {};
    if (!files[i]->empty() && ::stat(files[i]->c_str(), &status) == 0) stamp[i] = status.st_ctim;
  }
  return stamp;
}

bool TlsContext::changedOnDisk() const {
  const Stamp now = stamp();
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i].tv_sec != loaded_[i].tv_sec || now[i].tv_nsec != loaded_[i].tv_nsec) return true;
  }
  return false;
}

std::string TlsContext::takeRefusal() { return std::exchange(refusal_, {}); }

}  // namespace kante
