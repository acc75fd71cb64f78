#include "host/mqtt/reason.h"

namespace kante::mqtt {

std::uint8_t returnCode311(Reason reason) {
  switch (reason) {
    case Reason::kSuccess: return 0;
    case Reason::kUnsupportedVersion: return 1;
    case Reason::kClientIdNotValid: return 2;
    case Reason::kBadUserNameOrPassword: return 4;
    case Reason::kNotAuthorized:
    case Reason::kBanned:
    case Reason::kBadAuthenticationMethod: return 5;
    default: return 3;  // Server unavailable.
  }
}

const char* textOf(Reason reason) {
  switch (reason) {
    case Reason::kSuccess: return "success";
    case Reason::kGrantedQos1: return "granted QoS 1";
    case Reason::kGrantedQos2: return "granted QoS 2";
    case Reason::kDisconnectWithWill: return "disconnect with will message";
    case Reason::kNoMatchingSubscribers: return "no matching subscribers";
    case Reason::kNoSubscriptionExisted: return "no subscription existed";
    case Reason::kContinueAuthentication: return "continue authentication";
    case Reason::kReAuthenticate: return "re-authenticate";
    case Reason::kUnspecified: return "unspecified error";
    case Reason::kMalformedPacket: return "malformed packet";
    case Reason::kProtocolError: return "protocol error";
    case Reason::kImplementationSpecific: return "implementation specific error";
    case Reason::kUnsupportedVersion: return "unsupported protocol version";
    case Reason::kClientIdNotValid: return "client identifier not valid";
    case Reason::kBadUserNameOrPassword: return "bad user name or password";
    case Reason::kNotAuthorized: return "not authorized";
    case Reason::kServerUnavailable: return "server unavailable";
    case Reason::kServerBusy: return "server busy";
    case Reason::kBanned: return "banned";
    case Reason::kServerShuttingDown: return "server shutting down";
    case Reason::kBadAuthenticationMethod: return "bad authentication method";
    case Reason::kKeepAliveTimeout: return "keep alive timeout";
    case Reason::kSessionTakenOver: return "session taken over";
    case Reason::kTopicFilterInvalid: return "topic filter invalid";
    case Reason::kTopicNameInvalid: return "topic name invalid";
    case Reason::kPacketIdInUse: return "packet identifier in use";
    case Reason::kPacketIdNotFound: return "packet identifier not found";
    case Reason::kReceiveMaximumExceeded: return "receive maximum exceeded";
    case Reason::kTopicAliasInvalid: return "topic alias invalid";
    case Reason::kPacketTooLarge: return "packet too large";
    case Reason::kMessageRateTooHigh: return "message rate too high";
    case Reason::kQuotaExceeded: return "quota exceeded";
    case Reason::kAdministrativeAction: return "administrative action";
    case Reason::kPayloadFormatInvalid: return "payload format invalid";
    case Reason::kRetainNotSupported: return "retain not supported";
    case Reason::kQosNotSupported: return "QoS not supported";
    case Reason::kUseAnotherServer: return "use another server";
    case Reason::kServerMoved: return "server moved";
    case Reason::kSharedSubscriptionsNotSupported: return "shared subscriptions not supported";
    case Reason::kConnectionRateExceeded: return "connection rate exceeded";
    case Reason::kMaximumConnectTime: return "maximum connect time";
    case Reason::kSubscriptionIdsNotSupported: return "subscription identifiers not supported";
    case Reason::kWildcardSubscriptionsNotSupported: return "wildcard subscriptions not supported";
  }
  return "unknown reason";
}

}  // namespace kante::mqtt
