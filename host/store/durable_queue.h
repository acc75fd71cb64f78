// A queue of messages on disk: what is offered comes back, in order, until it is acknowledged.
//
// Order of delivery: by priority, then by arrival; with ReadOrder::kLiveFirst, inside one priority,
// what came after the last markBacklog() goes before what came earlier.  A consumer takes batches
// and acknowledges what is done; what is neither acknowledged nor returned when the process ends is
// there again at the next start.  A numbering consumer (the uplink) gets every message with a
// number that is on disk before the batch is handed out; from then on nothing expires, drops or
// overtakes that message.
//
// Handles belong to the Store and live as long as it.  offer() and the atomics: any thread, never
// blocking.  Everything else is posted to the store's thread and answers there by its callback,
// which must be quick and may call any of these again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/message/hop.h"
#include "host/message/message.h"
#include "host/store/record.h"

namespace kante {

class QueueTable;
struct QueueState;
class StoreCore;

inline constexpr std::uint8_t kPriorities = 10;  // 0 first, 9 last.

enum class FullPolicy { kDropLowest, kRefuse };

// Why a message left a queue other than by acknowledgement; append only (indexes counters on disk).
enum class StoreDrop : std::uint8_t { kTtl, kStoreFull, kBudget, kQuarantine, kPurged, kCorrupt };
inline constexpr std::size_t kStoreDrops = 6;
const char* name(StoreDrop reason);

// Where messages go that nobody could handle.  Its bounds are fixed, and it is never detached.
inline constexpr char kQuarantineQueue[] = "quarantine";

struct QueueSpec {
  // 0: only the store's own max_bytes bounds it.
  std::uint64_t messages_max = 0;
  std::uint64_t bytes_max = 0;
  // Absent policy: the store's.
  enum class Full { kStoreDefault, kDropLowest, kRefuse } full = Full::kStoreDefault;
  enum class Order { kFifo, kLiveFirst } order = Order::kFifo;
  // Whether Store::dropped() has its drops, or whoever uses the queue tells them under a better
  // name; so that each is told once.
  enum class DropsTold { kByStore, kByOwner } drops_told = DropsTold::kByStore;
};

struct Entry {
  MessageRef message;
  Hop hop;
  std::uint8_t priority = 9;
  std::int64_t ttl_ns =
      0;  // The route's; 0: none.  The message's own expiry counts too, the earlier wins.
};

enum class CommitResult : std::uint8_t {
  kCommitted,  // On disk (or it had expired already, counted).
  kFull,       // Not taken: no room, policy `refuse`, or disk full.
  kFailed,     // Not taken: the disk failed or the store closed.
};

// Who is told what became of its offers.  Called on the store's thread, once a group and sink; must
// be quick, must not throw, and must live until each of its tickets was answered.
class CommitSink {
 public:
  struct Done {
    std::uint64_t ticket;
    CommitResult result;
  };
  virtual ~CommitSink() = default;
  virtual void onCommitted(std::span<const Done> done) = 0;
};

enum class Offer : std::uint8_t {
  kTaken,  // The sink will be told.
  kBusy,   // The mailbox to the store is full: try again after Store::whenRoom.  Not counted as a
           // drop.
  kFull,   // The queue is full and its policy is `refuse`.  The caller counts the drop: store_full.
};

// Where a message stands in its queue; stable while it is stored.
struct QueueToken {
  std::uint8_t priority = 0;
  std::uint64_t position = 0;
  friend auto operator<=>(const QueueToken&, const QueueToken&) = default;
};

struct TakenMessage {
  QueueToken token;
  std::uint64_t number = 0;  // 0 for consumers that do not number.
  std::uint64_t dropped =
      0;  // Of the queue's messages, before they had a number, up to this one's.
  RecordView record;
  std::int64_t waited_ns = 0;  // In the queue, on the store's clock.
  bool backlog = false;        // It was there at the last markBacklog() and had no number yet.
};

// Names a stored message also after a restart.
struct StoredMessage {
  std::uint32_t queue = 0;  // DurableQueue::id(); 0: none.
  QueueToken token;
  MessageId id;  // Another store, or another message in that place, is not meant.
};

// Messages copied out of the store, with the memory that their views borrow from.
struct TakenBatch {
  // A number whose message rotted on disk.  To be acknowledged when that has been reported.
  struct Lost {
    QueueToken token;
    std::uint64_t number = 0;
  };
  std::vector<TakenMessage> messages;
  std::vector<Lost> lost;
  std::vector<std::vector<std::uint64_t>> memory;
  std::uint32_t backlog = 0;  // How many of the messages are backlog.
  bool held = false;          // The request's gate let one not pass: all behind it waits.
  bool full = false;          // There was no room for the next one.
};

enum class Numbering : std::uint8_t { kNone, kNumbers };

// Whether it is remembered on disk what was handed out, so that after a crash each message says how
// often it came already.
enum class Handing : std::uint8_t { kForgotten, kRemembered };

// How a message comes back.
enum class Return : std::uint8_t {
  kUntouched,  // Nobody saw it.
  kDelivered,  // It was seen and did not fail: put off, or its consumer went.
  kFailed,     // One attempt more.
};

// What decides of each message, in the order of handing out, whether the batch may have it.  Called
// on the store's thread; must be quick.
class TakeGate {
 public:
  virtual ~TakeGate() = default;
  virtual void begin() = 0;  // A batch begins; an earlier one was not handed out.
  virtual bool admit(const TakenMessage& message) = 0;
};

struct TakeRequest {
  // Numbers are given so that messages of one source, priority and age (backlog or not) are
  // neighbours.
  enum class Grouping : std::uint8_t { kNone, kBySource };

