// Secrets: encrypted on their way, sealed on disk.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/base/durable_map.h"
#include "host/base/fd.h"
#include "host/identity/secret_box.h"
#include "host/identity/secret_store.h"
#include "tests/host/identity/temp_dir.h"

namespace kante {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SecretBoxTest : public ::testing::Test {
 protected:
  std::unique_ptr<SecretBox> open(const Seal& seal) {
    return SecretBox::open(dir_.fd(), seal, "edge-1", 1'800'000'000).value();
  }
  testing::TempDir dir_, other_dir_;
};

TEST_F(SecretBoxTest, WhatIsEncryptedToAGatewayItReadsAndNobodyElse) {
  const Seal seal = Seal::random();
  const auto box = open(seal);
  const auto other = SecretBox::open(other_dir_.fd(), seal, "edge-2", 1'800'000'000).value();
  const auto sealed = encryptFor(box->pem(), R"({"A":"hunter2"})");
  ASSERT_TRUE(sealed);
  EXPECT_THAT(*sealed, Not(HasSubstr("hunter2")));
  EXPECT_EQ(box->open(*sealed).value(), R"({"A":"hunter2"})");
  EXPECT_EQ(other->open(*sealed).error().code, Errc::kDenied);
  const auto both = encryptFor(other->pem() + box->pem(), "x");
  EXPECT_EQ(box->open(*both).value(), "x");
  EXPECT_EQ(other->open(*both).value(), "x");
  EXPECT_EQ(open(seal)->open(*sealed).value(), R"({"A":"hunter2"})") << "after a restart";
  EXPECT_EQ(box->pem(), open(seal)->pem());
}

TEST_F(SecretBoxTest, WhatWasChangedOrIsNoMessageIsRefused) {
  const auto box = open(Seal::random());
  std::string sealed = encryptFor(box->pem(), std::string(100, 'x')).value();
  sealed[sealed.size() - 20] ^= 1;
  EXPECT_FALSE(box->open(sealed));
  EXPECT_EQ(box->open("hello").error().code, Errc::kCorrupt);
  EXPECT_EQ(box->open("").error().code, Errc::kCorrupt);
  EXPECT_FALSE(encryptFor("hello", "x"));
}

// Who lost it opens nothing any more, and goes on with a new one.
TEST_F(SecretBoxTest, AKeyUnderAnotherSealIsSetAsideAndSaid) {
  const auto before = open(Seal::random());
  EXPECT_EQ(before->broken(), "");
  const Seal other = Seal::random();
  const auto after = open(other);
  EXPECT_THAT(after->broken(), HasSubstr("identity/secrets.key.sealed"));
  EXPECT_NE(after->pem(), before->pem());
  EXPECT_TRUE(openAt(dir_.fd(), "secrets.key.sealed.broken", O_RDONLY));
  EXPECT_TRUE(after->open(encryptFor(after->pem(), "x").value()));
  EXPECT_EQ(open(other)->broken(), "");
  EXPECT_EQ(open(other)->pem(), after->pem());
}

TEST(SecretStoreTest, TheyAreKeptSealedAndMoveToNoOtherName) {
  MemoryMap map;
  const Seal seal = Seal::random();
  auto store = SecretStore::open(map, seal).value();
  const auto changes = SecretStore::parse(R"({"A":"hunter2","B":"x"})", "/content");
  ASSERT_TRUE(changes);
  ASSERT_TRUE(store->change(*changes, "operator/ann", 5));
  EXPECT_EQ(*store->find("A"), "hunter2");
  EXPECT_EQ(store->find("C"), nullptr);
  auto records = map.readAll().value();
  EXPECT_THAT(records.at("A"), Not(HasSubstr("hunter2")));
  ASSERT_TRUE(map.put("B", records.at("A")));
  store = SecretStore::open(map, seal).value();
  EXPECT_EQ(*store->find("A"), "hunter2");
  EXPECT_EQ(store->all().at("A").set_s, 5);
  EXPECT_EQ(store->find("B"), nullptr) << "another's record";
  EXPECT_THAT(store->damaged(), ::testing::ElementsAre("B"));
  ASSERT_TRUE(store->change({{"A", std::nullopt}}, "operator/ann", 6));
  EXPECT_EQ(store->find("A"), nullptr);
}

TEST(SecretStoreTest, WhatIsWrongIsNamedWithoutAnyValue) {
  const auto text = [](const std::string& json) {
    const auto parsed = SecretStore::parse(json, "/content");
    EXPECT_FALSE(parsed);
    return parsed ? std::string() : parsed.error().text;
  };
  EXPECT_THAT(text(R"({"a b":"hunter2"})"), HasSubstr("/content/a b: a name has"));
  EXPECT_THAT(text(R"({"A":5})"), HasSubstr("/content/A: expected a text"));
  EXPECT_THAT(text("{}"), HasSubstr("/content: it names no secret"));
  EXPECT_THAT(text("[]"), HasSubstr("/content"));
  EXPECT_THAT(text(R"({"A":")" + std::string(SecretStore::kValueBytesMax + 1, 'x') + R"("})"),
              HasSubstr("/content/A: a secret has at most"));
  MemoryMap map;
  const auto store = SecretStore::open(map, Seal::random()).value();
  SecretStore::Changes many;
  for (std::size_t i = 0; i <= SecretStore::kSecretsMax; ++i) many["S" + std::to_string(i)] = "x";
  EXPECT_EQ(store->change(many, "x", 1).error().code, Errc::kLimit);
  EXPECT_TRUE(store->all().empty());
}

}  // namespace
}  // namespace kante
