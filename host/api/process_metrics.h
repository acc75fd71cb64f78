// What this process takes of the machine: memory, processor time, descriptors.
#pragma once

#include <cstdint>

namespace kante {

class MetricWriter;

struct ProcessFigures {
  std::uint64_t pss_bytes = 0;  // Shared pages counted by their share; 0: the kernel would not say.
  std::uint64_t rss_bytes = 0;
  double cpu_s = 0;
  std::uint64_t fds = 0;
  std::uint64_t fds_max = 0;
  std::uint64_t threads = 0;
  double start_s = 0;  // Since 1970, UTC.
};

// From /proc/self; costs some 100 µs.
ProcessFigures processFigures();
// process_* as Prometheus's client libraries name them, and process_proportional_memory_bytes.
void collectProcess(MetricWriter& out);

}  // namespace kante
