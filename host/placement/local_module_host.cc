#include "host/placement/local_module_host.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "host/base/clock.h"
#include "host/placement/local_module_host_impl.h"

namespace kante {

namespace {
// How often a module is told that its callbacks are slow.
constexpr std::int64_t kSlowToldMs = 10'000;

std::uint32_t shardsFor(std::uint32_t wanted) {
  if (wanted != 0) return std::min(wanted, CrashPage::kSlots);
  return std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
}
}  // namespace

const char* name(ModuleState state) {
  static constexpr const char* kNames[] = {"starting", "running", "draining",
                                           "stopped",  "backoff", "failed"};
  return kNames[static_cast<int>(state)];
}

const char* name(Placement placement) {
  static constexpr const char* kNames[] = {"in-process", "sandbox", "container"};
  return kNames[static_cast<int>(placement)];
}

std::unique_ptr<ModuleHost> makeModuleHost(ModuleHostOptions options) {
  return std::make_unique<LocalModuleHost>(std::move(options));
}

LocalModuleHost::LocalModuleHost(ModuleHostOptions options)
    : options_(std::move(options)),
      shards_(shardsFor(options_.shards), *options_.crash_page),
      alive_(std::make_shared<LocalModuleHost*>(this)) {
  Watchdog::Options watch;
  watch.warn_ms = options_.callback_warn_ms;
  watch.limit_ms = options_.callback_limit_ms;
  // On the watchdog's thread alone, so what it remembers needs no lock.
  struct Told {
    std::int64_t at_ms = 0;
    std::uint64_t untold = 0;
  };
  watch.slow = [this, told = std::map<std::uint32_t, Told>()](
                   std::uint32_t module, std::uint32_t event_type, std::int64_t ms) mutable {
    const std::int64_t now_ms = SystemClock().bootNs() / 1'000'000;
    Told& last = told[module];
    if (last.at_ms != 0 && now_ms - last.at_ms < kSlowToldMs) {
      ++last.untold;
      return;
    }
    last.at_ms = now_ms;
    const std::uint64_t more = std::exchange(last.untold, 0);
    const std::string since =
        more == 0 ? "" : fmt::format(" ({} more since it was last said)", more);
    const std::string named = options_.crash_page->moduleName(module);
    const std::string module_name = named.substr(0, named.find(' '));
    options_.log->warn(
        "module/" + module_name,
        fmt::format("a callback (event {}) has held its shard for {} ms: say \"execution\": "
                    "\"dedicated\" in the deployment, or do less at once{}",
                    event_type, ms, since));
  };
  watch.over_limit = [this](CallbackSlot& slot, std::uint32_t shard, std::int64_t ms) {
    const std::string named = options_.crash_page->moduleName(slot.module.load());
    const std::string module_name = named.substr(0, named.find(' '));
    bool dedicated = false;
    {
      const std::lock_guard lock(table_mutex_);
      dedicated = !watched_shards_.contains(shard);
    }
    const std::string text = fmt::format("a callback has not returned for {} ms", ms);
    if (dedicated) {
      options_.log->error("module/" + module_name,
                          text + "; it has a shard of its own, so others go on");
      return;
    }
    slot.dead_module = slot.module.load();
    slot.dead_event = slot.event.load();
    slot.dead_words = 0;
    slot.mark.store(2);
    options_.log->error("module/" + module_name,
                        text + "; the host ends on purpose, because others wait for this thread");
    ::_exit(70);
  };
  watch.tick = [this](std::int64_t boot_ns) {
    const std::lock_guard lock(table_mutex_);
    if (watched_table_) watched_table_->checkStalls(boot_ns);
  };
  watchdog_ = std::make_unique<Watchdog>(std::move(watch));
  if (options_.store != nullptr)
    inputs_.emplace(*options_.store, options_.door,
                    [this] { control([this] { detachQueues(); }); });
  askHealthLater();
}

// Without shutDown() modules are destroyed undrained: only tests and failed starts end like that.
LocalModuleHost::~LocalModuleHost() {
  *alive_ = nullptr;
  watchdog_.reset();
  std::vector<std::shared_ptr<Instance>> left;
  for (const auto& [slot_name, slot] : slots_) {
    left.push_back(slot.instance);
    left.push_back(slot.coming);
  }
  for (const Retiring& retiring : retiring_) left.push_back(retiring.instance);
  if (change_) {
    for (const auto& [fresh_name, fresh] : change_->fresh) left.push_back(fresh.instance);
  }
  for (const auto& instance : left) {
    if (instance) instance->end([] {});
  }
  for (const auto& [slot_name, slot] : slots_) {
    slot.lane->shard().post([lane = slot.lane] { lane->close(); });
  }
  shards_.stop();
}

void LocalModuleHost::control(std::function<void()> task) {
  boost::asio::post(*options_.control, [alive = alive_, task = std::move(task)] {
    if (*alive != nullptr) task();
  });
}

void LocalModuleHost::event(const std::string& kind, const std::string& module,
                            const std::string& text) {
  if (options_.event) options_.event(kind, module, text);
}

ModuleSlot* LocalModuleHost::find(const std::string& name) {
  const auto at = slots_.find(name);
  return at == slots_.end() ? nullptr : &at->second;
}

// ---- operations on one module
// --------------------------------------------------------------------------

namespace {
ModuleSpec* specIn(RuntimeTarget& target, const std::string& name) {
  for (ModuleSpec& spec : target.modules) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

ModuleHost::Applied asDone(ModuleHost::Done done) {
  return [done = std::move(done)](const Result<ApplyReport>& result) {
    done(result.has_error() ? Status(result.error()) : Status());
  };
}
}  // namespace

// A person waits for the answer, so a failure is told and changes nothing.
Result<RuntimeTarget> LocalModuleHost::targetWith(const std::string& name, Desire desire) {
  if (shutting_down_) return fail(Errc::kState, "the host is shutting down");
  if (change_ || rest_) return fail(Errc::kState, "another change is under way");
  RuntimeTarget target = current_;
  target.on_start_failure = OnStartFailure::kRefuse;
  ModuleSpec* spec = specIn(target, name);
  if (spec == nullptr) return fail(Errc::kNotFound, "there is no module '" + name + "'");
  if (desire == Desire::kRunning && !spec->barred.empty())
    return fail(Errc::kRevoked, "module " + name + " is not started: " + spec->barred);
  spec->desire = desire;
  return target;
}

void LocalModuleHost::restart(const std::string& name, Done done) {
  afterRetry([this, name, done = std::move(done)] { restartNow(name, done); });
}

void LocalModuleHost::restartNow(const std::string& name, Done done) {
  auto target = targetWith(name, Desire::kRunning);
  if (target.has_error()) return done(target.error());
  slots_.at(name).override_reason.clear();
  slots_.at(name).short_lives = 0;
  change(std::move(*target), {name}, Pace::kAtOnce,
         [this, name, done = std::move(done)](const Result<ApplyReport>& result) {
           if (result.has_value()) ++slots_.at(name).restarts;
           asDone(done)(result);
         });
}

void LocalModuleHost::stop(const std::string& name, Done done) {
  afterRetry([this, name, done = std::move(done)] { stopNow(name, done); });
}

void LocalModuleHost::stopNow(const std::string& name, Done done) {
  auto target = targetWith(name, Desire::kStopped);
  if (target.has_error()) return done(target.error());
  change(std::move(*target), {}, Pace::kAtOnce,
         [this, name, done = std::move(done)](const Result<ApplyReport>& result) {
           if (result.has_error() || !isRetiring(name)) return asDone(done)(result);
           stopped_[name].push_back(done);
         });
}

void LocalModuleHost::start(const std::string& name, Done done) {
  afterRetry([this, name, done = std::move(done)] { startNow(name, done); });
}

void LocalModuleHost::startNow(const std::string& name, Done done) {
  auto target = targetWith(name, Desire::kRunning);
  if (target.has_error()) return done(target.error());
  ModuleSlot& slot = slots_.at(name);
  slot.override_reason.clear();
  slot.short_lives = 0;
  std::set<std::string> forced;
  if (!slot.instance) forced.insert(name);
  change(std::move(*target), forced, Pace::kAtOnce, asDone(std::move(done)));
}

void LocalModuleHost::move(const std::string& name, Placement placement, const std::string& reason,
                           Done done) {
  afterRetry([this, name, placement, reason, done = std::move(done)] {
    moveNow(name, placement, reason, done);
  });
}

void LocalModuleHost::moveNow(const std::string& name, Placement placement,
                              const std::string& reason, Done done) {
  const ModuleSlot* slot = find(name);
  auto target =
      targetWith(name, slot == nullptr ? Desire::kRunning : slot->spec.desire);  // As it is.
  if (target.has_error()) return done(target.error());
  ModuleSpec& spec = *specIn(*target, name);
  spec.placement = placement;
  spec.override_reason = reason;
  change(std::move(*target), {}, Pace::kAtOnce, asDone(std::move(done)));
}

// ---- what people ask
// -----------------------------------------------------------------------------------

std::vector<ModuleStatus> LocalModuleHost::modules() const {
  std::vector<ModuleStatus> all;
  for (const auto& [slot_name, slot] : slots_) {
    ModuleStatus status;
    status.name = slot_name;
    status.id = slot.spec.id;
    status.version = slot.spec.version;
    status.digest = slot.spec.digest;
    status.placement = slot.spec.placement;
    status.state = slot.state;
    status.restarts = slot.restarts;
    const auto& life = slot.instance ? slot.instance : slot.coming;
    status.pid = life ? life->pid() : 0;
    status.shared_bytes = life ? life->sharedBytes() : 0;
    status.override_reason =
        slot.override_reason.empty() ? slot.spec.override_reason : slot.override_reason;
    status.last_exit = slot.last_exit;
    status.deaths = slot.deaths;
    if (slot.instance) status.complaint = slot.complaint;
    status.started_wall_ns = slot.started_wall_ns;
    status.messages_in = slot.messages_in + (slot.instance ? slot.instance->messagesIn() : 0);
    status.messages_out = slot.messages_out + (slot.instance ? slot.instance->messagesOut() : 0);
    if (slot.instance) {
      const Instance::Seals seals = slot.instance->seals();
      status.slow_seals = seals.walk + seals.general;
    }
    for (const Retiring& retiring : retiring_) {
      if (retiring.module != slot_name) continue;
      status.messages_in += retiring.instance->messagesIn();
      status.messages_out += retiring.instance->messagesOut();
    }
    status.queued = slot.lane ? slot.lane->waiting() : 0;
    if (slot.instance) status.queued += slot.instance->underWay();
    if (table_) {
      const auto* queues = table_->inputsOf(slot_name);
      for (std::size_t i = 0; queues != nullptr && i < queues->size(); ++i)
        status.queued += (*queues)[i]->queue().messages();
    }
    all.push_back(std::move(status));
  }
  return all;
}

std::vector<RouteStatus> LocalModuleHost::routes() const {
  return table_ ? table_->status() : std::vector<RouteStatus>();
}

void ModuleHost::sendTelemetry(const std::string& /*principal*/, hub::DeviceMessage /*message*/,
                               std::function<void(Status)> done) {
  done(fail(Errc::kUnsupported, "this host has no routes for devices"));
}

Result<std::vector<hub::Routing*>> LocalModuleHost::serveTopics(hub::GatewayDesk* below) {
  KANTE_TRY(shards, shards_.shared());
  topics_ = std::make_unique<TopicRoutes>(
      options_.gateway_id, sources_, shards,
      [this](std::function<void()> task) { control(std::move(task)); },
      FromBelow{.desk = below, .door = options_.door.get()});
  return topics_->routings();
}

void LocalModuleHost::sendTelemetry(const std::string& principal, hub::DeviceMessage message,
                                    std::function<void(Status)> done) {
  topics_->send(principal, std::move(message), std::move(done));
}

void LocalModuleHost::twinChanged(const std::string& principal, const std::string& patch) {
  topics_->twinChanged(principal, patch);
}

DropCounts LocalModuleHost::dropped() const {
  DropCounts sum = retired_drops_;
  std::set<const RouteCounts*> counted;
  const auto add = [&](const RouteTable& table) {
    for (const auto& counts : table.allCounts()) {
      if (counted.insert(counts.get()).second) addTo(sum, *counts);
    }
  };
  for (const auto& table : retired_) add(*table);
  if (table_) add(*table_);
  if (inputs_) {
    for (const auto& [queue_name, queue] : inputs_->all()) {
      for (std::size_t reason = 0; reason < kDropReasons; ++reason) {
        const std::uint64_t drops = queue->dropped(static_cast<DropReason>(reason));
        if (drops > 0) sum[kante::name(static_cast<DropReason>(reason))] += drops;
      }
    }
  }
  for (const auto& [reason, count] : droppedUnrouted()) sum[reason] += count;
  return sum;
}

// Before any route had them.
DropCounts LocalModuleHost::droppedUnrouted() const {
  std::uint64_t no_route = retired_no_route_;
  std::uint64_t loop = retired_loop_;
  DropCounts sum;
  if (topics_) {
    no_route += topics_->counts().no_route.load();
    loop += topics_->counts().loop.load();
    if (const auto overflow = topics_->counts().overflow.load()) sum["overflow"] = overflow;
  }
  const auto add_instance = [&](const std::shared_ptr<Instance>& instance) {
    if (!instance) return;
    no_route += instance->droppedNoRoute();
    loop += instance->droppedLoop();
  };
  for (const auto& [slot_name, slot] : slots_) add_instance(slot.instance);
  for (const Retiring& retiring : retiring_) add_instance(retiring.instance);
  if (no_route > 0) sum["no_route"] = no_route;
  if (loop > 0) sum["loop"] = loop;
  return sum;
}

namespace {
// `general` above 0: the module writes messages without the SDK.  `walk` that grows: its messages
// of one output differ in shape, which costs each of them 50 ns more.
void collectSeals(MetricWriter& out, const std::string& module, const Instance::Seals& seals) {
  const std::pair<const char*, std::uint64_t> checks[] = {{"same", seals.same},
                                                          {"walk", seals.walk},
                                                          {"general", seals.general},
                                                          {"refused", seals.refused}};
  for (const auto& [check, count] : checks) {
    out.counter("kante_module_seals_total",
                "Messages made in this life, by the check that decided.",
                {{"module", module}, {"check", check}}, static_cast<double>(count));
  }
}
}  // namespace

namespace {
void collectShard(MetricWriter& out, Shard& shard) {
  const std::string index = std::to_string(shard.index());
  const WakePolicy& wakes = shard.wakePolicy();
  out.counter("kante_shard_waited_seconds_total",
              "Time that a shard waited for a processor, as of one of its last sleeps.",
              {{"shard", index}}, static_cast<double>(wakes.waitedNs()) / 1e9);
  using enum WakePolicy::Way;
  for (const auto& [way, name] :
       {std::pair(kOrdinary, "ordinary"), std::pair(kLetsFinish, "lets_finish"),
        std::pair(kHurries, "hurries")}) {
    out.gauge("kante_shard_wakes", "1 for the way in which a shard gets a processor when it wakes.",
              {{"shard", index}, {"way", name}}, wakes.way() == way ? 1 : 0);
  }
  const Polling& polling = shard.polling();
  if (polling.sleeps() == 0) return;  // It has no runners to wait for.
  constexpr std::string_view kSpins = "Short waits of a shard for sandboxed modules.";
  out.counter("kante_shard_spins_total", kSpins, {{"shard", index}, {"result", "won"}},
              static_cast<double>(polling.spinsWon()));
  out.counter("kante_shard_spins_total", kSpins, {{"shard", index}, {"result", "lost"}},
              static_cast<double>(polling.spinsLost()));
  out.counter("kante_shard_sleeps_total", "How often such a shard slept.", {{"shard", index}},
              static_cast<double>(polling.sleeps()));
}
}  // namespace

void LocalModuleHost::collect(MetricWriter& out) const {
  if (table_) table_->collect(out);
  for (const auto& [reason, count] : droppedUnrouted())
    out.counter("kante_dropped_total", "Messages dropped, by route and reason.",
                {{"route", ""}, {"reason", reason}}, static_cast<double>(count));
  if (topics_) topics_->collect(out);
  for (const ModuleStatus& module : modules()) {
    out.counter("kante_module_restarts_total", "Lives that a module began again.",
                {{"module", module.name}}, module.restarts);
    out.gauge("kante_module_running", "1 while the module runs.", {{"module", module.name}},
              module.state == ModuleState::kRunning ? 1 : 0);
    out.gauge("kante_module_healthy", "1 while the module runs and does not complain.",
              {{"module", module.name}},
              module.state == ModuleState::kRunning && module.complaint.empty() ? 1 : 0);
    out.gauge(
        "kante_queue_messages", "Messages waiting, by queue.", {{"queue", "module/" + module.name}},
        static_cast<double>(slots_.at(module.name).lane ? slots_.at(module.name).lane->waiting()
                                                        : 0));
  }
  for (const auto& [slot_name, slot] : slots_) {
    if (!slot.instance) continue;
    slot.instance->callbackTimes().histogram().collect(
        out, "kante_callback_seconds", "Time in a module's callbacks; one in 64 is measured.",
        {{"module", slot_name}});
    out.counter("kante_callback_errors_total", "Callbacks that answered with an error.",
                {{"module", slot_name}}, static_cast<double>(slot.instance->errors()));
    slot.instance->metrics().collect(out, slot_name);
    collectSeals(out, slot_name, slot.instance->seals());
    slot.instance->life().collect(out, slot_name);
  }
  for (const auto& shard : shards_.all()) collectShard(out, *shard);
  out.gauge("kante_in_process_loads", "Distinct libraries loaded in this process's life.", {},
            static_cast<double>(libraries_.size()));
  out.gauge("kante_in_process_loads_max", "How many of them this life may load.", {},
            static_cast<double>(options_.loads_max));
}

}  // namespace kante
