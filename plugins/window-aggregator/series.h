// The values of one field in one window.
#pragma once

#include <kante/fields.hpp>

#include <algorithm>
#include <cmath>
#include <random>

// Count, minimum, maximum and mean are exact.  The 95th percentile (nearest rank) is exact up to
// samples_max values; of more, a uniform random sample of samples_max is kept (Vitter's algorithm
// R), whose p95 lies, with 1,000 samples, within the true 93.6th to 96.4th percentile 19 times
// of 20.
class Series {
 public:
  void add(double value, std::size_t samples_max, std::minstd_rand& random) {
    ++count_;
    min_ = count_ == 1 ? value : std::min(min_, value);
    max_ = count_ == 1 ? value : std::max(max_, value);
    mean_ += (value - mean_) / static_cast<double>(count_);
    if (samples_.size() < samples_max) {
      samples_.push_back(value);
      return;
    }
    const std::uint64_t place = std::uniform_int_distribution<std::uint64_t>(0, count_ - 1)(random);
    if (place < samples_.size()) samples_[static_cast<std::size_t>(place)] = value;
  }

  std::uint64_t count() const { return count_; }
  std::size_t samples() const { return samples_.size(); }
  bool isSampled() const { return samples_.size() < count_; }

  // {"count":0} for no values; else all, and "sampled":true when p95 is an estimate.
  kante::json::Value summary() const {
    kante::json::Value out{{"count", count_}};
    if (count_ == 0) return out;
    out["min"] = min_;
    out["max"] = max_;
    out["mean"] = mean_;
    out["p95"] = p95();
    if (isSampled()) out["sampled"] = true;
    return out;
  }

  kante::json::Value toJson() const {
    return {{"count", count_},
            {"min", min_},
            {"max", max_},
            {"mean", mean_},
            {"samples", kante::json::Array(samples_.begin(), samples_.end())}};
  }
  static Series fromJson(const kante::json::Value& json) {
    kante::Fields fields(json);
    Series series;
    series.count_ = static_cast<std::uint64_t>(fields.integer("count", {0, INT64_MAX}));
    series.min_ = fields.number("min");
    series.max_ = fields.number("max");
    series.mean_ = fields.number("mean");
    const kante::json::Value* samples = fields.value("samples");
    if (samples == nullptr || !samples->isArray()) fields.refuse("samples", "should be an array");
    for (const kante::json::Value& sample : *samples->array()) {
      if (!sample.isNumber()) fields.refuse("samples", "should have numbers alone");
      series.samples_.push_back(*sample.number());
    }
    if (series.samples_.size() > series.count_ || (series.count_ > 0 && series.samples_.empty())) {
      fields.refuse("samples", "should fit its count");
    }
    fields.end();
    return series;
  }

 private:
  double p95() const {
    std::vector<double> sorted = samples_;
    const auto rank =
        static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(sorted.size()))) - 1;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank),
                     sorted.end());
    return sorted[rank];
  }

  std::uint64_t count_ = 0;
  double min_ = 0;
  double max_ = 0;
  double mean_ = 0;
  std::vector<double> samples_;
};
