#include "host/api/target.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

using Path = std::vector<std::string>;

TEST(RequestTargetTest, isTakenApartAndDecodedOnce) {
  const auto target = parseTarget("/v1/twins/module%2Ffilter/?x=a%26b&y&x=2%2525");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, (Path{"v1", "twins", "module/filter"}));
  EXPECT_EQ(target->query.at("x"), "2%25");
  EXPECT_EQ(target->query.at("y"), "");
}

TEST(RequestTargetTest, theRootIsAnEmptyPath) {
  const auto root = parseTarget("/");
  ASSERT_TRUE(root);
  EXPECT_TRUE(root->path.empty());
  EXPECT_EQ(parseTarget("/?a=b")->query.at("a"), "b");
}

TEST(RequestTargetTest, refusesWhatClimbsHidesOrIsNotText) {
  for (const char* wrong : {"", "v1", "*", "/../x", "/v1/./x", "/v1/%2e%2E", "/v1//", "/a/%00b",
                            "/a%0a", "/a%zz", "/a%2", "/%ff", "/x?a=%1f"}) {
    const auto target = parseTarget(wrong);
    ASSERT_FALSE(target) << wrong;
    EXPECT_EQ(target.error().code, Errc::kInvalid) << wrong;
  }
}

TEST(RequestTargetTest, hasBounds) {
  std::string deep, wide = "/?";
  for (int i = 0; i < 17; ++i) {
    deep += "/a";
    wide += "k" + std::to_string(i) + "=v&";
  }
  for (const std::string& over : {"/" + std::string(4096, 'a'), deep, wide}) {
    const auto target = parseTarget(over);
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().code, Errc::kLimit);
  }
}

TEST(HostHeaderTest, losesItsPortAndItsCase) {
  EXPECT_EQ(hostOf("LocalHost:9180"), "localhost");
  EXPECT_EQ(hostOf("edge.local."), "edge.local");
  EXPECT_EQ(hostOf("[::1]:80"), "[::1]");
  EXPECT_EQ(hostOf("[::1"), "");
}

TEST(HostHeaderTest, onlyAnAddressIsAnAddress) {
  EXPECT_TRUE(isAddress("127.0.0.1"));
  EXPECT_TRUE(isAddress("[fe80::1]"));
  for (const char* name : {"", "localhost", "127.0.0.1.example", "::1", "[", "[]", "1.2.3"}) {
    EXPECT_FALSE(isAddress(name)) << name;
  }
}

}  // namespace
}  // namespace kante
