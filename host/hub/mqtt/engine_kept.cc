// Answers that wait, what is written for them, and what a new process finds.
#include <algorithm>

#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/hub/mqtt/session.h"
#include "host/mqtt/topic.h"

namespace kante::hub {
namespace {

using Kind = Change::Kind;

constexpr std::int64_t kAgainNs = 1'000'000'000;

// Only the name is left of who it was.
class Former final : public Principal {
 public:
  explicit Former(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  bool mayPublish(std::string_view) const override { return false; }
  bool maySubscribe(std::string_view) const override { return false; }

 private:
  const std::string name_;
};

}  // namespace

AckShare Engine::holdAck() {
  if (!ack_ && at_hand_.connection != nullptr) ack_ = AckShare(at_hand_, acks_);
  return ack_.another();
}

bool Engine::keepsAt(std::uint32_t engine) const {
  return journal_.isOpen() && journal_.store().keptOn(engine).load(std::memory_order_relaxed) != 0;
}

void Engine::settleAcks() {
  acks_->takeAll([this](AckWait& wait) { settle(wait); });
}

void Engine::settle(AckWait& wait) {
  const AckAddress& to = wait.address();
  const auto known = by_id_.find(to.session);
  Session* session = known == by_id_.end() ? nullptr : known->second;
  if (to.packet != 0 && keepTogether(wait, session)) return;
  const auto at = connections_.find(const_cast<Connection*>(to.connection));
  const bool there = at != connections_.end() && at->first->number() == to.number;
  // An answer that is not owed is of a message that was put off, and will come again.
  const bool meant = !there || at->second->owes(to.answer);
  if (to.packet != 0 && meant && session != nullptr &&
      session->packetKept(to.packet, wait.kept()) && !there && session->connection() != nullptr)
    session->connection()->packetKept(to.packet, wait.kept());
  if (there) at->second->settled(to.answer, wait.kept());
}

// All that a message of QoS 2 becomes has come together, from whatever shards: it is written with
// its identifier.  False: there is nothing to be written.
bool Engine::keepTogether(AckWait& wait, Session* session) {
  if (wait.address().written) return false;
  const bool refused = wait.kept() > Kept::kNotRetained;
  std::vector<Change> changes;
  wait.takeChanges([&](Change& one) {
    if (!refused) return changes.push_back(std::move(one));
    tellKept(one, wait.kept());
  });
  if (refused) return false;
  const std::uint16_t packet = wait.address().packet;
  // The answer that says that it is not retained ends the exchange.
  if (wait.kept() == Kept::kYes && session != nullptr && session->isKept() &&
      session->received().contains(packet)) {
    Change& one = changes.emplace_back();
    one.kind = Kind::kPacket;
    one.session = session->id();
    one.place = packet;
  }
  if (changes.empty()) return false;
  AckAddress address = wait.address();
  address.written = true;
  AckShare share(address, acks_);
  for (Change& one : changes) {
    one.share = share.another();
    (void)journal_.add(std::move(one));
  }
  share.release(wait.kept());
  return true;
}

void Engine::settleJournal() {
  journal_.takeDone([this](Change& change, Kept kept) {
    if (change.kind == Kind::kEntry && change.qos == mqtt::Qos::k2) tellKept(change, kept);
  });
  if (journal_.owes() && !again_.isSet()) timers_.set(again_, now() + kAgainNs);
}

void Engine::tellKept(Change& change, Kept kept) {
  if (change.kind != Kind::kEntry) return;
  EntryKept entry{change.session, change.place, kept, change.publication};
  if (change.engine == index_) return hear(entry);
  surroundings_.send(change.engine, std::move(entry));
}

void Engine::hear(const EntryKept& entry) {
  const auto at = by_id_.find(entry.session);
  if (at != by_id_.end()) return at->second->committed(entry.place, entry.kept);
  if (entry.kept != Kept::kYes) return;
  Change change;  // The session went before its entry came.
  change.kind = Kind::kDone;
  change.session = entry.session;
  change.place = entry.place;
  change.publication = entry.publication;
  (void)journal_.add(std::move(change));
}

void Engine::recordRetained(PublicationRef before, PublicationRef now, AckShare ack) {
  const PublicationRef& any = now ? now : before;
  if (!journal_.isOpen() || !any || any->topic().starts_with("$SYS/"))
    return ack.release(Kept::kYes);
  journal_.retain(std::move(before), std::move(now), std::move(ack));
}

// ---- what was on disk

void Engine::restore(const PublicationRef& retained) {
  PublicationRef before;
  (void)retained_.store(retained, before);
}

void Engine::restore(StoredSession stored, std::int64_t clock_ns) {
  auto principal = access_.current(Former(stored.row.principal));
  const std::string key = Session::keyOf(stored.row.principal, stored.row.client_id);
  // Of two the first counts, and of too many, too.
  if (sessions_.contains(key) || !homes_.began(key)) return;
  const std::uint64_t number = std::hash<std::string_view>()(key) | 1;
  auto made = std::make_unique<Session>(*this, key, stored.row.client_id, number, stored.id);
  Session& session = *made;
  const bool known = principal != nullptr;
  session.setPrincipal(known ? std::move(principal)
                             : std::make_shared<const Former>(stored.row.principal));
  by_id_.emplace(stored.id, &session);
  sessions_.emplace(key, std::move(made));
  counters_.sessions.set(sessions_.size());
  session.restore(stored, now(), clock_ns);
  for (const Session::Filter& filter : session.filters()) {
    const bool shared = mqtt::isShared(filter.text);
    const TopicTree::Change change = tree_.subscribe(filter.text, session, filter.options);
    if (shared || change == TopicTree::Change::kFirst)
      tellInterest(filter.text, shared ? tree_.membersOf(filter.text) : 1);
  }
  counters_.subscriptions.set(tree_.subscriptions());
  // Its grants may be others by now.
  const auto may = [&](const Session::Filter& one) {
    const std::string_view text = one.text;
    return session.principal().maySubscribe(mqtt::isShared(text) ? mqtt::sharedFilter(text)->filter
                                                                 : text);
  };
  if (!known || !std::all_of(session.filters().begin(), session.filters().end(), may))
    endSession(session);
}

}  // namespace kante::hub
