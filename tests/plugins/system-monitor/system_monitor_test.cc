#include <fcntl.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/plugins/placed_module.h"

namespace {

using kante::PlacedModule;
using kante::TestModule;
using kante::json::Array;
using kante::json::Value;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

// What a host says to open(what) of the file or directory at `path`.
TestModule::Opened openedAt(const std::string& what, const std::filesystem::path& path) {
  TestModule::Opened opened;
  if (!std::filesystem::exists(path)) return opened;
  opened.status = KANTE_OK;
  if (what.starts_with("list:")) {
    Array names;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      names.push_back(entry.path().filename().string());
    opened.result = std::move(names);
  } else if (what.starts_with("space:")) {
    struct statvfs found {};
    ::statvfs(path.c_str(), &found);
    opened.result = Value{{"total_bytes", found.f_blocks * found.f_frsize},
                          {"free_bytes", found.f_bfree * found.f_frsize},
                          {"available_bytes", found.f_bavail * found.f_frsize}};
  } else {
    opened.descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  return opened;
}

// In process it reads by itself, in a sandbox its host opens for it.
class Monitor : public PlacedModule {
 public:
  Monitor() {
    on_open = [](const std::string& what) {
      return openedAt(what, what.substr(what.find(':') + 1));
    };
  }
};

// A /proc and /sys of our own making.
class SystemMonitorTest : public kante::PlacedTest {
 protected:
  SystemMonitorTest() {
    char name[] = "/tmp/system-monitor-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~SystemMonitorTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  Value config(Value more = kante::json::Object()) {
    more["root"] = root_.string();
    more["period_ms"] = 1000;
    return more;
  }
  // The messages of `periods` periods, the last one.
  Value sample(TestModule& host, std::chrono::milliseconds time) {
    host.advance(time);
    return host.take("metrics").back().json();
  }

  std::filesystem::path root_;
};

KANTE_IN_EVERY_PLACEMENT(SystemMonitorTest);

TEST_P(SystemMonitorTest, SaysNothingOfWhatIsNotThere) {
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK) << host.explained();
  const Value body = sample(host, 0ms);
  ASSERT_TRUE(body.isObject());
  EXPECT_EQ(body.object()->size(), 1u) << body.dump();
  EXPECT_TRUE(body.get("timeCreated")->isString());
}

TEST_P(SystemMonitorTest, TellsTheShareOfTheProcessorSinceTheLastSample) {
  write(
      "proc/stat",
      "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\n"
      "intr 5\nprocs_running 3\n");
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  EXPECT_EQ(sample(host, 0ms).get("cpu"), nullptr);
  write("proc/stat",
        "cpu  150 0 100 950 0 0 0 0 0 0\ncpu0 100 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 550 0 0 0 0 0 "
        "0\n");
  EXPECT_EQ(sample(host, 1s).get("cpu")->dump(), R"({"percent":25,"cores":[100,0]})");
}

TEST_P(SystemMonitorTest, TellsMemoryLoadUptimeAndProcesses) {
  write("proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 250 kB\nSwapTotal: 8 kB\nSwapFree: 6 "
        "kB\n");
  write("proc/loadavg", "0.31 0.22 0.18 2/345 999\n");
  write("proc/uptime", "86400.50 1234.00\n");
  write("proc/stat", "procs_running 3\n");
  write("proc/1/stat", "");
  write("proc/42/stat", "");
  write("proc/self/stat", "");
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  const Value body = sample(host, 0ms);
  EXPECT_EQ(body.get("memory")->dump(),
            R"({"total_bytes":1024000,"available_bytes":256000,"used_percent":75,)"
            R"("swap_total_bytes":8192,"swap_used_bytes":2048})");
  EXPECT_EQ(body.get("load")->dump(), R"({"1m":0.31,"5m":0.22,"15m":0.18})");
  EXPECT_EQ(body.get("uptime_s")->number(), 86400.5);
  EXPECT_EQ(body.get("processes")->dump(), R"({"total":2,"running":3})");
}

TEST_P(SystemMonitorTest, TellsRatesOfTheNetworkWithoutTheLoopback) {
  const std::string head =
      "Inter-|   Receive                    |  Transmit\n face |bytes packets\n";
  write("proc/net/dev", head +
                            "    lo: 500 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n"
                            "  eth0: 1000 1 2 0 0 0 0 0 2000 1 3 0 0 0 0 0\n");
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  EXPECT_EQ(sample(host, 0ms).find("network.rx_bytes_per_s"), nullptr);
  write("proc/net/dev", head +
                            "    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n"
                            "  eth0:3000 1 2 0 0 0 0 0 2500 1 3 0 0 0 0 0\n wlan0: 7 0 0 0 0 0 0 0 "
                            "7 0 0 0 0 0 0 0\n");
  const Value network = *sample(host, 1s).get("network");
  EXPECT_EQ(network.find("rx_bytes_per_s")->number(), 2000);
  EXPECT_EQ(
      network.find("interfaces.0")->dump(),
      R"({"name":"eth0","rx_bytes_per_s":2000,"tx_bytes_per_s":500,"rx_errors":2,"tx_errors":3})");
  EXPECT_EQ(network.find("interfaces.1")->dump(),
            R"({"name":"wlan0","rx_errors":0,"tx_errors":0})");

  write("proc/net/dev", head + "  eth0: 10 1 2 0 0 0 0 0 20 1 3 0 0 0 0 0\n");
  EXPECT_EQ(sample(host, 1s).find("network.interfaces.0.rx_bytes_per_s"), nullptr)
      << "the counter began again";
}

TEST_P(SystemMonitorTest, TellsRatesOfWholeDisks) {
  write("sys/block/sda/size", "");
  write("sys/block/loop0/size", "");
  write("proc/diskstats",
        "8 0 sda 1 0 100 0 1 0 10 0 0 0 0\n8 1 sda1 1 0 9 0 1 0 9 0 0 0 0\n7 0 loop0 1 0 5 0 1 0 5 "
        "0 0 0 0\n");
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  EXPECT_EQ(sample(host, 0ms).get("disk_io"), nullptr);
  write("proc/diskstats", "8 0 sda 1 0 102 0 1 0 14 0 0 0 0\n8 1 sda1 1 0 99 0 1 0 99 0 0 0 0\n");
  EXPECT_EQ(sample(host, 1s).get("disk_io")->dump(),
            R"([{"device":"sda","read_bytes_per_s":1024,"write_bytes_per_s":2048}])");
}

TEST_P(SystemMonitorTest, TellsTemperaturesOfZonesAndChips) {
  write("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n");
  write("sys/class/thermal/thermal_zone0/temp", "48500\n");
  write("sys/class/thermal/thermal_zone1/temp", "999999\n");
  write("sys/class/hwmon/hwmon0/name", "nvme\n");
  write("sys/class/hwmon/hwmon0/temp1_input", "51250\n");
  write("sys/class/hwmon/hwmon0/temp1_label", "Composite\n");
  write("sys/class/hwmon/hwmon0/temp2_input", "no number\n");
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  EXPECT_EQ(sample(host, 0ms).get("temperature")->dump(),
            R"({"max_celsius":51.25,"sensors":[{"name":"x86_pkg_temp","celsius":48.5},)"
            R"({"name":"nvme/Composite","celsius":51.25}]})");
}

TEST_P(SystemMonitorTest, TellsTheSpaceOfLocalDisksOnce) {
  std::filesystem::create_directories(root_ / "my disk");
  write("proc/mounts",
        "/dev/sda1 / ext4 rw 0 0\n/dev/sda1 /again ext4 rw 0 0\n/dev/sdb1 /my\\040disk xfs rw 0 0\n"
        "server:/x / nfs4 rw 0 0\n/dev/sdc1 /not-there ext4 rw 0 0\nproc /proc proc rw 0 0\n");
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  const Value disks = *sample(host, 0ms).get("disks");
  ASSERT_EQ(disks.array()->size(), 2u) << disks.dump();
  EXPECT_EQ(*disks.find("0.mount")->string(), "/");
  EXPECT_EQ(*disks.find("1.mount")->string(), "/my disk");
  EXPECT_GT(disks.find("0.total_bytes")->number(), 0);
}

// Wherever it runs: it sees no file below that root, and its host opens what it may.
TEST_P(SystemMonitorTest, HasTheHostOpenWhatItCannot) {
  write("proc/meminfo", "MemTotal: 2048 kB\nMemAvailable: 1024 kB\n");
  write("proc/uptime", "12.5 1.0\n");
  write("proc/mounts", "/dev/sda1 /disk ext4 rw 0 0\n/dev/sdb1 /gone ext4 rw 0 0\n");
  write("disk/file", "");
  write("sys/class/thermal/thermal_zone0/type", "cpu\n");
  write("sys/class/thermal/thermal_zone0/temp", "41500\n");
  const std::string sealed = "/sealed-from-this-module";
  Monitor host;
  std::set<std::string> denied;
  host.on_open = [&](const std::string& what) {
    const std::string below = what.substr(what.find(':') + 1 + sealed.size());
    const TestModule::Opened opened = openedAt(what, root_.string() + below);
    if (opened.status != KANTE_OK) denied.insert(what);
    return opened;
  };
  ASSERT_EQ(host.create({{"root", sealed}, {"period_ms", 1000}}), KANTE_OK);
  const Value body = sample(host, 1000ms);
  EXPECT_EQ(body.find("memory.used_percent")->number(), 50);
  EXPECT_EQ(body.find("uptime_s")->number(), 12.5);
  EXPECT_EQ(body.find("temperature.max_celsius")->number(), 41.5);
  ASSERT_EQ(body.get("disks")->array()->size(), 1u) << body.dump();
  EXPECT_EQ(*body.find("disks.0.mount")->string(), "/disk");
  EXPECT_GT(body.find("disks.0.total_bytes")->number(), 0);
  EXPECT_EQ(body.get("network"), nullptr);
  EXPECT_TRUE(denied.count("read:" + sealed + "/proc/net/dev"));
  EXPECT_TRUE(denied.count("space:" + sealed + "/gone"));
  EXPECT_TRUE(host.logged("is not granted"));
}

TEST_P(SystemMonitorTest, SurvivesNonsense) {
  for (const char* path :
       {"proc/stat", "proc/meminfo", "proc/loadavg", "proc/uptime", "proc/net/dev",
        "proc/diskstats", "proc/mounts", "sys/class/thermal/thermal_zone0/temp"}) {
    write(path, std::string(
                    "cpu\n: : :\ncpu a b c d\neth0: x\nMemTotal: -1\n\\04\\ \\040\n\n\0\xff", 56));
  }
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  host.advance(3s);
  EXPECT_EQ(host.count("metrics"), 4u);
}

TEST_P(SystemMonitorTest, TellsOnlyTheSectionsThatAreWanted) {
  write("proc/loadavg", "1 2 3 1/2 3\n");
  write("proc/uptime", "1 1\n");
  Monitor host;
  ASSERT_EQ(host.create(config({{"sections", Array{"load"}}})), KANTE_OK) << host.explained();
  EXPECT_EQ(sample(host, 0ms).object()->size(), 2u);

  Monitor other;
  EXPECT_EQ(other.create({{"sections", Array{"cpus"}}}), KANTE_E_INVALID);
  EXPECT_THAT(other.explained(), HasSubstr("/sections has \"cpus\", which is no section"));
}

TEST_P(SystemMonitorTest, KeepsAMinuteOfSamplesWithoutCreditAndSkipsTheRest) {
  Monitor host;
  ASSERT_EQ(host.create(config()), KANTE_OK);
  host.setCredit("metrics", 0);
  const std::size_t fit = 60 + PlacedModule::underWay();
  host.advance(std::chrono::seconds(fit + 39));
  EXPECT_EQ(host.metric("samples_skipped"), 40);
  EXPECT_FALSE(host.drain());
  host.grant("metrics");
  EXPECT_EQ(host.count("metrics"), fit);
  EXPECT_TRUE(host.drained());
}

TEST_P(SystemMonitorTest, ReadsThisMachine) {
  Monitor host;
  ASSERT_EQ(host.create({{"period_ms", 100}}), KANTE_OK);
  host.advance(100ms);
  const Value body = host.take("metrics").back().json();
  EXPECT_GT(body.find("memory.total_bytes")->number(), 1 << 20);
  EXPECT_GT(body.find("uptime_s")->number(), 0);
  EXPECT_GT(body.find("processes.total")->number(), 0);
}

}  // namespace
