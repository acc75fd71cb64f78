// What a client is answered, once it is kept [MQTT-4.6.0-2] [MQTT-4.6.0-3].
#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/mqtt/write.h"

namespace kante::hub {

using mqtt::PacketType;
using mqtt::Reason;

void Connection::say(const Answer& answer) {
  if (answer.type == PacketType::kConnack) welcomed_ = true;
  if (!answer.packet.empty()) {
    answers() += answer.packet;
    return;
  }
  // Without a text it always fits.
  (void)mqtt::writeAck(answers(), version_, answer.type, answer.id, answer.reason);
}

void Connection::owe(Answer answer, AckShare own) {
  if (!own && owed_.empty()) return say(answer);
  owed_.push({std::move(answer), static_cast<bool>(own), Kept::kYes});
  own.release(Kept::kYes);
}

void Connection::settled(std::uint64_t answer, Kept kept) {
  if (state_ != State::kConnected || answer < owed_first_) return;
  const std::uint64_t at = answer - owed_first_;
  if (at >= owed_.size()) return;
  Owed& owed = *owed_.at(at);
  owed.waits = false;
  owed.kept = kept;
  sayOwed();
}

void Connection::sayOwed() {
  while (!owed_.empty() && !owed_.front().waits) {
    Owed owed = owed_.pop();
    ++owed_first_;
    if (owed.kept != Kept::kYes) refuseAnswer(owed.answer, owed.kept);
    if (state_ != State::kConnected) return;  // It was told by being left.
    say(owed.answer);
  }
  if (owed_.empty() && owed_.capacity() > 64) owed_.release();
  if (held_) engine_.flushLater(*this);
}

// Makes it the answer that says so; 3.1.1 has none for messages, so there the connection ends.
void Connection::refuseAnswer(Answer& answer, Kept kept) {
  if (kept == Kept::kNotRetained) {  // Counted and said by who retains.
    answer.reason = Reason::kQuotaExceeded;
    return;
  }
  const char* text = kept == Kept::kNoRoom ? "what it sent cannot be kept: no room on the disk"
                                           : "what it sent cannot be kept: the disk fails";
  answer.reason = kept == Kept::kNoRoom ? Reason::kQuotaExceeded : Reason::kImplementationSpecific;
  if (answer.type == PacketType::kConnack) {
    answers() += answer.refusal;
    if (answer.is_new) session_->setExpiry(0);
    return endFor(answer.reason, Refusal::kStore, text);
  }
  if (!answer.packet.empty()) {
    answer.packet = answer.refusal;
    unsubscribeAll(answer.filters);
  } else if (version_ == mqtt::Version::k311) {
    return endFor(answer.reason, Refusal::kStore, text);
  }
  engine_.counters().of(Refusal::kStore).add();
  engine_.surroundings().report(
      Refusal::kStore, session_->principal().name() + " (" + session_->clientId() + ")", text);
}

void Connection::packetKept(std::uint16_t packet, Kept kept) {
  Answer answer{PacketType::kPubrec, packet, Reason::kSuccess};
  if (kept != Kept::kYes) refuseAnswer(answer, kept);
  if (state_ == State::kConnected) owe(std::move(answer), {});
}

void Connection::unsubscribeAll(const std::vector<std::string>& filters) {
  for (const std::string& filter : filters)
    if (session_->removeFilter(filter)) engine_.unsubscribe(*session_, filter);
}

bool Connection::isStuffed() const {
  return answers_.size() + leftover_.bytes() > kAnswersMax ||
         owed_.size() >= engine_.limits().receive_maximum;
}

}  // namespace kante::hub
