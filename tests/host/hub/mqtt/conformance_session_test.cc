// MQTT 5.0, 3.1.2.5, 4.1 and 4.3 to 4.6: wills, how long state is kept, the ways of QoS 1 and 2,
// what is sent again, and in which order.
#include <functional>

#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;

class SessionConformance : public Conformance {
 protected:
  SessionConformance() : from_(client("from")) {}
  std::unique_ptr<Client> from_;
};

TEST_F(SessionConformance, APacketIdentifierIsFreeAgainWhenItsMessageIsDone) {
  auto to = client("to");
  (void)to->subscribe("#", 2);
  world_.access.user("user").no_publish = {"secret"};
  for (const unsigned flags : {0u, kDup}) {
    from_->publish("a", "1", Qos::k1, 5, flags);
    from_->publish("a", "2", Qos::k1, 5, flags);
    EXPECT_EQ(to->payloads(), (Payloads{"1", "2"})) << "two messages [MQTT-4.3.2-5]";
  }
  from_->publish("secret", "no", Qos::k2, 6);
  from_->publish("a", "3", Qos::k2, 6);
  EXPECT_EQ(to->payloads(), Payloads{"3"}) << "the refused one was another [MQTT-4.3.3-9]";
  from_->publish("a", "3", Qos::k2, 6, kDup);
  from_->publish("a", "3", Qos::k2, 6);
  EXPECT_FALSE(to->hasMore()) << "[MQTT-4.3.3-10]";
  world_.access.user("user").no_publish.push_back("a");
  world_.engine().take(Reconsider{"device/user"});
  (void)heard(*from_);
  from_->publish("a", "3", Qos::k2, 6, kDup);
  EXPECT_EQ(from_->next().reason, Reason::kSuccess) << "it was taken when it might be published";
  world_.access.user("user").no_publish.clear();
  from_->ack(PacketType::kPubrel, 6);
  EXPECT_EQ(from_->next().type, PacketType::kPubcomp);
  from_->publish("a", "4", Qos::k2, 6);
  EXPECT_EQ(to->payloads(), Payloads{"4"}) << "[MQTT-4.3.3-12]";
}

}  // namespace
}  // namespace kante::hub
