// Every bound of the MQTT broker, with its default.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kante::hub {

struct Limits {
  // Of the whole broker.
  std::uint32_t connections = 20'000;
  std::uint32_t connections_per_s = 200;  // Of one address; twice as many at once.
  std::uint32_t sessions = 50'000;        // With those that nobody is connected to.
  std::uint32_t retained_messages = 50'000;
  std::uint64_t retained_bytes = 64u << 20;
  std::uint64_t message_bytes = 256u << 20;  // Of all messages that wait for anybody.

  // Of one connection.
  std::uint32_t connect_timeout_ms =
      10'000;                               // From its beginning to a whole CONNECT, TLS included.
  std::uint32_t connect_bytes = 72u << 10;  // Of a CONNECT.
  std::uint32_t packet_bytes = (1u << 20) + (64u << 10);
  std::uint16_t receive_maximum = 1024;    // QoS 1 and 2 at once, from a client.
  std::uint16_t inflight = 1024;           // The same towards it, at most what it allows.
  std::uint16_t topic_alias_maximum = 64;  // From a client, and at most towards it.
  std::uint16_t keep_alive_max_s = 0;      // 0: as the client likes, also none.

  // Of one session.
  std::uint32_t session_expiry_max_s = 7 * 86'400;
  std::uint32_t subscriptions = 1024;
  std::uint32_t queue_messages = 16'384;
  std::uint64_t queue_bytes = 16u << 20;

  static constexpr std::size_t kTopicLevelsMax = 64;
  static constexpr std::size_t kClientIdBytesMax = 256;
};

}  // namespace kante::hub
