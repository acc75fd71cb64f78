// The timers of a module (kante.timers/1), on CLOCK_BOOTTIME: times are arguments.
//
// No lock: the port holds its own.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace kante {

class Timers {
 public:
  static constexpr std::uint32_t kTimers = 64;
  static constexpr std::int64_t kNever = INT64_MAX;

  void set(std::uint32_t id, std::int64_t due_ns, std::uint64_t period_ns) {
    timers_[id] = {due_ns, period_ns};
    findNext();
  }
  void cancel(std::uint32_t id) {
    timers_[id].due_ns = kNever;
    findNext();
  }
  void clear() { *this = Timers(); }
  std::int64_t nextNs() const { return next_ns_; }

  struct Expired {
    std::uint32_t id;
    std::uint64_t times;  // Since the last event.
  };
  // One that is due; it is set for its next time, or is over.
  std::optional<Expired> take(std::int64_t now_ns) {
    if (now_ns < next_ns_) return std::nullopt;
    for (std::uint32_t id = 0; id < kTimers; ++id) {
      Timer& timer = timers_[id];
      if (timer.due_ns > now_ns) continue;
      std::uint64_t times = 1;
      if (timer.period_ns == 0) {
        timer.due_ns = kNever;
      } else {
        times += static_cast<std::uint64_t>(now_ns - timer.due_ns) / timer.period_ns;
        timer.due_ns += static_cast<std::int64_t>(times * timer.period_ns);
      }
      findNext();
      return Expired{id, times};
    }
    return std::nullopt;
  }

 private:
  struct Timer {
    std::int64_t due_ns = kNever;
    std::uint64_t period_ns = 0;
  };
  void findNext() {
    next_ns_ = kNever;
    for (const Timer& timer : timers_) next_ns_ = timer.due_ns < next_ns_ ? timer.due_ns : next_ns_;
  }

  std::array<Timer, kTimers> timers_{};
  std::int64_t next_ns_ = kNever;
};

}  // namespace kante
