#include "host/placement/module_metrics.h"

#include <algorithm>
#include <limits>

namespace kante {

namespace {
bool isMetricName(std::string_view name) {
  if (name.empty() || name.size() > 64 || name[0] < 'a' || name[0] > 'z') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}
// What the host itself says of each module as kante_module_NAME.
bool isHosts(std::string_view name) {
  static constexpr std::string_view kHosts[] = {"restarts_total", "running", "healthy",
                                                "seals_total"};
  return std::find(std::begin(kHosts), std::end(kHosts), name) != std::end(kHosts);
}
void addTo(std::atomic<double>& sum, double delta) {
  double old = sum.load(std::memory_order_relaxed);
  while (!sum.compare_exchange_weak(old, old + delta, std::memory_order_relaxed)) {
  }
}
}  // namespace

void Histogram::record(double value) {
  const auto at = static_cast<std::size_t>(
      std::lower_bound(kBuckets.begin(), kBuckets.end(), value) - kBuckets.begin());
  counts_[at].fetch_add(1, std::memory_order_relaxed);
  addTo(sum_, value);
}

void Histogram::collect(MetricWriter& out, std::string_view name, std::string_view help,
                        MetricWriter::Labels labels) const {
  std::vector<MetricWriter::Bucket> buckets;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    sum += counts_[i].load(std::memory_order_relaxed);
    const double upper =
        i < kBuckets.size() ? kBuckets[i] : std::numeric_limits<double>::infinity();
    buckets.push_back({upper, sum});
  }
  out.histogram(name, help, labels, buckets, sum_.load(std::memory_order_relaxed));
}

kante_status ModuleMetrics::define(std::string_view name, std::uint32_t kind, std::uint32_t* id) {
  if (!isMetricName(name)) return KANTE_E_INVALID;
  const std::lock_guard lock(mutex_);
  const std::uint32_t count = count_.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (metrics_[i]->name != name) continue;
    if (metrics_[i]->kind != kind) return KANTE_E_INVALID;
    *id = i;
    return KANTE_OK;
  }
  if (count == kMax) return KANTE_E_LIMIT;
  metrics_[count] = std::make_unique<Metric>();
  metrics_[count]->name = name;
  metrics_[count]->kind = kind;
  *id = count;
  count_.store(count + 1, std::memory_order_release);
  return KANTE_OK;
}

void ModuleMetrics::add(std::uint32_t id, std::int64_t delta) {
  if (id >= count_.load(std::memory_order_acquire)) return;
  Metric& metric = *metrics_[id];
  if (metric.kind == 0 && delta < 0) return;  // A counter only rises.
  addTo(metric.value, static_cast<double>(delta));
}

void ModuleMetrics::record(std::uint32_t id, double value) {
  if (id >= count_.load(std::memory_order_acquire)) return;
  Metric& metric = *metrics_[id];
  if (metric.kind == 1) metric.value.store(value, std::memory_order_relaxed);
  if (metric.kind == 2) metric.histogram.record(value);
}

void ModuleMetrics::collect(MetricWriter& out, std::string_view module) const {
  const std::uint32_t count = count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Metric& metric = *metrics_[i];
    // Two series of one name would be no metrics, and a module could speak in the host's place.
    const std::string name =
        (isHosts(metric.name) ? "kante_module_own_" : "kante_module_") + metric.name;
    const std::string help = "Of the module's own.";
    const double value = metric.value.load(std::memory_order_relaxed);
    if (metric.kind == 0) out.counter(name, help, {{"module", module}}, value);
    if (metric.kind == 1) out.gauge(name, help, {{"module", module}}, value);
    if (metric.kind == 2) metric.histogram.collect(out, name, help, {{"module", module}});
  }
}

}  // namespace kante
