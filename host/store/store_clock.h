// The clock that TTLs count on: it runs with BOOTTIME and, over a stop, gains the wall clock's
// difference only if that is positive and the wall clock was trusted at both ends.  So no time step
// expires a message.
#pragma once

#include <cstdint>

namespace kante {

class StoreClock {
 public:
  struct Saved {
    std::int64_t store_ns = 0;
    std::int64_t wall_ns = 0;
    bool wall_trusted = false;
  };

  void begin(std::int64_t boot_ns) {
    base_ns_ = kFirstNs;
    boot_ns_ = boot_ns;
  }
  void resume(const Saved& saved, std::int64_t boot_ns, std::int64_t wall_ns, bool wall_trusted) {
    base_ns_ = saved.store_ns;
    if (saved.wall_trusted && wall_trusted && wall_ns > saved.wall_ns) {
      base_ns_ += wall_ns - saved.wall_ns;
    }
    boot_ns_ = boot_ns;
  }
  std::int64_t now(std::int64_t boot_ns) const { return base_ns_ + (boot_ns - boot_ns_); }

 private:
  static constexpr std::int64_t kFirstNs = 1'000'000'000;
  std::int64_t base_ns_ = kFirstNs;
  std::int64_t boot_ns_ = 0;
};

}  // namespace kante
