#include "sandbox/runner/metric_names.h"

#include <algorithm>

namespace kante {

namespace {
bool isMetricName(std::string_view name) {
  if (name.empty() || name.size() > 64 || name[0] < 'a' || name[0] > 'z') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}
}  // namespace

kante_status MetricNames::define(std::string_view name, std::uint32_t kind, std::uint32_t* id,
                                 bool* is_new) {
  *is_new = false;
  if (!isMetricName(name)) return KANTE_E_INVALID;
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (metrics_[i].name != name) continue;
    if (metrics_[i].kind != kind) return KANTE_E_INVALID;
    *id = i;
    return KANTE_OK;
  }
  if (count_ == kMax) return KANTE_E_LIMIT;
  metrics_[count_].name = name;
  metrics_[count_].kind = kind;
  *id = count_++;
  *is_new = true;
  return KANTE_OK;
}

bool MetricNames::add(std::uint32_t id, std::int64_t delta) {
  if (!isKnown(id) || delta == 0) return false;
  Metric& metric = metrics_[id];
  if (metric.kind == kCounter && delta < 0) return false;
  if (__builtin_add_overflow(metric.delta, delta, &metric.delta)) metric.delta = delta;
  changed_.set(id);
  return true;
}

bool MetricNames::setGauge(std::uint32_t id, double value) {
  if (!isKnown(id) || metrics_[id].kind != kGauge) return false;
  metrics_[id].is_set = true;
  metrics_[id].value = value;
  metrics_[id].delta = 0;  // It came before.
  changed_.set(id);
  return true;
}

}  // namespace kante
