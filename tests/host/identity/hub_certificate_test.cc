#include "host/identity/hub_certificate.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <filesystem>

#include "host/base/fd.h"
#include "tests/host/identity/clock_kit.h"
#include "tests/host/identity/temp_dir.h"

namespace kante {
namespace {

using testing::ClockKit;
using testing::issue;
using testing::Issued;
using testing::kDayS;
using testing::kNowS;
using testing::Role;
using testing::TempDir;

class HubCertificateTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<GatewayCa>> openCa() {
    return GatewayCa::open(dir.fd(), seal, "edge-1", time.trusted.judgement().at_s);
  }
  // Whether a client that trusts this CA and calls the server `name` takes the chain now.
  bool clientTakes(const std::string& ca, const std::string& chain, const std::string& name) {
    const auto anchors = *readCertificates(ca);
    const auto shown = *readCertificates(chain);
    const StorePtr store(X509_STORE_new());
    X509_STORE_add_cert(store.get(), anchors[0].get());
    const StoreContextPtr context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store.get(), shown[0].get(), nullptr);
    X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(rules, time.trusted.judgement().at_s);
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) != 1)
      X509_VERIFY_PARAM_set1_host(rules, name.c_str(), 0);
    return X509_verify_cert(context.get()) == 1;
  }
  std::string write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(replaceFile(dir.fd(), name, text));
    return dir.path() + "/" + name;
  }

  ClockKit time;
  TempDir dir;
  Seal seal = *Seal::open(dir.fd());
  const std::vector<std::string> names = {"edge-1.local", "localhost", "10.0.0.5", "::1"};
};

TEST_F(HubCertificateTest, ClientsThatTrustTheCaTakeItForEachOfItsNames) {
  const auto ca = openCa();
  ASSERT_TRUE(ca) << ca.error().text;
  const auto hub = HubCertificate::issued(**ca, time.trusted, names);
  ASSERT_TRUE(hub) << hub.error().text;
  for (const std::string& name : names)
    EXPECT_TRUE(clientTakes((*ca)->pem(), (*hub)->current().chain, name)) << name;
  EXPECT_FALSE(clientTakes((*ca)->pem(), (*hub)->current().chain, "edge-2.local"));
  EXPECT_FALSE(clientTakes((*ca)->pem(), (*hub)->current().chain, "10.0.0.6"));
  EXPECT_EQ(readCertificates((*hub)->current().chain)->size(), 2u);
  EXPECT_EQ((*hub)->current().not_after_s, kNowS + 90 * kDayS);
  EXPECT_EQ((*ca)->notAfterS(), kNowS + 3650 * kDayS);
}

TEST_F(HubCertificateTest, TheCaIsMadeOnceAndItsKeyIsSealed) {
  const std::string first = (*openCa())->pem();
  EXPECT_EQ((*openCa())->pem(), first);
  EXPECT_EQ(*readFile(dir.fd(), "ca.pem", 1 << 16), first);
  const std::string key = *readFile(dir.fd(), "ca.key.sealed", 1 << 16);
  EXPECT_EQ(key.find("PRIVATE"), std::string::npos);
  struct stat status {};
  ASSERT_EQ(::fstatat(dir.fd(), "ca.key.sealed", &status, 0), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(HubCertificateTest, WhatIsLeftOfACaIsNotReplacedInSilence) {
  ASSERT_TRUE(openCa());
  const std::string key = *readFile(dir.fd(), "ca.key.sealed", 1 << 16);
  const std::string pem = *readFile(dir.fd(), "ca.pem", 1 << 16);
  const auto says = [&](const char* what) {
    const auto ca = openCa();
    ASSERT_FALSE(ca);
    EXPECT_NE(ca.error().text.find(what), std::string::npos) << ca.error().text;
    EXPECT_NE(ca.error().text.find("take both away"), std::string::npos) << ca.error().text;
  };
  write("ca.key.sealed", key.substr(1));
  says("ca.key.sealed: a sealed secret cannot be opened");
  write("ca.key.sealed", seal.seal("no key", "identity/ca.key"));
  says("no private key");
  write("ca.key.sealed", seal.seal(pemOf(makeKey()->get()), "identity/ca.key"));
  says("is not the key of ca.pem");
  write("ca.key.sealed", key);
  write("ca.pem", pem + pem);
  says("no certificate");
  std::filesystem::remove(dir.path() + "/ca.key.sealed");
  write("ca.pem", pem);
  says("ca.key.sealed");
}

TEST_F(HubCertificateTest, NamesThatAreNoneAreRefused) {
  const auto ca = openCa();
  for (const char* bad : {"", "a b", "a,IP:1.2.3.4", "a\n", "*"})
    EXPECT_EQ((*ca)->issue({bad}, kNowS).error().code, Errc::kInvalid) << bad;
  EXPECT_EQ((*ca)->issue({}, kNowS).error().code, Errc::kInvalid);
}

TEST_F(HubCertificateTest, IsRenewedAtTwoThirdsOfItsLifeAndTold) {
  const auto ca = openCa();
  const auto hub = *HubCertificate::issued(**ca, time.trusted, names);
  std::vector<std::string> told;
  hub->onChange([&](const ServerCredential& next) { told.push_back(next.fingerprint); });
  const std::string first = hub->current().fingerprint;
  time.stepTo(kNowS + 59 * kDayS);
  ASSERT_TRUE(hub->tick());
  EXPECT_TRUE(told.empty());
  time.stepTo(kNowS + 60 * kDayS + 3600);
  ASSERT_TRUE(hub->tick());
  ASSERT_TRUE(hub->tick());
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0], first);
  EXPECT_EQ(hub->current().fingerprint, told[0]);
  EXPECT_TRUE(clientTakes((*ca)->pem(), hub->current().chain, "edge-1.local"));
}

