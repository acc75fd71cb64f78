// What a session says to the disk, and what it was there.
#include <algorithm>

#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/hub/mqtt/session.h"

namespace kante::hub {
namespace {

using Kind = Change::Kind;

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

void Session::keep() {
  if (kept_ || !engine_.journal().isOpen()) return;
  kept_ = true;
  engine_.journal().store().keptOn(engine_.index()).fetch_add(1);
  for (const Filter& filter : filters_) recordFilter(filter.text);
}

void Session::recordSelf() {
  if (!kept_) return;
  SessionRow row;
  row.principal = principal_->name();
  row.client_id = client_id_;
  row.expiry_s = expiry_s_;
  if (ends_ns_ != kNone) row.ends_ns = ends_ns_ + engine_.journal().store().clockNs();
  Change change;
  change.kind = Kind::kSession;
  change.session = id_;
  change.row = toRow(row);
  change.share = engine_.holdAck();
  (void)engine_.journal().add(std::move(change));
}

// Of one that ends with its connection nothing but the will is left.
void Session::defer() {
  if (!kept_ && !hasWill()) return;
  if (!kept_) engine_.journal().store().keptOn(engine_.index()).fetch_add(1);
  kept_ = true;
  recordSelf();
  recordWill();
}

void Session::recordFilter(std::string_view text) {
  if (!kept_) return;
  const auto at = std::find_if(filters_.begin(), filters_.end(),
                               [&](const Filter& one) { return one.text == text; });
  Change change;
  change.kind = Kind::kFilter;
  change.session = id_;
  change.place = at->number;
  change.row = toRow(FilterRow{at->text, at->options});
  change.share = engine_.holdAck();
  (void)engine_.journal().add(std::move(change));
}

bool Session::removeFilter(std::string_view text) {
  const auto at = std::find_if(filters_.begin(), filters_.end(),
                               [&](const Filter& one) { return one.text == text; });
  if (at == filters_.end()) return false;
  if (kept_) {
    Change change;
    change.kind = Kind::kUnfilter;
    change.session = id_;
    change.place = at->number;
    change.share = engine_.holdAck();
    (void)engine_.journal().add(std::move(change));
  }
  filters_.erase(at);
  return true;
}

// One of QoS 2 leaves only when it is on disk: else its place, and with it its identifier, could be
// another's after a crash, which the client would take for the one it has.
void Session::recordEntry(Outgoing& message) {
  if (!kept_ || message.publication->receipt() != nullptr) return;  // That is kept elsewhere.
  Change change;
  change.kind = Kind::kEntry;
  change.session = id_;
  change.place = message.place;
  change.publication = message.publication;
  change.qos = message.qos;
  change.retain = message.retain;
  if (message.id != 0) change.ids.push_back(message.id);
  if (message.more_ids)
    change.ids.insert(change.ids.end(), message.more_ids->begin(), message.more_ids->end());
  AckShare share = engine_.holdAck();
  if (message.qos == mqtt::Qos::k2) {
    change.engine = engine_.index();
    uncommitted_.push(std::uint64_t{message.place});
    if (share.isOfPacket()) {
      share.add(std::move(change));
      return share.release(Kept::kYes);
    }
  }
  change.share = std::move(share);
  message.at = engine_.journal().add(std::move(change));
}

void Session::recordReceived(Inflight::Entry& entry) {
  if (!kept_) return;
  Change change;
  change.kind = Kind::kReceived;
  change.session = id_;
  change.place = entry.message.place;
  change.publication = entry.message.publication;
  change.qos = mqtt::Qos::k2;
  change.share = engine_.holdAck();
  (void)engine_.journal().add(std::move(change));
}

void Session::recordDone(const Outgoing& message) {
  if (!kept_ || message.qos == mqtt::Qos::k0 || engine_.journal().takeBack(message.at)) return;
  Change change;
  change.kind = Kind::kDone;
  change.session = id_;
  change.place = message.place;
  change.publication = message.publication;
  (void)engine_.journal().add(std::move(change));
}

void Session::recordReleased(std::uint16_t packet) {
  if (!kept_) return;
  Change change;
  change.kind = Kind::kReleased;
  change.session = id_;
  change.place = packet;
  change.share = engine_.holdAck();
  (void)engine_.journal().add(std::move(change));
}

// Of one that waits for its delay; a client that is connected comes back to its will or has none.
void Session::recordWill() {
  const bool pending = kept_ && will_ns_ != kNone && hasWill();
  if (!pending && !will_kept_) return;
  will_kept_ = pending;
  Change change;
  change.kind = pending ? Kind::kWill : Kind::kNoWill;
  change.session = id_;
  if (pending)
    change.row = toRow(
        WillRow{will_ns_ + engine_.journal().store().clockNs(), will_.expiry_s, will_.publication});
  (void)engine_.journal().add(std::move(change));
}

// Entries that are not on disk yet are told of when they are, and go then.
void Session::recordEnd() {
  if (!kept_) return;
  for (std::size_t i = 0; i < queue_.size(); ++i)
    if (!isUncommitted(*queue_.at(i))) {
      recordDone(*queue_.at(i));
    } else {
      (void)uncommitted_.pop();
    }
  inflight_.forEach(
      [&](std::uint16_t, const Inflight::Entry& entry) { recordDone(entry.message); });
  Change change;
  change.kind = Kind::kEnd;
  change.session = id_;
  (void)engine_.journal().add(std::move(change));
  engine_.journal().store().keptOn(engine_.index()).fetch_sub(1);
  kept_ = false;
}

void Session::committed(std::uint64_t place, Kept kept) {
  for (std::size_t i = 0; i < uncommitted_.size(); ++i) {
    if (*uncommitted_.at(i) != place) continue;
    uncommitted_.erase(i);
    break;
  }
  for (std::size_t i = 0; kept != Kept::kYes && i < queue_.size(); ++i) {
    if (queue_.at(i)->qos == mqtt::Qos::k0 || queue_.at(i)->place != place) continue;
    bytes_ -= queue_.at(i)->publication->size();
    queue_.erase(i);
    engine_.counters().of(Refusal::kStore).add();
    break;
  }
  if (connection_ != nullptr) engine_.flushLater(*connection_);
}

bool Session::packetAsked(std::uint16_t packet) {
  const auto at = std::find_if(packets_.begin(), packets_.end(),
                               [&](const Packet& one) { return one.id == packet; });
  if (at == packets_.end()) return false;
  at->asked = true;
  return true;
}

bool Session::packetKept(std::uint16_t packet, Kept kept) {
  if (kept != Kept::kYes) (void)received_.remove(packet);
  const auto at = std::find_if(packets_.begin(), packets_.end(),
                               [&](const Packet& one) { return one.id == packet; });
  if (at == packets_.end()) return false;
  const Packet packet_is = std::move(*at);
  packets_.erase(at);
  if (kept == Kept::kYes && packet_is.then) packet_is.then();
  return packet_is.asked;
}

void Session::restore(StoredSession& stored, std::int64_t now_ns, std::int64_t clock_ns) {
  kept_ = true;
  engine_.journal().store().keptOn(engine_.index()).fetch_add(1);
  expiry_s_ = stored.row.expiry_s;
  for (StoredSession::Filter& filter : stored.filters) {
    filter_numbers_ = std::max(filter_numbers_, filter.number);
    filters_.push_back({filter.row.text, filter.row.options, filter.number});
  }
  std::size_t sent = 0;  // Up to the last whose PUBREC came all were.
  for (std::size_t i = 0; i < stored.entries.size(); ++i)
    if (!stored.entries[i].publication) sent = i + 1;
  for (std::size_t i = 0; i < stored.entries.size(); ++i) {
    StoredSession::Entry& entry = stored.entries[i];
    Outgoing message;
    message.publication = entry.publication;
    message.place = entry.place;
    message.qos = entry.row.qos;
    message.retain = entry.row.retain;
    message.again = true;
    if (!entry.row.ids.empty()) message.id = entry.row.ids.front();
    if (entry.row.ids.size() > 1)
      message.more_ids = std::make_unique<std::vector<std::uint32_t>>(entry.row.ids.begin() + 1,
                                                                      entry.row.ids.end());
    places_ = entry.place + 1;
    if (entry.publication) bytes_ += entry.publication->size();
    if (i >= sent || !inflight_.hasRoom(entry.place)) {
      if (entry.publication) queue_.push(std::move(message));
      continue;
    }
    (void)inflight_.add(std::move(message),
                        entry.publication ? Inflight::State::kSent : Inflight::State::kReceived);
  }
  for (const std::uint16_t packet : stored.packets) received_.add(packet);
  ends_ns_ = stored.row.ends_ns != kNone ? fromRowClock(stored.row.ends_ns, clock_ns)
             : expiry_s_ == kForever     ? kNone
                                         : now_ns + std::int64_t{expiry_s_} * kSecond;
  if (stored.will) {
    will_ = {stored.will->publication, 0, stored.will->expiry_s};
    will_ns_ = fromRowClock(stored.will->due_ns, clock_ns);
    will_kept_ = true;
    // What became due while nobody ran: routes and subscribers have to be here, too.
    over_ = ends_ns_ <= now_ns;
    if (std::min(ends_ns_, will_ns_) <= now_ns) will_ns_ = now_ns + kDeferredNs;
    if (over_) ends_ns_ = will_ns_;
  }
  const std::int64_t first = std::min(ends_ns_, will_ns_);
  if (first != kNone) engine_.timers().set(*this, first);
  if (ends_ns_ != kNone && stored.row.ends_ns == kNone) recordSelf();
}

}  // namespace kante::hub
