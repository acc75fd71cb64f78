// The properties of an MQTT 5 packet (MQTT 5.0, 2.2.2): each known by its packet, at most once, of
// its own type.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "host/mqtt/reason.h"

namespace kante::mqtt {

enum class PropertyId : std::uint8_t {
  kPayloadFormat = 0x01,
  kMessageExpiry = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionId = 0x0b,
  kSessionExpiry = 0x11,
  kAssignedClientId = 0x12,
  kServerKeepAlive = 0x13,
  kAuthenticationMethod = 0x15,
  kAuthenticationData = 0x16,
  kRequestProblemInformation = 0x17,
  kWillDelay = 0x18,
  kRequestResponseInformation = 0x19,
  kResponseInformation = 0x1a,
  kServerReference = 0x1c,
  kReasonString = 0x1f,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardAvailable = 0x28,
  kSubscriptionIdsAvailable = 0x29,
  kSharedAvailable = 0x2a,
};

// Where properties stand; a bit each.
enum class PropertySet : std::uint16_t {
  kConnect = 1,
  kWill = 2,
  kConnack = 4,
  kPublish = 8,
  kPuback = 16,  // And PUBREC, PUBREL, PUBCOMP.
  kSubscribe = 32,
  kSuback = 64,  // And UNSUBACK.
  kUnsubscribe = 128,
  kDisconnect = 256,
  kAuth = 512,
};

// Borrows the packet.  What is absent is nothing, or the default that the specification gives.
struct Properties {
  bool payload_is_text = false;
  std::optional<std::uint32_t> message_expiry_s;
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> response_topic;
  std::optional<std::string_view> correlation_data;
  std::uint32_t subscription_id = 0;  // 0: none.
  std::optional<std::uint32_t> session_expiry_s;
  std::optional<std::string_view> authentication_method;
  std::optional<std::string_view> authentication_data;
  bool request_problem_information = true;
  bool request_response_information = false;
  std::uint32_t will_delay_s = 0;
  std::optional<std::string_view> server_reference;
  std::optional<std::string_view> reason_string;
  std::optional<std::uint16_t> receive_maximum;
  std::optional<std::uint16_t> topic_alias_maximum;
  std::optional<std::uint16_t> topic_alias;
  std::optional<std::uint32_t> maximum_packet_size;
  std::optional<std::string_view> assigned_client_id;
  std::optional<std::uint16_t> server_keep_alive;
  std::optional<std::string_view> response_information;
  std::optional<std::uint8_t> maximum_qos;
  bool retain_available = true;
  bool wildcard_available = true;
  bool subscription_ids_available = true;
  bool shared_available = true;

  // The bytes of all properties, for the user properties in them.
  std::string_view bytes;
  std::uint32_t user_properties = 0;
  // Calls with each user property's name and value, in their order.
  template <typename Call>
  void forEachUserProperty(Call&& call) const;
};

// `bytes` without their length.  False: `fault` says what is wrong.
bool parseProperties(std::string_view bytes, PropertySet where, Properties& out, Fault& fault);

// Of bytes that parseProperties() took: the property at their beginning, which is cut off.
struct RawProperty {
  PropertyId id;
  std::string_view first;   // A string's bytes, or a pair's name.
  std::string_view second;  // A pair's value.
  std::uint32_t number = 0;
};
RawProperty nextProperty(std::string_view& bytes);

template <typename Call>
void Properties::forEachUserProperty(Call&& call) const {
  if (user_properties == 0) return;
  for (std::string_view rest = bytes; !rest.empty();) {
    const RawProperty one = nextProperty(rest);
    if (one.id == PropertyId::kUserProperty) call(one.first, one.second);
  }
}

}  // namespace kante::mqtt
