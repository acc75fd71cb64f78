// The durable queues inside a transaction: what a group does to them on disk and in memory.
//
// Lives on the store's thread.  A group begins with begin(); then either writeBack() and
// committed(), or undo(), which puts the memory back to what the disk says.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/store/durable_queue.h"
#include "host/store/transaction.h"
#include "host/store/undo.h"

namespace kante {

struct StoreTime {
  std::int64_t store_ns = 0;
  std::int64_t wall_ns = 0;
};

// What is on disk of a queue beside its messages; written whenever it changes.
struct QueueCounts {
  std::uint32_t id = 0;
  std::uint32_t reserved = 0;
  std::uint64_t next_position = 1;
  std::uint64_t next_number = 1;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t unnumbered_drops = 0;  // kante-dropped
  std::array<std::uint64_t, kPriorities> by_priority{};
  std::array<std::uint64_t, 8> dropped{};  // By StoreDrop; two are spare.
};
static_assert(sizeof(QueueCounts) == 192);

struct QueueState {
  static constexpr std::uint64_t kNoLive = std::numeric_limits<std::uint64_t>::max();

  // Where reading goes on, by priority: nothing before it is untaken.
  struct Reading {
    std::array<std::uint64_t, kPriorities> backlog{};
    std::array<std::uint64_t, kPriorities> live{};
    std::uint64_t live_from = kNoLive;  // Positions from here on are read first.
    // Of what an earlier life had handed out: up to where it is counted in the records.
    std::array<std::uint64_t, kPriorities> recounted{};
    std::uint64_t backlog_until = 0;  // Positions before it are backlog.
  };
  // A run of numbers given together; `open` of them are not acknowledged.
  struct Range {
    std::uint64_t open = 0;
    std::uint64_t dropped = 0;
  };
  struct Again {
    QueueToken token;
    std::uint64_t number;
  };
  struct Waiting {
    TakeRequest request;
    DurableQueue::OnTaken on_taken;
  };

  std::string name;
  QueueSpec spec;
  QueueCounts counts;
  Reading reading;
  std::map<QueueToken, std::uint64_t> taken;  // Not to be taken again, with their number (0: none).
  std::map<std::uint64_t, Range> ranges;      // By first number.
  // Handing::kRemembered: highest position that is out, by priority, as on disk; and what an
  // earlier life left there.
  std::array<std::uint64_t, kPriorities> handed{};
  std::array<std::uint64_t, kPriorities> handed_before{};
  bool remembers = false;
  std::deque<Again> again;  // Numbered in an earlier life, not handed out in this.
  std::optional<Waiting> waiting;
  std::unique_ptr<DurableQueue> handle;
  bool attached = false;  // A route names it, or somebody reads it.

  bool hasUntaken() const { return counts.messages > taken.size() || !again.empty(); }
};

class QueueTable {
 public:
  static constexpr std::size_t kKeyBytes = 13;
  static constexpr std::uint32_t kSweptPerGroup = 1000;
  static constexpr std::uint32_t kPurgedPerGroup = 1000;
  static constexpr std::uint32_t kDroppedAtOnce = 5000;
  static constexpr std::uint64_t kQuarantineMessagesMax = 10'000;
  static constexpr std::uint64_t kQuarantineBytesMax = 16u << 20;

  struct Bounds {
    std::uint64_t bytes_max = 0;
    FullPolicy full = FullPolicy::kDropLowest;
  };
  explicit QueueTable(Bounds bounds) : bounds_(bounds) {}

  void setBounds(Bounds bounds) { bounds_ = bounds; }

  // Reads every queue's counts and open numbers; what memory already holds as taken stays taken.
  Status load(Transaction& txn);
  QueueState* find(const std::string& name);
  // Made if it is new; null when there are too many.
  QueueState* make(Transaction& txn, const std::string& name);
  // One that was forgotten when it was empty is made again.
  QueueState& revive(QueueState& queue);
  const std::vector<std::unique_ptr<QueueState>>& all() const { return queues_; }
  QueueState* byId(std::uint32_t id);
  static void setSpec(QueueState& queue, const QueueSpec& spec);
  // Nobody feeds it and nobody reads it; quarantine never is.
  static bool detached(const QueueState& queue);
  // Detached, empty, and without numbers that would have to go on: not worth showing or keeping.
  static bool idle(const QueueState& queue);

  // Shows a queue's counts in its handle, if it has one.
  void publish(QueueState& queue);

  void begin() { KANTE_ASSERT(touched_.empty()); }
  void writeBack(Transaction& txn);
  void committed();  // Also shows the new counts in the queues' handles.
  void undo();

