// The broker on one shard: its connections, sessions and subscriptions, and what it hands to the
// engines of other shards.
//
// Knows neither threads nor sockets: whoever drives it (engine_shard.h; a test) says what became
// readable, carries parcels and keeps time.  A publication's way: a connection reads it, publish()
// finds who gets it, sessions queue a reference, flush() writes what the turn has gathered.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/hub/access.h"
#include "host/hub/mqtt/ack_wait.h"
#include "host/hub/mqtt/counters.h"
#include "host/hub/mqtt/gather.h"
#include "host/hub/mqtt/homes.h"
#include "host/hub/mqtt/journal.h"
#include "host/hub/mqtt/limits.h"
#include "host/hub/mqtt/parcel.h"
#include "host/hub/mqtt/retained.h"
#include "host/hub/mqtt/routing.h"
#include "host/hub/mqtt/timer_wheel.h"
#include "host/hub/mqtt/topic_tree.h"
#include "host/mqtt/write.h"

namespace kante::hub {

class Connection;
class Session;

// Where an engine runs.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  virtual std::int64_t bootNs() const = 0;
  virtual std::int64_t wallNs() const = 0;
  // Says when the connection's transport becomes ready, until forget().  It may be so already.
  virtual void watch(Connection& connection) = 0;
  virtual void forget(Connection& connection) = 0;
  // The connection is to be read again without having become ready.
  virtual void readAgain(Connection& connection) = 0;
  // Something is to be said outside a turn.
  virtual void flushSoon() = 0;
  // To another engine; may wait for the end of the turn.
  virtual void send(std::uint32_t engine, Parcel parcel) = 0;
  // Something was refused that people want to know: who, and a sentence.
  virtual void report(Refusal refusal, const std::string& who, const std::string& text) = 0;
  // One connection less.
  virtual void closed() = 0;
};

class Engine {
 public:
  static constexpr std::uint32_t kRetainedKeeper = 0;  // The engine that has retained messages.
  static constexpr std::size_t kReadBytes = 64u << 10;

  struct Parts {
    const Limits& limits;
    const Access& access;
    Surroundings& surroundings;
    Homes& homes;  // Of all engines.
    std::uint32_t index = 0;
    std::uint32_t engines = 1;
    SessionStore* store = nullptr;  // Null: nothing outlives the process.
    // From any thread: there is something for flush().
    std::function<void()> wake = {};
    Routing* routing = nullptr;  // Null: nothing goes by routes.
    Desk* desk = nullptr;        // Null: nobody answers below $iothub/.
  };
  explicit Engine(const Parts& parts);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // ---- for the driver ----
  void accept(std::unique_ptr<Transport> transport, Peer peer);
  void take(Parcel parcel);
  // Writes what was said since the last call.  At the end of each turn.
  void flush();
  void tick();
  // Publishes something of the broker's own, retained.
  void say(std::string_view topic, std::string_view payload);
  // Says goodbye to everybody.
  void shutDown();
  // What was on disk, before anything else happens.  `ids`: the greatest that is taken.
  void restore(StoredSession stored, std::int64_t clock_ns);
  void restore(const PublicationRef& retained);
  void beginIds(std::uint64_t ids) { ids_ = ids; }
  std::span<char> readBuffer() { return read_buffer_; }

