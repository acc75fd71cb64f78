#include "host/mqtt/parse.h"

#include <algorithm>
#include <span>

#include "host/mqtt/bytes.h"
#include "host/mqtt/topic.h"

namespace kante::mqtt {
namespace {

// MQTT 5.0, tables 3-4 and 3-5, 3-6 and 3-7, and of 3-10 what a client says.
constexpr Reason kOfReceipt[] = {Reason::kSuccess,
                                 Reason::kNoMatchingSubscribers,
                                 Reason::kUnspecified,
                                 Reason::kImplementationSpecific,
                                 Reason::kNotAuthorized,
                                 Reason::kTopicNameInvalid,
                                 Reason::kPacketIdInUse,
                                 Reason::kQuotaExceeded,
                                 Reason::kPayloadFormatInvalid};
constexpr Reason kOfRelease[] = {Reason::kSuccess, Reason::kPacketIdNotFound};
constexpr Reason kOfDisconnect[] = {Reason::kSuccess,
                                    Reason::kDisconnectWithWill,
                                    Reason::kUnspecified,
                                    Reason::kMalformedPacket,
                                    Reason::kProtocolError,
                                    Reason::kImplementationSpecific,
                                    Reason::kTopicNameInvalid,
                                    Reason::kReceiveMaximumExceeded,
                                    Reason::kTopicAliasInvalid,
                                    Reason::kPacketTooLarge,
                                    Reason::kMessageRateTooHigh,
                                    Reason::kQuotaExceeded,
                                    Reason::kAdministrativeAction,
                                    Reason::kPayloadFormatInvalid};
constexpr Reason kOfAuth[] = {Reason::kSuccess, Reason::kContinueAuthentication,
                              Reason::kReAuthenticate};

bool refuse(Fault& fault, Reason reason, const char* what) {
  fault = {reason, what};
  return false;
}
bool malformed(Fault& fault, const char* what) {
  return refuse(fault, Reason::kMalformedPacket, what);
}

// Properties with their length; 3.1.1 has none.
bool readProperties(ByteReader& reader, Version version, PropertySet where, Properties& out,
                    Fault& fault, std::uint32_t user_max = ParseLimits().user_properties_max) {
  if (version != Version::k5) return true;
  const std::uint32_t size = reader.variable();
  const std::string_view bytes = reader.bytes(size);
  if (!reader.ok()) return malformed(fault, "properties that are cut off");
  if (!parseProperties(bytes, where, out, fault)) return false;
  if (out.user_properties <= user_max) return true;
  return refuse(fault, Reason::kImplementationSpecific, "too many user properties");
}

bool readReason(ByteReader& reader, std::span<const Reason> allowed, Reason& out, Fault& fault) {
  out = static_cast<Reason>(reader.byte());
  return std::find(allowed.begin(), allowed.end(), out) != allowed.end() ||
         refuse(fault, Reason::kProtocolError, "a reason that this packet does not have");
}

bool checkQos(unsigned bits, Qos& out) {
  out = static_cast<Qos>(bits);
  return bits <= 2;
}

// A response topic is a topic name [MQTT-3.3.2-14].
bool checkMessage(const Properties& properties, Fault& fault) {
  if (!properties.response_topic || isTopicName(*properties.response_topic)) return true;
  return refuse(fault, Reason::kProtocolError, "a response topic with a wildcard, or an empty one");
}

bool isKnownFlags(PacketType type, unsigned flags) {
  switch (type) {
    case PacketType::kPublish: return true;
    case PacketType::kPubrel:
    case PacketType::kSubscribe:
    case PacketType::kUnsubscribe: return flags == 2;
    default: return flags == 0;
  }
}

bool readWill(ByteReader& reader, unsigned flags, Connect& out, Fault& fault,
              const ParseLimits& limits) {
  Will will;
  if (!checkQos(flags >> 3 & 3, will.qos))
    return malformed(fault, "a will of QoS 3");  // [MQTT-3.1.2-12]
  will.retain = (flags & 0x20) != 0;
  if (!readProperties(reader, out.version, PropertySet::kWill, will.properties, fault,
                      limits.user_properties_max))
    return false;
  will.topic = reader.text();
  will.payload = reader.binary();
  if (!reader.ok()) return malformed(fault, "a will that is cut off or no UTF-8");
  if (!isTopicName(will.topic))
    return refuse(fault, Reason::kTopicNameInvalid, "a will's topic with a wildcard, or none");
  if (!checkMessage(will.properties, fault)) return false;
  out.will = will;
  return true;
}

bool readProtocol(ByteReader& reader, Connect& out, Fault& fault) {
  const std::string_view name = reader.text();
  const std::uint8_t level = reader.byte();
  if (!reader.ok()) return malformed(fault, "a protocol name that is cut off");
  const bool known = name == "MQTT" && (level == 4 || level == 5);
  if (!known)  // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    return refuse(fault, Reason::kUnsupportedVersion, "neither MQTT 3.1.1 nor MQTT 5.0");
  out.version = static_cast<Version>(level);
  return true;
}

// What a filter may be, with its options in a byte or, for UNSUBSCRIBE, without.
bool checkFilter(std::string_view filter, Fault& fault) {
  const bool valid = isShared(filter) ? sharedFilter(filter).has_value() : isTopicFilter(filter);
  // A filter that is not valid is a reason of its own in SUBACK; whoever subscribes says it.
  if (valid || !filter.empty()) return true;
  return malformed(fault, "an empty topic filter");  // [MQTT-4.7.3-1]
}

bool readSubscription(ByteReader& reader, Version version, Subscription& out, Fault& fault) {
  out.filter = reader.text();
  const unsigned options = reader.byte();
  if (!reader.ok()) return malformed(fault, "a topic filter that is cut off or no UTF-8");
  if (!checkFilter(out.filter, fault)) return false;
  // [MQTT-3.8.3-5] [MQTT-3-8.3-4 of 3.1.1]
  if ((options & (version == Version::k5 ? 0xc0u : 0xfcu)) != 0)
    return malformed(fault, "reserved subscription options");
  // 5.0 calls a value that is not there a protocol error (3.8.3.1); 3.1.1 knows only one fault.
  const Reason wrong_value =
      version == Version::k5 ? Reason::kProtocolError : Reason::kMalformedPacket;
  if (!checkQos(options & 3, out.qos)) return refuse(fault, wrong_value, "a subscription of QoS 3");
  out.no_local = (options & 4) != 0;
  out.retain_as_published = (options & 8) != 0;
  const unsigned handling = options >> 4 & 3;
  if (handling == 3) return refuse(fault, wrong_value, "a retain handling of 3");
  out.retain_handling = static_cast<RetainHandling>(handling);
  if (out.no_local && isShared(out.filter))  // [MQTT-3.8.3-4]
    return refuse(fault, Reason::kProtocolError, "no local on a shared subscription");
  return true;
}

bool readPacketId(ByteReader& reader, std::uint16_t& out, Fault& fault) {
  out = reader.u16();
  if (!reader.ok()) return malformed(fault, "a packet identifier that is cut off");
  // [MQTT-2.2.1-3]
  return out != 0 || refuse(fault, Reason::kProtocolError, "a packet identifier of 0");
}

}  // namespace

Framing frameOf(std::string_view arrived, std::size_t packet_max, Frame& frame, Fault& fault) {
  frame.size = 0;
  if (arrived.empty()) return Framing::kMore;
  const unsigned first = static_cast<std::uint8_t>(arrived[0]);
  const auto type = static_cast<PacketType>(first >> 4);
  if (first >> 4 == 0) {
    (void)malformed(fault, "a packet of type 0");
    return Framing::kRefused;
  }
  if (!isKnownFlags(type, first & 15)) {  // [MQTT-2.1.3-1]
    (void)malformed(fault, "reserved flags that are not as they must be");
    return Framing::kRefused;
  }
  std::uint32_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7, ++at) {
    if (shift == 28) {
      (void)malformed(fault, "a length of more than four bytes");  // [MQTT-1.5.5-1]
      return Framing::kRefused;
    }
    if (at == arrived.size()) return Framing::kMore;
    const unsigned byte = static_cast<std::uint8_t>(arrived[at]);
    length |= (byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      if (byte != 0 || shift == 0) break;
      (void)malformed(fault, "a length that is longer than it need be");
      return Framing::kRefused;
    }
  }
  frame.size = at + 1 + length;
  if (length > kPacketBodyMax || frame.size > packet_max) {  // [MQTT-3.2.2-15] the other way round
    (void)refuse(fault, Reason::kPacketTooLarge, "a packet that is larger than allowed");
    return Framing::kRefused;
  }
  if (arrived.size() < frame.size) return Framing::kMore;
  frame.type = type;
  frame.flags = static_cast<std::uint8_t>(first & 15);
  frame.body = arrived.substr(at + 1, length);
  return Framing::kPacket;
}

