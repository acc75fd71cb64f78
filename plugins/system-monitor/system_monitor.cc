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
  // Readings that remember the last sample.
  struct Rates {
    CpuReading cpu;
    NetworkReading network;
    DiskIoReading disk_io;
  };
  using Read = Value (SystemMonitor::*)(Rates& rates);
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
    host_opens_ = !files_.isOpen() && extension<kante_device_v1>(KANTE_EXT_DEVICE) != nullptr;
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

  // What this process may not open itself the host opens, in rounds: a file's name may stand in a
  // list.
  void sample() {
    if (opening_ > 0) return skipped_.add();  // The host is slow.
    files_.forgetBrought();
    rounds_ = 0;
    goOn();
  }

  void goOn() {
    if (host_opens_) {
      Rates as_if = rates_;
      for (const Section& section : sections_) (this->*section.read)(as_if);
      if (!files_.wanted().empty() && ++rounds_ <= kRoundsMax) return ask();
    }
    send();
  }

  void ask() {
    const std::set<std::string> wanted = files_.wanted();
    opening_ = 1;
    for (const std::string& what : wanted) {
      ++opening_;
      const kante::Status asked =
          open(what, [this, what](const kante::Done& done) { brought(what, done); });
      if (asked == KANTE_OK) continue;
      --opening_;
      files_.bring(what, std::nullopt);
    }
    if (--opening_ == 0) goOn();
  }

  void brought(const std::string& what, const kante::Done& done) {
    if (what.compare(0, 5, "read:") == 0 && done.descriptor() >= 0) {
      files_.bring(what, FileTree::readAll(done.descriptor()));
    } else if (done.ok() && what.compare(0, 6, "space:") == 0) {
      files_.bring(what, std::string(done.body()));
    } else if (done.ok()) {
      std::string names;
      const Value listed = done.json();
      if (const auto* array = listed.array())
        for (const Value& name : *array)
          if (name.string() != nullptr) names += *name.string() + "\n";
      files_.bring(what, std::move(names));
    } else {
      if (done.status() == KANTE_E_DENIED && !std::exchange(told_denied_, true))
        warn("is not granted ", what,
             "; grant files.read of /proc and /sys and files.space of / to have all sections");
      files_.bring(what, std::nullopt);
    }
    if (--opening_ == 0) goOn();
  }

  void send() {
    Value body{{"timeCreated", kante::isoTime(std::chrono::system_clock::now())}};
    for (const Section& section : sections_) {
      Value value = (this->*section.read)(rates_);
      if (!value.isNull()) body[section.name] = std::move(value);
    }
    if (out_.send(kante::Draft::json(body)) != KANTE_OK) skipped_.add();
  }

  Value cpu(Rates& rates) { return rates.cpu.read(files_); }
  Value load(Rates&) { return readLoad(files_); }
  Value memory(Rates&) { return readMemory(files_); }
  Value disks(Rates&) { return readDisks(files_); }
  Value diskIo(Rates& rates) { return rates.disk_io.read(files_, now()); }
  Value network(Rates& rates) { return rates.network.read(files_, now()); }
  Value temperature(Rates&) { return readTemperatures(files_); }
  Value uptime(Rates&) { return readUptime(files_); }
  Value processes(Rates&) { return readProcesses(files_); }

  static constexpr int kRoundsMax = 4;

  FileTree files_;
  Rates rates_;
  bool host_opens_ = false;  // This process may not.
  int opening_ = 0;          // Answers that are still to come, and 1 while asking.
  int rounds_ = 0;
  bool told_denied_ = false;
  std::vector<Section> sections_ = {{"cpu", &SystemMonitor::cpu},
                                    {"load", &SystemMonitor::load},
                                    {"memory", &SystemMonitor::memory},
                                    {"disks", &SystemMonitor::disks},
                                    {"disk_io", &SystemMonitor::diskIo},
                                    {"network", &SystemMonitor::network},
                                    {"temperature", &SystemMonitor::temperature},
                                    {"uptime_s", &SystemMonitor::uptime},
                                    {"processes", &SystemMonitor::processes}};

  kante::Outbox out_{*this, "metrics", {.messages_max = 60}};
  kante::Timer tick_{*this, [this] { sample(); }};
  kante::Counter skipped_{*this, "samples_skipped"};
};

}  // namespace

KANTE_MODULE(SystemMonitor, "dev.kante.system-monitor", "1.0.0", KANTE_INPUTS(),
             KANTE_OUTPUTS("metrics"))
