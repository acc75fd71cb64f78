#include "host/mqtt/properties.h"

#include <array>

#include "host/mqtt/bytes.h"

namespace kante::mqtt {
namespace {

enum class Type : std::uint8_t { kNone, kByte, kU16, kU32, kVariable, kText, kBinary, kPair };

constexpr std::uint16_t bit(PropertySet set) { return static_cast<std::uint16_t>(set); }
constexpr std::uint16_t kAnswers = bit(PropertySet::kConnack) | bit(PropertySet::kPuback) |
                                   bit(PropertySet::kSuback) | bit(PropertySet::kDisconnect) |
                                   bit(PropertySet::kAuth);
constexpr std::uint16_t kMessages = bit(PropertySet::kPublish) | bit(PropertySet::kWill);

struct Rule {
  Type type = Type::kNone;
  std::uint16_t sets = 0;
};

// MQTT 5.0, table 2-4.
constexpr std::array<Rule, 0x2b> makeRules() {
  using enum PropertySet;
  std::array<Rule, 0x2b> rules{};
  const auto rule = [&](PropertyId id, Type type, std::uint16_t sets) {
    rules[static_cast<std::size_t>(id)] = {type, sets};
  };
  rule(PropertyId::kPayloadFormat, Type::kByte, kMessages);
  rule(PropertyId::kMessageExpiry, Type::kU32, kMessages);
  rule(PropertyId::kContentType, Type::kText, kMessages);
  rule(PropertyId::kResponseTopic, Type::kText, kMessages);
  rule(PropertyId::kCorrelationData, Type::kBinary, kMessages);
  rule(PropertyId::kSubscriptionId, Type::kVariable, bit(kPublish) | bit(kSubscribe));
  rule(PropertyId::kSessionExpiry, Type::kU32, bit(kConnect) | bit(kConnack) | bit(kDisconnect));
  rule(PropertyId::kAssignedClientId, Type::kText, bit(kConnack));
  rule(PropertyId::kServerKeepAlive, Type::kU16, bit(kConnack));
  rule(PropertyId::kAuthenticationMethod, Type::kText, bit(kConnect) | bit(kConnack) | bit(kAuth));
  rule(PropertyId::kAuthenticationData, Type::kBinary, bit(kConnect) | bit(kConnack) | bit(kAuth));
  rule(PropertyId::kRequestProblemInformation, Type::kByte, bit(kConnect));
  rule(PropertyId::kWillDelay, Type::kU32, bit(kWill));
  rule(PropertyId::kRequestResponseInformation, Type::kByte, bit(kConnect));
  rule(PropertyId::kResponseInformation, Type::kText, bit(kConnack));
  rule(PropertyId::kServerReference, Type::kText, bit(kConnack) | bit(kDisconnect));
  rule(PropertyId::kReasonString, Type::kText, kAnswers);
  rule(PropertyId::kReceiveMaximum, Type::kU16, bit(kConnect) | bit(kConnack));
  rule(PropertyId::kTopicAliasMaximum, Type::kU16, bit(kConnect) | bit(kConnack));
  rule(PropertyId::kTopicAlias, Type::kU16, bit(kPublish));
  rule(PropertyId::kMaximumQos, Type::kByte, bit(kConnack));
  rule(PropertyId::kRetainAvailable, Type::kByte, bit(kConnack));
  rule(PropertyId::kUserProperty, Type::kPair, 0x3ff);
  rule(PropertyId::kMaximumPacketSize, Type::kU32, bit(kConnect) | bit(kConnack));
  rule(PropertyId::kWildcardAvailable, Type::kByte, bit(kConnack));
  rule(PropertyId::kSubscriptionIdsAvailable, Type::kByte, bit(kConnack));
  rule(PropertyId::kSharedAvailable, Type::kByte, bit(kConnack));
  return rules;
}
constexpr auto kRules = makeRules();

const Rule* ruleOf(std::uint32_t id) {
  return id < kRules.size() && kRules[id].type != Type::kNone ? &kRules[id] : nullptr;
}

void readValue(ByteReader& reader, Type type, RawProperty& out) {
  switch (type) {
    case Type::kByte: out.number = reader.byte(); break;
    case Type::kU16: out.number = reader.u16(); break;
    case Type::kU32: out.number = reader.u32(); break;
    case Type::kVariable: out.number = reader.variable(); break;
    case Type::kText: out.first = reader.text(); break;
    case Type::kBinary: out.first = reader.binary(); break;
    case Type::kPair:
      out.first = reader.text();
      out.second = reader.text();
      break;
    case Type::kNone: break;
  }
}

const char* kNoFlag = "a property that is 0 or 1 is something else";

// False: `what` is a protocol error.
bool store(const RawProperty& one, Properties& out, const char*& what) {
  const auto flag = [&](bool& to) {
    to = one.number == 1;
    what = kNoFlag;
    return one.number <= 1;
  };
  const auto positive = [&](auto& to, const char* name) {
    to = static_cast<typename std::remove_reference_t<decltype(to)>::value_type>(one.number);
    what = name;
    return one.number != 0;
  };
  switch (one.id) {
    case PropertyId::kPayloadFormat: return flag(out.payload_is_text);
    case PropertyId::kMessageExpiry: out.message_expiry_s = one.number; return true;
    case PropertyId::kContentType: out.content_type = one.first; return true;
    case PropertyId::kResponseTopic: out.response_topic = one.first; return true;
    case PropertyId::kCorrelationData: out.correlation_data = one.first; return true;
    case PropertyId::kSubscriptionId:
      out.subscription_id = one.number;
      what = "a subscription identifier of 0";
      return one.number != 0;
    case PropertyId::kSessionExpiry: out.session_expiry_s = one.number; return true;
    case PropertyId::kAssignedClientId: out.assigned_client_id = one.first; return true;
    case PropertyId::kServerKeepAlive:
      out.server_keep_alive = static_cast<std::uint16_t>(one.number);
      return true;
    case PropertyId::kAuthenticationMethod: out.authentication_method = one.first; return true;
    case PropertyId::kAuthenticationData: out.authentication_data = one.first; return true;
    case PropertyId::kRequestProblemInformation: return flag(out.request_problem_information);
    case PropertyId::kWillDelay: out.will_delay_s = one.number; return true;
    case PropertyId::kRequestResponseInformation: return flag(out.request_response_information);
    case PropertyId::kResponseInformation: out.response_information = one.first; return true;
    case PropertyId::kServerReference: out.server_reference = one.first; return true;
    case PropertyId::kReasonString: out.reason_string = one.first; return true;
    case PropertyId::kReceiveMaximum:
      return positive(out.receive_maximum, "a receive maximum of 0");
    case PropertyId::kTopicAliasMaximum:
      out.topic_alias_maximum = static_cast<std::uint16_t>(one.number);
      return true;
    case PropertyId::kTopicAlias:  // 0 has a reason code of its own: whoever resolves it says so.
      out.topic_alias = static_cast<std::uint16_t>(one.number);
      return true;
    case PropertyId::kMaximumQos:
      out.maximum_qos = static_cast<std::uint8_t>(one.number);
      what = kNoFlag;
      return one.number <= 1;
    case PropertyId::kRetainAvailable: return flag(out.retain_available);
    case PropertyId::kUserProperty: ++out.user_properties; return true;
    case PropertyId::kMaximumPacketSize:
      return positive(out.maximum_packet_size, "a maximum packet size of 0");
    case PropertyId::kWildcardAvailable: return flag(out.wildcard_available);
    case PropertyId::kSubscriptionIdsAvailable: return flag(out.subscription_ids_available);
    case PropertyId::kSharedAvailable: return flag(out.shared_available);
  }
  return true;
}

}  // namespace

bool parseProperties(std::string_view bytes, PropertySet where, Properties& out, Fault& fault) {
  const auto refuse = [&](Reason reason, const char* what) {
    fault = {reason, what};
    return false;
  };
  out = {};
  out.bytes = bytes;
  std::uint64_t seen = 0;
  ByteReader reader(bytes);
  while (!reader.empty()) {
    RawProperty one{};
    const std::uint32_t id = reader.variable();
    const Rule* rule = reader.ok() ? ruleOf(id) : nullptr;
    if (rule == nullptr || (rule->sets & bit(where)) == 0)
      return refuse(Reason::kMalformedPacket, "a property that this packet does not have");
    one.id = static_cast<PropertyId>(id);
    const bool repeats = one.id == PropertyId::kUserProperty ||
                         (one.id == PropertyId::kSubscriptionId && where == PropertySet::kPublish);
    if (!repeats && (seen >> id & 1) != 0)
      return refuse(Reason::kProtocolError, "a property that comes twice");
    seen |= std::uint64_t{1} << id;
    readValue(reader, rule->type, one);
    if (!reader.ok())
      return refuse(Reason::kMalformedPacket, "a property that is cut off or no UTF-8");
    const char* what = "";
    if (!store(one, out, what)) return refuse(Reason::kProtocolError, what);
  }
  if (out.authentication_data && !out.authentication_method)
    return refuse(Reason::kProtocolError, "authentication data without a method");
  return true;
}

RawProperty nextProperty(std::string_view& bytes) {
  ByteReader reader(bytes);
  RawProperty one{};
  const std::uint32_t id = reader.variable();
  one.id = static_cast<PropertyId>(id);
  const Rule* rule = ruleOf(id);
  readValue(reader, rule == nullptr ? Type::kNone : rule->type, one);
  bytes = reader.ok() && rule != nullptr ? reader.rest() : std::string_view();
  return one;
}

}  // namespace kante::mqtt