bool parseConnect(const Frame& frame, Connect& out, Fault& fault, const ParseLimits& limits) {
  out = {};
  ByteReader reader(frame.body);
  if (!readProtocol(reader, out, fault)) return false;
  const unsigned flags = reader.byte();
  out.keep_alive_s = reader.u16();
  if (!reader.ok()) return malformed(fault, "a CONNECT that is cut off");
  if ((flags & 1) != 0) return malformed(fault, "the reserved connect flag");  // [MQTT-3.1.2-3]
  out.clean_start = (flags & 2) != 0;
  if (!readProperties(reader, out.version, PropertySet::kConnect, out.properties, fault,
                      limits.user_properties_max))
    return false;
  out.client_id = reader.text();
  if (!reader.ok()) return malformed(fault, "a client identifier that is cut off or no UTF-8");
  if ((flags & 4) != 0) {
    if (!readWill(reader, flags, out, fault, limits)) return false;
  } else if ((flags & 0x38) != 0) {  // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
    return malformed(fault, "a will's QoS or retain without a will");
  }
  if ((flags & 0x80) != 0) out.user_name = reader.text();
  if ((flags & 0x40) != 0) {
    if (out.version == Version::k311 && (flags & 0x80) == 0)  // [MQTT-3.1.2-22 of 3.1.1]
      return malformed(fault, "a password without a user name");
    out.password = reader.binary();
  }
  if (!reader.ok()) return malformed(fault, "a user name or password that is cut off or no UTF-8");
  return reader.empty() || malformed(fault, "bytes behind the end of a CONNECT");
}

