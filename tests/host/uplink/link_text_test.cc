#include "host/uplink/link_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kante {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(LinkTextTest, SaysOfEachRefusalWhatToDo) {
  const auto text = [](int code) {
    return refusedText(MqttForm::k5, static_cast<std::uint8_t>(code), {});
  };
  EXPECT_THAT(text(0x86), AllOf(HasSubstr("(0x86)"), HasSubstr("password_file")));
  EXPECT_THAT(text(0x87), AllOf(HasSubstr("Not authorized (0x87)"), HasSubstr("access control")));
  EXPECT_THAT(text(0x8a), AllOf(HasSubstr("anned"), HasSubstr("operator")));
  EXPECT_THAT(text(0x89), AllOf(HasSubstr("busy (0x89)"), HasSubstr("asked again")));
  EXPECT_THAT(text(0x84), HasSubstr("[uplink] protocol"));
  EXPECT_THAT(text(0x85), HasSubstr("[gateway] id"));
  EXPECT_THAT(refusedText(MqttForm::k5, 0x80, "no\x01room\nhere"), HasSubstr("\"no.room\""));
}

TEST(LinkTextTest, NamesTheCertificateOfWhoCameWithOne) {
  const auto text = [](int code) {
    return refusedText(MqttForm::k5, static_cast<std::uint8_t>(code), {}, "the certificate C");
  };
  EXPECT_THAT(text(0x86), AllOf(HasSubstr("the certificate C"), Not(HasSubstr("password"))));
  EXPECT_THAT(text(0x87), HasSubstr("the certificate C"));
  EXPECT_THAT(text(0x89), Not(HasSubstr("certificate")));
}

TEST(LinkTextTest, SaysTheSameOfTheOlderCodes) {
  EXPECT_THAT(refusedText(MqttForm::k311, 4, {}), HasSubstr("password_file"));
  EXPECT_THAT(refusedText(MqttForm::k311, 5, {}), HasSubstr("Not authorized (0x05)"));
  EXPECT_THAT(refusedText(MqttForm::k311, 1, {}), HasSubstr("[uplink] protocol"));
  EXPECT_TRUE(isBusy(MqttForm::k311, 3));
  EXPECT_FALSE(isBusy(MqttForm::k311, 5));
  EXPECT_TRUE(isBusy(MqttForm::k5, 0x89));
  EXPECT_FALSE(isBusy(MqttForm::k5, 0x87));
}

TEST(LinkTextTest, TellsTwoGatewaysOfOneName) {
  EXPECT_THAT(closedText(0x8e), AllOf(HasSubstr("(0x8e)"), HasSubstr("two gateways")));
}

TEST(LinkTextTest, KnowsABrokerFromSomethingElseByItsFirstBytes) {
  EXPECT_THAT(foreignText(Wire::kPlain, std::string("\x20\x02\0\0", 4)), IsEmpty());
  EXPECT_THAT(foreignText(Wire::kTls, "\x16\x03\x03"), IsEmpty());
  EXPECT_THAT(foreignText(Wire::kTls, "\x15\x03\x03"), IsEmpty());
  const char portal[] = "HTTP/1.1 302 Found\r\nLocation: http://portal/";
  EXPECT_THAT(foreignText(Wire::kPlain, portal),
              AllOf(HasSubstr("\"HTTP/1.1 302 Found\""), HasSubstr("captive portal")));
  EXPECT_THAT(foreignText(Wire::kTls, portal), HasSubstr("captive portal"));
  EXPECT_THAT(foreignText(Wire::kPlain, "SSH-2.0-x\x1b[2J"), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace kante
