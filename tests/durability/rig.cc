#include "tests/durability/rig.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "tests/durability/disk.h"
#include "tests/durability/receiver.h"
#include "tests/support/mosquitto.h"

namespace kante::durability {
namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

constexpr auto kDrainDeadline = std::chrono::seconds(180);
constexpr auto kLateDeadline = std::chrono::seconds(10);
constexpr auto kProgressEvery = std::chrono::seconds(30);
constexpr std::size_t kNotesMax = 20;
// What the broker may hand to the receiver once more when it was restarted.
constexpr std::uint64_t kReceiverInFlight = 1000;

std::atomic<bool> ending{false};

std::string freshFolder() {
  const char* base = std::getenv("TMPDIR");
  std::string name = std::string(base == nullptr ? "/tmp" : base) + "/kante-durability-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) {
    std::fprintf(stderr, "durability: no folder %s\n", name.c_str());
    std::exit(1);
  }
  return name;
}

// A ledger as the load module appends to it.
class Ledger {
 public:
  explicit Ledger(std::string path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  }
  ~Ledger() { ::close(fd_); }
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  const std::string& path() const { return path_; }
  // Hands over what is new; how much.
  template <typename Take>
  std::uint64_t read(const Take& take) {
    std::uint64_t count = 0;
    LedgerRecord record;
    while (::pread(fd_, &record, sizeof record, at_) == sizeof record) {
      take(record);
      at_ += static_cast<off_t>(sizeof record);
      ++count;
    }
    return count;
  }

 private:
  const std::string path_;
  int fd_ = -1;
  off_t at_ = 0;
};

class Rig {
 public:
  explicit Rig(const RigOptions& options)
      : options_(options),
        random_(options.seed),
        folder_(freshFolder()),
        broker_({.extra = "max_inflight_messages 0\nlog_type none\n"}),
        receiver_(std::make_unique<Receiver>(broker_.port(), kId, checker_)),
        gateway_(options.programs, folder_ + "/gateway", kId, broker_.url()),
        disk_(gateway_.dataDir(), folder_,
              (options.really_sync ? kReallySync : kNothingSpecial) |
                  (options.lie == Lie::kForgetSyncs ? kForgetSyncs : kNothingSpecial)),
        ledger_(gateway_.bookFolder() + "/ledger"),
        delivered_(gateway_.bookFolder() + "/delivered") {}

  Report run();

 private:
  static constexpr char kId[] = "durability";

  struct Planned {
    microseconds at{0};
    std::function<void()> act;
  };

  double fraction() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  bool chance(double probability) { return fraction() < probability; }
  template <typename Value, std::size_t size>
  Value pick(const std::array<Value, size>& values) {
    return values[random_() % size];
  }
  microseconds within(std::int64_t us) {
    return microseconds(static_cast<std::int64_t>(fraction() * static_cast<double>(us)));
  }

  GatewaySetting nextSetting();
  void beginSegment();
  void life();
  std::vector<Planned> planEvents(microseconds end);
  void runUntil(std::vector<Planned> events, microseconds end);
  void cutByPower();
  // How many more messages were acknowledged.
  std::uint64_t readLedgers();
  void account(bool ended_early, int status);
  void drain();
  void emptyOut(std::uint64_t count);
  bool waitForDrain(bool marked);
  void judge();
  void stop();
  std::string orders() const;  // Of every life.
  void note(std::string text) {
    if (report_.notes.size() < kNotesMax) report_.notes.push_back(std::move(text));
  }
  void progress(Clock::time_point began) const;

  const RigOptions options_;
  Random random_;
  const std::string folder_;
  Checker checker_;
  testing::Mosquitto broker_;
  std::unique_ptr<Receiver> receiver_;
  Gateway gateway_;
  Disk disk_;
  Ledger ledger_;
  Ledger delivered_;
  Report report_;
  GatewaySetting setting_;
  std::uint64_t lives_ = 0;  // Of this segment.
  bool fresh_ = false;       // Nothing was stored yet: cut while the store is made.
  bool broker_paused_ = false;
  bool broker_restarted_ = false;  // In this segment.
  // Of this machine now; from how long it takes until the modules run.
  double slowness_ = 1;
};

