#include "host/identity/user_name.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

using Contract = UserName::Contract;

TEST(UserNameTest, ReadsWhatSdksSend) {
  const auto device = UserName::parse(
      "h.azure-devices.net/car-7/"
      "?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4&"
      "model-id=dtmi%3Aa%3B1");
  ASSERT_TRUE(device) << device.error().text;
  EXPECT_EQ(device->contract, Contract::kIotHub);
  EXPECT_EQ(device->principal.name(), "device/car-7");
  EXPECT_EQ(device->product, "azure-iot-device/1.18.4");
  EXPECT_EQ(device->model_id, "dtmi:a;1");
  const auto module = UserName::parse("h/car-7/m/?api-version=2018-06-30");
  ASSERT_TRUE(module);
  EXPECT_EQ(module->principal.name(), "device/car-7/module/m");
  EXPECT_EQ(UserName::parse("h/car-7/api-version=2016-11-14")->contract, Contract::kIotHub);
  EXPECT_EQ(UserName::parse("h/a/?api-version=1&auth-chain=b%3Bc")->auth_chain, "b;c");
}

TEST(UserNameTest, AnyOtherIsAPlainName) {
  for (const auto& [text, name] :
       {std::pair{"car-7", "device/car-7"}, std::pair{"car-7/module/m", "device/car-7/module/m"},
        std::pair{"gateway/plant", "gateway/plant"}, std::pair{"device/x", "device/x"}}) {
    const auto user = UserName::parse(text);
    ASSERT_TRUE(user) << text;
    EXPECT_EQ(user->contract, Contract::kPlain);
    EXPECT_EQ(user->principal.name(), name);
  }
}

TEST(UserNameTest, WhatIsNeitherIsRefused) {
  const std::pair<std::string, const char*> kBad[] = {
      {"h/car-7/?", "api-version is missing"},
      {"h/car-7/?api-version=", "api-version is missing"},
      {"h/car-7/?api-version=%20", "api-version is missing"},
      {"h/car-7/?api-version=%2", "percent-encoded"},
      {"h/car-7/?api-version=1&DeviceClientType=%ff", "percent-encoded"},
      {"/car-7/?api-version=1", "HOST/ID"},
      {"h/?api-version=1", "HOST/ID"},
      {"h/a/b/c/?api-version=1", "HOST/ID"},
      {"h/a/b/c/d/e/f/?api-version=1", "HOST/ID"},
      {"h//?api-version=1", "no id"},
      {"h/a b/?api-version=1", "no id"},
      {"a b", "no id"},
      {"a/b", "is no device"},
      {std::string(3000, 'a'), "too long"}};
  for (const auto& [text, why] : kBad) {
    const auto user = UserName::parse(text);
    ASSERT_FALSE(user) << text;
    EXPECT_NE(user.error().text.find(why), std::string::npos) << text << ": " << user.error().text;
  }
}

}  // namespace
}  // namespace kante
