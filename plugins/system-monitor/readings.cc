#include "readings.h"

#include <cmath>
#include <set>

#include "text_table.h"

namespace {

using kante::json::Array;
using kante::json::Value;

constexpr std::size_t kSensorsMax = 128;
constexpr std::size_t kDisksMax = 64;
constexpr std::size_t kInterfacesMax = 256;
constexpr std::uint64_t kSectorBytes = 512;  // In /proc/diskstats, whatever the device's own size.

double rounded(double value) { return std::round(value * 100) / 100; }

// Counters may start again when a device comes back: that sample gives no rate.
std::optional<double> perSecond(std::uint64_t before, std::uint64_t now,
                                std::chrono::nanoseconds passed) {
  if (now < before || passed.count() <= 0) return std::nullopt;
  return rounded(static_cast<double>(now - before) / std::chrono::duration<double>(passed).count());
}

// "\040" in /proc/mounts is a blank.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 4], code, 8).ptr == &text[i + 4] && code < 128) {
      out += static_cast<char>(code);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool isLocalDisk(std::string_view type) {
  static const std::set<std::string_view> kTypes = {"ext2",  "ext3",  "ext4", "xfs",
                                                    "btrfs", "f2fs",  "vfat", "ntfs",
                                                    "ntfs3", "exfat", "zfs",  "ubifs"};
  return kTypes.count(type) != 0;
}

}  // namespace

std::optional<double> CpuReading::percent(const Times& before, const Times& now) {
  if (now.all <= before.all || now.busy < before.busy) return std::nullopt;
  return rounded(100.0 * static_cast<double>(now.busy - before.busy) /
                 static_cast<double>(now.all - before.all));
}

Value CpuReading::read(const FileTree& files) {
  const auto text = files.read("/proc/stat");
  if (!text) return {};
  std::map<std::string, Times> current;
  Value out;
  Array cores;
  forEachLine(*text, [&](const std::vector<std::string_view>& columns) {
    if (columns[0].substr(0, 3) != "cpu" || columns.size() < 5) return;
    // user nice system idle iowait irq softirq steal; guest times are in user and nice already.
    Times times;
    for (std::size_t i = 1; i < std::min<std::size_t>(columns.size(), 9); ++i) {
      const std::uint64_t ticks = parseNumber<std::uint64_t>(columns[i]).value_or(0);
      times.all += ticks;
      if (i != 4 && i != 5) times.busy += ticks;
    }
    const std::string name(columns[0]);
    current[name] = times;
    const auto before = last_.find(name);
    if (before == last_.end()) return;
    const auto value = percent(before->second, times);
    if (!value) return;
    if (name == "cpu") {
      out["percent"] = *value;
    } else {
      cores.push_back(*value);
    }
  });
  last_ = std::move(current);
  if (!cores.empty()) out["cores"] = std::move(cores);
  return out;
}

Value NetworkReading::read(const FileTree& files, std::chrono::nanoseconds now) {
  const auto text = files.read("/proc/net/dev");
  if (!text) return {};
  const auto passed = now - last_time_;
  std::map<std::string, Bytes> current;
  Array interfaces;
  double rx_total = 0, tx_total = 0;
  forEachLine(*text, [&](std::vector<std::string_view> columns) {
    const std::size_t colon = columns[0].find(':');
    if (colon == std::string_view::npos || current.size() == kInterfacesMax) return;
    const std::string name(columns[0].substr(0, colon));
    // Without a blank behind the colon the first number stands in the same column.
    if (colon + 1 == columns[0].size())
      columns.erase(columns.begin());
    else
      columns[0].remove_prefix(colon + 1);
    if (columns.size() < 11 || name == "lo") return;
    const auto number = [&](std::size_t i) {
      return parseNumber<std::uint64_t>(columns[i]).value_or(0);
    };
    const Bytes bytes{number(0), number(8)};
    current[name] = bytes;
    Value interface {
      { "name", name }
    };
    if (const auto before = last_.find(name); before != last_.end()) {
      if (const auto rx = perSecond(before->second.rx, bytes.rx, passed)) {
        interface["rx_bytes_per_s"] = *rx;
        rx_total += *rx;
      }
      if (const auto tx = perSecond(before->second.tx, bytes.tx, passed)) {
        interface["tx_bytes_per_s"] = *tx;
        tx_total += *tx;
      }
    }
    interface["rx_errors"] = number(2);
    interface["tx_errors"] = number(10);
    interfaces.push_back(std::move(interface));
  });
  const bool is_first = last_.empty();
  last_ = std::move(current);
  last_time_ = now;
  Value out;
  if (!is_first && passed.count() > 0) {
    out["rx_bytes_per_s"] = rounded(rx_total);
    out["tx_bytes_per_s"] = rounded(tx_total);
  }
  if (!interfaces.empty()) out["interfaces"] = std::move(interfaces);
  return out;
}

