#include "host/hub/mqtt/tls_transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>

#include "host/base/fd.h"
#include "host/hub/access.h"
#include "tests/support/tls_material.h"

namespace kante::hub {
namespace {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// A server's transport and a client on the two ends of a pair of sockets.
class TlsTransportTest : public ::testing::Test {
 protected:
  TlsTransportTest() : files_(makeFolder()), material_(files_, "test") {
    const auto own = material_.server("server");
    const auto text = [](const std::string& path) { return *readFile(path, 1 << 20); };
    server_ = {text(own.cert), text(own.key), {}, {}};
    client_context_.reset(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  }
  ~TlsTransportTest() override { std::filesystem::remove_all(files_); }
  static std::string makeFolder() {
    std::string folder = ::testing::TempDir() + "tls-XXXXXX";
    return ::mkdtemp(folder.data());
  }

  // False: no handshake.
  bool connect(const TlsContext& context) {
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
    transport_ = TlsTransport::accept(context, FileDescriptor(pair[0]));
    client_socket_ = FileDescriptor(pair[1]);
    client_.reset(SSL_new(client_context_.get()));
    SSL_set_fd(client_.get(), pair[1]);
    char byte = 0;
    for (int i = 0; i < 20; ++i) {
      if (SSL_connect(client_.get()) == 1 && !transport_->isHandshaking()) return true;
      if (transport_->read(std::span(&byte, 1)).flow == Transport::Flow::kClosed) return false;
    }
    return false;
  }

  const std::string files_;
  testing::TlsMaterial material_;
  TlsMaterial server_;
  std::shared_ptr<SSL_CTX> client_context_;
  FileDescriptor client_socket_;
  std::unique_ptr<TlsTransport> transport_;
  std::unique_ptr<SSL, FreeSsl> client_;
};

TEST_F(TlsTransportTest, WritesUntilThereIsNoMoreRoom) {
  const auto context = makeTlsContext(server_);
  ASSERT_TRUE(context) << context.error().text;
  ASSERT_TRUE(connect(*context));
  // More than a record has, less than the sockets hold.
  std::string bytes(50'000, 'x');
  iovec part{bytes.data(), bytes.size()};
  EXPECT_EQ(transport_->write(std::span(&part, 1)).bytes, bytes.size());
  std::size_t total = bytes.size();
  for (;;) {
    const auto moved = transport_->write(std::span(&part, 1));
    total += moved.bytes;
    if (moved.flow != Transport::Flow::kOk) break;
  }
  std::size_t read = 0;
  std::string into(16'384, ' ');
  while (read < total) {
    const int count = SSL_read(client_.get(), into.data(), static_cast<int>(into.size()));
    if (count <= 0) {
      // What a record had no room for leaves with the next call.
      const auto moved = transport_->write(std::span(&part, 1));
      ASSERT_EQ(moved.flow, Transport::Flow::kOk);
      total += moved.bytes;
      continue;
    }
    read += static_cast<std::size_t>(count);
    if (read > 50'000) break;
  }
  EXPECT_GT(read, 50'000u);
}

TEST_F(TlsTransportTest, KnowsWhatTheClientHasShown) {
  const auto shown = material_.client("client", "car-1");
  ASSERT_EQ(SSL_CTX_use_certificate_chain_file(client_context_.get(), shown.cert.c_str()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(client_context_.get(), shown.key.c_str(), SSL_FILETYPE_PEM),
            1);
  const auto context = makeTlsContext(server_);
  ASSERT_TRUE(context);
  ASSERT_TRUE(connect(*context)) << "nobody is turned away for a certificate that leads nowhere";
  Peer peer;
  transport_->describe(peer);
  EXPECT_TRUE(peer.tls);
  EXPECT_FALSE(peer.certificate.empty());
  EXPECT_FALSE(peer.chain_verified);
}

TEST_F(TlsTransportTest, SaysThatTheClientDoesNotTrustTheHub) {
  SSL_CTX_set_verify(client_context_.get(), SSL_VERIFY_PEER, nullptr);
  const auto context = makeTlsContext(server_);
  ASSERT_TRUE(context);
  EXPECT_FALSE(connect(*context));
  ASSERT_NE(transport_->fault(), nullptr);
  EXPECT_NE(std::string(transport_->fault()).find("unknown CA"), std::string::npos);
}

TEST_F(TlsTransportTest, RefusesWhatIsOlderThanTls12) {
  SSL_CTX_set_security_level(client_context_.get(), 0);
  SSL_CTX_set_max_proto_version(client_context_.get(), TLS1_1_VERSION);
  SSL_CTX_set_min_proto_version(client_context_.get(), TLS1_VERSION);
  const auto context = makeTlsContext(server_);
  ASSERT_TRUE(context);
  EXPECT_FALSE(connect(*context));
}

TEST_F(TlsTransportTest, SaysWhatIsWrongWithItsMaterial) {
  TlsMaterial wrong = server_;
  wrong.chain = "nothing";
  EXPECT_EQ(makeTlsContext(wrong).error().text.substr(0, 16), "the certificate:");
  wrong = server_;
  wrong.key = "nothing";
  EXPECT_EQ(makeTlsContext(wrong).error().text.substr(0, 8), "the key:");
  wrong = server_;
  wrong.client_ca = "nothing";
  EXPECT_EQ(makeTlsContext(wrong).error().text, "client_ca: no certificate in it");
}

}  // namespace
}  // namespace kante::hub
