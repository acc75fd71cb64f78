// Documents of kind "trust", and whom a gateway believes afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/agent/documents_kit.h"

namespace kante {
namespace {

using test::ann;
using test::DocumentsTest;
using test::Identity;
using test::makeDeployer;
using test::Says;
using test::theCa;
using testing::HasSubstr;

const Identity& rootCa() {
  static const Identity ca = test::makeCa("roots");
  return ca;
}
const Identity& root() {
  static const Identity signer = makeDeployer(rootCa(), "root");
  return signer;
}
const Identity& otherCa() {
  static const Identity ca = test::makeCa("other");
  return ca;
}

std::string pems(const char* kind, const std::vector<std::string>& texts) {
  boost::json::array all(texts.begin(), texts.end());
  return "\"" + std::string(kind) + "\":" + boost::json::serialize(all);
}

Says trust(std::uint64_t counter, const std::string& members) {
  return {DocumentKind::kTrust, counter, "{" + members + "}"};
}

class TrustTest : public DocumentsTest {
 protected:
  TrustTest() {
    files_[static_cast<std::size_t>(AnchorKind::kRoots)] = rootCa().certificatePem();
    restart();
  }
  std::string takeTrust(std::uint64_t counter, const std::string& members) {
    return take(trust(counter, members).file(root()), {DocumentKind::kTrust}, "", "trust");
  }
};

TEST_F(TrustTest, ARootReplacesTheDeployersAtOnceAndForGood) {
  const Identity bob = makeDeployer(otherCa(), "bob");
  EXPECT_EQ(take(set(3, 1).file(bob)), "untrusted");
  EXPECT_EQ(takeTrust(5, pems("deployers", {otherCa().certificatePem()})), "taken");
  EXPECT_EQ(trust_changes_, 1);
  EXPECT_EQ(take(set(3, 1).file()), "untrusted") << "who was trusted before is not any more";
  EXPECT_EQ(take(set(3, 1).file(bob)), "taken");
  EXPECT_EQ(report().at("trust").at("counter"), 5);
  restart();
  EXPECT_EQ(take(set(4, 2).file(bob)), "taken");
  EXPECT_EQ(take(set(5, 2).file()), "untrusted");
  const auto& from = anchors_->origin(AnchorKind::kDeployers);
  ASSERT_TRUE(from);
  EXPECT_EQ(from->mark.counter, 5u);
  EXPECT_EQ(from->who, "root/CN=root");
  EXPECT_EQ(anchors_->shown(AnchorKind::kDeployers).at(0).subject, "CN=other");
  EXPECT_FALSE(anchors_->origin(AnchorKind::kRoots)) << "what it does not name stays";
}

TEST_F(TrustTest, OnlyRootsSignTrustAndTheySignNothingElse) {
  const std::string members = pems("deployers", {otherCa().certificatePem()});
  EXPECT_EQ(take(trust(5, members).file(ann())), "untrusted");
  EXPECT_EQ(take(trust(5, members).file(ann()), {DocumentKind::kTrust}), "untrusted");
  EXPECT_EQ(take(set(3, 1).file(root())), "untrusted");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("a root changes who is trusted"));
  EXPECT_EQ(take(trust(5, members).file(root())), "taken") << "by hand nothing says what it is";
}

TEST_F(TrustTest, WithoutRootsNobodyChangesTrust) {
  files_[static_cast<std::size_t>(AnchorKind::kRoots)].clear();
  restart();
  EXPECT_EQ(takeTrust(5, pems("deployers", {otherCa().certificatePem()})), "untrusted");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("[trust] roots"));
}

TEST_F(TrustTest, OneThatIsOlderForAnotherGatewayOrOverIsRefused) {
  const std::string members = pems("signers", {otherCa().certificatePem()});
  const std::string file = trust(5, members).file(root());
  EXPECT_EQ(take(file), "taken");
  EXPECT_EQ(take(file), "ignored");
  EXPECT_EQ(takeTrust(4, members), "replayed");
  EXPECT_EQ(take(trust(5, members + "," + pems("roots", {rootCa().certificatePem()}))
                     .file(makeDeployer(rootCa(), "another"))),
            "replayed")
      << "there is one trust, whoever of the roots signs";
  restart();
  EXPECT_EQ(takeTrust(5, members), "ignored");
  Says says = trust(6, members);
  says.gateway = "edge-2";
  EXPECT_EQ(take(says.file(root())), "wrong-target");
  says = trust(6, members);
  says.not_after_s = test::kNow_s - 1;
  EXPECT_EQ(take(says.file(root())), "expired");
  std::string tampered = trust(6, members).file(root());
  tampered[tampered.size() - 3] ^= 1;
  EXPECT_EQ(take(tampered), "tampered");
  EXPECT_EQ(take(set(3, 1).file(), {DocumentKind::kTrust}), "untrusted");
}

TEST_F(TrustTest, OneThatWouldLockOutEverybodyIsRefused) {
  EXPECT_EQ(takeTrust(5, pems("deployers", {})), "taken") << "a root may bring others";
  EXPECT_EQ(takeTrust(6, pems("roots", {})), "invalid");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("would lock out"));
  const Identity over = [] {
    test::CertificateOptions options;
    options.common_name = "over";
    options.is_ca = true;
    options.usage = "";
    options.key_usage = "critical,keyCertSign,cRLSign";
    options.not_after_s = test::kNow_s - 1;
    return makeIdentity(options);
  }();
  EXPECT_EQ(takeTrust(7, pems("roots", {over.certificatePem()})), "invalid")
      << "a root that has ended can change nothing";
  EXPECT_EQ(takeTrust(8, pems("revoked", {test::makeRevocations(rootCa(), {&rootCa()})})),
            "invalid");
  EXPECT_EQ(takeTrust(9, pems("roots", {}) + "," + pems("deployers", {theCa().certificatePem()})),
            "taken");
}

