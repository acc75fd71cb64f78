// A publication's way to its receivers, here and on other shards, and what the engines tell each
// other for it.
#include <algorithm>

#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/engine.h"
#include "host/hub/mqtt/session.h"
#include "host/mqtt/topic.h"

namespace kante::hub {
namespace {

constexpr std::size_t kMemoMatchesMax = 256;
constexpr std::int64_t kFullToldNs = 60'000'000'000;
constexpr std::uint32_t kShareHopsMax = 4;  // Between engines whose members come and go.

}  // namespace

// Publishers tend to say the same topic again: what it matched is kept until the tree changes.
const TopicTree::Matches& Engine::matchesOf(std::string_view topic) {
  MatchMemo& memo = memos_[std::hash<std::string_view>()(topic) % kMemos];
  if (memo.version == tree_.version() && memo.topic == topic) return memo.matches;
  tree_.match(topic, matches_);
  if (matches_.local.size() > kMemoMatchesMax) return matches_;
  memo.matches = matches_;
  memo.topic = topic;
  memo.version = tree_.version();
  return memo.matches;
}

std::size_t Engine::publish(const PublicationRef& publication) {
  const TopicTree::Matches& matches = matchesOf(publication->topic());
  const std::size_t receivers =
      matches.local.size() + matches.groups.size() + (matches.remote == 0 ? 0 : 1);
  // What other shards have not taken yet has no bound of its own.
  if (matches.remote != 0 && overfull_) {
    counters_.of(Refusal::kOverflow).add();
  } else if (matches.remote != 0) {
    for (std::uint32_t i = 0; i < engines_; ++i) {
      if ((matches.remote >> i & 1) == 0) continue;
      counters_.handed_over.add();
      surroundings_.send(i, Fanout{publication, ackFor(i)});
    }
  }
  for (ShareGroup* group : matches.groups) deliverToGroup(publication, *group, 0);
  deliver(publication, matches);
  if (publication->retain()) retain(retaining(publication));
  return receivers;
}

namespace {

class GoneSender final : public Routing::Sender {
 public:
  explicit GoneSender(const Principal& principal) : principal_(principal) {}
  const std::string& name() const override { return principal_.name(); }
  bool mayActFor(std::string_view other) const override { return principal_.mayActFor(other); }
  std::function<void(Kept)> kept() override { return {}; }
  std::function<void()> resume() override { return {}; }