  // ---- for connections and sessions ----
  std::int64_t now() const { return surroundings_.bootNs(); }
  Surroundings& surroundings() { return surroundings_; }
  const Limits& limits() const { return limits_; }
  const Access& access() const { return access_; }
  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }
  TimerWheel& timers() { return timers_; }
  Journal& journal() { return journal_; }
  Gather& gather() { return gather_; }
  std::vector<iovec>& parts() { return parts_; }
  mqtt::PropertyWriter& properties() { return properties_; }
  bool isOverfull() const { return overfull_; }
  std::string newClientId();

  // The session of an admitted client, here; `present` says whether it was there.
  Session* openSession(const std::shared_ptr<const Principal>& principal,
                       std::string_view client_id, bool clean, bool& present);
  void endSession(Session& session);
  Homes& homes() { return homes_; }
  std::uint32_t index() const { return index_; }

  // How many receivers are known of here: sessions, groups, and other shards.
  std::size_t publish(const PublicationRef& publication);
  Routing* routing() const { return routing_; }
  Desk* desk() const { return desk_; }
  SessionRef refOf(const Session& session) const;
  // Its subscriptions or its connection changed: says so if it matters for IoT Hub's contract.
  void noteInterests(Session& session);
  // What a client left behind: by the routes too, but nobody waits.
  void publishFor(const Principal& principal, const PublicationRef& publication);
  // From any thread: a route may have room for what this connection waits with.
  std::function<void()> resumer(const Connection& connection) const;
  // The answer at hand is said, and retained messages come, when every engine knows of the filters.
  struct Subscribed {
    std::string_view filter;
    SubscriptionOptions options;
    mqtt::RetainHandling retain_handling = mqtt::RetainHandling::kSend;
  };
  void subscribe(Session& session, const std::vector<Subscribed>& filters);
  void unsubscribe(Session& session, std::string_view filter);

  // Between these two a connection has handled what it will answer; the share is its own, and empty
  // if the answer waits for nobody else.
  void beginAck(const AckAddress& address) { at_hand_ = address; }
  AckShare endAck() {
    at_hand_ = {};
    return std::move(ack_);
  }
  // For whoever takes durably what is at hand.  Empty: nobody is answered (QoS 0, the broker's
  // own).
  AckShare holdAck();

  void flushLater(Connection& connection);
  // An admitted connection goes where its session is; what is left of it here is buried.
  void sendHome(std::unique_ptr<Arrival> arrival, Connection& left);
  // It stays until the end of the turn.
  void bury(Connection& connection);
  // Whether this principal was refused for something a moment ago.
  bool isPenalized(const std::string& principal) const;
  void penalize(const std::string& principal);

 private:
  struct Hear;  // Visits parcels.
  struct Resumes;
  // What could not be written is tried again.
  class Again final : public Deadline {
   public:
    explicit Again(Engine& engine) : engine_(engine) {}
    void due() override { engine_.journal_.hand(Journal::Effort::kAgain); }

   private:
    Engine& engine_;
  };
  struct Text {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  struct WaitingSuback {
    std::uint64_t ticket;
    AckShare suback;
    std::vector<RetainedWanted> retained;
  };
  struct Receiver {
    Session* session = nullptr;
    SubscriptionOptions options;
    std::unique_ptr<std::vector<std::uint32_t>> more_ids = {};
  };
  struct MatchMemo {
    std::uint64_t version = 0;
    std::string topic;
    TopicTree::Matches matches;
  };
  static constexpr std::size_t kMemos = 64;

  const TopicTree::Matches& matchesOf(std::string_view topic);
  void deliver(const PublicationRef& publication, const TopicTree::Matches& matches);
  void deliverTo(const PublicationRef& publication, Receiver& receiver);
  void deliverToGroup(const PublicationRef& publication, ShareGroup& group, std::uint32_t hops);
  Retain retaining(const PublicationRef& publication);
  void retain(Retain one);
  void recordRetained(PublicationRef before, PublicationRef now, AckShare ack);
  bool keepsAt(std::uint32_t engine) const;
  AckShare ackFor(std::uint32_t engine) { return keepsAt(engine) ? holdAck() : AckShare(); }
  void wantRetained(RetainedWanted wanted);
  void deliverRetained(const RetainedFound& found);
  void deliverTo(const ToSession& one);
  void tellInterest(std::string_view filter, std::uint32_t members);
  std::uint64_t seenByAll() const;
  void sayWaiting();
  void settleAcks();
  void resumeAll();
  void settle(AckWait& wait);
  bool keepTogether(AckWait& wait, Session* session);
  void settleJournal();
  void tellKept(Change& change, Kept kept);
  void hear(const EntryKept& entry);
  void arrive(const std::unique_ptr<Arrival>& arrival);
  void reconsider(const Reconsider& change);
  void reconsider(Session& session, Connections connections);
  void forgetPenalties();

  const Limits& limits_;
  const Access& access_;
  Surroundings& surroundings_;
  Homes& homes_;
  const std::uint32_t index_;
  const std::uint32_t engines_;
  Counters counters_;
  TimerWheel timers_;
  Journal journal_;
  Again again_{*this};
  TopicTree tree_;
  TopicTree::Matches matches_;
  std::array<MatchMemo, kMemos> memos_;
  Retained retained_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> buried_;
  std::unordered_map<std::string, std::unique_ptr<Session>, Text, std::equal_to<>> sessions_;
  std::unordered_map<std::uint64_t, Session*> by_id_;
  std::vector<Connection*> dirty_;
  std::vector<Receiver> receivers_;  // Of the publication at hand.
  std::int64_t full_told_ns_ = 0;    // When it was said last that no more is retained; 0: never.
  std::uint64_t walk_ = 0;
  std::uint64_t ids_ = 0;      // Of sessions, without the engine's own part.
  std::uint64_t numbers_ = 0;  // Connections that there ever were.
  std::uint64_t ticket_ = 0;
  std::vector<std::uint64_t> seen_;  // Tickets, by engine.
  std::deque<WaitingSuback> waiting_;
  Routing* const routing_;
  Desk* const desk_;
  const std::shared_ptr<Resumes> resumes_;  // Shared with the routes that are waited for.
  const std::shared_ptr<AckInbox> acks_;    // Shared with those that are waited for.
  AckAddress at_hand_;                      // Whose connection is null: nobody is answered.
  AckShare ack_;                            // The first of the answer at hand.
  std::unordered_map<std::string, std::int64_t> penalties_;
  bool overfull_ = false;
  Gather gather_;
  std::vector<iovec> parts_;
  mqtt::PropertyWriter properties_;
  std::vector<char> read_buffer_;
};

}  // namespace kante::hub
