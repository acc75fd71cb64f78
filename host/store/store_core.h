// The store's thread, its mailbox and its groups.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host/store/area_table.h"
#include "host/store/environment.h"
#include "host/store/queue_table.h"
#include "host/store/store.h"
#include "host/store/store_clock.h"

namespace kante {

class StoreCore {
 public:
  // Something to be done inside a group.  apply() may run again when the group is tried again, so
  // it changes nothing but what undo takes back.
  struct Operation {
    std::function<void(Transaction&)> apply;
    std::function<void(const Status&)> done;  // After the commit, or with why it failed.
    std::uint64_t bytes = 0;                  // Memory that it holds while it waits.
    bool until_done = false;
  };

  StoreCore(StoreOptions options, const Clock& clock, Log& log);
  ~StoreCore();
  Status open();
  void start();

  // ---- any thread ----
  Offer offer(DurableQueue& queue, Entry& entry, CommitSink* sink, std::uint64_t ticket);
  Offer exchange(StoreExchange& exchange);
  // When the store closed or too much waits, done() is called with that from here.
  void post(Operation operation);
  // As post(), and again each second until it is on disk: for what makes the store smaller.
  void postUntilDone(std::function<void(Transaction&)> apply);
  // As post(), and waits for it.
  Status perform(std::function<Status(Transaction&)> apply);
  void whenRoom(std::function<void()> again);
  StoreStatus status() const;
  std::vector<QueueStats> shown() const;
  std::map<std::string, std::uint64_t> dropped() const;
  void collect(MetricWriter& metrics) const;

  // ---- inside an operation ----
  QueueTable& queues() { return *queues_; }
  AreaTable& areas() { return *areas_; }
  Status applyWrites(Transaction& txn, const std::vector<KeyValue::Write>& writes);
  StoreTime now() const;
  QueueState& state(const DurableQueue& queue) { return queues_->revive(queue.state_); }
  // The handle of a queue, made with its first use.
  DurableQueue* handle(QueueState& queue);

  const std::string& epoch() const { return epoch_; }
  KeyValue& keyValue() { return key_value_; }

 private:
  struct Once;
  struct Request {
    DurableQueue* queue = nullptr;  // An offer when set, else an operation.
    CommitSink* sink = nullptr;
    std::uint64_t ticket = 0;
    std::uint64_t bytes = 0;
    CommitResult result = CommitResult::kCommitted;
    bool joined = false;  // In one transaction with the next one.
    Entry entry;
    std::unique_ptr<Operation> operation;
    std::shared_ptr<Once> once = nullptr;  // Shared with the others of its exchange.
  };
  enum class Appends { kTake, kRefuse };
  static constexpr std::int64_t kRetryNs = 1'000'000'000;
  static constexpr std::int64_t kSweepNs = 1'000'000'000;
  static constexpr std::int64_t kRootEveryNs = 10'000'000'000;
  // Pages of the map that may stay resident when there is nothing to do.
  static constexpr std::uint64_t kResidentBytesMax = 1u << 20;
  static constexpr std::uint64_t kGroupTouches = 16u << 10;  // Roots and branches of five tables.

  Status load(Transaction& txn);
  StoreClock::Wall wall() const;
  void writeRoot(Transaction& txn);
  void run();
  // False when it is time to end.
  bool waitForWork(std::vector<Request>& work);
  std::int64_t nextWakeNs() const;
  void work(std::span<Request> requests);
  void runGroup(std::span<Request> group);
  int tryGroup(std::span<Request> group, Appends appends);
  CommitResult append(Transaction& txn, Request& request, Appends appends, StoreTime time);
  void fulfilTakes(Transaction& txn);
  void succeeded(std::span<Request> group);
  void failed(std::span<Request> group, int rc);
  void answer(std::span<Request> group);
  void release(std::span<Request> group);
  void noteFailure(int rc);
  void noteFailure(const Error& error);
  void noteSuccess();
  bool environmentReady();
  void publish();
  void endTakes();

  const StoreOptions options_;
  const Clock& clock_;
  Log& log_;
  KeyValue key_value_;
  std::string epoch_;

  // The store's thread.
  std::unique_ptr<Environment> environment_;
  std::unique_ptr<QueueTable> queues_;
  std::unique_ptr<AreaTable> areas_;
  StoreClock store_clock_;
  bool broken_environment_ = false;  // LMDB has to be opened again.
  int last_error_ = 0;               // Of the last group that was tried.
  std::uint64_t touched_bytes_ = 0;  // Of the map, since its pages were released.
  bool wrote_ = false;               // The last transaction changed something.
  bool closing_ = false;
  std::int64_t next_root_ns_ = 0;    // Store clock.
  std::int64_t retry_at_ns_ = 0;     // BOOTTIME; 0: nothing failed.
  std::int64_t next_expiry_ns_ = 0;  // Store clock; 0: nothing expires.
  std::int64_t last_sweep_ns_ = 0;
  std::int64_t last_group_ns_ = 0;
  std::vector<Operation> again_;  // Failed, and to be done again.
  std::vector<std::pair<QueueState*, TakenBatch>> taken_;
  std::vector<std::pair<CommitSink*, CommitSink::Done>> answers_;

  mutable std::mutex mutex_;  // Around what follows, and nothing else.
  std::condition_variable wake_;
  std::vector<Request> mailbox_;
  std::vector<std::function<void()>> room_waiters_;
  std::uint64_t waiting_messages_ = 0;  // In the mailbox or in a group.
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t waiting_operation_bytes_ = 0;
  bool sleeping_ = false;
  bool closed_ = false;
  StoreStatus status_;
  std::vector<QueueStats> shown_;  // oldest_ns and next_number are not kept up.

  // Offers that nobody waited for and that did not commit.
  std::atomic<std::uint64_t> refused_offers_{0};

  std::thread thread_;
};

}  // namespace kante
