// One thread with its own event loop and message pool.  Everything that a message touches between
// two modules of one shard lives on it, so nothing there takes a lock.
//
// A shard works in turns: it looks at the reactor and at the rings of other processes (polling.h),
// takes what other threads sent, then lets its runnables (lanes) run in slices until none is left
// or the turn has lasted kTurnNs.  A message emitted in a turn is handled in the same turn, by a
// trampoline and never by recursion.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "host/message/seal.h"
#include "host/shard/callback_slot.h"
#include "host/shard/delivery.h"
#include "host/shard/mail.h"
#include "host/shard/polling.h"
#include "host/shard/reactor.h"
#include "host/shard/runnable.h"
#include "host/shard/wake_policy.h"

namespace kante {

class Lane;

class Shard : public std::enable_shared_from_this<Shard> {
 public:
  static constexpr std::int64_t kTurnNs = 50'000;
  static constexpr std::uint32_t kBatch = 64;  // Deliveries that cross to another shard at once.

  using Task = std::function<void()>;

  // slot: where this shard notes what it calls; lives as long as the shard.
  Shard(std::uint32_t index, CallbackSlot* slot);
  ~Shard();  // After stop().
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  void start();
  // Ends the loop once every task that was posted has run, and joins.  Any other thread.
  void stop();

  // What arrives there in the order in which one sender sent it, lanes' deliveries included.  Any
  // thread; wakes the shard if needed.
  void take(std::unique_ptr<Mail> mail);

  // Runs the task on this shard's thread, in order of posting; once the loop has ended it is
  // discarded instead.  Any thread; wakes the shard if needed.
  void post(Task task);

  // ---- this shard's thread only ----
  void runLater(Runnable& runnable);
  // Takes it out of the run queue; afterwards it may be destroyed.
  void deschedule(Runnable& runnable);
  // A delivery for a lane of another shard; it leaves with its batch.
  void send(Shard& target, Lane& lane, Delivery&& delivery);

  // The rings of other processes that this shard looks at.  Its counts: any thread.
  Polling& polling() { return polling_; }
  // Its counts: any thread.
  const WakePolicy& wakePolicy() const { return wake_policy_; }

  bool onThisThread() const { return current_ == this; }
  static Shard* current() { return current_; }
  std::uint32_t index() const { return index_; }
  Reactor& reactor() { return reactor_; }
  Stamp& stamp() { return stamp_; }
  CallbackSlot& slot() { return *slot_; }
  // Both as of the beginning of this turn.
  std::int64_t bootNs() const { return boot_ns_; }
  std::int64_t wallNs() const { return stamp_.now_ns; }

  std::uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }

 private:
  class Batch;
  void loop();
  bool hasMail() const;
  bool spin();
  void sleep();
  void lookAtReactor();
  bool closeIfIdle();
  void discardMail();
  void turn();
  void takeMail();
  void flush();
  void flushTo(std::size_t target);
  void readClocks();

  static thread_local constinit Shard* current_;

  const std::uint32_t index_;
  CallbackSlot* const slot_;
  Reactor reactor_;
  Polling polling_{reactor_};
  WakePolicy wake_policy_;
  std::thread thread_;
  Stamp stamp_;
  std::int64_t boot_ns_ = 0;
  std::int64_t reactor_ns_ = 0;  // When the reactor was looked at …
  bool looked_ = false;          // … which was just now.

  Runnable* first_ = nullptr;  // Run queue, first in first out.
  Runnable* last_ = nullptr;

  // Outgoing, by target; this thread only.
  std::vector<std::pair<Shard*, Batch*>> outbox_;

  // Incoming.
  std::atomic<Mail*> mail_{nullptr};  // Last in first out; reversed when taken.
  std::mutex tasks_mutex_;            // Control only: no message passes it.
  std::vector<Task> tasks_;
  bool closed_ = false;  // With tasks_.
  std::atomic<bool> has_tasks_{false};
  std::atomic<bool> asleep_{false};  // Whoever clears it owes the wake-up.
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> turns_{0};
};

}  // namespace kante