GatewaySetting Rig::nextSetting() {
  GatewaySetting setting;
  setting.into_module = options_.into_module;
  setting.placement = options_.placement;
  setting.order = chance(0.5) ? "fifo" : "live-first";
  setting.window = pick(std::array<std::uint32_t, 5>{1, 8, 64, 64, 512});
  setting.full = chance(0.7) ? "refuse" : "drop-lowest";
  setting.sync = chance(0.2) ? "interval" : "always";
  setting.shards = chance(0.5) ? 1 : 2;
  setting.burst = pick(std::array<std::uint32_t, 3>{1, 2, 8});
  setting.period_us = pick(std::array<std::uint32_t, 3>{500, 2'000, 5'000});
  setting.bytes = pick(std::array<std::uint32_t, 3>{0, 200, 2'000});
  setting.count = setting.window == 1 ? 10 : setting.window == 8 ? 60 : 250;
  if (chance(0.25)) {  // A store that fills.
    setting.max_bytes = 1u << 20;
    setting.bytes = 4'000;
    setting.burst = 8;
    setting.count = 250;
    setting.window = std::max(setting.window, 64u);
  }
  return setting;
}

void Rig::beginSegment() {
  lives_ = pick(std::array<std::uint64_t, 3>{6, 40, 60});
  fresh_ = chance(lives_ == 6 ? 0.7 : 0.2);
  if (fresh_) gateway_.forget();
  setting_ = nextSetting();
  // A full store's policy takes from the module's queue, too, and nothing on the wire says so.
  checker_.expectDelivery(setting_.into_module && setting_.full == "refuse" ? 0 : kNoSource);
  gateway_.configure(setting_);
  broker_restarted_ = false;
  checker_.expect(2 * setting_.window,
                  setting_.order == "fifo" ? SourceOrder::kFifo : SourceOrder::kAny);
}

std::string Rig::orders() const { return options_.lie == Lie::kAckBeforeCommit ? "lies;" : ""; }

std::vector<Rig::Planned> Rig::planEvents(microseconds end) {
  std::vector<Planned> events;
  const std::int64_t us = end.count();
  if (chance(0.15)) {
    events.push_back({within(us), [this] {
                        ++report_.link_cuts;
                        if (!broker_paused_) takeOver(broker_.port(), std::string("kante-") + kId);
                      }});
  }
  if (chance(setting_.max_bytes == 1u << 20 ? 0.3 : 0.05)) {
    const microseconds from = within(us / 2);
    events.push_back({from, [this] {
                        ++report_.broker_pauses;
                        broker_paused_ = true;
                        broker_.pause();
                      }});
  }
  if (chance(0.03)) {
    events.push_back({within(us), [this] {
                        ++report_.switches;
                        gateway_.switchDeployment();
                      }});
  }
  if (chance(0.004)) {
    events.push_back({within(us), [this] {
                        if (broker_paused_) return;
                        ++report_.broker_restarts;
                        broker_restarted_ = true;
                        checker_.expect(
                            2 * setting_.window + kReceiverInFlight,
                            setting_.order == "fifo" ? SourceOrder::kFifo : SourceOrder::kAny);
                        broker_.stop();
                        broker_.start();
                      }});
  }
  std::sort(events.begin(), events.end(),
            [](const Planned& a, const Planned& b) { return a.at < b.at; });
  return events;
}

void Rig::runUntil(std::vector<Planned> events, microseconds end) {
  const auto began = Clock::now();
  const auto left = [&](microseconds at) {
    return std::chrono::duration_cast<microseconds>(began + at - Clock::now());
  };
  for (const Planned& event : events) {
    if (gateway_.waitForEnd(left(event.at))) return;
    event.act();
  }
  gateway_.waitForEnd(left(end));
}

void Rig::life() {
  std::vector<std::string> environment;
  microseconds end(0);
  if (options_.form == Form::kPower) {
    CutPlan plan;
    const double how = fraction();
    if (how < 0.3) plan.boundary = 1 + random_() % 40;
    if (fresh_) plan.boundary = 1 + random_() % 16;
    if (how >= 0.3 && plan.boundary == 0 && how < 0.75) plan.boundary = 1 + random_() % 600;
    plan.after = chance(0.5);
    disk_.arm(plan);
    environment.push_back("LD_PRELOAD=" + options_.programs.shim);
    environment.push_back("DURABILITY_DISK_LOG=" + disk_.logPath());
    end = microseconds(20'000) + within(200'000);
  } else {
    end = chance(0.35) ? within(50'000) : within(200'000);
  }
  end = microseconds(static_cast<std::int64_t>(static_cast<double>(end.count()) * slowness_));
  std::vector<Planned> events = planEvents(end);
  gateway_.start(environment, orders());
  runUntil(std::move(events), end);
  bool ended = gateway_.waitForEnd(microseconds(0));
  if (options_.form == Form::kPower && !ended) {
    disk_.cutNow();
    gateway_.waitForEnd(std::chrono::milliseconds(300));  // Or nothing is written any more.
  }
  const int status = gateway_.reap();
  if (broker_paused_) broker_.resume();
  broker_paused_ = false;
  // A signal to the whole process group ended the gateway and the broker, too: no finding.
  if (!ending) account(ended, status);
}

std::uint64_t Rig::readLedgers() {
  delivered_.read([this](const LedgerRecord& record) { checker_.delivered(record); });
  return ledger_.read([this](const LedgerRecord& record) { checker_.acknowledged(record); });
}

void Rig::account(bool ended_early, int status) {
  ++report_.cuts;
  const bool ended_making = chance(0.2);
  if (options_.form == Form::kPower) {
    const CutResult cut = disk_.settle(random_);
    ended_early = ended_early && !cut.by_shim;
    report_.boundaries += cut.boundaries;
    report_.cuts_at_boundary += cut.by_shim ? 1 : 0;
    report_.sectors_undurable += cut.sectors;
    report_.sectors_lost += cut.sectors_lost;
    report_.renames_undone += cut.renames_undone;
    report_.unresolved += cut.unresolved;
  }
  if (ended_early) {
    ++report_.ended_by_itself;
    const std::string log = gateway_.log();
    note(fmt::format("life {} ended by itself, status {}: {}", report_.cuts, status,
                     log.substr(log.size() > 1500 ? log.size() - 1500 : 0)));
  }
  if (readLedgers() > 0) {
    ++report_.lives_acknowledging;
    fresh_ = false;
  } else if (ended_making) {
    fresh_ = false;
  }
  checker_.cut();
  if (const std::uint64_t broken = gateway_.takeSetAside(); broken > 0) {
    report_.set_aside += broken;
    const std::string log = gateway_.log();
    const std::size_t at = log.find("set aside");
    note(fmt::format("after life {}: {}", report_.cuts,
                     at == std::string::npos ? "a store set aside" : log.substr(at, 300)));
  }
}

// Lives without a cut until everything has left, and the account.
void Rig::drain() {
  // One message a source tells of all drops before it.
  emptyOut(1);
  // One that was acknowledged behind our back is in the store, which may be removed next.
  if (checker_.unexplained() > 0 && !ending) emptyOut(0);
  if (ending) return;
  judge();
  checker_.cut();
  if (const std::uint64_t broken = gateway_.takeSetAside(); broken > 0) {
    report_.set_aside += broken;
    note(fmt::format("after life {}: a store set aside", report_.cuts));
  }
}

void Rig::emptyOut(std::uint64_t count) {
  const auto began = Clock::now();
  gateway_.start({}, fmt::format("{}count={};", orders(), count));
  while (!gateway_.uplink().modules_run && !gateway_.waitForEnd(std::chrono::milliseconds(1)) &&
         Clock::now() - began < kDrainDeadline) {
  }
  const double ms = std::chrono::duration<double, std::milli>(Clock::now() - began).count();
  slowness_ = std::clamp(ms / 30, 1.0, options_.placement == "sandbox" ? 12.0 : 3.0);
  const bool marked = count == 0 || setting_.full == "refuse";
  if (!waitForDrain(marked) && !ending) {
    ++report_.not_drained;
    const UplinkState state = gateway_.uplink();
    const std::string log = gateway_.log();
    note(fmt::format("after life {}: not drained: seq {}, arrived up to {}, {} wait, {}: {}",
                     report_.cuts, state.seq, checker_.highest(state.epoch), state.backlog,
                     state.connected ? "connected" : "not connected",
                     log.substr(log.size() > 1500 ? log.size() - 1500 : 0)));
  }
  stop();
  readLedgers();
}

// What the broker took may still be on its way to the receiver.
void Rig::judge() {
  const auto began = Clock::now();
  while (checker_.unexplained() > 0 && Clock::now() - began < kLateDeadline) {
    ::poll(nullptr, 0, 5);
  }
  if (checker_.unexplained() > 0) {
    note(fmt::format(
        "after life {}: order {}, window {}, max_bytes {}, full {}, sync {}; missing:{}",
        report_.cuts, setting_.order, setting_.window, setting_.max_bytes, setting_.full,
        setting_.sync, checker_.missingInWords(8)));
  }
  checker_.drained();
}

// `marked`: no message has to be acknowledged first.
bool Rig::waitForDrain(bool marked) {
  const auto began = Clock::now();
  while (Clock::now() - began < kDrainDeadline && !ending) {
    if (readLedgers() > 0) marked = true;
    const UplinkState state = gateway_.uplink();
    if (state.modules_run && marked && state.connected && state.backlog == 0 &&
        checker_.highest(state.epoch) >= state.seq && gateway_.waitingForModule() == 0) {
      return true;
    }
    if (gateway_.waitForEnd(std::chrono::milliseconds(5))) return false;
  }
  return false;
}

// In order, or as all the others.
void Rig::stop() {
  if (chance(0.5)) {
    gateway_.signal(SIGTERM);
    if (!gateway_.waitForEnd(std::chrono::seconds(20))) note("does not stop within 20 s");
  }
  gateway_.reap();
}

void Rig::progress(Clock::time_point began) const {
  const Verdict verdict = checker_.verdict();
  std::fprintf(
      stderr,
      "durability: seed %llu: %llu cuts, %.0f s: %llu acknowledged, %llu numbers, %llu missing, "
      "%llu acknowledged lost, %llu again, %llu set aside\n",
      static_cast<unsigned long long>(options_.seed), static_cast<unsigned long long>(report_.cuts),
      std::chrono::duration<double>(Clock::now() - began).count(),
      static_cast<unsigned long long>(verdict.acknowledged),
      static_cast<unsigned long long>(verdict.numbers),
      static_cast<unsigned long long>(verdict.missing),
      static_cast<unsigned long long>(verdict.acknowledged_lost),
      static_cast<unsigned long long>(verdict.duplicates),
      static_cast<unsigned long long>(report_.set_aside));
}

Report Rig::run() {
  const auto began = Clock::now();
  auto shown = began;
  std::uint64_t violations = 0;
  while (report_.cuts < options_.cuts && !ending) {
    beginSegment();
    for (std::uint64_t i = 0; i < lives_ && report_.cuts < options_.cuts && !ending; ++i) life();
    if (ending) break;
    drain();
    if (ending) break;
    if (Clock::now() - shown > kProgressEvery || report_.cuts >= options_.cuts) {
      shown = Clock::now();
      progress(began);
    }
    report_.verdict = checker_.verdict();
    if (report_.clean()) continue;
    if (++violations == options_.stop_after_violation) break;
  }
  report_.verdict = checker_.verdict();
  report_.seconds = std::chrono::duration<double>(Clock::now() - began).count();
  report_.interrupted = ending;
  receiver_.reset();
  if (report_.clean()) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  } else {
    report_.kept = {folder_};
  }
  return report_;
}

}  // namespace

void endRigs() { ending = true; }

Report runRigs(const RigOptions& options, std::uint32_t jobs) {
  std::vector<Report> reports(jobs);
  std::vector<std::thread> threads;
  for (std::uint32_t job = 0; job < jobs; ++job) {
    RigOptions share = options;
    share.seed = options.seed + job;
    share.cuts = options.cuts / jobs + (job < options.cuts % jobs ? 1 : 0);
    if (share.cuts == 0) continue;
    threads.emplace_back([share, &report = reports[job]] { report = Rig(share).run(); });
  }
  for (std::thread& thread : threads) thread.join();
  Report all;
  for (const Report& report : reports) merge(all, report);
  return all;
}

}  // namespace kante::durability
