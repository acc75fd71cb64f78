// What the broker keeps of a client while its session lasts, connected or not: subscriptions, what
// waits for it, what is under way in both directions, and its will.
//
// Sessions belong to (principal, client id), so nobody takes over another's.  Lives on the shard
// that its key falls on.  Bounded by Limits; what does not fit is dropped and counted.  One that
// outlives its connection is kept on disk, change by change (session_kept.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/hub/access.h"
#include "host/hub/mqtt/ack_wait.h"
#include "host/hub/mqtt/inflight.h"
#include "host/hub/mqtt/timer_wheel.h"
#include "host/hub/mqtt/topic_tree.h"
#include "host/shard/fifo.h"

namespace kante::hub {

class Connection;
class Engine;
struct StoredSession;

struct Will {
  PublicationRef publication;  // Null: there is none.
  std::uint32_t delay_s = 0;
  std::optional<std::uint32_t> expiry_s = {};  // From when it is published.
};

class Session final : public Deadline {
 public:
  struct Filter {
    std::string text;  // As subscribed, "$share/…" and all.
    SubscriptionOptions options;
    std::uint64_t number = 0;  // Of all that the session ever had.
  };
  static constexpr std::uint32_t kForever = 0xffff'ffff;

  Session(Engine& engine, std::string key, std::string client_id, std::uint64_t number,
          std::uint64_t id);
  ~Session() override;

  // Names a session over all shards.
  static std::string keyOf(std::string_view principal, std::string_view client_id);

  const std::string& key() const { return key_; }
  const std::string& clientId() const { return client_id_; }
  // The same for each session of this client, never 0: who published what.
  std::uint64_t number() const { return number_; }
  // Of all sessions that there ever were, on this disk too.
  std::uint64_t id() const { return id_; }
  const Principal& principal() const { return *principal_; }
  const std::shared_ptr<const Principal>& sharedPrincipal() const { return principal_; }
  void setPrincipal(std::shared_ptr<const Principal> principal) {
    principal_ = std::move(principal);
  }
  Connection* connection() const { return connection_; }

  // A connection takes it on, or leaves it (null).
  void attach(Connection* connection);
  // What to do when nobody is connected any more, at the latest after `expiry_s`.
  void setExpiry(std::uint32_t expiry_s) { expiry_s_ = expiry_s; }
  std::uint32_t expiry() const { return expiry_s_; }
  void setWill(Will will) { will_ = std::move(will); }
  bool hasWill() const { return static_cast<bool>(will_.publication); }
  // Without a connection from now on.  kDue: the will, now or after its delay.  kDeferred: this
  // process ends; the next one publishes it, unless the client is back before.
  enum class WillIs { kDue, kGone, kDeferred };
  static constexpr std::int64_t kDeferredNs = 10'000'000'000;  // From the next one's start.
  void leave(WillIs will, std::int64_t now_ns);
  // It ended while no process ran, and is here for its will alone.
  bool isOver() const { return over_; }
  // Publishes the will if there is one, whatever its delay.
  void publishWill();

  // ---- on disk; nothing of this where the session is not kept ----
  bool isKept() const { return kept_; }
  // From now on.
  void keep();  // Whoever calls it records it, too.
  // As it was on disk: kept, and nobody is connected.
  void restore(StoredSession& stored, std::int64_t now_ns, std::int64_t clock_ns);
  // Says on disk what it is now; held by the answer at hand, as all of these.
  void recordSelf();
  void recordFilter(std::string_view text);
  void recordReleased(std::uint16_t packet);
  // The client has the message of this entry: PUBREL is owed.
  void recordReceived(Inflight::Entry& entry);
  // The message left the session, delivered or not.
  void recordDone(const Outgoing& message);
  // All of it goes.
  void recordEnd();
  // It may not be sent before it is on disk.
  bool isUncommitted(const Outgoing& message) {
    return !uncommitted_.empty() && uncommitted_.front() == message.place;
  }
  void committed(std::uint64_t place, Kept kept);
  // Identifiers of QoS 2 from the client that are not on disk yet.
  // `then` is done when it is, and dropped if it cannot be.
  void packetBegun(std::uint16_t packet, std::function<void()> then = {}) {
    packets_.push_back({packet, false, std::move(then)});
  }
  // It came again on another connection meanwhile.  False: it is on disk.
  bool packetAsked(std::uint16_t packet);
  // True: it was asked for.
  bool packetKept(std::uint16_t packet, Kept kept);

  const std::vector<Filter>& filters() const { return filters_; }
  // Adds or replaces; true: it is new.
  bool addFilter(std::string_view text, const SubscriptionOptions& options);
  bool removeFilter(std::string_view text);
  bool hasFilter(std::string_view text) const;

  // Takes a message for the client, or drops and counts it.
  void offer(Outgoing&& message);
  Fifo<Outgoing>& queue() { return queue_; }
  Inflight& inflight() { return inflight_; }
  ReceivedIds& received() { return received_; }
  // The queue's next message left it; `bytes`: of a message that left the session.
  void unqueued(std::uint64_t bytes) { bytes_ -= bytes; }
  std::uint64_t bytes() const { return bytes_; }

  // For one walk over the subscriptions that a topic matches.
  std::uint64_t walk = 0;
  std::uint8_t interests = 0;  // As the desk was told.
  std::size_t match = 0;

 private:
  void due() override;
  void forgetQos0();
  void defer();
  void recordEntry(Outgoing& message);
  void recordWill();

  Engine& engine_;
  const std::string key_;
  const std::string client_id_;
  const std::uint64_t number_;
  const std::uint64_t id_;
  std::shared_ptr<const Principal> principal_;  // Shared with whoever else asked for it.
  Connection* connection_ = nullptr;
  std::uint32_t expiry_s_ = 0;
  std::int64_t ends_ns_ = kNone;
  std::int64_t will_ns_ = kNone;
  Will will_;
  std::vector<Filter> filters_;
  Fifo<Outgoing> queue_;
  Inflight inflight_;
  ReceivedIds received_;
  std::uint64_t bytes_ = 0;  // Of what is queued and in flight.
  std::uint64_t places_ = 0;
  std::uint64_t filter_numbers_ = 0;
  bool kept_ = false;
  bool over_ = false;
  bool will_kept_ = false;
  Fifo<std::uint64_t> uncommitted_;  // Places in the queue, in order.
  struct Packet {
    std::uint16_t id;
    bool asked = false;
    std::function<void()> then;
  };
  std::vector<Packet> packets_;
};

}  // namespace kante::hub
