// What modules get of secrets, and the documents that bring those.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/host/agent/documents_kit.h"

namespace kante {
namespace {

using test::DocumentsTest;
using test::Says;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class SecretsTest : public DocumentsTest {
 protected:
  static Says with(int version, std::uint64_t counter) {
    return set(version, counter, R"("config":{"password":"a${secret:A}"})");
  }
  const ModuleSpec& x() const { return gateway_.host.targets.back().modules.front(); }
};

TEST_F(SecretsTest, AModuleGetsTheValueAndNobodyElseSeesIt) {
  gateway_.secrets["A"] = "hunter2";
  ASSERT_EQ(take(with(3, 1).file()), "taken");
  EXPECT_EQ(x().config, R"({"password":"ahunter2"})");
  EXPECT_THAT(gateway_.agent->document(), HasSubstr("a${secret:A}"));
  EXPECT_THAT(gateway_.agent->effectiveDocument(), Not(HasSubstr("hunter2")));
  EXPECT_THAT(documents_->report(), Not(HasSubstr("hunter2")));
  for (const auto& [key, value] : gateway_.journal.values)
    EXPECT_THAT(value, Not(HasSubstr("hunter2"))) << key;
  for (const auto& [key, value] : gateway_.twin_map.values)
    EXPECT_THAT(value, Not(HasSubstr("hunter2"))) << key;
}

TEST_F(SecretsTest, AnotherValueReconfiguresTheModulesThatUseIt) {
  gateway_.secrets["A"] = "one";
  ASSERT_EQ(take(with(3, 1).file()), "taken");
  gateway_.secrets["A"] = "two";
  gateway_.secrets["B"] = "unused";
  gateway_.agent->reconsider();
  EXPECT_EQ(x().config, R"({"password":"atwo"})");
  EXPECT_THAT(gateway_.host.targets, SizeIs(2));
  gateway_.secrets["B"] = "still";
  gateway_.agent->reconsider();
  EXPECT_THAT(gateway_.host.targets, SizeIs(2));
}

TEST_F(SecretsTest, ADeploymentThatWantsOneThatIsNotThereIsTakenOnceItIs) {
  const std::string file = with(3, 1).file();
  EXPECT_EQ(take(file), "not-found");
  EXPECT_THAT(documents_->errors().back().text,
              HasSubstr("/modules/x/config/password: there is no secret \"A\""));
  documents_->secretsChanged();
  runPosted();
  EXPECT_EQ(gateway_.agent->status().version, 0u);
  gateway_.secrets["A"] = "hunter2";
  documents_->secretsChanged();
  runPosted();
  EXPECT_EQ(gateway_.agent->status().version, 3u);
  EXPECT_EQ(take(file), "ignored");
}

TEST_F(SecretsTest, DesiredPropertiesMustBeWholeAndStayAsTheyAreWritten) {
  const std::string desired = R"("desired":{"password":"${secret:A}"})";
  EXPECT_EQ(take(set(3, 1, desired).file()), "not-found");
  EXPECT_THAT(documents_->errors().back().text, HasSubstr("/modules/x/desired/password: "));
  gateway_.secrets["A"] = "hunter2";
  documents_->secretsChanged();
  runPosted();
  EXPECT_EQ(gateway_.twins->desired("module/x").json, R"({"password":"${secret:A}"})");
}

TEST_F(SecretsTest, DesiredPropertiesOfAContainerMustBeWholeAsWell) {
  const auto with = [](const std::string& secret) {
    return Says{DocumentKind::kDeployment, 1,
                R"({"schema":"kante.deployment/1","id":"c","version":1,"modules":{"opc":{
                  "image":"factory/opc:3","desired":{"plc":{"password":"${secret:)" +
                    secret + R"(}"}}}}})"};
  };
  EXPECT_EQ(take(with("A").file()), "not-found");
  EXPECT_THAT(documents_->errors().back().text,
              HasSubstr("/modules/opc/desired/plc/password: there is no secret \"A\""));
  gateway_.secrets["A"] = "hunter2";
  documents_->secretsChanged();
  runPosted();
  EXPECT_EQ(gateway_.agent->status().version, 1u);
  EXPECT_THAT(gateway_.twins->desired("module/opc").json, Not(HasSubstr("hunter2")));
  gateway_.secrets.clear();
  restart();
  EXPECT_THAT(x().barred, HasSubstr("there is no secret \"A\""));
}

TEST_F(SecretsTest, AModuleWhoseSecretWentStandsStillAfterARestartAndComesBackWithIt) {
  gateway_.secrets["A"] = "hunter2";
  ASSERT_EQ(take(with(3, 1).file()), "taken");
  gateway_.secrets.clear();
  restart();
  EXPECT_EQ(x().desire, Desire::kStopped);
  EXPECT_THAT(x().barred, HasSubstr("there is no secret \"A\""));
  EXPECT_EQ(gateway_.host.targets.back().modules.back().desire, Desire::kRunning);
  gateway_.secrets["A"] = "hunter3";
  gateway_.agent->reconsider();
  EXPECT_EQ(x().desire, Desire::kRunning);
  EXPECT_EQ(x().config, R"({"password":"ahunter3"})");
}

TEST_F(SecretsTest, DocumentsBringThemOnce) {
  const Says says{DocumentKind::kSecrets, 5, R"({"cms":"aGVsbG8="})"};
  EXPECT_EQ(take(says.file(), {DocumentKind::kSecrets}, "", "secrets"), "taken");
  EXPECT_THAT(secrets_said_, ElementsAre("hello"));
  EXPECT_EQ(take(says.file()), "ignored");
  EXPECT_EQ(take(Says{DocumentKind::kSecrets, 4, R"({"cms":"aGVsbG8="})"}.file()), "replayed");
  secrets_answer_ = fail(Errc::kDenied, "not for us");
  EXPECT_EQ(take(Says{DocumentKind::kSecrets, 6, R"({"cms":"aGVsbG8="})"}.file()), "wrong-target");
  secrets_answer_ = fail(Errc::kCorrupt, "hm");
  EXPECT_EQ(take(Says{DocumentKind::kSecrets, 6, R"({"cms":"aGVsbG8="})"}.file()), "malformed");
  secrets_answer_ = {};
  EXPECT_EQ(take(Says{DocumentKind::kSecrets, 6, R"({"cms":"aGVsbG8="})"}.file()), "taken");
  EXPECT_EQ(take(Says{DocumentKind::kSecrets, 7, R"({"A":"plain"})"}.file()), "malformed");
  EXPECT_EQ(take(Says{DocumentKind::kSecrets, 7, R"({"cms":"%"})"}.file()), "malformed");
}

}  // namespace
}  // namespace kante
