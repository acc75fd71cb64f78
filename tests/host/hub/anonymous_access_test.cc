#include "host/hub/anonymous_access.h"

#include <gtest/gtest.h>

namespace kante::hub {
namespace {

using From = AnonymousAccess::From;

Admission asked(From from, const Peer& peer, std::optional<std::string_view> user = {}) {
  return AnonymousAccess(from, nullptr).authenticate({peer, "id", user, {}});
}

TEST(AnonymousAccessTest, LetsNobodyInUnlessToldSo) {
  Peer near;
  near.loopback = true;
  const Peer far;
  EXPECT_FALSE(asked(From::kNowhere, near).principal);
  EXPECT_TRUE(asked(From::kLoopback, near).principal);
  EXPECT_FALSE(asked(From::kLoopback, far).principal);
  EXPECT_TRUE(asked(From::kAnywhere, far).principal);
  const Admission named = asked(From::kAnywhere, near, "bob");
  EXPECT_FALSE(named.principal) << "whoever has a name must prove it";
  EXPECT_EQ(named.reason, mqtt::Reason::kBadUserNameOrPassword);
  near.certificate = "shown";
  EXPECT_FALSE(asked(From::kAnywhere, near).principal);
}

TEST(AnonymousAccessTest, KeepsTheTopicsOfTheSystemAndOfKante) {
  Peer near;
  near.loopback = true;
  const auto principal = asked(From::kLoopback, near).principal;
  for (const char* topic : {"$SYS/x", "$iothub/x", "kante/v1/x"}) {
    EXPECT_FALSE(principal->mayPublish(topic)) << topic;
    EXPECT_FALSE(principal->maySubscribe(topic)) << topic;
    EXPECT_FALSE(principal->mayReceive(topic)) << topic;
  }
  EXPECT_TRUE(principal->mayPublish("kantex/a"));
  EXPECT_TRUE(principal->maySubscribe("#"));
  EXPECT_TRUE(principal->checksDeliveries()) << "since # matches more than is theirs";
}

}  // namespace
}  // namespace kante::hub
