// How much of its shard's time a module may take with what it sends.
//
// A limit of CPU binds the runner's process alone; what that sends the shard has to take and to
// hand over beside everybody else's, and a message costs it more than it cost the module.  So of N
// percent of a core the shard gives N/8 to taking; with handing over, wakes and colder caches that
// is about N/3 of its time, and where N is 10 the others on it keep 95 %.  What does not fit waits
// in the module's ring, and its credit makes the module wait.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kante {

// One thread's.  Nanoseconds: what was used of that thread's CPU time, `now` of a steady clock.
class ShardShare {
 public:
  static constexpr std::int64_t kSaved = 20'000'000;  // Of its time unused it may take at once …
  static constexpr std::int64_t kPause = 2'000'000;   // … and once that is gone, this long's.
  static constexpr std::int64_t kPauseMax = 100'000'000;  // One slice too long stops nobody.

  // Of one core, not 0.
  explicit ShardShare(std::uint32_t cpu_percent) : percent_(cpu_percent) {}

  // It took `used` until `now`.  Returns the time until it may take again, 0: it may.
  std::int64_t use(std::int64_t used, std::int64_t now) {
    refill(now);
    left_ -= used;
    if (left_ > 0) return 0;
    left_ = std::max(left_, (kPause - kPauseMax) * percent_ / kPartOf);
    return kPause - left_ * kPartOf / percent_;
  }

 private:
  static constexpr std::int64_t kPartOf = 800;

  void refill(std::int64_t now) {
    left_ = began_ ? left_ + (now - since_) * percent_ / kPartOf : kSaved * percent_ / kPartOf;
    left_ = std::min(left_, kSaved * percent_ / kPartOf);
    began_ = true;
    since_ = now;
  }

  const std::int64_t percent_;
  std::int64_t left_ = 0;  // Less than nothing after a slice too long.
  std::int64_t since_ = 0;
  bool began_ = false;
};

}  // namespace kante
