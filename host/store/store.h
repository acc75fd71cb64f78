// The store: durable queues and key-value areas in one LMDB environment, touched by one thread.
//
// What other threads ask goes into a bounded mailbox; the store's thread commits whatever gathered
// there during the last fsync as one transaction (a group: at most kGroupMessages or kGroupBytes).
// A full or failing disk is answered, never a crash: offers follow the full policy, the rest gets
// kIo.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/store/durable_queue.h"
#include "host/store/key_value.h"
#include "host/store/store_clock.h"

namespace kante {

class Clock;
class Log;
class MetricWriter;

enum class SyncPolicy { kAlways, kInterval };

struct StoreOptions {
  std::string directory;  // Made if absent (0700).  A broken one becomes directory + ".broken-N".
  std::uint64_t max_bytes = 268'435'456;  // Keys and bodies as we count them.
  FullPolicy full = FullPolicy::kDropLowest;
  SyncPolicy sync = SyncPolicy::kAlways;
  std::int64_t sync_ms = 200;  // kInterval: a group is closed this often.
  // What the wall clock is worth; empty: it is trusted.  Called on the store's thread.
  std::function<StoreClock::Wall()> wall;
  std::string boot_id;  // Of this boot of the machine; empty: unknown.
};

struct StoreStatus {
  std::uint64_t bytes = 0;      // Keys and bodies.
  std::uint64_t max_bytes = 0;  // What this disk allows, at most what was asked for.
  std::uint64_t map_bytes = 0;  // Allocated on disk.
  std::string epoch;            // 32 hexadecimal digits.
  bool durable = true;    // False: under 2 MiB are left for messages, durable routes are refused.
  bool failing = false;   // The last commit failed.
  std::string failure;    // Why; empty when all is well.
  std::string set_aside;  // Where a broken store went at this start; empty: nowhere.
  std::uint64_t groups = 0;          // Commits since start.
  std::uint64_t group_messages = 0;  // Messages in them.
};

class Store {
 public:
  static constexpr std::uint32_t kGroupMessages = 1000;
  static constexpr std::uint64_t kGroupBytes = 1u << 20;
  // Waiting for the store's thread.
  static constexpr std::uint32_t kMailboxMessages = 8192;
  static constexpr std::uint64_t kMailboxBytes = 8u << 20;
  static constexpr std::uint64_t kKeyValueBytesWaiting = 64u << 20;
  static constexpr std::uint32_t kQueuesMax = 4096;
  static constexpr std::size_t kQueueNameBytesMax = 400;  // LMDB's keys end at 511.

  // Opens or makes it and starts its thread.  `clock` and `log` outlive it.  Fails when the
  // directory cannot be made or is held by another process; a broken store is set aside and a new
  // one begins.
  static Result<std::unique_ptr<Store>> open(StoreOptions options, const Clock& clock, Log& log);
  // Commits what was taken, answers everybody, joins the thread.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The queue of this name (CONTRACTS.md section 3), made if it is new, and attached: somebody
  // feeds or reads it.  The spec replaces the one it had.  Waits for the store's thread: control
  // thread only.  kLimit: kQueuesMax, or the store is not durable.
  Result<DurableQueue*> queue(const std::string& name, QueueSpec spec = {});
  // Nobody feeds or reads it any more: what it holds is kept until queue() attaches it again, it
  // expires or is purged.  A consumer gives back what it has taken before.  The handle stays good.
  // At the start every queue is detached.
  void detach(DurableQueue& queue);
  // One that is there, its spec untouched; kNotFound.  Waits: control thread only.
  Result<DurableQueue*> find(const std::string& name);
  // All but empty ones that nobody uses: those are forgotten.  Waits: control thread only.
  Result<std::vector<QueueStats>> queues();
  // A delivery that an earlier life of the process did not survive: one failed attempt more, and to
  // `quarantine` with the reason when that makes attempts_max.  False when the message is not
  // there (any more).  Before anything is taken from its queue.  Waits: control thread only.
  Result<bool> failStored(const StoredMessage& message, std::uint32_t attempts_max,
                          const std::string& reason);
  // Puts a message that was in no queue into `quarantine`; `origin` names the queue it would have
  // been in, else it is empty.  Waits: control thread only.
  Status quarantine(const Entry& entry, const std::string& reason, const std::string& origin);
  // Puts the quarantined message with this id (32 hexadecimal digits) back into the queue that it
  // came from and says which; it has its priority, no expiry and no failed attempt.  kNotFound: no
  // such message, or no route names its queue any more; kState: it came from none; kLimit: the
  // queue is full.  Then it stays where it is.  Waits: control thread only.
  Result<std::string> requeue(const std::string& id);
  KeyValue& keyValue();

  // All of it, or kBusy; then the exchange is left alone.  Any thread.
  Offer exchange(StoreExchange& exchange);

  // `again` is called once, on the store's thread, when the mailbox is half empty (at once if it
  // is).
  void whenRoom(std::function<void()> again);

  const std::string& epoch() const;
  // Messages that were accepted and left undelivered since this process began, by reason.  Any
  // thread.
  std::map<std::string, std::uint64_t> dropped() const;
  StoreStatus status() const;  // Any thread.
  // As queues(), as of the last commit and without ages and numbers: any thread, waits for nobody.
  std::vector<QueueStats> shown() const;
  void collect(MetricWriter& metrics) const;  // Any thread.

 private:
  explicit Store(std::unique_ptr<StoreCore> core);
  std::unique_ptr<StoreCore> core_;
};

}  // namespace kante
