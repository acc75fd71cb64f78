#include "host/identity/principal_name.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

TEST(PrincipalNameTest, IdsAreThoseOfIotHub) {
  EXPECT_TRUE(checkId("A-z:0.+%_#*?!(),=@;$'"));
  EXPECT_TRUE(checkId(std::string(128, 'x')));
  for (const std::string& bad :
       {std::string(), std::string(129, 'x'), std::string("a/b"), std::string("a b"),
        std::string("a&b"), std::string("gr\xc3\xbc"), std::string("a\n"), std::string("a\0b", 3),
        std::string("."), std::string("..")}) {
    const Status status = checkId(bad);
    ASSERT_FALSE(status) << bad;
    EXPECT_EQ(status.error().code, Errc::kInvalid);
  }
  EXPECT_NE(checkId(std::string(129, 'x')).error().text.find("129 characters"), std::string::npos);
  EXPECT_NE(checkId("a\nb").error().text.find("\"a?b\" is no id"), std::string::npos);
}

TEST(PrincipalNameTest, AreWrittenInOneWayAndReadInTwo) {
  for (const char* text : {"car-7", "device/car-7"}) {
    const auto device = PrincipalName::parse(text);
    ASSERT_TRUE(device);
    EXPECT_EQ(device->name(), "device/car-7");
    EXPECT_EQ(device->resource(), "devices/car-7");
    EXPECT_EQ(device->commonName(), "car-7");
  }
  for (const char* text : {"car-7/module/m", "device/car-7/module/m"}) {
    const auto module = PrincipalName::parse(text);
    ASSERT_TRUE(module);
    EXPECT_EQ(module->name(), "device/car-7/module/m");
    EXPECT_EQ(module->resource(), "devices/car-7/modules/m");
    EXPECT_EQ(module->commonName(), "car-7/m");
  }
  EXPECT_EQ(PrincipalName::parse("gateway/plant")->name(), "gateway/plant");
  EXPECT_EQ(PrincipalName::parse("gateway/plant")->resource(), "gateways/plant");
  for (const char* text : {"", "device/", "gateway/", "a/b", "a/module/", "a/modules/b",
                           "gateway/a/module/b", "a/module/b/c", "a/module/$edgeHub"})
    EXPECT_EQ(PrincipalName::parse(text).error().code, Errc::kInvalid) << text;
}

}  // namespace
}  // namespace kante
