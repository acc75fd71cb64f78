// The ends: DRAIN, destroy, lanes and tables that nobody needs any more, and what waits to be tried
// again.
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>

#include "host/placement/local_module_host_impl.h"

namespace kante {

namespace {
using std::chrono::milliseconds;
constexpr milliseconds kReleaseEvery{1000};
}  // namespace

// ---- instances
// ------------------------------------------------------------------------------------------

// DRAIN, then destroy when it is quiet or its time is over.  What waits in its lane is handled
// first only as long as half of that time is left: DRAIN comes in any case.
void LocalModuleHost::retire(const std::string& name, ModuleSlot& slot,
                             std::shared_ptr<Instance> instance, Instance::Queued queued,
                             std::shared_ptr<void> methods) {
  const Instance* raw = instance.get();
  Retiring& retiring = retiring_.emplace_back();
  retiring.module = name;
  retiring.instance = std::move(instance);
  retiring.methods = std::move(methods);
  const milliseconds stop(slot.spec.stop_ms);
  const auto over = [this, raw, name] {
    options_.log->warn("module/" + name, "did not drain in time and is ended");
    endRetiring(raw);
  };
  armDeadline(retiring, stop / 2, [this, raw, stop, over] {
    const auto at = findRetiring(raw);
    if (at == retiring_.end()) return;
    at->instance->drainNow();
    armDeadline(*at, stop - stop / 2, over);
  });
  retiring.instance->onDrained([this, raw] { endRetiring(raw); });
  retiring.instance->drain(queued);
}

void LocalModuleHost::armDeadline(Retiring& retiring, milliseconds wait,
                                  std::function<void()> over) {
  retiring.deadline = std::make_unique<boost::asio::steady_timer>(*options_.control, wait);
  retiring.deadline->async_wait(
      [alive = alive_, over = std::move(over)](const boost::system::error_code& error) {
        if (!error && *alive != nullptr) over();
      });
}

std::list<Retiring>::iterator LocalModuleHost::findRetiring(const Instance* instance) {
  return std::find_if(retiring_.begin(), retiring_.end(), [instance](const Retiring& retiring) {
    return retiring.instance.get() == instance;
  });
}

// One that never ran for others: no DRAIN.
void LocalModuleHost::endNow(std::shared_ptr<Instance> instance, const std::string& name) {
  Retiring& retiring = retiring_.emplace_back();
  retiring.module = name;
  retiring.instance = std::move(instance);
  endRetiring(retiring.instance.get());
}

void LocalModuleHost::endRetiring(const Instance* instance) {
  const auto at = findRetiring(instance);
  if (at == retiring_.end() || std::exchange(at->ending, true)) return;
  if (at->deadline) at->deadline->cancel();
  at->instance->end([this, instance] { retired(instance); });
}

void LocalModuleHost::retired(const Instance* instance) {
  const auto at = findRetiring(instance);
  const std::string module = at->module;
  retired_no_route_ += instance->droppedNoRoute();
  retired_loop_ += instance->droppedLoop();
  if (instance->crashIndex() != 0) options_.crash_page->removeModule(instance->crashIndex());
  if (ModuleSlot* slot = find(module); slot != nullptr) {
    slot->messages_in += instance->messagesIn();
    slot->messages_out += instance->messagesOut();
  }
  retiring_.erase(at);
  if (ModuleSlot* slot = find(module); slot != nullptr && !isRetiring(module)) {
    if (slot->state == ModuleState::kDraining) slot->state = ModuleState::kStopped;
    if (const auto waiting = stopped_.extract(module); !waiting.empty()) {
      for (const Done& done : waiting.mapped()) done({});
    }
  }
  tidySlots();
  detachQueues();
  releaseTables();
  if (shutting_down_) finishShutDown();
  if (rest_ && rest_->ended.contains(module) && rest_->wave.erase(module) > 0) waveEnded();
}

bool LocalModuleHost::isRetiring(const std::string& name) const {
  return std::any_of(retiring_.begin(), retiring_.end(),
                     [&](const Retiring& retiring) { return retiring.module == name; });
}

// ---- slots and tables
// -----------------------------------------------------------------------------------

// Names that no deployment wants and under which nothing lives.
void LocalModuleHost::tidySlots() {
  const auto wants = [](const RuntimeTarget& target, const std::string& name) {
    return std::any_of(target.modules.begin(), target.modules.end(),
                       [&](const ModuleSpec& spec) { return spec.name == name; });
  };
  for (auto at = slots_.begin(); at != slots_.end();) {
    const auto& [name, slot] = *at;
    if (slot.instance || slot.coming || isRetiring(name) || wants(current_, name) ||
        (change_ && wants(change_->target, name))) {
      ++at;
      continue;
    }
    closeSlot(at->second);
    at = slots_.erase(at);
  }
}

void LocalModuleHost::detachQueues() {
  if (inputs_ && table_ && !shutting_down_) inputs_->detachOthers(table_->inputQueues());
}

// The lane lives on with the links that still lead to it, and counts what comes as dropped.
void LocalModuleHost::closeSlot(ModuleSlot& slot) {
  const std::shared_ptr<Lane> lane = std::move(slot.lane);
  Shard& home = lane->shard();
  home.post([this, alive = alive_, io = options_.control, lane, &home] {
    lane->close();
    boost::asio::post(*io, [this, alive, &home] {
      if (*alive != nullptr) shards_.releaseDedicated(home);
    });
  });
}

// A table goes when no shard uses it and nothing that it queued waits; one more round through the
// shards, because a callback may still hold its link.
void LocalModuleHost::releaseTables() {
  if (retired_.empty()) return;
  const auto to_control = [this](std::function<void()> task) { control(std::move(task)); };
  shards_.afterAll(to_control, [this, to_control] {
    std::vector<std::shared_ptr<RouteTable>> gone;
    for (const auto& table : retired_) {
      if (table.use_count() == 1 && table->drained(table_.get())) gone.push_back(table);
    }
    for (const auto& table : gone) {
      std::erase(retired_, table);
      keepDrops(*table);
    }
    if (!gone.empty()) shards_.afterAll(to_control, [gone] {});
    releaseTablesSoon();
  });
}

// What waits in a lane goes when it goes, and nobody says so: look again while there is something
// to see.
void LocalModuleHost::releaseTablesSoon() {
  if (retired_.empty() || shutting_down_ || release_) return;
  release_ = std::make_unique<boost::asio::steady_timer>(*options_.control, kReleaseEvery);
  release_->async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || *alive == nullptr) return;
    release_.reset();
    releaseTables();
  });
}

