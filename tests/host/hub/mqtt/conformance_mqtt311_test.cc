// Where MQTT 3.1.1 differs from 5.0: its return codes, its silence, its clean session.  The numbers
// are those of 3.1.1.
#include "tests/host/hub/mqtt/conformance_kit.h"

namespace kante::hub {
namespace {

using mqtt::bytesOf;
using Payloads = std::vector<std::string>;

class Mqtt311Conformance : public Conformance {
 protected:
  std::unique_ptr<Client> old(const std::string& id, Wish wish = {}) {
    return client(id, wish, Version::k311);
  }
  static Wish kept() {
    Wish wish;
    wish.clean = false;
    return wish;
  }
  static std::string connectWith(unsigned flags, const std::string& payload) {
    return Client::packetOf(0x10, mqtt::text("MQTT") + bytesOf({4, flags, 0, 0}) + payload);
  }
};

TEST_F(Mqtt311Conformance, ARefusalIsOneOfFiveReturnCodes) {
  const Client model(world_, Version::k311);
  Wish wrong, nameless, denied = willing("secret", "x");
  world_.access.user("user").no_publish = {"secret"};
  wrong.password = "wrong";
  nameless.id = "";
  nameless.clean = false;
  const auto told = [&](const std::string& bytes) {
    auto one = begun(bytes, Version::k311);
    EXPECT_TRUE(one->isClosed()) << "[MQTT-3.2.2-5]";
    return heard(*one);
  };
  EXPECT_EQ(told(model.connectPacket(wrong)), bytesOf({0x20, 2, 0, 4}));
  EXPECT_EQ(told(model.connectPacket(nameless)), bytesOf({0x20, 2, 0, 2})) << "[MQTT-3.1.3-8]";
  EXPECT_EQ(told(model.connectPacket(denied)), bytesOf({0x20, 2, 0, 5}));
  EXPECT_EQ(told(Client::packetOf(0x10, mqtt::text("MQTT") + bytesOf({3, 2, 0, 0, 0, 0}))),
            bytesOf({0x20, 2, 0, 1}))
      << "[MQTT-3.1.2-2]";
  Limits none;
  none.sessions = 0;
  World full(1, none);
  full.access.user("user");
  EXPECT_EQ(static_cast<int>(Client(full, Version::k311).connect().reason), 3);
}

TEST_F(Mqtt311Conformance, AConnectThatIsNoneIsNotAnswered) {
  const std::string id = mqtt::text("id"), user = mqtt::text("user"), word = mqtt::text("secret");
  for (const std::string& packet :
       {connectWith(0xc3, id + user + word), connectWith(0x42, id + word),
        connectWith(0xca, id + user + word), connectWith(0xe2, id + user + word),
        connectWith(0xde, id + mqtt::text("w") + mqtt::text("") + user + word),
        connectWith(0x06, id), connectWith(0x02, ""), connectWith(0xc2, id + user + word + "x"),
        connectWith(0x02, mqtt::text("\xff")), bytesOf({0x10, 2, 0, 4})}) {
    auto one = begun(packet, Version::k311);
    EXPECT_TRUE(one->isClosed());
    EXPECT_EQ(heard(*one), "") << "[MQTT-3.1.4-1]";
  }
}

}  // namespace
}  // namespace kante::hub
