// MQTT 5.0, 3.3 and 3.8.3.1: what becomes of a message and of its properties, retained messages,
// and the options of a subscription.
#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;

class PublishConformance : public Conformance {
 protected:
  PublishConformance() : from_(client("from")) {}
  void retain(const std::string& topic, const std::string& payload,
              const std::string& properties = "") {
    from_->publish(topic, payload, Qos::k0, 0, kRetain, properties);
  }
  // What a new subscriber of everything gets at once.
  Payloads kept() {
    auto to = client("late");
    (void)to->subscribe("#", 2);
    return to->payloads();
  }
  std::unique_ptr<Client> from_;
};

TEST_F(PublishConformance, NoLocalIsByTheClientIdentifier) {
  auto car = client("car");
  (void)car->subscribe("a", kNoLocal);
  car->publish("a", "own");
  EXPECT_FALSE(car->hasMore());
  from_->publish("a", "theirs");
  EXPECT_EQ(car->payloads(), Payloads{"theirs"});
  (void)car->subscribe("+");
  car->publish("a", "own");
  EXPECT_EQ(car->payloads(), Payloads{"own"}) << "by the other subscription";
  car->publish("kept", "own", Qos::k0, 0, kRetain);
  car->disconnect();
  auto again = client("car");
  (void)again->subscribe("kept", kNoLocal);
  EXPECT_EQ(again->payloads(), Payloads()) << "also in a later session of that client";
  auto other = client("other");
  (void)other->subscribe("kept", kNoLocal);
  EXPECT_EQ(other->payloads(), Payloads{"own"});
}

}  // namespace
}  // namespace kante::hub