bool parsePublish(const Frame& frame, Version version, Publish& out, Fault& fault,
                  const ParseLimits& limits) {
  out = {};
  out.retain = (frame.flags & 1) != 0;
  out.dup = (frame.flags & 8) != 0;
  if (!checkQos(frame.flags >> 1 & 3, out.qos)) return malformed(fault, "QoS 3");  // [MQTT-3.3.1-4]
  if (out.dup && out.qos == Qos::k0)                                               // [MQTT-3.3.1-2]
    return malformed(fault, "a message of QoS 0 that is sent again");
  ByteReader reader(frame.body);
  out.topic = reader.text();
  if (!reader.ok()) return malformed(fault, "a topic that is cut off or no UTF-8");
  if (out.qos != Qos::k0 && !readPacketId(reader, out.packet_id, fault)) return false;
  if (!readProperties(reader, version, PropertySet::kPublish, out.properties, fault,
                      limits.user_properties_max))
    return false;
  if (out.topic.empty() && !out.properties.topic_alias)  // [MQTT-3.3.2-8]
    return refuse(fault, version == Version::k5 ? Reason::kProtocolError : Reason::kMalformedPacket,
                  "neither a topic nor an alias");
  if (!out.topic.empty() && !isTopicName(out.topic))  // [MQTT-3.3.2-2]
    return refuse(fault, Reason::kTopicNameInvalid, "a topic with a wildcard");
  if (!checkMessage(out.properties, fault)) return false;
  if (out.properties.subscription_id != 0)  // [MQTT-3.3.4-6]
    return refuse(fault, Reason::kProtocolError, "a client that sends a subscription identifier");
  out.payload = reader.rest();
  return true;
}