// Counts that end with this table.
void LocalModuleHost::keepDrops(const RouteTable& table) {
  const auto live = [this](const std::shared_ptr<RouteCounts>& counts) {
    const auto has = [&](const std::shared_ptr<RouteTable>& other) {
      const auto& all = other->allCounts();
      return std::find(all.begin(), all.end(), counts) != all.end();
    };
    return (table_ && has(table_)) || std::any_of(retired_.begin(), retired_.end(), has);
  };
  for (const auto& counts : table.allCounts()) {
    if (!live(counts)) addTo(retired_drops_, *counts);
  }
}

void LocalModuleHost::addTo(DropCounts& sum, const RouteCounts& counts) {
  for (std::size_t reason = 0; reason < kDropReasons; ++reason) {
    const std::uint64_t drops = counts.dropped[reason].load(std::memory_order_relaxed);
    if (drops > 0) sum[kante::name(static_cast<DropReason>(reason))] += drops;
  }
}

// ---- trying again
// ---------------------------------------------------------------------------------------

void LocalModuleHost::backOff(const std::string& name, ModuleSlot& slot, const Error& error) {
  if (slot.instance) return;
  slot.last_exit = error.text;
  if (!slot.override_reason.empty() || slot.spec.restart == Restart::kNever ||
      ++slot.short_lives >= ModuleSlot::kShortLivesMax) {
    slot.state = ModuleState::kFailed;
    slot.methods.reset();
    event("module.failed", name, error.text);
    return;
  }
  slot.state = ModuleState::kBackoff;
  answerMeanwhile(name, slot);
  armRetry(name, slot);
}

void LocalModuleHost::armRetry(const std::string& name, ModuleSlot& slot) {
  slot.retry = std::make_unique<boost::asio::steady_timer>(*options_.control,
                                                           milliseconds(slot.backoffMs()));
  slot.retry->async_wait([this, alive = alive_, name](const boost::system::error_code& stopped) {
    if (stopped || *alive == nullptr || shutting_down_) return;
    ModuleSlot* again = find(name);
    if (again == nullptr || again->instance) return;
    if (again->spec.placement != Placement::kInProcess && !rest_) return beginAgain(name);
    if (change_ || rest_) return armRetry(name, *again);
    ++again->restarts;
    RuntimeTarget target = current_;
    target.on_start_failure = OnStartFailure::kBackOff;
    retrying_ = true;
    change(std::move(target), {name}, Pace::kAtOnce, [this](const Result<ApplyReport>&) {
      retrying_ = false;
      for (auto& request : std::exchange(waiting_, {}))
        control([this, request = std::move(request)] { afterRetry(request); });
    });
  });
}

// ---- the end of all
// -------------------------------------------------------------------------------------

void LocalModuleHost::shutDown(std::function<void()> done) {
  shutting_down_ = true;
  shut_down_ = std::move(done);
  rest_.reset();
  if (change_)
    giveUp({Errc::kState, "the host is shutting down"});  // What was being started goes first.
  release_.reset();
  health_.reset();
  deferral_.reset();
  for (auto& [slot_name, slot] : slots_) {
    slot.retry.reset();
    slot.desired_subscription.reset();
    dropComing(slot_name, slot);
    if (!slot.instance) slot.methods.reset();
    if (!slot.instance) continue;
    slot.state = ModuleState::kDraining;
    retire(slot_name, slot, std::exchange(slot.instance, nullptr), Instance::Queued::kTake,
           std::move(slot.methods));
  }
  finishShutDown();
}

void LocalModuleHost::finishShutDown() {
  if (!retiring_.empty() || !shut_down_) return;
  for (auto& [slot_name, slot] : slots_) {
    if (slot.lane) slot.lane->shard().post([lane = slot.lane] { lane->close(); });
  }
  const auto to_control = [this](std::function<void()> task) { control(std::move(task)); };
  shards_.afterAll(to_control, [this, done = std::exchange(shut_down_, nullptr)] {
    shards_.stop();
    done();
  });
}

}  // namespace kante
