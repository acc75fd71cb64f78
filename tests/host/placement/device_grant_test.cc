#include "host/placement/device_grant.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

using How = DeviceWish::How;

bool covered(DeviceKind kind, const std::string& wide, const std::string& narrow) {
  return covers({kind, wide}, {kind, narrow});
}

TEST(DeviceGrantTest, APathCoversItselfAndWhatIsBelow) {
  EXPECT_TRUE(covered(DeviceKind::kRead, "/var/log", "/var/log"));
  EXPECT_TRUE(covered(DeviceKind::kRead, "/var/log/", "/var/log/a/b"));
  EXPECT_TRUE(covered(DeviceKind::kRead, "/", "/etc"));
  EXPECT_FALSE(covered(DeviceKind::kRead, "/var/log", "/var/logs"));
  EXPECT_FALSE(covered(DeviceKind::kRead, "/var/log/a", "/var/log"));
  EXPECT_FALSE(covers({DeviceKind::kRead, "/var"}, {DeviceKind::kWrite, "/var/x"}));
}

TEST(DeviceGrantTest, EitherPartOfAPeerMayBeAny) {
  EXPECT_TRUE(covered(DeviceKind::kTcp, "*:502", "10.0.0.5:502"));
  EXPECT_TRUE(covered(DeviceKind::kTcp, "[::1]:*", "[::1]:80"));
  EXPECT_FALSE(covered(DeviceKind::kTcp, "*:502", "10.0.0.5:503"));
  EXPECT_FALSE(covered(DeviceKind::kTcp, "10.0.0.5:502", "*:502"));
  EXPECT_FALSE(covers({DeviceKind::kTcp, "*:*"}, {DeviceKind::kUdp, "a:1"}));
}

TEST(DeviceGrantTest, SaysWhatIsWrongWithATarget) {
  EXPECT_EQ(targetFault(DeviceKind::kRead, "/a/b"), "");
  EXPECT_EQ(targetFault(DeviceKind::kRead, "a"), "is no absolute path");
  EXPECT_EQ(targetFault(DeviceKind::kRead, "/a/../b"), "has a \"..\" in it");
  EXPECT_EQ(targetFault(DeviceKind::kRead, "/a//b"), "has an empty part");
  EXPECT_EQ(targetFault(DeviceKind::kRead, std::string("/a\0b", 4)), "has a NUL in it");
  EXPECT_EQ(targetFault(DeviceKind::kTcp, "plc.local:502"), "");
  EXPECT_NE(targetFault(DeviceKind::kTcp, "::1:80"), "");
  EXPECT_NE(targetFault(DeviceKind::kTcp, "plc"), "");
  EXPECT_NE(targetFault(DeviceKind::kTcp, "plc:0"), "");
  EXPECT_NE(targetFault(DeviceKind::kTcp, "plc:65536"), "");
}

TEST(DeviceGrantTest, ReadsWhatAModuleWants) {
  std::string fault;
  const auto line = parseDeviceWish("device:/dev/ttyUSB0?baud=19200&parity=even&stop=2", fault);
  ASSERT_TRUE(line) << fault;
  EXPECT_EQ(line->how, How::kDevice);
  EXPECT_EQ(line->grant, (DeviceGrant{DeviceKind::kDevice, "/dev/ttyUSB0"}));
  EXPECT_EQ(line->baud, 19200u);
  EXPECT_EQ(line->parity, 'e');
  EXPECT_EQ(line->stop_bits, 2);
  const auto peer = parseDeviceWish("tcp:[fe80::1]:502", fault);
  ASSERT_TRUE(peer) << fault;
  EXPECT_EQ(peer->host, "fe80::1");
  EXPECT_EQ(peer->port, 502);
  EXPECT_EQ(parseDeviceWish("space:/", fault)->grant.kind, DeviceKind::kSpace);
  EXPECT_EQ(parseDeviceWish("append:/x", fault)->grant.kind, DeviceKind::kWrite);
  for (const char* wrong : {"", "read", "read:", "open:/x", "read:/x/..", "tcp:*:502", "tcp:a:*",
                            "device:/dev/x?baud=x", "device:/dev/x?speed=1"}) {
    fault.clear();
    EXPECT_FALSE(parseDeviceWish(wrong, fault)) << wrong;
    EXPECT_NE(fault, "") << wrong;
  }
}

}  // namespace
}  // namespace kante