bool parseAck(const Frame& frame, Version version, Ack& out, Fault& fault) {
  out = {};
  ByteReader reader(frame.body);
  if (!readPacketId(reader, out.packet_id, fault)) return false;
  if (reader.empty()) return true;
  if (version == Version::k311) return malformed(fault, "bytes behind a packet identifier");
  const bool of_receipt = frame.type == PacketType::kPuback || frame.type == PacketType::kPubrec;
  const auto allowed = of_receipt ? std::span<const Reason>(kOfReceipt) : kOfRelease;
  if (!readReason(reader, allowed, out.reason, fault)) return false;
  if (!reader.empty() &&
      !readProperties(reader, version, PropertySet::kPuback, out.properties, fault))
    return false;
  return reader.empty() || malformed(fault, "bytes behind the end of an acknowledgement");
}

bool parseSubscribe(const Frame& frame, Version version, Subscribe& out, Fault& fault,
                    const ParseLimits& limits) {
  out = {};
  ByteReader reader(frame.body);
  if (!readPacketId(reader, out.packet_id, fault) ||
      !readProperties(reader, version, PropertySet::kSubscribe, out.properties, fault,
                      limits.user_properties_max))
    return false;
  while (!reader.empty()) {
    if (out.subscriptions.size() == limits.subscriptions_max)
      return refuse(fault, Reason::kQuotaExceeded, "too many topic filters in one packet");
    if (!readSubscription(reader, version, out.subscriptions.emplace_back(), fault)) return false;
  }
  return !out.subscriptions.empty() ||  // [MQTT-3.8.3-2]
         refuse(fault, Reason::kProtocolError, "a SUBSCRIBE without a topic filter");
}

bool parseUnsubscribe(const Frame& frame, Version version, Unsubscribe& out, Fault& fault,
                      const ParseLimits& limits) {
  out = {};
  ByteReader reader(frame.body);
  if (!readPacketId(reader, out.packet_id, fault) ||
      !readProperties(reader, version, PropertySet::kUnsubscribe, out.properties, fault,
                      limits.user_properties_max))
    return false;
  while (!reader.empty()) {
    if (out.filters.size() == limits.subscriptions_max)
      return refuse(fault, Reason::kQuotaExceeded, "too many topic filters in one packet");
    const std::string_view filter = reader.text();
    if (!reader.ok()) return malformed(fault, "a topic filter that is cut off or no UTF-8");
    if (!checkFilter(filter, fault)) return false;
    out.filters.push_back(filter);
  }
  return !out.filters.empty() ||  // [MQTT-3.10.3-2]
         refuse(fault, Reason::kProtocolError, "an UNSUBSCRIBE without a topic filter");
}

bool parseEmpty(const Frame& frame, Fault& fault) {
  return frame.body.empty() || malformed(fault, "bytes in a packet that has none");
}

bool parseDisconnect(const Frame& frame, Version version, Notice& out, Fault& fault) {
  out = {};
  if (frame.body.empty()) return true;
  if (version == Version::k311) return malformed(fault, "bytes in a packet that has none");
  ByteReader reader(frame.body);
  if (!readReason(reader, kOfDisconnect, out.reason, fault)) return false;
  if (!reader.empty() &&
      !readProperties(reader, version, PropertySet::kDisconnect, out.properties, fault))
    return false;
  return reader.empty() || malformed(fault, "bytes behind the end of a DISCONNECT");
}

bool parseAuth(const Frame& frame, Version version, Notice& out, Fault& fault) {
  out = {};
  if (version == Version::k311) return malformed(fault, "an AUTH of MQTT 5.0");
  if (frame.body.empty()) return true;
  ByteReader reader(frame.body);
  if (!readReason(reader, kOfAuth, out.reason, fault)) return false;
  if (!reader.empty() &&
      !readProperties(reader, version, PropertySet::kAuth, out.properties, fault))
    return false;
  return reader.empty() || malformed(fault, "bytes behind the end of an AUTH");
}

}  // namespace kante::mqtt
