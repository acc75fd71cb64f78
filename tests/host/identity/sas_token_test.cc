#include "host/identity/sas_token.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

// Made by azure-iot-common 1.13.3 for Node.js from the key 00 01 … 1f.
constexpr const char* kOfficial[] = {
    "SharedAccessSignature "
    "sr=edge-1.local%2Fdevices%2Fcar-7&sig=wVpe2%2FrTW0NPXECdnQfc7HkGKjXaF3is%"
    "2Bv4kYXBSuKU%3D&se=1790000000",
    "SharedAccessSignature sr=edge-1.local%2Fdevices%2Fcar-7%3A.%2B%25_%23%2a%3F%21%28%29%2C%3D%40%"
    "3B%24%27%2Fmodules%2Fm%241&sig=BC5B5zx0FsHWj4Ino%2FiRoJUhTH16qKr%2BUf3nAHJEPB8%3D&se="
    "1790000000",
    "SharedAccessSignature "
    "sr=edge-1.local%2Fdevices%2Fcar-7&sig=wVpe2%2FrTW0NPXECdnQfc7HkGKjXaF3is%"
    "2Bv4kYXBSuKU%3D&skn=policy&se=1790000000",
    "SharedAccessSignature sr=edge-1.local/devices/car-7&sig=5SpE2Ccx%2FO5sxloIll%"
    "2FuiyVL99NJ7G16UkRhxzgwjwY%3D&se=1790000000"};

std::string key() {
  std::string bytes;
  for (char c = 0; c < 32; ++c) bytes += c;
  return bytes;
}

