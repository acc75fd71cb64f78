// What a shard waits for beside its rings: descriptors, moments, and a wake from another thread.
//
// One epoll set, so that between a packet and whoever reads it lies one return from the kernel.
// All descriptors are edge-triggered: registered once, and asked until they have nothing more.
// Moments are exact, by one timerfd that is set when the earliest of them changes; a heap keeps
// them.  A look takes what the kernel has; dispatch() tells it to whom it concerns, which is
// another step so that a shard can read its clocks in between.
//
// Of one shard, on its thread, but for wake().
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "host/base/fd.h"
#include "host/base/result.h"

namespace kante {

// Whoever has a descriptor.
class Watched {
 public:
  // Some of epoll's events; there may have been none, and there may be more.  It may forget any
  // descriptor and set or cancel any timer, its own too, and may be destroyed.
  virtual void ready(std::uint32_t events) = 0;

 protected:
  ~Watched() = default;
};

class Timer;

class Reactor {
 public:
  static constexpr int kEvents = 64;  // Taken from the kernel at once.
  enum class Look : bool { kNow, kUntilSomething };

  Reactor();   // Throws std::system_error when the kernel has no descriptor for it.
  ~Reactor();  // No moment comes any more.
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Until forget(); says at once what it is ready for.  `events` as of epoll, EPOLLET is added.
  Status watch(int descriptor, std::uint32_t events, Watched& watched);
  // Before the descriptor is closed or given away.
  void forget(int descriptor, const Watched& watched);

  // Takes what is ready; until something is, or a moment has come, or wake().
  void look(Look how);
  // Tells it.  True: there was something.
  bool dispatch();

  // Any thread.  Ends a look that blocks, or the next one.
  void wake() const;

 private:
  friend class Timer;
  using Clock = std::chrono::steady_clock;

  void add(Timer& timer);
  void remove(Timer& timer);
  void place(std::size_t at, Timer* timer);
  void rise(std::size_t at);
  void sink(std::size_t at);
  void arm();
  bool expire();

  FileDescriptor set_;
  FileDescriptor wakes_;   // An eventfd; edge-triggered, so nobody reads it.
  FileDescriptor moment_;  // A timerfd; the same.
  std::array<epoll_event, kEvents> events_;
  int count_ = 0;  // Of events_, which are to be told.
  int told_ = 0;
  bool looked_ = false;
  std::vector<Timer*> heap_;  // The earliest first.
  Clock::time_point armed_ = Clock::time_point::max();
};

// A moment that somebody waits for: a member of his.  Destroyed on the shard's thread, unless it is
// not set.
class Timer {
 public:
  using Clock = std::chrono::steady_clock;  // Stands still while the machine sleeps.

  explicit Timer(Reactor& reactor) : reactor_(reactor) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls `due` once, at that moment or a little later, on the shard's thread.  What it was set to
  // before is forgotten.
  void set(Clock::time_point at, std::function<void()> due);
  void set(Clock::duration after, std::function<void()> due) {
    set(Clock::now() + after, std::move(due));
  }
  void cancel();
  bool isSet() const { return place_ != kNowhere; }
  Clock::time_point at() const { return at_; }  // If it is set.

 private:
  friend class Reactor;
  static constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

  Reactor& reactor_;
  Clock::time_point at_{};
  std::function<void()> due_;
  std::size_t place_ = kNowhere;  // In the heap.
};

}  // namespace kante
