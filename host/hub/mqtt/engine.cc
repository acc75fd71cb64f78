#include "host/hub/mqtt/engine.h"

#include <algorithm>
#include <mutex>

#include "host/base/encoding.h"
#include "host/hub/mqtt/connection.h"
#include "host/hub/mqtt/session.h"
#include "host/mqtt/topic.h"

namespace kante::hub {
namespace {

constexpr std::int64_t kPenaltyNs = 1'000'000'000;
constexpr std::size_t kPenaltiesMax = 10'000;

}  // namespace

// Who can be read again, as those who made room say from whatever thread.
struct Engine::Resumes {
  std::function<void()> wake;
  std::mutex mutex;  // Only when somebody had to wait.
  std::vector<AckAddress> connections;
  std::atomic<bool> any{false};
};

Engine::Engine(const Parts& parts)
    : limits_(parts.limits),
      access_(parts.access),
      surroundings_(parts.surroundings),
      homes_(parts.homes),
      index_(parts.index),
      engines_(parts.engines),
      timers_(parts.surroundings.bootNs()),
      journal_(parts.store, parts.wake),
      retained_(parts.limits),
      seen_(parts.engines),
      routing_(parts.routing),
      desk_(parts.desk),
      resumes_(std::make_shared<Resumes>()),
      acks_(std::make_shared<AckInbox>(parts.wake)),
      read_buffer_(kReadBytes) {
  resumes_->wake = parts.wake;
}

Engine::~Engine() = default;

// ---- connections

void Engine::accept(std::unique_ptr<Transport> transport, Peer peer) {
  auto made = std::make_unique<Connection>(*this, std::move(transport),
                                           std::make_unique<Peer>(std::move(peer)), ++numbers_);
  Connection& connection = *made;
  connections_.emplace(&connection, std::move(made));
  counters_.connections.set(connections_.size());
  connection.begin();
}

void Engine::arrive(const std::unique_ptr<Arrival>& arrival) {
  auto made = std::make_unique<Connection>(*this, std::move(arrival->transport),
                                           std::move(arrival->peer), ++numbers_);
  Connection& connection = *made;
  connections_.emplace(&connection, std::move(made));
  counters_.connections.set(connections_.size());
  connection.arrive(*arrival);
}

void Engine::sendHome(std::unique_ptr<Arrival> arrival, Connection& left) {
  bury(left);
  const std::uint32_t home = arrival->claim.home();
  surroundings_.send(home, std::move(arrival));
}

void Engine::bury(Connection& connection) {
  const auto at = connections_.find(&connection);
  if (at == connections_.end()) return;
  buried_.push_back(std::move(at->second));
  connections_.erase(at);
  counters_.connections.set(connections_.size());
}

void Engine::flushLater(Connection& connection) {
  if (std::exchange(connection.dirty, true)) return;
  dirty_.push_back(&connection);
}

std::function<void()> Engine::resumer(const Connection& connection) const {
  return [resumes = resumes_, to = AckAddress{&connection, connection.number(), 0}] {
    {
      const std::lock_guard lock(resumes->mutex);
      resumes->connections.push_back(to);
      if (resumes->any.exchange(true)) return;
    }
    if (resumes->wake) resumes->wake();
  };
}

void Engine::resumeAll() {
  std::vector<AckAddress> all;
  {
    const std::lock_guard lock(resumes_->mutex);
    all.swap(resumes_->connections);
    resumes_->any.store(false);
  }
  for (const AckAddress& to : all) {
    const auto at = connections_.find(const_cast<Connection*>(to.connection));
    if (at != connections_.end() && at->first->number() == to.number) at->second->resume();
  }
}

void Engine::flush() {
  if (journal_.isOpen()) settleJournal();
  if (!acks_->empty()) settleAcks();
  if (resumes_->any.load(std::memory_order_relaxed)) resumeAll();
  for (std::size_t i = 0; i < dirty_.size(); ++i) {  // Flushing one may make another dirty.
    Connection& connection = *dirty_[i];
    if (connection.isEnded()) continue;
    connection.flush();
  }
  dirty_.clear();
  buried_.clear();
  if (journal_.isOpen()) journal_.hand(Journal::Effort::kNew);
  overfull_ = Publication::bytesAlive() > static_cast<std::int64_t>(limits_.message_bytes);
}

void Engine::tick() {
  timers_.advance(now());
  std::vector<PublicationRef> gone;
  retained_.expire(now(), gone);
  for (PublicationRef& one : gone) recordRetained(std::move(one), {}, {});
  counters_.retained.set(retained_.messages());
  counters_.retained_bytes.set(retained_.bytes());
  forgetPenalties();
}

void Engine::say(std::string_view topic, std::string_view payload) {
  Publication::Parts parts;
  parts.topic = topic;
  parts.payload = payload;
  parts.retain = true;
  parts.now_ns = now();
  publish(Publication::make(parts));
}

void Engine::shutDown() {
  std::vector<Connection*> all;
  for (const auto& [connection, owned] : connections_) all.push_back(connection);
  flush();
  for (Connection* connection : all) {
    if (connection->isEnded()) continue;
    Connection::Ending ending;
    ending.reason = mqtt::Reason::kServerShuttingDown;
    ending.will = Session::WillIs::kDeferred;
    connection->end(ending);
  }
  flush();
  // Those that linger are not waited for: nothing that comes may find them any more.
  for (const auto& [connection, owned] : connections_)
    if (!connection->isEnded()) surroundings_.forget(*connection);
  journal_.handAll();
}

// ---- sessions

std::string Engine::newClientId() { return "kante-" + toHex(randomBytes(12)); }

Session* Engine::openSession(const std::shared_ptr<const Principal>& principal,
                             std::string_view client_id, bool clean, bool& present) {
  const std::string key = Session::keyOf(principal->name(), client_id);
  if (const auto at = sessions_.find(key); at != sessions_.end()) {
    Session& there = *at->second;
    if (Connection* old = there.connection())
      old->endFor(mqtt::Reason::kSessionTakenOver, Refusal::kTakenOver,
                  "another connection took the session over");
  }
  // Its end may have been the session's.
  if (const auto at = sessions_.find(key);
      at != sessions_.end() && (clean || at->second->isOver())) {
    if (!at->second->isOver()) at->second->publishWill();
    endSession(*at->second);
  }
  const auto at = sessions_.find(key);
  present = at != sessions_.end();
  if (present) {
    at->second->setPrincipal(principal);
    return at->second.get();
  }
  if (!homes_.began(key)) return nullptr;
  // What the client published in an earlier session is its own, too [MQTT-3.8.3-3].
  const std::uint64_t number = std::hash<std::string_view>()(key) | 1;
  const std::uint64_t id = std::uint64_t{index_} << 48 | ++ids_;
  auto made = std::make_unique<Session>(*this, key, std::string(client_id), number, id);
  made->setPrincipal(principal);
  Session* session = made.get();
  by_id_.emplace(id, session);
  sessions_.emplace(key, std::move(made));
  counters_.sessions.set(sessions_.size());
  return session;
}

SessionRef Engine::refOf(const Session& session) const {
  return {index_, session.number(), session.key()};
}

void Engine::noteInterests(Session& session) {
  if (desk_ == nullptr) return;
  std::uint8_t interests = 0;
  if (session.connection() != nullptr)
    for (const Session::Filter& filter : session.filters()) interests |= interestsOf(filter.text);
  if (std::exchange(session.interests, interests) == interests) return;
  desk_->interested(refOf(session), session.principal().name(), interests);
}

void Engine::endSession(Session& session) {
  session.recordEnd();
  for (const Session::Filter& filter : session.filters()) unsubscribe(session, filter.text);
  homes_.ended(session.key());
  by_id_.erase(session.id());
  sessions_.erase(sessions_.find(session.key()));
  counters_.sessions.set(sessions_.size());
}

void Engine::reconsider(const Reconsider& change) {
  std::vector<std::string> keys;
  for (const auto& [key, session] : sessions_)
    if (session->principal().name() == change.principal) keys.push_back(key);
  for (const std::string& key : keys) {
    const auto at = sessions_.find(key);
    if (at != sessions_.end()) reconsider(*at->second, change.connections);
  }
}

void Engine::reconsider(Session& session, Connections connections) {
  auto now_is = access_.current(session.principal());
  const auto lost = [&](const Session::Filter& one) {
    const std::string_view text = one.text;
    return !now_is->maySubscribe(mqtt::isShared(text) ? mqtt::sharedFilter(text)->filter : text);
  };
  Connection* connection = session.connection();
  const auto& filters = session.filters();
  if (!now_is || std::any_of(filters.begin(), filters.end(), lost)) {
    session.setExpiry(0);  // Whoever may not have its subscriptions begins anew, or not at all.
    if (connection == nullptr) return endSession(session);
    return connection->endFor(mqtt::Reason::kAdministrativeAction, Refusal::kDenied,
                              "its grants were taken away");
  }
  session.setPrincipal(std::move(now_is));
  if (connection == nullptr) return;
  if (connections == Connections::kKeep) return connection->grantsChanged();
  connection->endFor(mqtt::Reason::kNotAuthorized, Refusal::kDenied,
                     "what it proved itself with counts no more");
}

// ---- who must wait

bool Engine::isPenalized(const std::string& principal) const {
  const auto at = penalties_.find(principal);
  return at != penalties_.end() && at->second > now();
}

void Engine::penalize(const std::string& principal) {
  if (penalties_.size() >= kPenaltiesMax) forgetPenalties();
  if (penalties_.size() < kPenaltiesMax) penalties_[principal] = now() + kPenaltyNs;
}

void Engine::forgetPenalties() {
  const std::int64_t at = now();
  std::erase_if(penalties_, [&](const auto& entry) { return entry.second <= at; });
}

}  // namespace kante::hub
