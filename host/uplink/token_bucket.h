// So many a second on average, at most one second's worth at once.  Time is given to it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kante {

class TokenBucket {
 public:
  static constexpr std::uint32_t kUnlimited = 0xffffffff;

  // per_s 0: no limit.
  explicit TokenBucket(std::uint32_t per_s) : per_s_(per_s) {}

  std::uint32_t available(std::int64_t now_ns) {
    if (per_s_ == 0) return kUnlimited;
    if (at_ns_ != 0) {
      const double more = static_cast<double>(now_ns - at_ns_) * 1e-9 * per_s_;
      tokens_ = std::min(tokens_ + more, static_cast<double>(per_s_));
    }
    at_ns_ = now_ns;
    return tokens_ < 1 ? 0 : static_cast<std::uint32_t>(tokens_);
  }
  void spend(std::uint32_t count) { tokens_ -= count; }

 private:
  const std::uint32_t per_s_;
  double tokens_ = 1;
  std::int64_t at_ns_ = 0;
};

}  // namespace kante
