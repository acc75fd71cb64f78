// What the tests for the numbered statements of MQTT 5.0 share: clients of that version against the
// real engine, properties byte by byte, and how a connection ended.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/host/hub/mqtt/engine_kit.h"

namespace kante::hub {

inline std::string u16Property(unsigned id, unsigned value) {
  return mqtt::bytesOf({id, value >> 8 & 255, value & 255});
}
inline std::string u32Property(unsigned id, std::uint32_t value) {
  return mqtt::bytesOf({id, value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255});
}
inline std::string textProperty(unsigned id, std::string_view value) {
  return mqtt::bytesOf({id}) + mqtt::text(value);
}
inline std::string userProperty(std::string_view name, std::string_view value) {
  return mqtt::bytesOf({0x26}) + mqtt::text(name) + mqtt::text(value);
}
inline std::string sessionExpiry(std::uint32_t seconds) { return u32Property(0x11, seconds); }
inline std::string receiveMaximum(unsigned messages) { return u16Property(0x21, messages); }
inline std::string aliasMaximum(unsigned aliases) { return u16Property(0x22, aliases); }
inline std::string topicAlias(unsigned alias) { return u16Property(0x23, alias); }
inline std::string packetMaximum(std::uint32_t bytes) { return u32Property(0x27, bytes); }
inline std::string messageExpiry(std::uint32_t seconds) { return u32Property(0x02, seconds); }
inline std::string willDelay(std::uint32_t seconds) { return u32Property(0x18, seconds); }
inline std::string subscriptionId(unsigned below_128) { return mqtt::bytesOf({0x0b, below_128}); }

// Subscription options beside the QoS.
inline constexpr unsigned kNoLocal = 4, kAsPublished = 8, kRetainedIfNew = 0x10, kNoRetained = 0x20;
inline constexpr unsigned kRetain = 1, kDup = 8;  // Flags of PUBLISH.

class Conformance : public ::testing::Test {
 public:
  // For a session that outlives its connection.
  static Wish lasting(const std::string& properties = "") {
    Wish wish;
    wish.clean = false;
    wish.properties = sessionExpiry(1000) + properties;
    return wish;
  }
  static Wish with(const std::string& properties) {
    Wish wish;
    wish.properties = properties;
    return wish;
  }
  static Wish willing(const std::string& topic, const std::string& payload,
                      const std::string& will_properties = "") {
    Wish wish;
    wish.will_topic = topic;
    wish.will_payload = payload;
    wish.will_properties = will_properties;
    return wish;
  }

 protected:
  explicit Conformance(std::uint32_t engines = 1) : world_(engines) { world_.access.user("user"); }

  std::unique_ptr<Client> client(const std::string& id, Wish wish = {},
                                 Version version = Version::k5) {
    auto made = std::make_unique<Client>(world_, version);
    wish.id = id;
    EXPECT_EQ(made->connect(wish).reason, Reason::kSuccess);
    return made;
  }
  // A connection that begins with these bytes.
  std::unique_ptr<Client> begun(const std::string& bytes, Version version = Version::k5) {
    auto made = std::make_unique<Client>(world_, version);
    made->send(bytes);
    return made;
  }
  // How the broker ended a connection, which is the last that it said there [MQTT-3.14.4-1]
  // [MQTT-3.14.4-2].
  static Reason endOf(Client& one) {
    EXPECT_TRUE(one.isClosed());
    while (one.hasMore()) {
      const Said said = one.next();
      if (said.type != PacketType::kDisconnect) continue;
      EXPECT_FALSE(one.hasMore());
      return said.reason;
    }
    ADD_FAILURE() << "no DISCONNECT came";
    return Reason::kSuccess;
  }
  // What a client that has just connected is told when it says this.
  Reason endAfter(const std::string& bytes) {
    auto one = client("rude");
    one->send(bytes);
    return endOf(*one);
  }
  // All that has come, as bytes.
  static std::string heard(Client& one) { return std::exchange(one.wire().to_client, {}); }
  static std::vector<std::uint16_t> idsOf(Client& one) {
    std::vector<std::uint16_t> ids;
    while (one.hasMore()) ids.push_back(one.next().id);
    return ids;
  }

  World world_;
};

}  // namespace kante::hub
