// How often a module may do what costs others something (log lines, requests of a container): a
// burst, then so many a second; the rest is counted.
#pragma once

#include <cstdint>
#include <mutex>

namespace kante {

// Any thread.
class RateLimit {
 public:
  static constexpr std::uint32_t kBurst = 200;
  static constexpr std::uint32_t kPerSecond = 50;

  // True: do it, and say first that `*suppressed` were left out if that is not 0.
  bool take(std::int64_t boot_ns, std::uint64_t* suppressed) {
    const std::lock_guard lock(mutex_);
    if (last_ns_ == 0) last_ns_ = boot_ns;
    const std::int64_t earned = (boot_ns - last_ns_) / (1'000'000'000 / kPerSecond);
    if (earned > 0) {
      tokens_ = tokens_ + static_cast<std::uint64_t>(earned) > kBurst
                    ? kBurst
                    : tokens_ + static_cast<std::uint32_t>(earned);
      last_ns_ += earned * (1'000'000'000 / kPerSecond);
    }
    if (tokens_ == 0) {
      ++suppressed_;
      return false;
    }
    --tokens_;
    *suppressed = suppressed_;
    suppressed_ = 0;
    return true;
  }

 private:
  std::mutex mutex_;
  std::uint32_t tokens_ = kBurst;
  std::int64_t last_ns_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace kante
