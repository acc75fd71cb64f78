// What leaves for a client.
#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/mqtt/write.h"

namespace kante::hub {

using mqtt::PropertyId;

std::uint16_t Connection::aliasFor(std::string_view topic, bool& known) {
  known = false;
  const auto at = aliases_out_.find(std::string(topic));
  known = at != aliases_out_.end();
  if (known) return at->second;
  if (aliases_out_.size() >= alias_max_) return 0;
  const auto alias = static_cast<std::uint16_t>(aliases_out_.size() + 1);
  aliases_out_.emplace(topic, alias);
  return alias;
}

// The packet without an alias; its properties are the engine's, until the next one.
mqtt::PublishHead Connection::compose(const Outgoing& message) const {
  const Publication& publication = *message.publication;
  mqtt::PublishHead head;
  head.topic = publication.topic();
  head.qos = message.qos;
  head.retain = message.retain;
  head.payload_bytes = publication.payload().size();
  mqtt::PropertyWriter& properties = engine_.properties();
  properties.clear();
  if (version_ != mqtt::Version::k5) return head;
  if (publication.expires())
    properties.u32(PropertyId::kMessageExpiry, publication.remainingS(engine_.now()));
  if (message.id != 0) properties.variable(PropertyId::kSubscriptionId, message.id);
  if (message.more_ids)
    for (const std::uint32_t more : *message.more_ids)
      properties.variable(PropertyId::kSubscriptionId, more);
  properties.raw(publication.properties());
  return head;
}

bool Connection::fits(const Outgoing& message) const {
  if (packet_max_ == 0) return true;
  const mqtt::PublishHead head = compose(message);
  return takes(mqtt::publishBytes(version_, head, engine_.properties()));
}

void Connection::encode(Gather& gather, const Outgoing& message, std::uint16_t id, bool dup) {
  mqtt::PublishHead head = compose(message);
  head.dup = dup || message.again;
  head.packet_id = id;
  mqtt::PropertyWriter& properties = engine_.properties();
  // A new alias takes three bytes, and lengths may take two more.
  if (alias_max_ != 0 && takes(mqtt::publishBytes(version_, head, properties) + 3 + 2)) {
    bool known = false;
    const std::uint16_t alias = aliasFor(head.topic, known);
    if (alias != 0) properties.u16(PropertyId::kTopicAlias, alias);
    if (known) head.topic = {};
  }
  const std::size_t before = gather.size();
  if (!mqtt::writePublishHead(gather.bytes(), version_, head, properties))
    return engine_.counters().of(Refusal::kTooLarge).add();
  gather.payload(message.publication);
  engine_.counters().sent.add();
  engine_.counters().sent_bytes.add(gather.size() - before);
}

// Of what the connection before this one had sent: releases wait for no quota [MQTT-3.3.4-10].
void Connection::resendReleases() {
  session_->inflight().forEach([&](std::uint16_t id, const Inflight::Entry& entry) {
    if (entry.state != Inflight::State::kReceived) return;
    sayAck(mqtt::PacketType::kPubrel, id, mqtt::Reason::kSuccess);
    ++unacked_;
  });
}

// The messages among it.  False: not everything could be sent yet.
bool Connection::resend(Gather& gather) {
  Inflight& inflight = session_->inflight();
  while (resend_ < resend_end_) {
    std::uint16_t id = 0;
    Inflight::Entry* entry = inflight.next(resend_, id);
    if (entry == nullptr || resend_ >= resend_end_) break;
    if (gather.isFull() || unacked_ >= window_) return false;
    ++resend_;
    if (entry->state == Inflight::State::kReceived) continue;  // Its PUBREL has been said.
    if (fits(entry->message)) {
      encode(gather, entry->message, id, true);
      ++unacked_;
      continue;
    }
    engine_.counters().of(Refusal::kTooLarge).add();
    session_->unqueued(entry->message.publication->size());
    session_->recordDone(entry->message);
    inflight.done(id);
  }
  resend_ = resend_end_;
  return true;
}

void Connection::fill(Gather& gather) {
  if (!welcomed_ || (resend_ < resend_end_ && !resend(gather))) return;
  Fifo<Outgoing>& queue = session_->queue();
  Inflight& inflight = session_->inflight();
  const std::int64_t now = engine_.now();
  while (!queue.empty() && !gather.isFull()) {
    Outgoing& front = queue.front();
    if (session_->isUncommitted(front)) break;
    const std::uint32_t size = front.publication->size();
    const bool expired = front.publication->expired(now);
    if (expired || !fits(front)) {
      engine_.counters().of(expired ? Refusal::kTtl : Refusal::kTooLarge).add();
      session_->unqueued(size);
      session_->recordDone(front);
      (void)queue.pop();
      continue;
    }
    if (front.qos == mqtt::Qos::k0) {
      encode(gather, front, 0, false);
      settle(*front.publication);
      session_->unqueued(size);
      (void)queue.pop();
      continue;
    }
    if (unacked_ >= window_ || !inflight.hasRoom(front.place)) break;
    const std::uint16_t id = inflight.add(queue.pop());
    encode(gather, inflight.find(id)->message, id, false);
    ++unacked_;
  }
  if (queue.empty() && queue.capacity() > 256) queue.release();
}

bool Connection::write(const Gather& gather) {
  std::vector<iovec>& parts = engine_.parts();
  gather.parts(parts);
  const auto moved = transport_->write(parts);
  if (moved.flow == Transport::Flow::kClosed) return false;
  if (moved.bytes < gather.size()) leftover_ = gather.rest(moved.bytes);
  return true;
}

void Connection::flush() {
  dirty = false;
  if (state_ != State::kConnected) return;
  Gather& gather = engine_.gather();
  while (leftover_.empty()) {
    gather.clear();
    gather.bytes() += answers_;
    gather.appended();
    answers_.clear();
    fill(gather);
    if (gather.empty()) break;
    const bool full = gather.isFull();
    if (!write(gather))
      return end({.reason = mqtt::Reason::kUnspecified, .farewell = Farewell::kSilent});
    if (!full) break;
  }
  if (answers_.capacity() > 4096 && answers_.empty()) std::string().swap(answers_);
  if (!held_ || !leftover_.empty() || isStuffed()) return;
  held_ = false;
  engine_.surroundings().readAgain(*this);
}

void Connection::writeLeftover() {
  std::vector<iovec>& parts = engine_.parts();
  while (!leftover_.empty()) {
    leftover_.parts(parts);
    const auto moved = transport_->write(parts);
    if (moved.flow == Transport::Flow::kClosed)
      return end({.reason = mqtt::Reason::kUnspecified, .farewell = Farewell::kSilent});
    if (moved.flow == Transport::Flow::kAgain) return;
    leftover_.sent(moved.bytes);
  }
}

// Where the other end has closed its side it is read until that is found.
void Connection::ready(std::uint32_t events) {
  if (isEnded()) return;
  if ((events & EPOLLOUT) != 0) writable();
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
  if ((events & ~std::uint32_t{EPOLLOUT}) != 0 && !isEnded())
    engine_.surroundings().readAgain(*this);
}

void Connection::writable() {
  (void)transport_->writeOwn();
  if (state_ != State::kConnected || leftover_.empty()) return;
  writeLeftover();
  if (state_ != State::kConnected || !leftover_.empty()) return;
  engine_.flushLater(*this);
  engine_.surroundings().flushSoon();
}

}  // namespace kante::hub