Value DiskIoReading::read(const FileTree& files, std::chrono::nanoseconds now) {
  const auto text = files.read("/proc/diskstats");
  if (!text) return {};
  const std::vector<std::string> devices = files.list("/sys/block");
  const std::set<std::string> whole(devices.begin(), devices.end());
  const auto passed = now - last_time_;
  std::map<std::string, Bytes> current;
  Array out;
  forEachLine(*text, [&](const std::vector<std::string_view>& columns) {
    if (columns.size() < 10 || current.size() == kDisksMax) return;
    const std::string name(columns[2]);
    if (whole.count(name) == 0 || name.compare(0, 4, "loop") == 0 || name.compare(0, 3, "ram") == 0)
      return;
    const Bytes bytes{parseNumber<std::uint64_t>(columns[5]).value_or(0) * kSectorBytes,
                      parseNumber<std::uint64_t>(columns[9]).value_or(0) * kSectorBytes};
    current[name] = bytes;
    const auto before = last_.find(name);
    if (before == last_.end()) return;
    const auto read = perSecond(before->second.read, bytes.read, passed);
    const auto written = perSecond(before->second.written, bytes.written, passed);
    if (read && written) {
      out.push_back(
          {{"device", name}, {"read_bytes_per_s", *read}, {"write_bytes_per_s", *written}});
    }
  });
  last_ = std::move(current);
  last_time_ = now;
  return out.empty() ? Value() : Value(std::move(out));
}

Value readMemory(const FileTree& files) {
  const auto text = files.read("/proc/meminfo");
  if (!text) return {};
  std::map<std::string_view, std::uint64_t> bytes;
  forEachLine(*text, [&](const std::vector<std::string_view>& columns) {
    if (columns.size() < 2) return;
    if (const auto kib = parseNumber<std::uint64_t>(columns[1])) bytes[columns[0]] = *kib * 1024;
  });
  const auto total = bytes.find("MemTotal:");
  const auto available = bytes.find("MemAvailable:");
  if (total == bytes.end() || available == bytes.end() || total->second == 0) return {};
  const double free_share =
      static_cast<double>(available->second) / static_cast<double>(total->second);
  Value out{{"total_bytes", total->second},
            {"available_bytes", available->second},
            {"used_percent", rounded(100 * (1 - free_share))}};
  if (bytes.count("SwapTotal:") != 0 && bytes["SwapTotal:"] >= bytes["SwapFree:"]) {
    out["swap_total_bytes"] = bytes["SwapTotal:"];
    out["swap_used_bytes"] = bytes["SwapTotal:"] - bytes["SwapFree:"];
  }
  return out;
}

Value readLoad(const FileTree& files) {
  const auto text = files.read("/proc/loadavg");
  Value out;
  if (!text) return out;
  forEachLine(*text, [&](const std::vector<std::string_view>& columns) {
    static constexpr const char* kNames[] = {"1m", "5m", "15m"};
    for (std::size_t i = 0; i < 3 && i < columns.size(); ++i) {
      if (const auto load = parseNumber<double>(columns[i])) out[kNames[i]] = *load;
    }
  });
  return out;
}

