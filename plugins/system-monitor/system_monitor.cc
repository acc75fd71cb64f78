// What the machine does, from /proc and /sys: processor, memory, disks, network, temperatures.
#include <kante/module.hpp>
#include <kante/time.hpp>

#include "readings.h"

namespace {

using kante::json::Value;
using std::chrono::milliseconds;

class SystemMonitor : public kante::Module {
 public:
  explicit SystemMonitor(kante::Start& start)
      : SystemMonitor(start, kante::Fields(start.config())) {}

  void onDrain() override {
    tick_.cancel();
    drained();
  }

 private:
  using Read = Value (SystemMonitor::*)();
  struct Section {
    const char* name;
    Read read;
  };

  SystemMonitor(kante::Start& start, kante::Fields fields)
      : Module(start), files_(fields.string("root", "/")) {
    const milliseconds period(fields.integer("period_ms", 5'000, {10, 86'400'000}));
    if (fields.has("sections")) chooseSections(fields);
    fields.end();
    tick_.every(period, milliseconds(0));
  }

  void chooseSections(kante::Fields& fields) {
    std::vector<Section> chosen;
    for (const std::string& name : fields.strings("sections", {}, sections_.size())) {
      const auto known = std::find_if(sections_.begin(), sections_.end(),
                                      [&](const Section& section) { return name == section.name; });
      if (known == sections_.end())
        fields.refuse("sections", "has \"" + name + "\", which is no section");
      chosen.push_back(*known);
    }
    sections_ = std::move(chosen);
  }

  void sample() {
    Value body{{"timeCreated", kante::isoTime(std::chrono::system_clock::now())}};
    for (const Section& section : sections_) {
      Value value = (this->*section.read)();
      if (!value.isNull()) body[section.name] = std::move(value);
    }
    if (out_.send(kante::Draft::json(body)) != KANTE_OK) skipped_.add();
  }

  Value cpu() { return cpu_.read(files_); }
  Value load() { return readLoad(files_); }
  Value memory() { return readMemory(files_); }
  Value disks() { return readDisks(files_); }
  Value diskIo() { return disk_io_.read(files_, now()); }
  Value network() { return network_.read(files_, now()); }
  Value temperature() { return readTemperatures(files_); }
  Value uptime() { return readUptime(files_); }
  Value processes() { return readProcesses(files_); }

  FileTree files_;
  std::vector<Section> sections_ = {{"cpu", &SystemMonitor::cpu},
                                    {"load", &SystemMonitor::load},
                                    {"memory", &SystemMonitor::memory},
                                    {"disks", &SystemMonitor::disks},
                                    {"disk_io", &SystemMonitor::diskIo},
                                    {"network", &SystemMonitor::network},
                                    {"temperature", &SystemMonitor::temperature},
                                    {"uptime_s", &SystemMonitor::uptime},
                                    {"processes", &SystemMonitor::processes}};
  CpuReading cpu_;
  NetworkReading network_;
  DiskIoReading disk_io_;

  kante::Outbox out_{*this, "metrics", {.messages_max = 60}};
  kante::Timer tick_{*this, [this] { sample(); }};
  kante::Counter skipped_{*this, "samples_skipped"};
};

}  // namespace

KANTE_MODULE(SystemMonitor, "dev.kante.system-monitor", "1.0.0", KANTE_INPUTS(),
             KANTE_OUTPUTS("metrics"))