  CommitResult append(Transaction& txn, QueueState& queue, const Entry& entry, StoreTime now);
  void acknowledge(Transaction& txn, QueueState& queue, const std::vector<QueueToken>& tokens);
  void giveBack(Transaction& txn, QueueState& queue, const std::vector<QueueToken>& tokens,
                Return how);
  void quarantine(Transaction& txn, QueueState& queue, QueueToken token, const std::string& reason,
                  Return how);
  // A message that was in no queue.
  Status quarantine(Transaction& txn, const Entry& entry, const std::string& reason,
                    const std::string& origin, StoreTime now);
  // Back into the queue it came from, whose name is the answer.
  Result<std::string> requeue(Transaction& txn, const std::string& id, StoreTime now);
  // A delivery that ended with an earlier life.  False when the message is not there any more.
  bool failStored(Transaction& txn, const StoredMessage& message, std::uint32_t attempts_max,
                  const std::string& reason);
  // Empty when there is nothing to take.
  TakenBatch take(Transaction& txn, QueueState& queue, const TakeRequest& request, StoreTime now);
  void markBacklog(QueueState& queue);
  // Of what came before this position and has no number, a part: 0 when nothing is left of it.
  std::uint64_t purge(Transaction& txn, QueueState& queue, std::uint64_t before);
  void dropBeyond(Transaction& txn, QueueState& queue, std::uint64_t keep, StoreDrop reason);
  void sweepExpired(Transaction& txn, StoreTime now);
  QueueStats stats(Transaction& txn, const QueueState& queue, StoreTime now);
  std::vector<InspectedMessage> inspect(Transaction& txn, const QueueState& queue,
                                        std::uint32_t messages_max, StoreTime now);

  // When the next message expires, on the store's clock; 0: none does.
  std::int64_t nextExpiry(Transaction& txn);
  std::uint64_t bytes() const { return bytes_; }
  // Bytes that others keep in the same environment, counted against the same bound.
  void setOtherBytes(std::uint64_t bytes) { other_bytes_ = bytes; }
  bool full(const QueueState& queue, std::uint64_t more) const;
  // Of all queues since this process began, committed.  Any thread.
  std::uint64_t dropped(StoreDrop reason) const {
    return drops_[static_cast<std::size_t>(reason)].load(std::memory_order_relaxed);
  }

 private:
  struct Saved {
    QueueState* queue;
    QueueCounts counts;
    QueueState::Reading reading;
  };
  enum class Room { kYes, kDropIncoming, kNo };

  static QueueSpec quarantineSpec() {
    QueueSpec spec;
    spec.messages_max = kQuarantineMessagesMax;
    spec.bytes_max = kQuarantineBytesMax;
    spec.full = QueueSpec::Full::kDropLowest;
    return spec;
  }
  QueueState& admit(const std::string& name);
  static RecordView recordOf(const Entry& entry, StoreTime now);
  std::unique_ptr<QueueState> stateNamed(const std::string& name);
  void keep(std::unique_ptr<QueueState> queue);
  void leave(QueueState& queue);
  void forgetEmpty(Transaction& txn);
  static void forget(Transaction& txn, const std::string& name, std::uint32_t id);
  bool isTouched(const QueueState& queue) const;
  void countCommitted(const QueueState& queue, const QueueCounts& before);
  void touch(QueueState& queue);
  FullPolicy policy(const QueueState& queue) const;
  Room makeRoom(Transaction& txn, QueueState& queue, std::uint64_t bytes, std::uint8_t priority);
  bool dropOne(Transaction& txn, QueueState& queue, std::uint8_t priority, StoreDrop reason);
  QueueState* largestDroppable();
  bool remove(Transaction& txn, QueueState& queue, QueueToken token);
  void countDrop(QueueState& queue, StoreDrop reason, std::uint64_t count = 1);
  void insert(Transaction& txn, QueueState& queue, std::uint8_t priority, const RecordView& record);
  void setTaken(QueueState& queue, QueueToken token, std::uint64_t number);
  void settle(Transaction& txn, QueueState& queue, QueueToken token);
  void settleNumber(Transaction& txn, QueueState& queue, std::uint64_t number);
  void takeAgain(Transaction& txn, QueueState& queue, const TakeRequest& request, TakenBatch& batch,
                 std::uint64_t& bytes);
  // From `next` on, which it moves, up to but without `end`.
  void takeRegion(Transaction& txn, QueueState& queue, std::uint8_t priority, std::uint64_t& next,
                  std::uint64_t end, const TakeRequest& request, StoreTime now, TakenBatch& batch,
                  std::uint64_t& bytes);
  void recount(Transaction& txn, QueueState& queue, QueueToken token, Return how);
  // Inside the transaction of a take: what was handed out in an earlier life says so from now on.
  void remember(Transaction& txn, QueueState& queue, TakenBatch& batch);
  void writeHanded(Transaction& txn, QueueState& queue);
  static void loadHanded(QueueState& queue, std::string_view entries);
  void giveNumbers(Transaction& txn, QueueState& queue, TakenBatch& batch, std::size_t first);
  Status loadNumbers(Transaction& txn);

  Bounds bounds_;
  std::vector<std::unique_ptr<QueueState>> queues_;
  std::map<std::string, QueueState*> by_name_;
  std::map<std::uint32_t, QueueState*> by_id_;
  std::map<std::string, std::unique_ptr<QueueState>> gone_;  // Not on disk; handles may know them.
  std::uint64_t bytes_ = 0;
  std::uint64_t other_bytes_ = 0;
  std::vector<Saved> touched_;
  std::array<std::atomic<std::uint64_t>, kStoreDrops> drops_{};
  std::vector<QueueState*> refusing_;  // Those whose handles refuse until there is room.
  std::vector<Undo> undo_;
};

}  // namespace kante
