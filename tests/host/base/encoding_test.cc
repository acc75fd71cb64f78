#include "host/base/encoding.h"

#include <gtest/gtest.h>

#include <vector>

namespace kante {
namespace {

TEST(EncodingTest, HexAndBase64ComeBackAsTheyWent) {
  const std::string bytes("\x00\x01\xfe\xff kante", 10);
  EXPECT_EQ(fromHex(toHex(bytes)).value(), bytes);
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    EXPECT_EQ(fromBase64(toBase64(bytes.substr(0, n))).value(), bytes.substr(0, n));
  }
}

TEST(EncodingTest, TextThatIsNeitherIsRefused) {
  EXPECT_TRUE(fromHex("abc").has_error());
  EXPECT_TRUE(fromHex("zz").has_error());
  EXPECT_TRUE(fromBase64("ab=d").has_error());
  EXPECT_TRUE(fromBase64("abc").has_error());
  EXPECT_TRUE(fromBase64("a b=").has_error());
}

TEST(EncodingTest, PercentEncodingKeepsOnlyUnreservedCharacters) {
  EXPECT_EQ(percentEncode("a b/ü$"), "a%20b%2F%C3%BC%24");
  EXPECT_EQ(percentDecode("a%20b%2f%C3%BC%24").value(), "a b/ü$");
  EXPECT_TRUE(percentDecode("%").has_error());
  EXPECT_TRUE(percentDecode("%2").has_error());
  EXPECT_TRUE(percentDecode("%zz").has_error());
}

TEST(EncodingTest, Utf8RefusesOverlongSurrogatesAndTruncation) {
  EXPECT_TRUE(isUtf8("grün €  \xF0\x9F\x98\x80"));
  EXPECT_FALSE(isUtf8("\xC0\x80"));
  EXPECT_FALSE(isUtf8("\xED\xA0\x80"));
  EXPECT_FALSE(isUtf8("\xF4\x90\x80\x80"));
  EXPECT_FALSE(isUtf8("\xE2\x82"));
}

TEST(EncodingTest, TheNearestNameIsOfferedOnlyWhenItIsNear) {
  const std::vector<std::string> known{"listen", "tls_listen", "anonymous"};
  EXPECT_EQ(nearest("lisen", known), "listen");
  EXPECT_EQ(nearest("completely-else", known), "");
}

}  // namespace
}  // namespace kante
