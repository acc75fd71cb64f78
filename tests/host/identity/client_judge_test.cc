#include "host/identity/client_judge.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "tests/host/identity/clock_kit.h"

namespace kante {
namespace {

using testing::ClockKit;
using testing::issue;
using testing::Issued;
using testing::kDayS;
using testing::kNowS;
using testing::Role;

using ContextPtr = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;

class ClientJudgeTest : public ::testing::Test {
 protected:
  // What a server thinks of a client after their handshake in memory; -1: there was none.
  long verifyResult(const Issued* client, const std::vector<const Issued*>& chain = {}) {
    ContextPtr server(SSL_CTX_new(TLS_server_method())), caller(SSL_CTX_new(TLS_client_method()));
    const Issued own = issue("server", Role::kServer);
    SSL_CTX_use_certificate(server.get(), own.certificate.get());
    SSL_CTX_use_PrivateKey(server.get(), own.key.get());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(server.get()), anchor.certificate.get());
    SSL_CTX_set_verify(server.get(), SSL_VERIFY_PEER, nullptr);
    judgeClientsBy(server.get(), time.trusted);
    if (client != nullptr) {
      SSL_CTX_use_certificate(caller.get(), client->certificate.get());
      SSL_CTX_use_PrivateKey(caller.get(), client->key.get());
    }
    for (const Issued* each : chain) SSL_CTX_add1_chain_cert(caller.get(), each->certificate.get());
    const SslPtr a(SSL_new(server.get())), b(SSL_new(caller.get()));
    BIO *left = nullptr, *right = nullptr;
    BIO_new_bio_pair(&left, 0, &right, 0);
    SSL_set_bio(a.get(), left, left);
    SSL_set_bio(b.get(), right, right);
    SSL_set_accept_state(a.get());
    SSL_set_connect_state(b.get());
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(b.get());
      if (SSL_do_handshake(a.get()) == 1) return SSL_get_verify_result(a.get());
    }
    return -1;
  }

  ClockKit time;
  Issued root = issue("root", Role::kCa), anchor = issue("fleet", Role::kCa, &root);
};

TEST_F(ClientJudgeTest, ACertificateOfATrustedCaIsGood) {
  const Issued client = issue("car-7", Role::kClient, &anchor);
  EXPECT_EQ(verifyResult(&client), X509_V_OK);
  const Issued between = issue("line 4", Role::kCa, &anchor);
  const Issued below = issue("car-8", Role::kClient, &between);
  EXPECT_EQ(verifyResult(&below, {&between}), X509_V_OK);
  EXPECT_NE(verifyResult(&below), X509_V_OK);  // Nobody knows who issued it.
}

// The handshake goes on: by its thumbprint it may be good all the same.
TEST_F(ClientJudgeTest, OthersAreNotButNoHandshakeFailsForThem) {
  const Issued self = issue("car-7", Role::kClient);
  const Issued self_ca = issue("car-7", Role::kCa);
  const Issued stranger_ca = issue("fleet", Role::kCa);  // Of the same name.
  const Issued stranger = issue("car-7", Role::kClient, &stranger_ca);
  const Issued server = issue("car-7", Role::kServer, &anchor);
  const Issued under_leaf = [&] {
    const Issued leaf = issue("car-7", Role::kClient, &anchor);
    return issue("car-9", Role::kClient, &leaf);
  }();
  for (const Issued* each : {&self, &self_ca, &stranger, &server, &under_leaf}) {
    const long result = verifyResult(each);
    EXPECT_GT(result, X509_V_OK);
  }
  EXPECT_GT(verifyResult(&stranger, {&stranger_ca}), X509_V_OK);
}

TEST_F(ClientJudgeTest, TimeIsTheGatewaysOwn) {
  const Issued client = issue("car-7", Role::kClient, &anchor);
  const Issued future = issue("car-7", Role::kClient, &anchor, 10, kNowS + kDayS);
  EXPECT_EQ(verifyResult(&future), X509_V_ERR_CERT_NOT_YET_VALID);
  time.stepTo(kNowS + 11 * kDayS);
  EXPECT_EQ(verifyResult(&client), X509_V_ERR_CERT_HAS_EXPIRED);
  time.stepTo(1000);
  EXPECT_EQ(verifyResult(&client), X509_V_OK);
  EXPECT_EQ(verifyResult(&future), X509_V_OK);
}

}  // namespace
}  // namespace kante
