#include "host/identity/seal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "host/base/fd.h"
#include "tests/host/identity/temp_dir.h"

namespace kante {
namespace {

using testing::TempDir;

TEST(SealTest, OpensWhatItSealedAndNothingElse) {
  const Seal seal = Seal::random();
  const std::string sealed = seal.seal("secret", "device/a");
  EXPECT_EQ(sealed.size(), 6 + Seal::kOverheadBytes);
  EXPECT_EQ(sealed.find("secret"), std::string::npos);
  EXPECT_EQ(*seal.unseal(sealed, "device/a"), "secret");
  EXPECT_NE(seal.seal("secret", "device/a"), sealed);
  EXPECT_EQ(*seal.unseal(seal.seal("", ""), ""), "");
  EXPECT_EQ(seal.unseal(sealed, "device/b").error().code, Errc::kCorrupt);
  EXPECT_EQ(Seal::random().unseal(sealed, "device/a").error().code, Errc::kCorrupt);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(seal.unseal(changed, "device/a")) << i;
    EXPECT_FALSE(seal.unseal(sealed.substr(0, i), "device/a")) << i;
  }
}

TEST(SealTest, TheKeyIsMadeOnceAndNobodyElseReadsIt) {
  const TempDir dir;
  const std::string sealed = Seal::open(dir.fd())->seal("x", "");
  struct stat status {};
  ASSERT_EQ(::fstatat(dir.fd(), "seal.key", &status, 0), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(status.st_size, 32);
  EXPECT_EQ(*Seal::open(dir.fd())->unseal(sealed, ""), "x");
}

TEST(SealTest, AKeyThatOthersReadOrThatIsNoneIsRefused) {
  const TempDir dir;
  ASSERT_TRUE(Seal::open(dir.fd()));
  ASSERT_EQ(::fchmodat(dir.fd(), "seal.key", 0640, 0), 0);
  const auto open = Seal::open(dir.fd());
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, Errc::kDenied);
  EXPECT_NE(open.error().text.find("make it 0600"), std::string::npos);
  for (const char* bad : {"", "short", "this is 33 bytes long, one more xx"}) {
    ASSERT_TRUE(replaceFile(dir.fd(), "seal.key", bad));
    EXPECT_EQ(Seal::open(dir.fd()).error().code, Errc::kCorrupt) << bad;
  }
}

}  // namespace
}  // namespace kante