Value readUptime(const FileTree& files) {
  const auto text = files.readLine("/proc/uptime");
  if (!text) return {};
  const auto seconds = parseNumber<double>(text->substr(0, text->find(' ')));
  return seconds ? Value(*seconds) : Value();
}

Value readProcesses(const FileTree& files) {
  Value out;
  std::int64_t total = 0;
  for (const std::string& name : files.list("/proc"))
    total += parseNumber<std::uint32_t>(name) ? 1 : 0;
  if (total > 0) out["total"] = total;
  const auto text = files.read("/proc/stat");
  if (!text) return out;
  forEachLine(*text, [&](const std::vector<std::string_view>& columns) {
    if (columns[0] != "procs_running" || columns.size() < 2) return;
    if (const auto running = parseNumber<std::uint64_t>(columns[1])) out["running"] = *running;
  });
  return out;
}

Value readTemperatures(const FileTree& files) {
  Array sensors;
  std::optional<double> hottest;
  const auto add = [&](const std::string& name, const std::string& path) {
    const auto text = files.readLine(path);
    const auto milli = text ? parseNumber<std::int64_t>(*text) : std::nullopt;
    // Beyond these a sensor that is not connected speaks.
    if (!milli || *milli < -100'000 || *milli > 300'000 || sensors.size() == kSensorsMax) return;
    const double celsius = rounded(static_cast<double>(*milli) / 1000);
    sensors.push_back({{"name", name}, {"celsius", celsius}});
    hottest = hottest ? std::max(*hottest, celsius) : celsius;
  };
  const std::string thermal = "/sys/class/thermal/";
  for (const std::string& zone : files.list(thermal, "thermal_zone")) {
    add(files.readLine(thermal + zone + "/type").value_or(zone), thermal + zone + "/temp");
  }
  const std::string hwmon = "/sys/class/hwmon/";
  for (const std::string& chip : files.list(hwmon, "hwmon")) {
    const std::string chip_name = files.readLine(hwmon + chip + "/name").value_or(chip);
    for (const std::string& file : files.list(hwmon + chip, "temp")) {
      if (file.size() < 6 || file.substr(file.size() - 6) != "_input") continue;
      const std::string stem = file.substr(0, file.size() - 6);
      const auto label = files.readLine(hwmon + chip + "/" + stem + "_label");
      add(chip_name + "/" + label.value_or(stem), hwmon + chip + "/" + file);
    }
  }
  if (sensors.empty()) return {};
  return {{"max_celsius", *hottest}, {"sensors", std::move(sensors)}};
}

Value readDisks(const FileTree& files) {
  const auto text = files.read("/proc/mounts");
  if (!text) return {};
  std::set<std::string> seen;
  Array out;
  forEachLine(*text, [&](const std::vector<std::string_view>& columns) {
    if (columns.size() < 3 || !isLocalDisk(columns[2]) || out.size() == kDisksMax) return;
    const std::string device = unescaped(columns[0]);
    const std::string mount = unescaped(columns[1]);
    if (!seen.insert(device).second) return;
    const auto space = files.space(mount);
    if (!space || space->total_bytes == 0) return;
    const std::uint64_t used = space->total_bytes - space->free_bytes;
    // As df: of what an ordinary user could have.
    const double usable = static_cast<double>(used + space->available_bytes);
    out.push_back(
        {{"mount", mount},
         {"device", device},
         {"type", columns[2]},
         {"total_bytes", space->total_bytes},
         {"free_bytes", space->available_bytes},
         {"used_percent", usable == 0 ? 100 : rounded(100 * static_cast<double>(used) / usable)}});
  });
  return out.empty() ? Value() : Value(std::move(out));
}
