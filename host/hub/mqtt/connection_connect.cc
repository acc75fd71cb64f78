// The first packet: who it is, and whose session goes on.
#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/mqtt/write.h"

namespace kante::hub {
namespace {

using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::Reason;

constexpr std::int64_t kSecond = 1'000'000'000;
// Two bytes each of head, of flags and reason, the properties' length, and all that sayWelcome()
// may say but the letters of an assigned client identifier.
constexpr std::size_t kConnackBytesMax = 2 + 2 + 1 + 5 + 3 + 5 + 3 + 3 + 3;

}  // namespace

void Connection::refuseConnect(mqtt::Version version, Reason reason, Refusal refusal,
                               const std::string& text) {
  mqtt::PropertyWriter& properties = engine_.properties();
  properties.clear();
  // Which fault of a packet it was helps its author; why nobody is let in helps an attacker.
  if (refusal == Refusal::kMalformed) properties.text(PropertyId::kReasonString, text);
  // 3.1.1 has no words for a CONNECT that is none [MQTT-3.1.4-1 of 3.1.1].
  const bool broken = reason == Reason::kMalformedPacket || reason == Reason::kProtocolError;
  for (const bool with_text : {true, false}) {
    if (version == mqtt::Version::k311 && broken) break;
    if (!with_text) properties.clear();
    (void)mqtt::writeConnack(answers_, version, false, reason, properties);
    if (takes(answers_.size())) break;
    answers_.clear();  // [MQTT-3.2.2-19] and, if it takes not even that, [MQTT-3.1.2-24].
  }
  endFor(reason, refusal, text);
}

bool Connection::checkConnect(const mqtt::Connect& connect) {
  const auto refuse = [&](Reason reason, const char* text) {
    refuseConnect(connect.version, reason, Refusal::kMalformed, text);
    return false;
  };
  if (connect.client_id.size() > Limits::kClientIdBytesMax)
    return refuse(Reason::kClientIdNotValid, "a client identifier of more than 256 bytes");
  if (connect.client_id.empty() && connect.version == mqtt::Version::k311 &&
      !connect.clean_start)  // [MQTT-3.1.3-8 of 3.1.1]
    return refuse(Reason::kClientIdNotValid, "a session without a client identifier");
  if (connect.properties.authentication_method)
    return refuse(Reason::kBadAuthenticationMethod,
                  "an authentication method, of which none is known");
  if (connect.will && !TopicTree::fits(connect.will->topic))
    return refuse(Reason::kTopicNameInvalid, "a will's topic of more than 64 levels");
  return true;
}

void Connection::onConnect(const mqtt::Frame& frame, std::string_view bytes) {
  mqtt::Connect connect;
  mqtt::Fault fault;
  // Of no version that is known it is told in words of 3.1.1, which all have understood.
  const bool parsed = mqtt::parseConnect(frame, connect, fault);
  packet_max_ = connect.properties.maximum_packet_size.value_or(0);
  if (!parsed) return refuseConnect(connect.version, fault.reason, Refusal::kMalformed, fault.what);
  if (!checkConnect(connect)) return;
  transport_->describe(*peer_);
  Admission admission = engine_.access().authenticate(
      {*peer_, connect.client_id, connect.user_name, connect.password});
  if (!admission.principal)
    return refuseConnect(connect.version, admission.reason, Refusal::kAuthentication,
                         admission.why);
  const std::string assigned = connect.client_id.empty() ? engine_.newClientId() : std::string();
  const std::string key =
      Session::keyOf(admission.principal->name(), assigned.empty() ? connect.client_id : assigned);
  Homes::Claim claim = engine_.homes().claim(key);
  if (claim.home() == engine_.index())
    return welcome(admission, assigned, bytes.substr(0, frame.size));
  auto arrival = std::make_unique<Arrival>();
  arrival->bytes = bytes;
  arrival->admission = std::move(admission);
  arrival->assigned_id = assigned;
  arrival->claim = std::move(claim);
  engine_.surroundings().forget(*this);
  arrival->transport = std::move(transport_);
  arrival->peer = std::move(peer_);
  state_ = State::kEnded;
  cancel();
  engine_.sendHome(std::move(arrival), *this);
}

void Connection::arrive(const Arrival& arrival) {
  engine_.surroundings().watch(*this);
  mqtt::Frame frame;
  mqtt::Fault fault;
  (void)mqtt::frameOf(arrival.bytes, arrival.bytes.size(), frame, fault);
  welcome(arrival.admission, arrival.assigned_id, arrival.bytes.substr(0, frame.size));
  if (state_ != State::kConnected) return;
  partial_ = arrival.bytes.substr(frame.size);
  unparsed_ = !partial_.empty();
  engine_.surroundings().readAgain(*this);  // TLS may hold bytes that the socket has no more.
}

void Connection::welcome(const Admission& admission, std::string_view assigned_id,
                         std::string_view packet) {
  mqtt::Frame frame;
  mqtt::Connect connect;
  mqtt::Fault fault;
  if (mqtt::frameOf(packet, packet.size(), frame, fault) != mqtt::Framing::kPacket ||
      !mqtt::parseConnect(frame, connect, fault))
    return broke(fault);  // It was parsed before.
  if (!assigned_id.empty()) connect.client_id = assigned_id;
  version_ = connect.version;
  packet_max_ = connect.properties.maximum_packet_size.value_or(0);
  const Principal& principal = *admission.principal;
  if (engine_.isPenalized(principal.name()))
    return refuseConnect(version_, Reason::kConnectionRateExceeded, Refusal::kLimit,
                         principal.name() + " was refused a moment ago");
  if (connect.will && !principal.mayPublish(connect.will->topic))
    return refuseConnect(
        version_, Reason::kNotAuthorized, Refusal::kDenied,
        principal.name() + " may not publish its will to " + std::string(connect.will->topic));
  if (connect.will && engine_.isOverfull())  // It would stay as long as the client does.
    return refuseConnect(version_, Reason::kQuotaExceeded, Refusal::kOverflow,
                         principal.name() + " has a will, and messages fill the memory they may");
  if (!takes(kConnackBytesMax + assigned_id.size()))
    return refuseConnect(version_, Reason::kPacketTooLarge, Refusal::kTooLarge,
                         principal.name() + " takes no packet as large as its CONNACK");
  bool present = false;
  Session* session =
      engine_.openSession(admission.principal, connect.client_id, connect.clean_start, present);
  if (session == nullptr)
    return refuseConnect(version_, Reason::kQuotaExceeded, Refusal::kLimit, "too many sessions");
  session_ = session;
  take(connect, admission);
  // After it nothing of the session is only on its way to the disk.
  engine_.beginAck(nextAnswer());
  if (!session->isKept() && session->expiry() != 0) session->keep();
  session->attach(this);
  session->recordSelf();
  oweWelcome(connect, present, assigned_id, engine_.endAck());
  session->setWill(willOf(connect));
  unacked_ = 0;
  resend_ = 0;
  resend_end_ = session->inflight().added();
  resendReleases();
  if (present) engine_.flushLater(*this);
}

// What the client wants for this connection, within the limits.
void Connection::take(const mqtt::Connect& connect, const Admission& admission) {
  const Limits& limits = engine_.limits();
  const mqtt::Properties& wants = connect.properties;
  state_ = State::kConnected;
  heard_ns_ = engine_.now();
  const bool is5 = version_ == mqtt::Version::k5;
  std::uint32_t expiry =
      is5 ? wants.session_expiry_s.value_or(0) : (connect.clean_start ? 0 : Session::kForever);
  expiry = std::min(expiry, limits.session_expiry_max_s);
  session_->setExpiry(expiry);
  std::uint16_t keep_alive = connect.keep_alive_s;
  if (is5 && limits.keep_alive_max_s != 0 &&
      (keep_alive == 0 || keep_alive > limits.keep_alive_max_s))
    keep_alive = limits.keep_alive_max_s;
  keep_alive_ns_ = std::int64_t{keep_alive} * kSecond * 3 / 2;  // [MQTT-3.1.2-22]
  if (admission.expires_wall_ns != 0)
    expires_ns_ = engine_.now() + admission.expires_wall_ns - engine_.surroundings().wallNs();
  window_ = std::min(limits.inflight, wants.receive_maximum.value_or(65'535));
  alias_max_ = std::min(limits.topic_alias_maximum, wants.topic_alias_maximum.value_or(0));
  tell_problems_ = wants.request_problem_information;
  cancel();
  armKeepAlive();
  engine_.counters().accepted.add();
}

void Connection::oweWelcome(const mqtt::Connect& connect, bool present,
                            std::string_view assigned_id, AckShare own) {
  const Limits& limits = engine_.limits();
  mqtt::PropertyWriter& properties = engine_.properties();
  properties.clear();
  if (version_ == mqtt::Version::k5) {
    if (session_->expiry() != connect.properties.session_expiry_s.value_or(0))
      properties.u32(PropertyId::kSessionExpiry, session_->expiry());
    properties.u16(PropertyId::kReceiveMaximum, limits.receive_maximum);
    properties.u32(PropertyId::kMaximumPacketSize, limits.packet_bytes);
    if (!assigned_id.empty()) properties.text(PropertyId::kAssignedClientId, assigned_id);
    properties.u16(PropertyId::kTopicAliasMaximum, limits.topic_alias_maximum);
    const std::int64_t asked = std::int64_t{connect.keep_alive_s} * kSecond * 3 / 2;
    if (keep_alive_ns_ != asked)
      properties.u16(PropertyId::kServerKeepAlive, limits.keep_alive_max_s);
  }
  Answer answer{PacketType::kConnack};
  answer.is_new = !present;
  (void)mqtt::writeConnack(answer.packet, version_, present, Reason::kSuccess, properties);
  properties.clear();
  (void)mqtt::writeConnack(answer.refusal, version_, false, Reason::kQuotaExceeded, properties);
  owe(std::move(answer), std::move(own));
}

Will Connection::willOf(const mqtt::Connect& connect) const {
  if (!connect.will) return {};
  const mqtt::Will& will = *connect.will;
  // Its expiry counts from its publication, which may be much later.
  Publication::Parts parts;
  parts.topic = will.topic;
  parts.payload = will.payload;
  parts.qos = will.qos;
  parts.retain = will.retain;
  parts.publisher = session_->number();
  parts.now_ns = engine_.now();
  mqtt::Properties properties = will.properties;
  properties.message_expiry_s.reset();
  parts.properties = &properties;
  return {Publication::make(parts), will.properties.will_delay_s, will.properties.message_expiry_s};
}

}  // namespace kante::hub
