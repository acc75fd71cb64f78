// What a connected client says.
#include <algorithm>

#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/mqtt/topic.h"
#include "host/mqtt/write.h"

namespace kante::hub {
namespace {

using mqtt::PacketType;
using mqtt::Reason;

// A client that is being read: it is answered when its message is kept, and waits for room.
class ReadSender final : public Routing::Sender {
 public:
  ReadSender(Engine& engine, const Connection& connection, const Principal& principal)
      : engine_(engine), connection_(connection), principal_(principal) {}
  const std::string& name() const override { return principal_.name(); }
  bool mayActFor(std::string_view other) const override { return principal_.mayActFor(other); }
  std::function<void(Kept)> kept() override {
    // Shared because a function is copied about.
    return [share = std::make_shared<AckShare>(engine_.holdAck())](Kept kept) {
      share->release(kept);
    };
  }
  std::function<void()> resume() override { return engine_.resumer(connection_); }

 private:
  Engine& engine_;
  const Connection& connection_;
  const Principal& principal_;
};

constexpr std::string_view kGatewayPrefix = "gateway/";

bool isReserved(std::string_view topic) {
  return topic.starts_with("$SYS/") || mqtt::isShared(topic);
}

}  // namespace

// ---- messages from the client

bool Connection::resolveAlias(mqtt::Publish& publish) {
  const std::uint16_t alias = *publish.properties.topic_alias;
  if (alias == 0 || alias > engine_.limits().topic_alias_maximum) {  // [MQTT-3.3.2-9]
    broke({Reason::kTopicAliasInvalid, "a topic alias beyond the maximum"});
    return false;
  }
  if (aliases_.size() < alias) aliases_.resize(alias);
  if (!publish.topic.empty()) {
    aliases_[alias - 1u] = publish.topic;
    return true;
  }
  publish.topic = aliases_[alias - 1u];
  if (!publish.topic.empty()) return true;
  broke({Reason::kProtocolError, "a topic alias that stands for nothing"});
  return false;
}

bool Connection::mayPublish(std::string_view topic) {
  if (topic == granted_topic_) return true;
  if (isReserved(topic) || !session_->principal().mayPublish(topic)) return false;
  granted_topic_ = topic;
  return true;
}

void Connection::onPublish(const mqtt::Frame& frame) {
  mqtt::Publish publish;
  mqtt::Fault fault;
  if (!mqtt::parsePublish(frame, version_, publish, fault)) return broke(fault);
  if (publish.properties.topic_alias && !resolveAlias(publish)) return;
  if (!TopicTree::fits(publish.topic))
    return broke({Reason::kTopicNameInvalid, "a topic of more than 64 levels"});
  if (publish.qos == mqtt::Qos::k2 && session_->received().contains(publish.packet_id)) {
    // Sent again: it is here already, whatever may be published now [MQTT-4.3.3-10].
    if (!session_->packetAsked(publish.packet_id))
      sayAck(PacketType::kPubrec, publish.packet_id, Reason::kSuccess);
  } else if (!mayPublish(publish.topic)) {
    refusePublish(publish, Reason::kNotAuthorized,
                  "may not publish to " + std::string(publish.topic));
  } else {
    takePublish(publish);
  }
  if (paused_) return;  // It comes again.
  Counters& counters = engine_.counters();
  counters.received.add();
  counters.received_bytes.add(frame.size);
}

void Connection::takePublish(const mqtt::Publish& publish) {
  if (publish.qos == mqtt::Qos::k2) {
    ReceivedIds& received = session_->received();
    // 3.1.1 knows no bound but its identifiers.
    if (version_ == mqtt::Version::k5 && received.size() >= engine_.limits().receive_maximum)
      return broke({Reason::kReceiveMaximumExceeded, "more of QoS 2 at once than allowed"});
  }
  if (askDesk(publish)) return;
  beginAck(publish);
  Routing::Outcome routed;
  if (engine_.routing() != nullptr) {
    ReadSender sender(engine_, *this, session_->principal());
    routed = engine_.routing()->take(publish, sender);
  }
  switch (routed.taken) {
    case Routing::Taken::kHeld: (void)engine_.endAck(); return pause();
    case Routing::Taken::kRefused:
      (void)engine_.endAck();
      return refusePublish(publish, routed.reason, "was refused: " + routed.why);
    case Routing::Taken::kNobody:
    case Routing::Taken::kTaken: break;
  }
  acceptPublish(publish, routed);
}

void Connection::beginAck(const mqtt::Publish& publish) {
  if (publish.qos == mqtt::Qos::k0) return;
  AckAddress address = nextAnswer();
  if (publish.qos == mqtt::Qos::k2) address.session = session_->id();
  if (publish.qos == mqtt::Qos::k2) address.packet = publish.packet_id;
  engine_.beginAck(address);
}

void Connection::ackNow(const mqtt::Publish& publish, Reason reason) {
  if (publish.qos == mqtt::Qos::k0) return;
  sayAck(publish.qos == mqtt::Qos::k1 ? PacketType::kPuback : PacketType::kPubrec,
         publish.packet_id, reason);
}

bool Connection::askDesk(const mqtt::Publish& publish) {
  const std::string_view name = publish.topic;
  const Principal& principal = session_->principal();
  if (engine_.desk() == nullptr) return false;
  if (engine_.desk()->gateways() != nullptr && principal.name().starts_with(kGatewayPrefix)) {
    const std::string_view id = std::string_view(principal.name()).substr(kGatewayPrefix.size());
    const GatewayTopic said = parseGatewayTopic(name, id);
    if (said.kind != GatewayTopic::Kind::kNone) return askGateways(publish, said, std::string(id));
  }
  const ContractTopic topic = parseContractTopic(name);
  switch (topic.kind) {
    case ContractTopic::Kind::kEvents: return false;
    case ContractTopic::Kind::kNone:
      // Below its own it is asked for what it says; elsewhere it says what it is granted.
      if (!principal.isOfContract() || !name.starts_with("devices/")) return false;
      break;
    case ContractTopic::Kind::kUnknown: break;
    case ContractTopic::Kind::kTwinGet:
      if (topic.rid.empty()) break;  // Nobody could tell the answer.
      [[fallthrough]];
    case ContractTopic::Kind::kReported:
    case ContractTopic::Kind::kMethodAnswer: askDesk(publish, topic); return true;
  }
  refusePublish(publish, Reason::kTopicNameInvalid,
                "publishes to " + std::string(name) + ", which is no topic of IoT Hub's contract");
  return true;
}

// One of QoS 2 is done when its identifier is on disk, so that it is not done again.
void Connection::askDesk(const mqtt::Publish& publish, const ContractTopic& topic) {
  Desk::Request request = engine_.desk()->take(engine_.refOf(*session_),
                                               session_->sharedPrincipal(), topic, publish.payload);
  if (!request) return refusePublish(publish, Reason::kQuotaExceeded, "asks too much at once");
  if (publish.qos == mqtt::Qos::k2) session_->received().add(publish.packet_id);
  if (publish.qos != mqtt::Qos::k2 || !session_->isKept()) {
    request();
    return ackNow(publish, Reason::kSuccess);
  }
  session_->packetBegun(publish.packet_id, std::move(request));
  beginAck(publish);
  engine_.holdAck().release(Kept::kYes);
  owe({PacketType::kPubrec, publish.packet_id, Reason::kSuccess}, engine_.endAck());
}

void Connection::acceptPublish(const mqtt::Publish& publish, const Routing::Outcome& routed) {
  if (publish.qos == mqtt::Qos::k2) {
    session_->received().add(publish.packet_id);
    if (session_->isKept()) session_->packetBegun(publish.packet_id);
  }
  Publication::Parts parts;
  parts.message = routed.message;
  parts.topic = publish.topic;
  parts.payload = publish.payload;
  parts.qos = publish.qos;
  parts.retain = publish.retain;
  parts.publisher = session_->number();
  parts.now_ns = engine_.now();
  parts.properties = &publish.properties;
  if (publish.qos == mqtt::Qos::k2 && session_->isKept())
    engine_.holdAck().release(Kept::kYes);  // For the identifier, at least.
  const std::size_t receivers = engine_.publish(Publication::make(parts));
  if (publish.qos == mqtt::Qos::k0) return;
  const bool nobody = receivers == 0 && routed.taken == Routing::Taken::kNobody;
  const PacketType type = publish.qos == mqtt::Qos::k1 ? PacketType::kPuback : PacketType::kPubrec;
  owe({type, publish.packet_id, nobody ? Reason::kNoMatchingSubscribers : Reason::kSuccess},
      engine_.endAck());
}

void Connection::refusePublish(const mqtt::Publish& publish, Reason reason,
                               const std::string& why) {
  const std::string who = session_->principal().name();
  const std::string text = who + " " + why;
  // 3.1.1 has no way to say no but to hang up.
  if (version_ == mqtt::Version::k311) {
    if (!session_->principal().isShared()) engine_.penalize(who);
    return endFor(reason, Refusal::kDenied, text);
  }
  engine_.counters().of(Refusal::kDenied).add();
  engine_.surroundings().report(Refusal::kDenied, who, text);
  ackNow(publish, reason);
}

void Connection::onPubrel(const mqtt::Ack& ack) {
  const bool known = session_->received().remove(ack.packet_id);
  engine_.beginAck(nextAnswer());
  session_->recordReleased(ack.packet_id);
  owe({PacketType::kPubcomp, ack.packet_id, known ? Reason::kSuccess : Reason::kPacketIdNotFound},
      engine_.endAck());
}

// ---- its acknowledgements

void Connection::settle(const Publication& publication) {
  if (publication.receipt() != nullptr) publication.receipt()->settled();
}

void Connection::acked(std::uint16_t id) {
  session_->inflight().done(id);
  if (unacked_ > 0) --unacked_;
  engine_.flushLater(*this);
}

void Connection::onPuback(const mqtt::Ack& ack) {
  Inflight::Entry* entry = session_->inflight().find(ack.packet_id);
  if (entry == nullptr) return;
  if (entry->message.qos != mqtt::Qos::k1)
    return broke({Reason::kProtocolError, "a PUBACK for a message of QoS 2"});
  settle(*entry->message.publication);
  session_->unqueued(entry->message.publication->size());
  session_->recordDone(entry->message);
  acked(ack.packet_id);
}

void Connection::onPubrec(const mqtt::Ack& ack) {
  Inflight::Entry* entry = session_->inflight().find(ack.packet_id);
  if (entry != nullptr && entry->message.qos != mqtt::Qos::k2)
    return broke({Reason::kProtocolError, "a PUBREC for a message of QoS 1"});
  if (entry == nullptr) {
    sayAck(PacketType::kPubrel, ack.packet_id, Reason::kPacketIdNotFound);
    return;
  }
  const bool sent = entry->state == Inflight::State::kSent;
  if (sent) session_->unqueued(entry->message.publication->size());
  if (sent && static_cast<unsigned>(ack.reason) >= 0x80) {
    session_->recordDone(entry->message);
    return acked(ack.packet_id);
  }
  // With PUBREL the client forgets that it has the message: before that it is known here.
  engine_.beginAck(nextAnswer());
  session_->recordReceived(*entry);
  entry->message.publication.reset();
  entry->state = Inflight::State::kReceived;
  owe({PacketType::kPubrel, ack.packet_id, Reason::kSuccess}, engine_.endAck());
}

void Connection::onPubcomp(const mqtt::Ack& ack) {
  Inflight::Entry* entry = session_->inflight().find(ack.packet_id);
  if (entry == nullptr) return;
  if (entry->state != Inflight::State::kReceived)
    return broke({Reason::kProtocolError, "a PUBCOMP before its PUBREC"});
  session_->recordDone(entry->message);
  acked(ack.packet_id);
}

void Connection::onAck(const mqtt::Frame& frame) {
  mqtt::Ack ack;
  mqtt::Fault fault;
  if (!mqtt::parseAck(frame, version_, ack, fault)) return broke(fault);
  switch (frame.type) {
    case PacketType::kPuback: return onPuback(ack);
    case PacketType::kPubrec: return onPubrec(ack);
    case PacketType::kPubrel: return onPubrel(ack);
    default: return onPubcomp(ack);
  }
}

// ---- subscriptions

// SUBACK and UNSUBACK have a byte for each filter: more than the client takes cannot be answered
// [MQTT-3.1.2-24].
bool Connection::canAnswer(std::size_t filters) {
  const std::size_t body = 2 + 1 + filters;
  if (takes(1 + (body < 128 ? 1 : 2) + body)) return true;
  broke({Reason::kPacketTooLarge, "more topic filters than fit the answer that the client takes"});
  return false;
}

// IoT Hub's contract knows no QoS 2.
mqtt::Qos Connection::grantedQos(const mqtt::Subscription& wish) const {
  return session_->principal().isOfContract() ? std::min(wish.qos, mqtt::Qos::k1) : wish.qos;
}

Reason Connection::judge(const mqtt::Subscription& wish, std::size_t more) const {
  std::string_view filter = wish.filter;
  if (mqtt::isShared(filter)) {
    const auto shared = mqtt::sharedFilter(filter);
    if (!shared) return Reason::kTopicFilterInvalid;
    filter = shared->filter;
  } else if (!mqtt::isTopicFilter(filter)) {
    return Reason::kTopicFilterInvalid;
  }
  if (!TopicTree::fits(wish.filter)) return Reason::kTopicFilterInvalid;
  if (!session_->principal().maySubscribe(filter)) return Reason::kNotAuthorized;
  if (!session_->hasFilter(wish.filter) &&  // One that is there is replaced [MQTT-3.8.4-3].
      session_->filters().size() + more >= engine_.limits().subscriptions)
    return Reason::kQuotaExceeded;
  return static_cast<Reason>(grantedQos(wish));
}

void Connection::onSubscribe(const mqtt::Frame& frame) {
  mqtt::Subscribe subscribe;
  mqtt::Fault fault;
  if (!mqtt::parseSubscribe(frame, version_, subscribe, fault)) return broke(fault);
  if (!canAnswer(subscribe.subscriptions.size())) return;
  std::vector<Reason> reasons;
  std::vector<Engine::Subscribed> granted;
  std::size_t fresh = 0;
  for (const mqtt::Subscription& wish : subscribe.subscriptions) {
    const Reason reason = judge(wish, fresh);
    reasons.push_back(reason);
    if (static_cast<unsigned>(reason) >= 0x80) {
      engine_.counters().of(Refusal::kDenied).add();
      engine_.surroundings().report(
          Refusal::kDenied, session_->principal().name(),
          "subscribing to " + std::string(wish.filter) + ": " + mqtt::textOf(reason));
      continue;
    }
    Engine::Subscribed one;
    one.filter = wish.filter;
    one.options = {grantedQos(wish), wish.no_local, wish.retain_as_published,
                   subscribe.properties.subscription_id};
    one.retain_handling = wish.retain_handling;
    if (!session_->hasFilter(wish.filter)) ++fresh;
    granted.push_back(one);
  }
  Answer answer{PacketType::kSuback, subscribe.packet_id};
  mqtt::writeSubscribed(answer.packet, version_, PacketType::kSuback, subscribe.packet_id, reasons);
  for (const Engine::Subscribed& one : granted) answer.filters.emplace_back(one.filter);
  std::replace_if(
      reasons.begin(), reasons.end(),
      [](Reason reason) { return static_cast<unsigned>(reason) < 0x80; }, Reason::kQuotaExceeded);
  mqtt::writeSubscribed(answer.refusal, version_, PacketType::kSuback, subscribe.packet_id,
                        reasons);
  engine_.beginAck(nextAnswer());
  engine_.subscribe(*session_, granted);
  owe(std::move(answer), engine_.endAck());
}

void Connection::onUnsubscribe(const mqtt::Frame& frame) {
  mqtt::Unsubscribe unsubscribe;
  mqtt::Fault fault;
  if (!mqtt::parseUnsubscribe(frame, version_, unsubscribe, fault)) return broke(fault);
  if (!canAnswer(unsubscribe.filters.size())) return;
  std::vector<Reason> reasons;
  engine_.beginAck(nextAnswer());
  for (const std::string_view filter : unsubscribe.filters) {
    const bool was = session_->removeFilter(filter);
    if (was) engine_.unsubscribe(*session_, filter);
    reasons.push_back(was ? Reason::kSuccess : Reason::kNoSubscriptionExisted);
  }
  Answer answer{PacketType::kUnsuback, unsubscribe.packet_id};
  mqtt::writeSubscribed(answer.packet, version_, PacketType::kUnsuback, unsubscribe.packet_id,
                        reasons);
  owe(std::move(answer), engine_.endAck());
}

void Connection::onDisconnect(const mqtt::Frame& frame) {
  mqtt::Notice notice;
  mqtt::Fault fault;
  if (!mqtt::parseDisconnect(frame, version_, notice, fault)) return broke(fault);
  if (notice.properties.session_expiry_s) {
    if (session_->expiry() == 0 && *notice.properties.session_expiry_s != 0)  // [3.14.2.2.2]
      return broke({Reason::kProtocolError, "a session that shall outlive its end after all"});
    session_->setExpiry(
        std::min(*notice.properties.session_expiry_s, engine_.limits().session_expiry_max_s));
  }
  end({.will = notice.reason == Reason::kSuccess ? Session::WillIs::kGone : Session::WillIs::kDue,
       .farewell = Farewell::kSilent});
}

}  // namespace kante::hub
