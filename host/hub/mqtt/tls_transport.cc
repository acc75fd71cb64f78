#include "host/hub/mqtt/tls_transport.h"

#include <openssl/err.h>
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

// A certificate that leads nowhere is taken: it may be known by its thumbprint.
int takeAny(int /*verified*/, X509_STORE_CTX* /*context*/) { return 1; }

}  // namespace

Result<TlsContext> makeTlsContext(const TlsFiles& files) {
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
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1)
    return failTls(files.certificate);
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return failTls(files.key);
  if (SSL_CTX_check_private_key(raw) != 1)
    return failTls(files.key + " is not the key of " + files.certificate);
  if (!files.client_ca.empty()) {
    if (SSL_CTX_load_verify_file(raw, files.client_ca.c_str()) != 1)
      return failTls(files.client_ca);
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(files.client_ca.c_str()));
  }
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, takeAny);
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
    default: broken_ = true; return {Flow::kClosed, 0};  // No more calls on it but to free it.
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
    if (part.iov_len == 0) continue;
    ERR_clear_error();
    const std::size_t size = std::min<std::size_t>(part.iov_len, INT_MAX);
    const Moved one = moved(SSL_write(ssl_.get(), part.iov_base, static_cast<int>(size)));
    if (one.flow != Flow::kOk) return written == 0 ? one : Moved{Flow::kOk, written};
    written += one.bytes;
    if (one.bytes < part.iov_len) break;
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
