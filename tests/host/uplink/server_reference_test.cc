#include "host/uplink/server_reference.h"

#include <gtest/gtest.h>

namespace kante {
namespace {

TEST(ServerReferenceTest, ReadsTheFirstOfTheServersNamed) {
  const auto read = [](const char* text) {
    const auto address = parseServerReference(text, 8883);
    return address ? address->text() : "error";
  };
  EXPECT_EQ(read("broker2.example"), "broker2.example:8883");
  EXPECT_EQ(read("broker2.example:1234 other:1"), "broker2.example:1234");
  EXPECT_EQ(read("  192.0.2.7:99"), "192.0.2.7:99");
  EXPECT_EQ(read("[2001:db8::1]:99"), "[2001:db8::1]:99");
  EXPECT_EQ(read("[2001:db8::1]"), "[2001:db8::1]:8883");
}

TEST(ServerReferenceTest, RefusesWhatIsNoServer) {
  for (const char* text : {"", " ", ":1", "a:", "a:0", "a:65536", "a:1x", "[::1", "[::1]x",
                           "[nine]:1", "-a", ".a", "a/b", "mqtt://a", "a\x01", "2001:db8::1"}) {
    EXPECT_TRUE(parseServerReference(text, 1).has_error()) << text;
  }
}

TEST(ServerReferenceTest, KnowsItsOwnMachine) {
  EXPECT_TRUE(parseServerReference("127.0.0.1:1", 1)->isLoopback());
  EXPECT_TRUE(parseServerReference("[::1]:1", 1)->isLoopback());
  EXPECT_FALSE(parseServerReference("broker.example", 1)->isLoopback());
}

}  // namespace
}  // namespace kante
