// What a gateway below says at its own topics, and how it is refused.
#include <gmock/gmock.h>

#include "host/hub/gateways/children.h"
#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct NotingGateways final : GatewayDesk {
  std::shared_ptr<void> enter(const std::string& gateway, std::size_t bytes) override {
    entered.push_back(gateway + " " + std::to_string(bytes));
    return full ? nullptr : std::make_shared<int>(0);
  }
  void said(Said said) override {
    all.push_back(said.principal + " " + said.payload);
    if (said.kept) said.kept(Kept::kYes);
  }
  Status speaks(const std::string&, std::string_view) override { return where; }
  std::uint64_t changes() const override { return 0; }
  void arrived(const std::string&) override {}
  void left(const std::string&) override {}
  void hears(const SessionRef&, const std::string&, std::uint8_t) override {}

  Status where;
  bool full = false;
  std::vector<std::string> entered, all;
};

class GatewaySaidTest : public ::testing::Test, public Desk {
 protected:
  GatewaySaidTest() {
    world_.access.user("leaf", "secret", "gateway/").acts = true;
    Wish wish;
    wish.user = "leaf";
    wish.id = "leaf";
    EXPECT_EQ(leaf_.connect(wish).reason, Reason::kSuccess);
  }
  Request take(const SessionRef&, const std::shared_ptr<const Principal>&, const ContractTopic&,
               std::string_view) override {
    return {};
  }
  void interested(const SessionRef&, const std::string&, std::uint8_t) override {}
  GatewayDesk* gateways() override { return &gateways_; }

  Reason report(const std::string& principal, const std::string& payload) {
    leaf_.publish("kante/v1/leaf/twin/" + principal + "/reported", payload, Qos::k1, ++id_);
    return leaf_.next().reason;
  }

  NotingGateways gateways_;
  World world_{1, {}, nullptr, nullptr, this};
  Client leaf_{world_, Version::k5};
  std::uint16_t id_ = 0;
};

TEST_F(GatewaySaidTest, IsTakenWithItsSize) {
  EXPECT_EQ(report("device/car", "{}"), Reason::kSuccess);
  EXPECT_THAT(gateways_.all, ElementsAre("device/car {}"));
  EXPECT_THAT(gateways_.entered, ElementsAre("leaf 12"));
}

TEST_F(GatewaySaidTest, IsTriedAgainWhereThereIsNoRoom) {
  gateways_.where = fail(Errc::kLimit, "there are too many");
  EXPECT_EQ(report("device/car", "{}"), Reason::kQuotaExceeded);
  gateways_.where = fail(Errc::kDenied, "it is behind another");
  EXPECT_EQ(report("device/car", "{}"), Reason::kNotAuthorized);
  gateways_.where = {};
  gateways_.full = true;
  EXPECT_EQ(report("device/car", "{}"), Reason::kQuotaExceeded);
  EXPECT_THAT(gateways_.all, IsEmpty());
}

TEST_F(GatewaySaidTest, ReportsNoMoreThanPropertiesMayHave) {
  const std::string fits(Children::kReportedBytesMax, 'x');
  EXPECT_EQ(report("device/car", fits), Reason::kSuccess);
  EXPECT_EQ(report("device/car", fits + "x"), Reason::kPayloadFormatInvalid);
}

TEST_F(GatewaySaidTest, SpeaksForNobodyWithoutAGrant) {
  world_.access.user("leaf").acts = false;
  EXPECT_EQ(report("device/car", "{}"), Reason::kNotAuthorized);
  EXPECT_EQ(report("module/own", "{}"), Reason::kSuccess);
}

}  // namespace
}  // namespace kante::hub
