#include "host/hub/mqtt/tls_transport.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>

#include "host/hub/access.h"

namespace kante::hub {
namespace {

Error failTls(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return fail(Errc::kInvalid, what + ": " + (reason == nullptr ? "not usable" : reason));
}

// A certificate that leads nowhere is taken, and known to lead nowhere.
int takeAny(X509_STORE_CTX* chain, void* /*unused*/) {
  X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_UNTRUSTED);
  return 1;
}

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Pem = std::unique_ptr<BIO, FreeBio>;
Pem pemOf(const std::string& text) {
  return Pem(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, FreeCertificate>;
// Null: there is no more.
Certificate nextCertificate(BIO* pem) {
  return Certificate(PEM_read_bio_X509(pem, nullptr, nullptr, nullptr));
}

Status useOwn(SSL_CTX* context, const TlsMaterial& material) {
  const Pem chain = pemOf(material.chain);
  Certificate own = nextCertificate(chain.get());
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) return failTls("the certificate");
  while (Certificate more = nextCertificate(chain.get()))
    if (SSL_CTX_add1_chain_cert(context, more.get()) != 1) return failTls("its chain");
  const Pem text = pemOf(material.key);
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1) return failTls("the key");
  if (SSL_CTX_check_private_key(context) != 1) return failTls("the key of the certificate");
  return {};
}

Status trustClients(SSL_CTX* context, const std::string& authorities) {
  const Pem text = pemOf(authorities);
  std::size_t count = 0;
  while (const Certificate one = nextCertificate(text.get())) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), one.get()) != 1 ||
        SSL_CTX_add_client_CA(context, one.get()) != 1)
      return failTls("client_ca");
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return fail(Errc::kInvalid, "client_ca: no certificate in it");
  return {};
}

// What a client thinks of the hub's certificate; null: nothing is known of that.
const char* refusalOf(unsigned long error) {
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return nullptr;
  switch (ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET) {
    case SSL_AD_UNKNOWN_CA:
      return "the client does not trust the CA of the hub's certificate (unknown CA)";
    case SSL_AD_CERTIFICATE_EXPIRED: return "the hub's certificate has expired for the client";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
      return "the client refuses the hub's certificate: its names, its end, or its CA";
    default: return nullptr;
  }
}

}  // namespace

Result<TlsContext> makeTlsContext(const TlsMaterial& material) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return failTls("TLS");
  SSL_CTX* raw = context.get();
  if (SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1) return failTls("TLS 1.2");
  SSL_CTX_set_options(
      raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  static constexpr unsigned char kSessions[] = "kante-hub";
  SSL_CTX_set_session_id_context(raw, kSessions, sizeof kSessions - 1);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);  // Tickets carry what is needed.
  KANTE_CHECK(useOwn(raw, material));
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(raw, takeAny, nullptr);
  if (!material.client_ca.empty()) KANTE_CHECK(trustClients(raw, material.client_ca));
  if (material.judge_clients) material.judge_clients(raw);
  ERR_clear_error();
  return context;
}

std::unique_ptr<TlsTransport> TlsTransport::accept(const TlsContext& context,
                                                   FileDescriptor socket) {
  std::unique_ptr<SSL, Free> ssl(SSL_new(context.get()));
  if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1) return nullptr;
  SSL_set_accept_state(ssl.get());
  return std::unique_ptr<TlsTransport>(new TlsTransport(std::move(ssl), std::move(socket)));
}

Transport::Moved TlsTransport::moved(int result) {
  if (result > 0) return {Flow::kOk, static_cast<std::size_t>(result)};
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {Flow::kAgain, 0};
    case SSL_ERROR_ZERO_RETURN: return {Flow::kClosed, 0};
    default:
      broken_ = true;  // No more calls on it but to free it.
      fault_ = refusalOf(ERR_peek_last_error());
      return {Flow::kClosed, 0};
  }
}

Transport::Moved TlsTransport::read(std::span<char> into) {
  if (broken_) return {Flow::kClosed, 0};
  ERR_clear_error();
  const std::size_t size = std::min<std::size_t>(into.size(), INT_MAX);
  return moved(SSL_read(ssl_.get(), into.data(), static_cast<int>(size)));
}

Transport::Moved TlsTransport::write(std::span<const iovec> parts) {
  if (broken_) return {Flow::kClosed, 0};
  std::size_t written = 0;
  for (const iovec& part : parts) {
    // One call makes one record, however much there is room for.
    for (std::size_t at = 0; at < part.iov_len;) {
      ERR_clear_error();
      const std::size_t size = std::min<std::size_t>(part.iov_len - at, INT_MAX);
      const Moved one = moved(SSL_write(ssl_.get(), static_cast<const char*>(part.iov_base) + at,
                                        static_cast<int>(size)));
      if (one.flow != Flow::kOk) return written == 0 ? one : Moved{Flow::kOk, written};
      at += one.bytes;
      written += one.bytes;
    }
  }
  return {Flow::kOk, written};
}

void TlsTransport::describe(Peer& peer) const {
  peer.tls = true;
  X509* shown = SSL_get0_peer_certificate(ssl_.get());
  if (shown == nullptr) return;
  unsigned char* der = nullptr;
  const int size = i2d_X509(shown, &der);
  if (size <= 0) return;
  peer.certificate.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  peer.chain_verified = SSL_get_verify_result(ssl_.get()) == X509_V_OK;
}

void TlsTransport::shutDown() {
  if (!broken_ && !isHandshaking()) {
    ERR_clear_error();
    (void)SSL_shutdown(ssl_.get());
  }
  (void)::shutdown(socket_.get(), SHUT_WR);
}

}  // namespace kante::hub
