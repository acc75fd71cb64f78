// How long to wait before the next attempt to connect.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "host/uplink/link_times.h"

namespace kante {

// What became of an attempt.
enum class AttemptEnd {
  kUnreached,  // No name, no route, nobody listens or answers.
  kRefused,    // Somebody answered, and it was no connection.
  kBusy,       // The broker asks all to come back later.
  kFlapped,    // A connection that did not live long enough to mean anything.
  kSteady,
};

class Backoff {
 public:
  static constexpr std::int64_t kBusyMs = 5'000;

  Backoff(const LinkTimes& times, std::uint32_t seed)
      : times_(times), wait_ms_(times.backoff_first_ms), jitter_(seed) {}

  // Doubles from one wait to the next, unless the connection was steady.  Somewhere in the upper
  // half, so that a fleet does not return in one moment.
  std::int64_t nextMs(AttemptEnd end) {
    if (end == AttemptEnd::kSteady) reset();
    const std::int64_t most = end == AttemptEnd::kUnreached
                                  ? std::min(times_.backoff_unreached_max_ms, times_.backoff_max_ms)
                                  : times_.backoff_max_ms;
    if (end == AttemptEnd::kBusy) wait_ms_ = std::max(wait_ms_, std::min(kBusyMs, most));
    const std::int64_t wait_ms = std::min(wait_ms_, most);
    wait_ms_ = std::min(wait_ms * 2, most);
    return std::uniform_int_distribution<std::int64_t>(wait_ms / 2, wait_ms)(jitter_);
  }
  void reset() { wait_ms_ = times_.backoff_first_ms; }

 private:
  const LinkTimes times_;
  std::int64_t wait_ms_;
  std::minstd_rand jitter_;
};

}  // namespace kante
