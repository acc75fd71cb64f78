#include "host/identity/connection_string.h"

#include <gtest/gtest.h>

#include "host/base/encoding.h"

namespace kante {
namespace {

constexpr const char* kKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

TEST(ConnectionStringTest, IsReadAndWritten) {
  const std::string key = std::string(";SharedAccessKey=") + kKey;
  for (const std::string& text :
       {"HostName=edge-1.local;DeviceId=car-7" + key,
        "HostName=edge-1.local;DeviceId=car-7;ModuleId=m" + key,
        std::string("HostName=edge-1.local;DeviceId=a=b;x509=true"),
        "HostName=h.azure-devices.net;DeviceId=car-7" + key + ";GatewayHostName=edge-1.local"}) {
    const auto read = ConnectionString::parse(text);
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(*read->text(), text);
  }
  const auto read =
      ConnectionString::parse("SharedAccessKey=" + std::string(kKey) + ";DeviceId=d;HostName=h;");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->principal.name(), "device/d");
  EXPECT_EQ(toBase64(read->key.view()), kKey);
}

TEST(ConnectionStringTest, WhatIsWrongIsNamedWithoutItsValue) {
  const std::pair<std::string, const char*> kBad[] = {
      {"", "its parts are"},
      {"HostName=h", "DeviceId is missing"},
      {"DeviceId=d;x509=true", "HostName is missing"},
      {"HostName=h;DeviceId=d", "either SharedAccessKey or x509"},
      {"HostName=h;DeviceId=d;x509=true;SharedAccessKey=AAAA", "either SharedAccessKey or x509"},
      {"HostName=h;DeviceId=d;x509=yes", "x509 is true"},
      {"HostName=h;DeviceId=d;SharedAccessKey=secret!", "no key in base64"},
      {"HostName=h;HostName=h;DeviceId=d;x509=true", "HostName is there twice"},
      {"HostName=;DeviceId=d;x509=true", "HostName is empty"},
      {"HostName=h h;DeviceId=d;x509=true", "HostName is no host"},
      {"HostName=h;DeviceId=d/e;x509=true", "no id"},
      {"HostName=h;DeviceId=d;Secret=1", "its parts are"},
      {"HostName=h;;DeviceId=d;x509=true", "its parts are"},
      {"hostname=h;DeviceId=d;x509=true", "its parts are"},
      {std::string(5000, 'x'), "too long"}};
  for (const auto& [text, why] : kBad) {
    const auto read = ConnectionString::parse(text);
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().text.find(why), std::string::npos) << text << ": " << read.error().text;
    EXPECT_EQ(read.error().text.find("secret!"), std::string::npos);
  }
}

TEST(ConnectionStringTest, SomePrincipalsHaveNone) {
  for (const char* name : {"a;b", "gateway/plant"}) {
    const ConnectionString made{"h", *PrincipalName::parse(name), {}, {}};
    EXPECT_EQ(made.text().error().code, Errc::kUnsupported);
  }
}

}  // namespace
}  // namespace kante
