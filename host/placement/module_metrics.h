// The figures that a module keeps (kante.metrics/1), and how long its callbacks take.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <kante/module.h>

#include "host/base/metrics.h"

namespace kante {

// Upper bounds in seconds (and, for a module's own histograms, in its unit): half decades from 1
// µs.
inline constexpr std::array<double, 15> kBuckets{1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3,
                                                 1e-2, 3e-2, 1e-1, 3e-1, 1,    3,    10};

// Written by one thread at a time, read by any.
class Histogram {
 public:
  void record(double value);
  void collect(MetricWriter& out, std::string_view name, std::string_view help,
               MetricWriter::Labels labels) const;

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets.size() + 1> counts_{};
  std::atomic<double> sum_{0};
};

class CallbackTimes {
 public:
  static constexpr std::uint32_t kSampleEvery = 64;  // Two clock reads cost as much as a hop.
  bool sampleThis() { return ++calls_ % kSampleEvery == 0; }
  void record(std::int64_t ns) { histogram_.record(static_cast<double>(ns) * 1e-9); }
  const Histogram& histogram() const { return histogram_; }

 private:
  std::uint32_t calls_ = 0;
  Histogram histogram_;
};

// Any thread.
class ModuleMetrics {
 public:
  static constexpr std::uint32_t kMax = 64;
  // kInvalid: not a metric name, or known with another kind.  kLimit: kMax are defined.
  kante_status define(std::string_view name, std::uint32_t kind, std::uint32_t* id);
  void add(std::uint32_t id, std::int64_t delta);
  void record(std::uint32_t id, double value);
  // Each as kante_module_NAME{module="…"}.
  void collect(MetricWriter& out, std::string_view module) const;

 private:
  struct Metric {
    std::string name;
    std::uint32_t kind = 0;
    std::atomic<double> value{0};
    Histogram histogram;
  };
  mutable std::mutex mutex_;
  std::atomic<std::uint32_t> count_{0};
  std::array<std::unique_ptr<Metric>, kMax> metrics_;
};

}  // namespace kante
