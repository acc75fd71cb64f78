// The metrics that a module defined (kante.metrics/1), by the host's own rules, so that an id is
// known at once; and what was added to them since the host was told.
//
// No lock: the port holds its own.
#pragma once

#include <kante/module.h>

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>

namespace kante {

class MetricNames {
 public:
  static constexpr std::uint32_t kMax = 64;
  enum Kind : std::uint32_t { kCounter = 0, kGauge = 1, kHistogram = 2 };

  // KANTE_E_INVALID: no metric's name, or known with another kind.  KANTE_E_LIMIT: kMax are
  // defined. *is_new: the host has to be told.
  kante_status define(std::string_view name, std::uint32_t kind, std::uint32_t* id, bool* is_new);
  bool isKnown(std::uint32_t id) const { return id < count_; }
  std::uint32_t kindOf(std::uint32_t id) const { return metrics_[id].kind; }

  // Both false where the host would do nothing.
  bool add(std::uint32_t id, std::int64_t delta);
  bool setGauge(std::uint32_t id, double value);

  bool isChanged() const { return changed_.any(); }
  // For each metric that changed: tell(id, kind, delta, value), and forget.
  template <typename Tell>
  void takeChanges(Tell tell) {
    for (std::uint32_t id = 0; id < count_; ++id) {
      if (!changed_[id]) continue;
      Metric& metric = metrics_[id];
      // A gauge that was set says so before what was added since.
      if (metric.is_set) tell(id, Change{metric.value, 0});
      if (metric.delta != 0) tell(id, Change{0, metric.delta});
      metric.is_set = false;
      metric.delta = 0;
    }
    changed_.reset();
  }
  struct Change {
    double value;        // Set to …
    std::int64_t delta;  // … or, when not 0, changed by.
  };

 private:
  struct Metric {
    std::string name;
    std::uint32_t kind = 0;
    bool is_set = false;
    double value = 0;
    std::int64_t delta = 0;
  };
  std::array<Metric, kMax> metrics_;
  std::uint32_t count_ = 0;
  std::bitset<kMax> changed_;
};

}  // namespace kante
