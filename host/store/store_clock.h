// The clock that TTLs count on: it runs with BOOTTIME.  Over a stop within one boot of the machine
// it gains what BOOTTIME gained, whatever happened to the wall clock.  Over a boot it gains the
// wall clock's difference, and only if that is positive and the wall clock was trusted at both
// ends; a difference that no gateway is off for needs a synchronised clock at both.  So no time
// step expires a message.
#pragma once

#include <cstdint>
#include <string>

namespace kante {

class StoreClock {
 public:
  // An unsynchronised clock may be years ahead after a boot.
  static constexpr std::int64_t kUnprovedGainNs = 30LL * 86'400 * 1'000'000'000;

  enum class Wall : std::uint32_t { kUntrusted = 0, kTrusted = 1, kSynchronised = 3 };
  struct Saved {
    std::int64_t store_ns = 0;
    std::int64_t wall_ns = 0;
    Wall wall = Wall::kUntrusted;
    std::string boot_id;  // Of the boot in which it was saved; empty: unknown.
    std::int64_t boot_ns = 0;
  };
  struct Present {
    std::int64_t wall_ns = 0;
    Wall wall = Wall::kUntrusted;
    std::string boot_id;
    std::int64_t boot_ns = 0;
  };

  void begin(std::int64_t boot_ns) {
    base_ns_ = kFirstNs;
    boot_ns_ = boot_ns;
  }
  void resume(const Saved& saved, const Present& present) {
    base_ns_ = saved.store_ns + gain(saved, present);
    boot_ns_ = present.boot_ns;
  }
  std::int64_t now(std::int64_t boot_ns) const { return base_ns_ + (boot_ns - boot_ns_); }

 private:
  static constexpr std::int64_t kFirstNs = 1'000'000'000;

  static std::int64_t gain(const Saved& saved, const Present& present) {
    const bool same_boot = !saved.boot_id.empty() && saved.boot_id == present.boot_id;
    if (same_boot && present.boot_ns >= saved.boot_ns) return present.boot_ns - saved.boot_ns;
    if (saved.wall == Wall::kUntrusted || present.wall == Wall::kUntrusted) return 0;
    const std::int64_t gained_ns = present.wall_ns - saved.wall_ns;
    const bool proved = saved.wall == Wall::kSynchronised && present.wall == Wall::kSynchronised;
    if (gained_ns <= 0 || (gained_ns > kUnprovedGainNs && !proved)) return 0;
    return gained_ns;
  }

  std::int64_t base_ns_ = kFirstNs;
  std::int64_t boot_ns_ = 0;
};

}  // namespace kante
