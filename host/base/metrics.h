// How a room shows its figures: whoever has some writes them, when asked, into a MetricWriter.
//
// Nothing is registered and nothing is pushed; `kante status`, `/metrics` and the dashboard ask.  A
// collect() runs on the control thread and may read relaxed atomics that others count in.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

namespace kante {

class MetricWriter {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  struct Bucket {
    double upper;         // Inclusive upper bound; the last one is +infinity.
    std::uint64_t count;  // Cumulative.
  };
  virtual ~MetricWriter() = default;
  // Names: kante_messages_total, …; units in the name (seconds, bytes).
  virtual void counter(std::string_view name, std::string_view help, Labels labels,
                       double value) = 0;
  virtual void gauge(std::string_view name, std::string_view help, Labels labels, double value) = 0;
  virtual void histogram(std::string_view name, std::string_view help, Labels labels,
                         const std::vector<Bucket>& buckets, double sum) = 0;
};

}  // namespace kante