  std::uint32_t messages_max = 64;    // At most kTakeMessagesMax.
  std::uint32_t bytes_max = 262'144;  // At most kTakeBytesMax; one message always fits.
  Numbering numbering = Numbering::kNone;
  Handing handing = Handing::kForgotten;
  std::uint32_t backlog_max = 0xffffffff;  // Messages that are backlog.
  Grouping grouping = Grouping::kNone;
  std::shared_ptr<TakeGate> gate = nullptr;  // Shared with whoever made the request.
};
inline constexpr std::uint32_t kTakeMessagesMax = 4096;
inline constexpr std::uint32_t kTakeBytesMax = 256u << 10;

struct QueueStats {
  std::string name;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::int64_t oldest_ns = 0;  // Age on the store's clock; 0 when empty.
  std::uint64_t next_number = 1;
  bool detached = false;  // No route names it and nobody reads it.
  std::array<std::uint64_t, kStoreDrops> dropped{};
};

// What `kante queue inspect` shows of one message.
struct InspectedMessage {
  std::string id;  // 32 hexadecimal digits.
  QueueToken token;
  std::int64_t enqueued_wall_ns = 0;
  std::uint32_t attempts = 0;
  std::uint64_t number = 0;  // 0: not yet sent.
  std::string reason;
  std::string origin;  // The queue that it came from; of quarantined ones.
  std::string source;  // telemetry_name
  std::vector<std::pair<std::string, std::string>> properties;
  std::string content_type;
  std::string body;
};

class DurableQueue;

// What one sender numbered, to be taken once however often it comes.  The numbers that were taken
// are a row of the key-value areas; another series, as the epoch of the sender's store is, begins
// anew.
struct OnceOnly {
  std::string area;
  std::string key;
  std::string series;  // Without a space.
  std::uint64_t number = 0;
  // One more for each that had been taken already.  Shared with whoever shows it; may be null.
  std::shared_ptr<std::atomic<std::uint64_t>> repeated = nullptr;
};

// What a consumer made of messages and which ones it is done with: committed in one transaction, so
// that a crash leaves both or neither.  An offer that a full queue refuses does not hold the others
// up; where nothing can be written, what it was done with comes again.
struct StoreExchange {
  struct Offered {
    DurableQueue* queue = nullptr;
    Entry entry;
    CommitSink* sink = nullptr;
  };
  struct Done {
    DurableQueue* queue = nullptr;
    std::vector<QueueToken> tokens;
  };
  std::vector<Offered> offers;
  std::vector<Done> done;
  // Of all offers together.  Taken before: they are told that they are committed and nothing is
  // written.  It counts as taken when every one of them was.
  std::optional<OnceOnly> once;
  bool empty() const { return offers.empty() && done.empty() && !once; }
};

class DurableQueue {
 public:
  const std::string& name() const { return name_; }
  // The same over restarts, until the queue is empty and detached.
  std::uint32_t id() const { return id_.load(std::memory_order_relaxed); }

