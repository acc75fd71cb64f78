// The one way of modules into the store: what was offered first is in its mailbox first, also while
// that is full.
//
// An offer that finds the mailbox full is held here, in order, and hasRoom() says no, so that
// senders stop: at most what was already past that question is held.  Any thread; takes its lock
// only while the mailbox is full.
//
// While a Scope is open on a thread, what that thread offers and settles is kept and goes in
// together at its end, in one transaction: a crash leaves a message and what was made of it, or
// neither.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "host/store/store.h"

namespace kante {

// Shared by the sinks that lead through it and by what the store still has to answer.
class StoreDoor : public std::enable_shared_from_this<StoreDoor> {
 public:
  explicit StoreDoor(Store& store) : store_(store) {}
  ~StoreDoor();
  StoreDoor(const StoreDoor&) = delete;
  StoreDoor& operator=(const StoreDoor&) = delete;

  // False: the queue is full and refuses; else the entry is taken and `sink`, which may be null, is
  // told.
  bool offer(DurableQueue& queue, Entry& entry, CommitSink* sink);
  // Acknowledges a message of the queue, with what was offered in this scope or behind what was
  // offered before.
  void settle(DurableQueue& queue, QueueToken message);

  // Nested ones belong to the outermost.  Null: none.
  class Scope {
   public:
    explicit Scope(StoreDoor* door);
    // What is offered in it is taken once, all together.  Not inside another one.
    Scope(StoreDoor* door, OnceOnly once);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    // Between two callbacks: sends what has gathered, if that is much.
    void cut();
    // It may come again: nothing was offered, or not all of it.
    void forgetOnce();

   private:
    StoreDoor* const door_;
  };
  bool hasRoom() const { return !busy_.load(std::memory_order_acquire); }
  // Called once, on whatever thread, when there is room; at once if there is.
  void onRoom(std::function<void()> waker);

 private:
  // More than this is not kept together, whatever one callback does.
  static constexpr std::size_t kTogetherMax = 1024;
  static constexpr std::size_t kTogetherBytesMax = 4u << 20;
  static constexpr std::size_t kCutOffers = 64;
  static constexpr std::size_t kCutDone = 256;

  struct Open {
    StoreDoor* door = nullptr;
    std::uint32_t depth = 0;
    std::size_t bytes = 0;  // Of its offers.
    StoreExchange exchange;
  };
  static Open& open();
  void send(StoreExchange exchange);
  void sendOpen(Open& scope);
  void hold(StoreExchange exchange);
  void waitForRoom();
  void flush();
  bool pass(StoreExchange& exchange);
  static void refuse(StoreExchange::Offered& offered, CommitResult why);

  Store& store_;
  std::atomic<bool> busy_{false};  // With mutex_; something is held.
  std::mutex mutex_;
  std::deque<StoreExchange> held_;
  std::vector<std::function<void()>> wakers_;
  std::atomic<bool> flushing_{false};
};

}  // namespace kante
