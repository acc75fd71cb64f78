// Time as an argument.  Durations, timers, TTL, keep-alive and back-off use BOOTTIME, which no time
// step moves; wall time is for people, certificates, tokens and the budget's day.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace kante {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t bootNs() const = 0;  // CLOCK_BOOTTIME: counts while the machine sleeps.
  virtual std::int64_t wallNs() const = 0;  // CLOCK_REALTIME: since 1970, UTC.
};

class SystemClock final : public Clock {
 public:
  std::int64_t bootNs() const override;
  std::int64_t wallNs() const override;
};

// For tests: time moves when told to.  Any thread.
class ManualClock final : public Clock {
 public:
  std::int64_t bootNs() const override { return boot_.load(); }
  std::int64_t wallNs() const override { return wall_.load(); }
  void advance(std::int64_t ns) {
    boot_ += ns;
    wall_ += ns;
  }
  void stepWall(std::int64_t ns) { wall_ += ns; }

 private:
  std::atomic<std::int64_t> boot_{1'000'000'000};
  std::atomic<std::int64_t> wall_{1'760'000'000'000'000'000};
};

// Which boot of the machine this is, as the kernel names it; empty when it does not say.
std::string bootId();

// "2026-11-23T12:00:00.123Z".
std::string formatUtc(std::int64_t wall_ns);

}  // namespace kante
