// [[trust.rule]]: what single signers may bring.
#include "host/bundle/signer_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Texts = std::vector<std::string>;

Signer vendor() {
  Signer signer;
  signer.subject = "CN=signer 3,O=Vendor";
  signer.fingerprint = "ab01";
  signer.ca_subject = "CN=Vendor CA";
  signer.ca_fingerprint = "cd02";
  return signer;
}

Manifest module(const std::string& id, const std::string& permissions = "{}") {
  Manifest manifest;
  manifest.id = id;
  manifest.version = "1.2.3";
  manifest.permissions_json = permissions;
  return manifest;
}

std::string refused(const SignerRules& rules, const Manifest& manifest) {
  const Status checked = rules.check(vendor(), manifest);
  EXPECT_TRUE(checked.has_error());
  if (!checked.has_error()) return {};
  EXPECT_EQ(checked.error().code, Errc::kDenied);
  return checked.error().text;
}

TEST(SignerRules, LetWhomNobodyNamesBringAnything) {
  const SignerRules rules({{"CN=somebody else", Texts{}, Texts{}}});
  EXPECT_FALSE(rules.check(vendor(), module("com.any.thing", R"({"methods":["*"]})")).has_error());
}

TEST(SignerRules, FindASignerBySubjectAndFingerprintOfHisOwnAndOfHisCa) {
  for (const char* name : {"CN=signer 3,O=Vendor", "ab01", "AB:01", "CN=Vendor CA", "cd02"}) {
    const SignerRules rules({{name, Texts{"com.vendor.*"}, {}}});
    EXPECT_TRUE(rules.check(vendor(), module("com.other.pump")).has_error()) << name;
    EXPECT_FALSE(rules.check(vendor(), module("com.vendor.pump")).has_error()) << name;
  }
}

TEST(SignerRules, NarrowToIdsAndBeginningsOfIds) {
  const SignerRules rules({{"CN=Vendor CA", Texts{"com.vendor.*", "org.shared"}, {}}});
  EXPECT_FALSE(rules.check(vendor(), module("org.shared")).has_error());
  EXPECT_TRUE(rules.check(vendor(), module("org.shared.more")).has_error());
  EXPECT_TRUE(rules.check(vendor(), module("com.vendorx")).has_error());
  EXPECT_EQ(refused(rules, module("com.other.pump")),
            "bundle of com.other.pump 1.2.3: its signer CN=signer 3,O=Vendor may not bring this "
            "module id; the [[trust.rule]] for \"CN=Vendor CA\" allows com.vendor.*, org.shared");
}

TEST(SignerRules, NarrowToPermissions) {
  const SignerRules rules({{"CN=Vendor CA", {}, Texts{"methods", "files"}}});
  EXPECT_FALSE(rules.check(vendor(), module("a.b")).has_error());
  EXPECT_FALSE(
      rules.check(vendor(), module("a.b", R"({"methods":["x"],"files":{"read":["/proc"]}})"))
          .has_error());
  EXPECT_THAT(refused(rules, module("a.b", R"({"network":{"connect":["h:1"]}})")),
              HasSubstr("may not bring the permission network.connect; the [[trust.rule]] for "
                        "\"CN=Vendor CA\" allows methods, files"));
  EXPECT_TRUE(rules.check(vendor(), module("a.b", R"({"filesystem":true})")).has_error());
  const SignerRules read_only({{"CN=Vendor CA", {}, Texts{"files.r*"}}});
  EXPECT_FALSE(read_only.check(vendor(), module("a.b", R"({"files":{"read":["/"]}})")).has_error());
  EXPECT_TRUE(read_only.check(vendor(), module("a.b", R"({"files":{"write":["/"]}})")).has_error());
  const SignerRules none({{"CN=Vendor CA", {}, Texts{}}});
  EXPECT_THAT(refused(none, module("a.b", R"({"methods":["x"]})")), HasSubstr("allows nothing"));
}

TEST(SignerRules, WantOneRuleThatAllowsTheWhole) {
  const SignerRules rules(
      {{"CN=Vendor CA", Texts{"a.*"}, Texts{}}, {"ab01", Texts{"b.*"}, Texts{"methods"}}});
  EXPECT_FALSE(rules.check(vendor(), module("a.x")).has_error());
  EXPECT_FALSE(rules.check(vendor(), module("b.x", R"({"methods":["m"]})")).has_error());
  EXPECT_THAT(refused(rules, module("a.x", R"({"methods":["m"]})")),
              HasSubstr("the permission methods"));
  EXPECT_THAT(refused(rules, module("c.x")), HasSubstr("this module id"));
}

TEST(SignerRules, CountOnlyWhatIsAskedFor) {
  EXPECT_THAT(permissionsAskedFor(module(
                  "a.b", R"({"methods":[],"gpu":false,"x":null,"files":{"read":["/"],"write":[]},
                             "device":"tty","n":{}})")),
              ElementsAre("device", "files.read"));
}

TEST(SignerRules, AreJudgedAtAdmissionBeforeAnythingIsUnpacked) {
  const test::Identity ca = test::makeCa("Vendor CA");
  const test::Identity signer = test::makeSigner(ca);
  const TrustStore trust = test::trustIn(ca);
  const SignerRules rules({{"CN=Vendor CA", Texts{"com.vendor.*"}, {}}});
  AdmissionPolicy policy = test::policyFor(trust);
  policy.rules = &rules;
  const auto verify = [&](const std::string& id, test::CollectingSink& sink) {
    const std::string payload = test::goodPayload(id);
    const FileDescriptor file =
        test::fileOf(test::frameOf(payload, test::makeCms(payload, signer)));
    return verifyBundle(file.get(), policy, sink);
  };
  test::CollectingSink good;
  EXPECT_TRUE(verify("com.vendor.pump", good));
  test::CollectingSink bad;
  const auto refused = verify("com.other.pump", bad);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text, HasSubstr("the [[trust.rule]] for \"CN=Vendor CA\""));
  EXPECT_TRUE(bad.members.empty());
}

}  // namespace
}  // namespace kante
