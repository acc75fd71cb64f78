// Whether a shard that wakes takes the processor from the thread that runs there.
//
// Who wakes a shard has just written to a socket and is mostly about to sleep.  If the
// shard waits those few microseconds, one processor serves the sender, the shard and the receiver
// in turn; if it does not, two of them want to run, and the receiver has to be woken on a processor
// that has gone idle, which costs 20 us.  Where somebody computes for long the same wait would be a
// slice of milliseconds, and the shard has to be let in at once.  The kernel knows both: a thread
// of SCHED_BATCH never takes another's processor when it wakes, and one whose slice is short does.
// Which of them holds the shard learns from how long it waits, by the kernel's own account, and
// from whether processors idle.
//
// Sources: sched(7), sched_setattr(2), /proc/thread-self/schedstat and /proc/uptime in proc(5); the
// slice of an ordinary thread is sched_runtime from Linux 6.12 on, before that it is ignored.
// Measured in docs/performance.md, decided in docs/decisions/0073.
#pragma once

#include <atomic>
#include <cstdint>

#include "host/base/fd.h"

namespace kante {

// The decision alone.  Nanoseconds; `now` of a steady clock, `idle` the sum of what all processors
// have idled so far.  A look is one question, each after kSleeps.
class WakeRule {
 public:
  static constexpr std::uint32_t kSleeps = 16;
  static constexpr std::int64_t kUsual = 500'000;     // For them all; more is a long wait …
  static constexpr std::int64_t kForgiven = 20'000;   // … of which each look forgives this much;
  static constexpr std::int64_t kSumMax = 3'000'000;  // what adds up to more makes it hurry …
  static constexpr std::int64_t kPauseMin = 1'000'000'000;  // … for this long,
  static constexpr std::int64_t kPauseMax = 8'000'000'000;  // twice as long each time …
  static constexpr std::uint32_t kForgotten = 2000;         // … until so many looks went well,
  static constexpr std::int64_t kIdlePart = 2;  // and on while less than this part of one idles.

  bool letsFinish() const { return lets_finish_; }
  // While it lets others finish: it waited that long for a processor during the last kSleeps.
  void waited(std::int64_t ns, std::int64_t now);
  // While it hurries: whether it is time to say how idle the machine was.
  bool isDue(std::int64_t now) const { return now >= until_; }
  void idled(std::int64_t idle, std::int64_t now);

 private:
  bool lets_finish_ = true;
  std::int64_t sum_ = 0;
  std::uint32_t well_ = 0;  // Looks since it lets others finish.
  std::int64_t since_ = 0;  // When the machine had idled for …
  std::int64_t idle_ = 0;
  bool knows_idle_ = false;  // … which is not known when it begins to hurry.
  std::int64_t until_ = 0;   // That it hurries.
  std::int64_t pause_ = kPauseMin;
};

// Of the thread that calls begin(); only that one, but for the counts.  Does nothing where the
// kernel keeps no such account, or the thread was given another policy than SCHED_OTHER.
class WakePolicy {
 public:
  enum class Way : std::uint8_t { kOrdinary, kLetsFinish, kHurries };
  static constexpr std::uint64_t kShortSliceNs = 100'000;  // The kernel's least.

  void begin();
  // After each sleep.  A shard that waits for runners stays ordinary: letting those finish costs
  // a message to one and back 2 us more.
  void woke(bool waits_for_runners) {
    if (waits_for_runners) {
      if (way() != Way::kOrdinary) beOrdinary();
    } else if (++woken_ % WakeRule::kSleeps == 0 && account_) {
      look();
    }
  }

  // While one lives the thread that made it is ordinary, and so are threads that it starts: they
  // inherit the way, and nobody looks how long those wait.
  class Ordinary {
   public:
    Ordinary();
    ~Ordinary();
    Ordinary(const Ordinary&) = delete;
    Ordinary& operator=(const Ordinary&) = delete;

   private:
    Way before_;
  };

  // Any thread.
  Way way() const { return way_.load(std::memory_order_relaxed); }
  std::int64_t waitedNs() const { return waited_.load(std::memory_order_relaxed); }

 private:
  void look();
  void beOrdinary();

  FileDescriptor account_;
  FileDescriptor uptime_;
  WakeRule rule_;
  std::uint32_t woken_ = 0;
  std::atomic<Way> way_{Way::kOrdinary};
  std::atomic<std::int64_t> waited_{0};
};

}  // namespace kante
