// MQTT 5.0, 3.8 to 3.11, 4.7 and 4.8: subscriptions, their ends, topics and filters, shared
// subscriptions.
#include <set>

#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;
using Reasons = std::vector<unsigned>;

class SubscribeConformance : public Conformance {
 protected:
  SubscribeConformance() : from_(client("from")) {}
  static std::string subscribe(std::uint16_t id, const std::string& filters) {
    return Client::packetOf(0x82, Client::idBytes(id) + bytesOf({0}) + filters);
  }
  static std::string unsubscribe(std::uint16_t id, const std::string& filters) {
    return Client::packetOf(0xa2, Client::idBytes(id) + bytesOf({0}) + filters);
  }
  static std::string one(const std::string& filter, unsigned options = 0) {
    return Client::subscribeBody(filter, options);
  }
  std::unique_ptr<Client> from_;
};

TEST_F(SubscribeConformance, ANewSubscriptionReplacesTheOldOneAndLosesNothing) {
  auto to = client("to", lasting());
  (void)to->subscribe("a", 0, subscriptionId(1));
  from_->publish("a", "1", Qos::k1, 1);
  EXPECT_EQ(to->next().ids, std::vector<std::uint32_t>{1});
  to->send(from_->publishPacket("a", "between", Qos::k0) + subscribe(1, one("a", 1)));
  EXPECT_EQ(to->next().type, PacketType::kSuback);
  EXPECT_EQ(to->next().payload, "between");
  from_->publish("a", "2", Qos::k1, 2);
  const Said after = to->next();
  EXPECT_EQ(after.payload, "2");
  EXPECT_EQ(after.qos, Qos::k1);
  EXPECT_EQ(after.ids, std::vector<std::uint32_t>()) << "the identifier went with the old one";
  EXPECT_FALSE(to->hasMore()) << "one subscription, one copy";
  EXPECT_EQ(world_.engine().counters().subscriptions.value(), 1u);
  world_.limits.subscriptions = 1;
  EXPECT_EQ(to->subscribe("a", 2).reasons, Reasons{2}) << "also when there is no room for another";
  EXPECT_EQ(to->subscribe("b", 2).reasons, Reasons{0x97});
}

}  // namespace
}  // namespace kante::hub