TEST_F(TrustTest, RootsRotate) {
  EXPECT_EQ(takeTrust(5, pems("roots", {otherCa().certificatePem()})), "taken");
  EXPECT_EQ(takeTrust(6, pems("signers", {theCa().certificatePem()})), "untrusted");
  const Identity next = makeDeployer(otherCa(), "next");
  EXPECT_EQ(take(trust(6, pems("roots", {rootCa().certificatePem()})).file(next)), "taken");
  EXPECT_EQ(takeTrust(5, pems("deployers", {})), "replayed");
}

TEST_F(TrustTest, RevocationListsHoldForDeployers) {
  EXPECT_EQ(takeTrust(5, pems("revoked", {test::makeRevocations(theCa(), {&ann()})})), "taken");
  EXPECT_EQ(take(set(3, 1).file()), "untrusted");
  EXPECT_EQ(take(set(3, 1).file(makeDeployer(theCa(), "bob"))), "taken");
}

TEST_F(TrustTest, WhatIsNoTrustIsRefusedWithItsPointer) {
  const auto text = [&](const std::string& members) {
    EXPECT_EQ(takeTrust(5, members), "malformed");
    return documents_->errors().back().text;
  };
  EXPECT_THAT(text(""), HasSubstr("/content: it changes nothing"));
  EXPECT_THAT(text(R"("signer":[])"), HasSubstr("/content/signer: unknown member"));
  EXPECT_THAT(text(R"("signers":["hello"])"), HasSubstr("/content/signers/0: no certificate"));
  EXPECT_THAT(text(pems("revoked", {theCa().certificatePem()})), HasSubstr("/content/revoked/0: "));
  EXPECT_THAT(text(pems("roots", {theCa().keyPem()})), HasSubstr("/content/roots/0: "));
  EXPECT_THAT(text(R"("heirs":{"a":"b"})"), HasSubstr("/content/heirs/a: "));
  Says says = trust(5, pems("signers", {}));
  says.name = "ours";
  EXPECT_EQ(take(says.file(root())), "malformed");
}

TEST_F(TrustTest, ADiskThatFailsLeavesWhoWasTrusted) {
  taken_.sync_failures = {true};
  EXPECT_EQ(takeTrust(5, pems("deployers", {otherCa().certificatePem()})), "failed");
  EXPECT_EQ(take(set(3, 1).file()), "taken");
  restart();
  EXPECT_EQ(take(set(4, 2).file()), "taken");
  taken_.full = true;
  EXPECT_EQ(takeTrust(5, pems("deployers", {otherCa().certificatePem()})), "failed");
  taken_.full = false;
  EXPECT_EQ(takeTrust(5, pems("deployers", {otherCa().certificatePem()})), "taken");
}

TEST_F(TrustTest, ItsCounterIsInTheRecordThatBroughtIt) {
  const auto before = taken_.values;
  EXPECT_EQ(takeTrust(5, pems("deployers", {otherCa().certificatePem()})), "taken");
  const std::string record = taken_.values.at(Anchors::kRecordKey);
  taken_.values = before;  // As if power went between the two writes.
  taken_.values[Anchors::kRecordKey] = record;
  restart();
  EXPECT_EQ(takeTrust(4, pems("deployers", {theCa().certificatePem()})), "replayed");
}

TEST_F(TrustTest, ARecordThatCannotBeReadLeavesTheFiles) {
  EXPECT_EQ(takeTrust(5, pems("deployers", {})), "taken");
  std::string damage;
  taken_.values[Anchors::kRecordKey] = R"({"deployers":{"text":"hello"}})";
  EXPECT_EQ(Anchors::open(files_, taken_, damage).value()->deployers().anchors(), 1u);
  EXPECT_NE(damage, "");
}

TEST_F(TrustTest, AnOperatorGoesBackToTheFiles) {
  EXPECT_EQ(takeTrust(5, pems("deployers", {})), "taken");
  Status answer = fail(Errc::kState, "not answered");
  documents_->resetTrust("operator/ann", [&answer](const Status& done) { answer = done; });
  EXPECT_TRUE(answer);
  EXPECT_EQ(trust_changes_, 2);
  EXPECT_EQ(take(set(3, 1).file()), "taken");
  restart();
  EXPECT_EQ(take(set(4, 2).file()), "taken");
  EXPECT_EQ(takeTrust(5, pems("deployers", {})), "ignored") << "what is retained comes again";
}

TEST_F(TrustTest, WhatWaitsIsJudgedByWhoIsTrustedThen) {
  gateway_.host.hold = true;
  EXPECT_EQ(take(set(3, 1).file()), "waits");
  std::string said = "waits";
  documents_->take({set(4, 2).file(), "set"},
                   [&said](const DocumentOutcome& outcome) { said = outcome.reason; });
  EXPECT_EQ(takeTrust(5, pems("deployers", {otherCa().certificatePem()})), "taken");
  gateway_.host.hold = false;
  gateway_.host.release();
  runPosted();
  EXPECT_EQ(said, "untrusted");
  EXPECT_EQ(gateway_.agent->status().version, 3u);
}

}  // namespace
}  // namespace kante