// A gateway that did not know the time issues anew as soon as it does.
TEST_F(HubCertificateTest, AfterAClockStepItIsOneThatClientsTake) {
  time.stepTo(1000);
  const auto ca = openCa();
  const auto hub = *HubCertificate::issued(**ca, time.trusted, names);
  EXPECT_EQ(hub->current().not_after_s, kNowS - kDayS + 90 * kDayS);
  time.stepTo(kNowS + 400 * kDayS);
  ASSERT_TRUE(hub->tick());
  EXPECT_TRUE(clientTakes((*ca)->pem(), hub->current().chain, "edge-1.local"));
  time.stepTo(kNowS);  // It had been wrong.
  ASSERT_TRUE(hub->tick());
  EXPECT_TRUE(clientTakes((*ca)->pem(), hub->current().chain, "edge-1.local"));
}

TEST_F(HubCertificateTest, ACaThatAWrongClockMadeBeginsAnew) {
  time.stepTo(kNowS + 400 * kDayS);
  const auto ca = openCa();
  const auto hub = *HubCertificate::issued(**ca, time.trusted, names);
  time.stepTo(kNowS);
  ASSERT_TRUE(hub->tick());
  EXPECT_TRUE(clientTakes((*ca)->pem(), hub->current().chain, "edge-1.local"));
  int told = 0;
  hub->onChange([&](const ServerCredential&) { ++told; });
  ASSERT_TRUE(hub->tick());
  EXPECT_EQ(told, 0);
}

TEST_F(HubCertificateTest, TheCaGetsANewCertificateUnderItsKeyInItsLastYear) {
  const auto ca = openCa();
  const std::string old_pem = (*ca)->pem();
  time.stepTo(kNowS + 3300 * kDayS);
  const auto leaf = (*ca)->issue(names, time.trusted.judgement().at_s);
  ASSERT_TRUE(leaf);
  EXPECT_NE((*ca)->pem(), old_pem);
  EXPECT_TRUE(clientTakes(old_pem, leaf->chain, "edge-1.local"));
  EXPECT_TRUE(clientTakes((*ca)->pem(), leaf->chain, "edge-1.local"));
  EXPECT_EQ(*readFile(dir.fd(), "ca.pem", 1 << 16), (*ca)->pem());
}

TEST_F(HubCertificateTest, TheOperatorsFilesAreReadAgainWhenTheyChange) {
  const Issued first = issue("hub", Role::kServer), second = issue("hub", Role::kServer);
  const HubCertificate::Files files{write("hub.pem", pemOf(first.certificate.get())),
                                    write("hub.key", pemOf(first.key.get()))};
  const auto hub = *HubCertificate::fromFiles(files, time.trusted);
  int told = 0;
  hub->onChange([&](const ServerCredential&) { ++told; });
  ASSERT_TRUE(hub->tick());
  EXPECT_EQ(told, 0);
  write("hub.pem", pemOf(second.certificate.get()));
  const Status half = hub->tick();
  ASSERT_FALSE(half);
  EXPECT_NE(half.error().text.find("hub.key is not the key of"), std::string::npos);
  EXPECT_EQ(hub->current().fingerprint, fingerprintOf(first.certificate.get()));
  EXPECT_TRUE(hub->tick());  // Said once.
  write("hub.key", pemOf(second.key.get()));
  ASSERT_TRUE(hub->tick());
  EXPECT_EQ(told, 1);
  EXPECT_EQ(hub->current().fingerprint, fingerprintOf(second.certificate.get()));
}

TEST_F(HubCertificateTest, FilesThatDoNotServeAreRefusedByName) {
  const Issued good = issue("hub", Role::kServer),
               old = issue("hub", Role::kServer, nullptr, -1, kNowS - 9 * kDayS);
  const std::string cert = write("c.pem", pemOf(good.certificate.get()));
  const std::string key = write("c.key", pemOf(good.key.get()));
  const auto says = [&](const HubCertificate::Files& files, const char* what) {
    const auto hub = HubCertificate::fromFiles(files, time.trusted);
    ASSERT_FALSE(hub) << what;
    EXPECT_NE(hub.error().text.find(what), std::string::npos) << hub.error().text;
  };
  says({dir.path() + "/none.pem", key}, "none.pem");
  says({cert, cert}, "c.pem: no private key");
  says({write("empty.pem", "\n"), key}, "empty.pem: has no certificate");
  says({write("old.pem", pemOf(old.certificate.get())), write("old.key", pemOf(old.key.get()))},
       "old.pem expired at 2025");
}

}  // namespace
}  // namespace kante
