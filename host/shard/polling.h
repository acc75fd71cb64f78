// What other processes may give to a shard without its reactor hearing of it: the ends of shared
// rings, which the shard looks at each turn.
//
// While nothing comes, a look is a load from a cached line.  Before the shard sleeps each of them
// says that it does, one full fence follows, and all are looked at again; only then does the shard
// enter its reactor, which a doorbell ends.  Nobody has to read a doorbell, as the reactor is
// edge-triggered: they are shared with whoever rings, who could make a read block.  Those whom the
// shard has to wake itself it wakes once a turn, at its end, because that may cost as much as
// twenty messages.  Before it sleeps a shard with something to poll yields for kSpinNs, the price
// of a wake, as long as that finds something now and then.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "host/base/result.h"
#include "host/shard/reactor.h"
#include "host/shard/runnable.h"

namespace kante {

// Runs when it has work, as any runnable, and is asked for that each turn.
class Polled : public Runnable, public Watched {
 public:
  // Whether there is something for run(), or the end of it to be found out.
  virtual bool hasWork() const = 0;
  // The shard is about to block: from here on whoever brings work must ring.
  virtual void fallAsleep() = 0;
  virtual void wakeUp() = 0;
  // The turn in which it said that it owes() is over: whoever sleeps for it is woken now.
  virtual void turnEnds() {}
  // Its doorbell rang; comes before the look for work, and for a ring that brought none as well.
  virtual void rang() {}
  // About once in kTickMs, awake or asleep.  Neither this nor rang() may take any out of the list.
  virtual void tick() {}

  void ready(std::uint32_t) final { rang(); }
};

// Of one shard, on its thread, but for the counts.
class Polling {
 public:
  static constexpr std::int64_t kSpinNs = 20'000;
  static constexpr std::uint32_t kVainMax = 4;  // Spins in vain, in a row, after which …
  static constexpr std::uint32_t kSkip = 16;    // … one in so many is tried.
  static constexpr std::int64_t kTickMs = 1000;

  explicit Polling(Reactor& reactor) : reactor_(reactor), tick_(reactor) {}

  // `doorbell` is an eventfd that stays open until remove(); it is never read.
  Status add(Polled& polled, int doorbell);
  void remove(Polled& polled, int doorbell);

  bool empty() const { return all_.empty(); }
  const std::vector<Polled*>& all() const { return all_; }
  bool hasWork() const;
  void fallAsleep();  // Ends with the full fence.
  void wakeUp();

  void owes(Polled& polled) { owing_.push_back(&polled); }  // turnEnds() follows.
  void turnEnds();

  // Whether a spin is worth a try now; then spun() says how it went.
  bool wantsSpin();
  void spun(bool found);

  // Any thread.
  std::uint64_t spinsWon() const { return won_.load(std::memory_order_relaxed); }
  std::uint64_t spinsLost() const { return lost_.load(std::memory_order_relaxed); }
  std::uint64_t sleeps() const { return sleeps_.load(std::memory_order_relaxed); }

 private:
  void armTick();
  static void increment(std::atomic<std::uint64_t>& count) {
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  Reactor& reactor_;
  Timer tick_;  // While there is any.
  std::vector<Polled*> all_;
  std::vector<Polled*> owing_;
  std::uint32_t vain_ = 0;
  std::uint32_t skipped_ = 0;
  std::atomic<std::uint64_t> won_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> sleeps_{0};
};

}  // namespace kante
