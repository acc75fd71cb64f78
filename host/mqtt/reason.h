// MQTT 5 reason codes and 3.1.1 return codes (MQTT 5.0, table 2-6; 3.1.1, table 3.1).
#pragma once

#include <cstdint>

namespace kante::mqtt {

enum class Reason : std::uint8_t {
  kSuccess = 0x00,  // Also "normal disconnection" and "granted QoS 0".
  kGrantedQos1 = 0x01,
  kGrantedQos2 = 0x02,
  kDisconnectWithWill = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReAuthenticate = 0x19,
  kUnspecified = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationSpecific = 0x83,
  kUnsupportedVersion = 0x84,
  kClientIdNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kBanned = 0x8a,
  kServerShuttingDown = 0x8b,
  kBadAuthenticationMethod = 0x8c,
  kKeepAliveTimeout = 0x8d,
  kSessionTakenOver = 0x8e,
  kTopicFilterInvalid = 0x8f,
  kTopicNameInvalid = 0x90,
  kPacketIdInUse = 0x91,
  kPacketIdNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kRetainNotSupported = 0x9a,
  kQosNotSupported = 0x9b,
  kUseAnotherServer = 0x9c,
  kServerMoved = 0x9d,
  kSharedSubscriptionsNotSupported = 0x9e,
  kConnectionRateExceeded = 0x9f,
  kMaximumConnectTime = 0xa0,
  kSubscriptionIdsNotSupported = 0xa1,
  kWildcardSubscriptionsNotSupported = 0xa2,
};

// The nearest that a CONNACK of 3.1.1 can say.
std::uint8_t returnCode311(Reason reason);
// "topic name invalid"
const char* textOf(Reason reason);

// Why a packet is refused.  `what` is a literal for people and logs.
struct Fault {
  Reason reason = Reason::kMalformedPacket;
  const char* what = "";
};

}  // namespace kante::mqtt