  // Takes the entry over when the answer is kTaken; leaves it alone otherwise.
  Offer offer(Entry& entry, CommitSink* sink = nullptr, std::uint64_t ticket = 0);

  // Hands out what is next, as soon as there is something, or the gate holds it (it waits for that,
  // one request at a time: a second one replaces the first, whose callback then never comes).
  // kState: the store closed.
  using OnTaken = std::function<void(Result<TakenBatch>)>;
  void take(TakeRequest request, OnTaken on_taken);
  void cancelTake();
  // `done`: from now on no callback of an earlier take comes.
  void cancelTake(std::function<void()> done);
  // Done with them: they are removed.  Unknown tokens are ignored.
  void acknowledge(std::vector<QueueToken> tokens);
  // Not done: they come again, before others of their priority; numbered ones with their number
  // and before everything else, as they were.
  void giveBack(std::vector<QueueToken> tokens, Return how = Return::kFailed);
  // Moves it to the queue `quarantine` with the reason, in one transaction; kFailed counts one
  // attempt more.
  void quarantine(QueueToken token, std::string reason, Return how = Return::kUntouched);
  // Everything in the queue now is backlog; kLiveFirst: what comes later goes before it.
  void markBacklog();
  // Keeps `keep` of what has no number yet and removes the rest (of a large rest a part; `done`
  // says when), lowest priority first, of it the oldest.
  void dropBeyond(std::uint64_t keep, StoreDrop reason, std::function<void()> done = {});

  void setSpec(QueueSpec spec);
  void stats(std::function<void(QueueStats)> done);
  void inspect(std::uint32_t messages_max,
               std::function<void(Result<std::vector<InspectedMessage>>)> done);
  // Removes what is there now and has no number yet, of much a part at a time, so that others are
  // not held up; says how many.  Counted as kPurged.
  using Purged = std::function<void(Result<std::uint64_t>)>;
  void purge(Purged done);

  // As of the last commit.
  std::uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t nextNumber() const { return next_number_.load(std::memory_order_relaxed); }
  // Offers without a sink that were taken and then not committed: full or failing.  Of this life.
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // Full, and the policy is `refuse`.
  bool refuses() const { return refusing_.load(std::memory_order_relaxed); }
  void countRefused() { refused_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t dropped(StoreDrop reason) const {
    return dropped_[static_cast<std::size_t>(reason)].load(std::memory_order_relaxed);
  }

  DurableQueue(const DurableQueue&) = delete;
  DurableQueue& operator=(const DurableQueue&) = delete;

 private:
  struct Purge;
  void purgePart(std::shared_ptr<Purge> purge);
  friend class QueueTable;
  friend class Store;
  friend class StoreCore;
  DurableQueue(StoreCore& core, QueueState& state, std::string name)
      : core_(core), state_(state), name_(std::move(name)) {}

  StoreCore& core_;
  QueueState& state_;  // Of the store's thread.
  std::atomic<std::uint32_t> id_{0};
  const std::string name_;
  std::atomic<std::uint64_t> messages_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> next_number_{1};
  std::array<std::atomic<std::uint64_t>, kStoreDrops> dropped_{};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<bool> refusing_{false};  // Full, and the policy is `refuse`.
};

}  // namespace kante
