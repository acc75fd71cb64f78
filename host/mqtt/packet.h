// MQTT control packets as they are read: views into the bytes that they came in.
//
// One form for both versions: what 3.1.1 does not have is absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "host/mqtt/properties.h"
#include "host/mqtt/reason.h"

namespace kante::mqtt {

enum class Version : std::uint8_t { k311 = 4, k5 = 5 };

enum class PacketType : std::uint8_t {
  kConnect = 1,
  kConnack,
  kPublish,
  kPuback,
  kPubrec,
  kPubrel,
  kPubcomp,
  kSubscribe,
  kSuback,
  kUnsubscribe,
  kUnsuback,
  kPingreq,
  kPingresp,
  kDisconnect,
  kAuth,
};

enum class Qos : std::uint8_t { k0, k1, k2 };

inline constexpr std::size_t kTextBytesMax = 65'535;        // Two bytes say how long it is.
inline constexpr std::size_t kPacketBodyMax = 268'435'455;  // Four bytes of seven bits.

struct Will {
  std::string_view topic;
  std::string_view payload;
  Qos qos = Qos::k0;
  bool retain = false;
  Properties properties;
};

struct Connect {
  Version version = Version::k311;
  bool clean_start = false;
  std::uint16_t keep_alive_s = 0;
  std::string_view client_id;
  std::optional<Will> will;
  std::optional<std::string_view> user_name;
  std::optional<std::string_view> password;
  Properties properties;
};

struct Publish {
  std::string_view topic;  // Empty: what its alias stands for.
  std::string_view payload;
  Qos qos = Qos::k0;
  bool retain = false;
  bool dup = false;
  std::uint16_t packet_id = 0;  // 0 with QoS 0.
  Properties properties;
};

// PUBACK, PUBREC, PUBREL, PUBCOMP.
struct Ack {
  std::uint16_t packet_id = 0;
  Reason reason = Reason::kSuccess;
  Properties properties;
};

enum class RetainHandling : std::uint8_t { kSend, kSendIfNew, kDoNotSend };

struct Subscription {
  std::string_view filter;  // As it came, "$share/GROUP/" and all.
  Qos qos = Qos::k0;
  bool no_local = false;
  bool retain_as_published = false;
  RetainHandling retain_handling = RetainHandling::kSend;
};

struct Subscribe {
  std::uint16_t packet_id = 0;
  std::vector<Subscription> subscriptions;  // At least one.
  Properties properties;
};

struct Unsubscribe {
  std::uint16_t packet_id = 0;
  std::vector<std::string_view> filters;  // At least one.
  Properties properties;
};

// DISCONNECT and AUTH.
struct Notice {
  Reason reason = Reason::kSuccess;
  Properties properties;
};

}  // namespace kante::mqtt
