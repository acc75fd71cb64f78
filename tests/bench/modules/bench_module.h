// What kante-bench and its two modules share: figures that the benchmark reads from outside.
#pragma once

#include <kante/message.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#if defined(__x86_64__)
#include <x86intrin.h>
inline std::uint64_t benchTicks() { return __rdtsc(); }
#else
#include <ctime>
inline std::uint64_t benchTicks() {
  timespec at{};
  clock_gettime(CLOCK_MONOTONIC, &at);
  return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(at.tv_nsec);
}
#endif

// Answer of the sink's get_extension("bench.figures/1").
struct BenchFigures {
  static constexpr std::uint32_t kSamplesMax = 1u << 20;
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> out_of_order{0};  // Numbers that did not rise by one.
  std::atomic<std::uint32_t> samples{0};
  std::uint32_t sample_ticks[kSamplesMax];  // Send to receipt, one a message, when asked for.
};

// The number after "key": in a configuration.
inline std::uint64_t benchNumberIn(std::string_view json, std::string_view key,
                                   std::uint64_t otherwise) {
  const auto at = json.find("\"" + std::string(key) + "\":");
  if (at == std::string_view::npos) return otherwise;
  return std::strtoull(std::string(json.substr(at + key.size() + 3)).c_str(), nullptr, 10);
}

// The body begins with these; its rest is padding.
struct BenchBody {
  std::uint64_t number;
  std::uint64_t sent_ticks;
};