 private:
  const Principal& principal_;
};

}  // namespace

void Engine::publishFor(const Principal& principal, const PublicationRef& publication) {
  if (routing_ != nullptr) {
    mqtt::Publish publish;
    mqtt::Fault fault;
    publish.topic = publication->topic();
    publish.payload = publication->payload();
    publish.qos = publication->qos();
    GoneSender sender(principal);
    (void)mqtt::parseProperties(publication->properties(), mqtt::PropertySet::kPublish,
                                publish.properties, fault);
    (void)routing_->take(publish, sender);
  }
  publish(publication);
}

// A session that several of its filters match has the message once, of the best QoS among them and
// with all their identifiers [MQTT-3.3.4-2].
void Engine::deliver(const PublicationRef& publication, const TopicTree::Matches& matches) {
  ++walk_;
  receivers_.clear();
  for (const Subscriber& one : matches.local) {
    Session& session = *one.session;
    if (one.options.no_local && session.number() == publication->publisher()) continue;
    if (session.walk != walk_) {
      session.walk = walk_;
      session.match = receivers_.size();
      receivers_.push_back({&session, one.options});
      continue;
    }
    Receiver& twice = receivers_[session.match];
    twice.options.qos = std::max(twice.options.qos, one.options.qos);
    twice.options.retain_as_published |= one.options.retain_as_published;
    if (one.options.id == 0) continue;
    if (twice.options.id == 0) {
      twice.options.id = one.options.id;
      continue;
    }
    if (!twice.more_ids) twice.more_ids = std::make_unique<std::vector<std::uint32_t>>();
    twice.more_ids->push_back(one.options.id);
  }
  for (Receiver& receiver : receivers_) deliverTo(publication, receiver);
}

void Engine::deliverTo(const PublicationRef& publication, Receiver& receiver) {
  const Principal& principal = receiver.session->principal();
  if (principal.checksDeliveries() && !principal.mayReceive(publication->topic()))
    return counters_.of(Refusal::kDenied).add();
  Outgoing message;
  message.publication = publication;
  message.id = receiver.options.id;
  message.more_ids = std::move(receiver.more_ids);
  message.qos = std::min(receiver.options.qos, publication->qos());
  message.retain = receiver.options.retain_as_published && publication->retain();
  receiver.session->offer(std::move(message));
}

// Round over all members of all shards; of those here one that is connected, if any is.
void Engine::deliverToGroup(const PublicationRef& publication, ShareGroup& group,
                            std::uint32_t hops) {
  const std::size_t members = group.members();
  if (members == 0) return;
  std::size_t turn = group.next++ % members;
  if (turn >= group.local.size()) {
    turn -= group.local.size();
    for (std::uint32_t i = 0; i < group.remote.size(); ++i) {
      if (turn >= group.remote[i]) {
        turn -= group.remote[i];
        continue;
      }
      counters_.handed_over.add();
      return surroundings_.send(i, ShareFanout{publication, group.key, hops + 1, ackFor(i)});
    }
    return;
  }
  for (std::size_t i = 0; i < group.local.size(); ++i) {
    const std::size_t at = (turn + i) % group.local.size();
    if (group.local[at].session->connection() == nullptr) continue;
    turn = at;
    break;
  }
  Receiver receiver{group.local[turn].session, group.local[turn].options};
  deliverTo(publication, receiver);
}

// ---- retained messages

// MQTT 5 can say that a message was sent to whoever is there, but is not retained.
Retain Engine::retaining(const PublicationRef& publication) {
  Retain out{publication};
  const bool tells = at_hand_.connection != nullptr && !publication->payload().empty() &&
                     at_hand_.connection->version() == mqtt::Version::k5;
  if (tells) out.beyond_bound = Kept::kNotRetained;
  if (tells || journal_.isOpen()) out.ack = holdAck();
  return out;
}

void Engine::retain(Retain one) {
  if (index_ != kRetainedKeeper) return surroundings_.send(kRetainedKeeper, std::move(one));
  PublicationRef before;
  if (retained_.store(one.publication, before)) {
    if (one.publication->payload().empty()) one.publication.reset();
    return recordRetained(std::move(before), std::move(one.publication), std::move(one.ack));
  }
  counters_.of(Refusal::kRetainedFull).add();
  if (full_told_ns_ == 0 || now() - full_told_ns_ >= kFullToldNs) {
    full_told_ns_ = now();
    surroundings_.report(
        Refusal::kRetainedFull, std::string(one.publication->topic()),
        "not retained: [hub.limits] retained_messages or retained_bytes is reached");
  }
  one.ack.release(one.beyond_bound);
}

void Engine::wantRetained(RetainedWanted wanted) {
  if (index_ != kRetainedKeeper) return surroundings_.send(kRetainedKeeper, std::move(wanted));
  auto found = std::make_unique<RetainedFound>();
  retained_.find(wanted.filter, now(), found->publications);
  found->wanted = std::move(wanted);
  if (found->wanted.from == index_) return deliverRetained(*found);
  const std::uint32_t back = found->wanted.from;
  surroundings_.send(back, std::move(found));
}

void Engine::deliverRetained(const RetainedFound& found) {
  const auto at = sessions_.find(found.wanted.session);
  if (at == sessions_.end()) return;
  Session& session = *at->second;
  const Principal& principal = session.principal();
  for (const PublicationRef& publication : found.publications) {
    if (principal.checksDeliveries() && !principal.mayReceive(publication->topic())) continue;
    if (found.wanted.options.no_local && publication->publisher() == session.number()) continue;
    Outgoing message;
    message.publication = publication;
    message.id = found.wanted.options.id;
    message.qos = std::min(found.wanted.options.qos, publication->qos());
    message.retain = true;
    session.offer(std::move(message));
  }
}

// ---- to one session

void Engine::deliverTo(const ToSession& one) {
  const auto at = sessions_.find(one.session.key);
  if (at == sessions_.end() || at->second->number() != one.session.number) return;
  Session& session = *at->second;
  const Session::Filter* best = nullptr;
  for (const Session::Filter& filter : session.filters()) {
    if (!mqtt::matches(filter.text, one.publication->topic())) continue;
    if (best == nullptr || best->options.qos < filter.options.qos) best = &filter;
  }
  if (best == nullptr) return;
  Outgoing message;
  message.publication = one.publication;
  message.id = best->options.id;
  message.qos = std::min(best->options.qos, one.publication->qos());
  session.offer(std::move(message));
}

// ---- subscriptions

void Engine::tellInterest(std::string_view filter, std::uint32_t members) {
  if (engines_ == 1) return;
  ++ticket_;
  for (std::uint32_t i = 0; i < engines_; ++i) {
    if (i == index_) continue;
    surroundings_.send(i, Interest{index_, std::string(filter), members, ticket_});
  }
}

void Engine::subscribe(Session& session, const std::vector<Subscribed>& filters) {
  WaitingSuback waiting;
  for (const Subscribed& one : filters) {
    const bool fresh = session.addFilter(one.filter, one.options);
    session.recordFilter(one.filter);
    const bool shared = mqtt::isShared(one.filter);
    const TopicTree::Change change = tree_.subscribe(one.filter, session, one.options);
    if (shared ? fresh : change == TopicTree::Change::kFirst)
      tellInterest(one.filter, shared ? tree_.membersOf(one.filter) : 1);
    const bool wanted = one.retain_handling == mqtt::RetainHandling::kSend ||
                        (one.retain_handling == mqtt::RetainHandling::kSendIfNew && fresh);
    if (!shared && wanted)  // [MQTT-4.8.2] no retained messages for a shared one.
      waiting.retained.push_back({index_, session.key(), std::string(one.filter), one.options});
  }
  counters_.subscriptions.set(tree_.subscriptions());
  noteInterests(session);
  waiting.ticket = ticket_;
  waiting.suback = holdAck();
  waiting_.push_back(std::move(waiting));
  sayWaiting();
}

void Engine::unsubscribe(Session& session, std::string_view filter) {
  const TopicTree::Change change = tree_.unsubscribe(filter, session);
  if (mqtt::isShared(filter)) {
    tellInterest(filter, tree_.membersOf(filter));
  } else if (change == TopicTree::Change::kLast) {
    tellInterest(filter, 0);
  }
  counters_.subscriptions.set(tree_.subscriptions());
  noteInterests(session);
}

std::uint64_t Engine::seenByAll() const {
  std::uint64_t all = ticket_;
  for (std::uint32_t i = 0; i < engines_; ++i)
    if (i != index_) all = std::min(all, seen_[i]);
  return all;
}

// Whoever has read its SUBACK may count on it, whatever shard a message comes to.
void Engine::sayWaiting() {
  const std::uint64_t seen = seenByAll();
  while (!waiting_.empty() && waiting_.front().ticket <= seen) {
    WaitingSuback one = std::move(waiting_.front());
    waiting_.pop_front();
    one.suback.release(Kept::kYes);
    for (RetainedWanted& wanted : one.retained) wantRetained(std::move(wanted));
  }
}

// ---- parcels

struct Engine::Hear {
  Engine& engine;
  void operator()(Fanout& one) const {
    engine.ack_ = std::move(one.ack);
    engine.deliver(one.publication, engine.matchesOf(one.publication->topic()));
    engine.ack_.release(Kept::kYes);
  }
  void operator()(ShareFanout& one) const {
    engine.ack_ = std::move(one.ack);
    toGroup(one);
    engine.ack_.release(Kept::kYes);
  }
  void toGroup(const ShareFanout& one) const {
    ShareGroup* group = engine.tree_.group(one.key);
    if (group == nullptr) return;
    // From here it goes on only where there is nobody here.
    if (!group->local.empty()) group->next %= static_cast<std::uint32_t>(group->local.size());
    if (one.hops < kShareHopsMax || !group->local.empty())
      engine.deliverToGroup(one.publication, *group, one.hops);
  }
  void operator()(Interest& one) const {
    engine.tree_.setRemote(one.filter, one.from, one.members);
    engine.surroundings_.send(one.from, Seen{engine.index_, one.ticket});
  }
  void operator()(Seen& one) const {
    engine.seen_[one.from] = one.ticket;
    engine.sayWaiting();
  }
  void operator()(Retain& one) const { engine.retain(std::move(one)); }
  void operator()(RetainedWanted& one) const { engine.wantRetained(std::move(one)); }
  void operator()(std::unique_ptr<RetainedFound>& one) const { engine.deliverRetained(*one); }
  void operator()(std::unique_ptr<Arrival>& one) const { engine.arrive(one); }
  void operator()(Reconsider& one) const { engine.reconsider(one); }
  void operator()(ToSession& one) const { engine.deliverTo(one); }
  void operator()(const EntryKept& one) const { engine.hear(one); }
};

void Engine::take(Parcel parcel) { std::visit(Hear{*this}, parcel); }

}  // namespace kante::hub
