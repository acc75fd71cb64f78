// Metrics as Prometheus reads them: text exposition format 0.0.4, each family once with HELP and
// TYPE.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/metrics.h"

namespace kante {

class MetricsText final : public MetricWriter {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  // Series of one family; what comes after is left out and counted in kante_metrics_cut.
  static constexpr std::size_t kSeriesMax = 20'000;

  void counter(std::string_view name, std::string_view help, Labels labels, double value) override;
  void gauge(std::string_view name, std::string_view help, Labels labels, double value) override;
  void histogram(std::string_view name, std::string_view help, Labels labels,
                 const std::vector<Bucket>& buckets, double sum) override;

  // Families in the order of their first series, wherever their later series came.
  std::string text() const;

 private:
  struct Family {
    std::string name, help;
    const char* type = "";
    std::string series;
    std::size_t count = 0;
  };
  // Null when the family is full, or known with another type.
  Family* family(std::string_view name, std::string_view help, const char* type);

  std::vector<Family> families_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::size_t cut_ = 0;
};

}  // namespace kante
