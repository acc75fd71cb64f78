// TLS by an SSL object on the descriptor, which gives its buffers back while nothing moves.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <string>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/hub/mqtt/transport.h"

namespace kante::hub {

using TlsContext = std::shared_ptr<SSL_CTX>;  // Shared by the listeners and their connections.

// All in PEM.
struct TlsMaterial {
  std::string chain;  // The server's own certificate first.
  std::string key;
  std::string client_ca;  // Empty: clients are known by thumbprint, or not by certificates.
  // Sets how certificates of clients are judged; no handshake may fail for one, because it may be
  // known by its thumbprint.  Empty: none leads anywhere.
  std::function<void(SSL_CTX*)> judge_clients;
};
// TLS 1.2 and 1.3.  A client may show a certificate; what it is worth is for Access to say.
Result<TlsContext> makeTlsContext(const TlsMaterial& material);

class TlsTransport final : public Transport {
 public:
  // Connected and non-blocking.  Null: out of memory.
  static std::unique_ptr<TlsTransport> accept(const TlsContext& context, FileDescriptor socket);
  Moved read(std::span<char> into) override;
  Moved write(std::span<const iovec> parts) override;
  const char* fault() const override { return fault_; }
  int descriptor() const override { return socket_.get(); }
  bool isHandshaking() const override { return SSL_is_init_finished(ssl_.get()) == 0; }
  void describe(Peer& peer) const override;
  void shutDown() override;

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  TlsTransport(std::unique_ptr<SSL, Free> ssl, FileDescriptor socket)
      : socket_(std::move(socket)), ssl_(std::move(ssl)) {}
  Moved moved(int result);

  FileDescriptor socket_;
  std::unique_ptr<SSL, Free> ssl_;
  bool broken_ = false;
  const char* fault_ = nullptr;
};

}  // namespace kante::hub