TEST(SasTokenTest, VerifiesWhatTheOfficialPackageMakes) {
  for (const char* text : kOfficial) {
    const auto token = SasToken::parse(text);
    ASSERT_TRUE(token) << text;
    EXPECT_EQ(token->expires_s, 1'790'000'000);
    EXPECT_TRUE(token->signedWith(key())) << text;
    EXPECT_FALSE(token->signedWith(key().substr(1)));
    EXPECT_FALSE(token->signedWith(""));
  }
  EXPECT_EQ(SasToken::parse(kOfficial[2])->key_name, "policy");
}

TEST(SasTokenTest, MakesWhatTheOfficialPackageMakes) {
  EXPECT_EQ(makeSasToken("edge-1.local/devices/car-7", key(), 1'790'000'000), kOfficial[0]);
  const std::string named = makeSasToken("edge-1.local/devices/car-7", key(), 1, "registration");
  EXPECT_TRUE(named.ends_with("&skn=registration"));
  EXPECT_TRUE(SasToken::parse(named)->signedWith(key()));
}

TEST(SasTokenTest, FieldsComeInAnyOrderAndUnknownOnesAreIgnored) {
  const std::string sig = "sig=wVpe2%2FrTW0NPXECdnQfc7HkGKjXaF3is%2Bv4kYXBSuKU%3D";
  const std::string sr = "sr=edge-1.local%2Fdevices%2Fcar-7", se = "se=1790000000";
  for (const std::string& text : {se + "&" + sig + "&" + sr, sig + "&x=y&" + sr + "&" + se,
                                  sr + "&" + sig + "&" + se + "&skn="}) {
    const std::string whole = "SharedAccessSignature " + text;
    const auto token = SasToken::parse(whole);
    ASSERT_TRUE(token) << text;
    EXPECT_TRUE(token->signedWith(key()));
  }
}

// Everything that is signed counts: one character more or less, another case of a hexadecimal
// digit.
TEST(SasTokenTest, ASignatureHoldsForExactlyItsText) {
  const std::string good = kOfficial[0];
  for (const auto& [from, to] :
       {std::pair{"%2Fcar-7", "%2fcar-7"}, std::pair{"%2Fcar-7", "/car-7"},
        std::pair{"car-7", "car-8"}, std::pair{"se=1790000000", "se=1790000001"},
        std::pair{"se=1790000000", "se=01790000000"}, std::pair{"sig=wV", "sig=wU"}}) {
    std::string other = good;
    other.replace(other.find(from), std::string(from).size(), to);
    const auto token = SasToken::parse(other);
    ASSERT_TRUE(token) << other;
    EXPECT_FALSE(token->signedWith(key())) << other;
  }
}

TEST(SasTokenTest, WhatIsNoTokenIsRefusedWithWhy) {
  const std::string sig = "sig=wVpe2%2FrTW0NPXECdnQfc7HkGKjXaF3is%2Bv4kYXBSuKU%3D";
  const std::pair<std::string, const char*> kBad[] = {
      {"", "begin with its name"},
      {"sharedaccesssignature sr=a&" + sig + "&se=1", "begin with its name"},
      {"SharedAccessSignature  sr=a&" + sig + "&se=1", "a character that none has"},
      {"SharedAccessSignature ", "NAME=VALUE"},
      {"SharedAccessSignature sr=a&&" + sig + "&se=1", "NAME=VALUE"},
      {"SharedAccessSignature sr=a&" + sig, "se is missing"},
      {"SharedAccessSignature sr=a&se=1", "sig is missing"},
      {"SharedAccessSignature se=1&" + sig, "sr is missing"},
      {"SharedAccessSignature sr=&se=1&" + sig, "a field is empty"},
      {"SharedAccessSignature sr=a&sr=b&se=1&" + sig, "there twice"},
      {"SharedAccessSignature sr=a&se=1&se=2&" + sig, "there twice"},
      {"SharedAccessSignature sr=a&skn=&skn=x&se=1&" + sig, "there twice"},
      {"SharedAccessSignature sr=a&se=-1&" + sig, "number of seconds"},
      {"SharedAccessSignature sr=a&se=1x&" + sig, "number of seconds"},
      {"SharedAccessSignature sr=a&se=99999999999999999999&" + sig, "number of seconds"},
      {"SharedAccessSignature sr=a&se=1&sig=AAAA", "32 bytes"},
      {"SharedAccessSignature sr=a&se=1&sig=%2", "32 bytes"},
      {"SharedAccessSignature sr=a\n&se=1&" + sig, "a character that none has"},
      {"SharedAccessSignature sr=" + std::string(5000, 'a') + "&se=1&" + sig, "too long"}};
  for (const auto& [text, why] : kBad) {
    const auto token = SasToken::parse(text);
    ASSERT_FALSE(token) << text;
    EXPECT_NE(token.error().text.find(why), std::string::npos)
        << text << ": " << token.error().text;
    EXPECT_EQ(token.error().text.find("wVpe2"), std::string::npos);
  }
}

TEST(SasTokenTest, ATokenIsForItsHostAndItsDevice) {
  const auto covers = [](const char* resource, const char* wanted) {
    return resourceCovers(resource, "edge-1.local", wanted);
  };
  EXPECT_TRUE(covers("edge-1.local%2Fdevices%2Fcar-7", "devices/car-7"));
  EXPECT_TRUE(covers("edge-1.local/devices/car-7/", "devices/car-7"));
  EXPECT_TRUE(covers("EDGE-1.local%2fdevices%2fCAR-7", "devices/car-7"));
  EXPECT_TRUE(covers("edge-1.local%2Fdevices%2Fcar-7", "devices/car-7/modules/m"));
  EXPECT_TRUE(covers("edge-1.local%2Fdevices%2Fcar-7", "devices/car-7/messages/events"));
  EXPECT_FALSE(covers("edge-1.local%2Fdevices%2Fcar-7%2Fmodules%2Fm", "devices/car-7"));
  EXPECT_FALSE(covers("edge-1.local%2Fdevices%2Fcar", "devices/car-7"));
  EXPECT_FALSE(covers("edge-1.local%2Fdevices%2Fcar-70", "devices/car-7"));
  EXPECT_FALSE(covers("edge-2.local%2Fdevices%2Fcar-7", "devices/car-7"));
  for (const char* wide : {"edge-1.local", "edge-1.local%2F", "edge-1.local%2Fdevices",
                           "edge-1.local%2Fdevices%2F", "", "%2", "%2Fdevices%2Fcar-7"})
    EXPECT_FALSE(covers(wide, "devices/car-7")) << wide;
}

}  // namespace
}  // namespace kante
