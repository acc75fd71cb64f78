// What a machine says of itself, as JSON.  Each reading is null when the machine does not say it.
#pragma once

#include <kante/json.hpp>

#include <chrono>
#include <map>

#include "file_tree.h"

// Readings that are counters there and rates here remember the last sample; the first gives no
// rate.
class CpuReading {
 public:
  // {"percent": of all, "cores": [percent, …]}
  kante::json::Value read(const FileTree& files);

 private:
  struct Times {
    std::uint64_t busy = 0;
    std::uint64_t all = 0;
  };
  static std::optional<double> percent(const Times& before, const Times& now);
  std::map<std::string, Times> last_;
};

class NetworkReading {
 public:
  // {"rx_bytes_per_s", "tx_bytes_per_s": of all but lo, "interfaces": [{"name", both, "rx_errors",
  // "tx_errors"}]}
  kante::json::Value read(const FileTree& files, std::chrono::nanoseconds now);

 private:
  struct Bytes {
    std::uint64_t rx = 0;
    std::uint64_t tx = 0;
  };
  std::map<std::string, Bytes> last_;
  std::chrono::nanoseconds last_time_{0};
};

class DiskIoReading {
 public:
  // [{"device", "read_bytes_per_s", "write_bytes_per_s"}]: whole devices, no loop and RAM disks.
  kante::json::Value read(const FileTree& files, std::chrono::nanoseconds now);

 private:
  struct Bytes {
    std::uint64_t read = 0;
    std::uint64_t written = 0;
  };
  std::map<std::string, Bytes> last_;
  std::chrono::nanoseconds last_time_{0};
};

// {"total_bytes", "available_bytes", "used_percent", "swap_total_bytes", "swap_used_bytes"}
kante::json::Value readMemory(const FileTree& files);
// {"1m", "5m", "15m"}
kante::json::Value readLoad(const FileTree& files);
// Seconds.
kante::json::Value readUptime(const FileTree& files);
// {"total", "running"}
kante::json::Value readProcesses(const FileTree& files);
// {"max_celsius", "sensors": [{"name", "celsius"}]}: thermal zones and hwmon chips.
kante::json::Value readTemperatures(const FileTree& files);
// [{"mount", "device", "type", "total_bytes", "free_bytes", "used_percent"}]: local disks only,
// because asking a network file system may wait for ever.
kante::json::Value readDisks(const FileTree& files);
