// Reading Prometheus's text format, as far as our own /metrics uses it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kante::cli {

struct Series {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

// Lines that are not series are left out.
std::vector<Series> parseMetrics(std::string_view text);

}  // namespace kante::cli
