// From what runs to what should: new instances first, the switch, then the end of the old ones.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>

#include "host/base/clock.h"
#include "host/hub/methods.h"
#include "host/placement/loaded_life.h"
#include "host/placement/local_module_host_impl.h"

namespace kante {

void LocalModuleHost::apply(RuntimeTarget target, Applied applied) {
  afterRetry([this, target = std::move(target), applied = std::move(applied)]() mutable {
    const Pace pace = target.goes_back ? Pace::kAtOnce : Pace::kLeisurely;
    change(std::move(target), {}, pace, std::move(applied));
  });
}

// Nobody asked for the start that a back-off makes, so who asks for something waits for its end
// instead of being told of it.
void LocalModuleHost::afterRetry(std::function<void()> request) {
  if (!retrying_ || waiting_.size() >= kWaitingMax) return request();
  waiting_.push_back(std::move(request));
}

void LocalModuleHost::change(RuntimeTarget target, const std::set<std::string>& forced, Pace pace,
                             Applied applied) {
  if (shutting_down_) return applied(fail(Errc::kState, "the host is shutting down"));
  if (change_ || rest_) return applied(fail(Errc::kState, "another change is under way"));
  change_ = std::make_unique<Change>();
  change_->id = next_change_++;
  change_->target = std::move(target);
  change_->applied = std::move(applied);
  if (pace == Pace::kAtOnce) return beginChange(forced);
  afterDeferrals([this](const ModuleSlot& slot) { return isTouched(slot); },
                 [this, id = change_->id, forced] {
                   if (change_ && change_->id == id) beginChange(forced);
                 });
}

void LocalModuleHost::beginChange(const std::set<std::string>& forced) {
  if (auto prepared = prepare(forced); prepared.has_error()) return giveUp(prepared.error());
  startWhatCan();
}

// ---- before anything starts
// ------------------------------------------------------------------------------

Status LocalModuleHost::supported(const ModuleSpec& spec) const {
  if (spec.placement == Placement::kInProcess) return {};
  if (spec.placement == Placement::kSandbox && options_.sandbox) return {};
  if (spec.placement == Placement::kSandbox && !options_.sandbox_missing.empty())
    return fail(Errc::kUnsupported, "module " + spec.name + ": " + options_.sandbox_missing);
  return fail(
      Errc::kUnsupported,
      fmt::format("module {}: placement \"{}\" is not part of this build; say \"placement\": "
                  "\"in-process\" for a module that you trust",
                  spec.name, name(spec.placement)));
}

bool LocalModuleHost::isBlamed(const ModuleSpec& spec) const {
  const auto& blame = options_.crash_page->blame();
  return blame && blame->module == spec.name && blame->digest == spec.digest;
}

Status LocalModuleHost::addSlots() {
  std::map<std::string, Shard*> homes;
  for (const auto& [slot_name, slot] : slots_) homes[slot_name] = &slot.lane->shard();
  const auto groups = RouteTable::groups(change_->target.routes, change_->target.modules);
  KANTE_CHECK(shards_.place(change_->target.modules, groups, homes));
  for (const ModuleSpec& spec : change_->target.modules) {
    if (slots_.contains(spec.name)) continue;
    Shard& home = *homes.at(spec.name);
    ModuleSlot& slot = slots_[spec.name];
    slot.spec = spec;
    slot.lane = std::make_shared<Lane>(spec.name, home.shared_from_this());
    change_->made_slots.insert(spec.name);
  }
  for (const auto& shard : shards_.all()) {
    const std::lock_guard lock(table_mutex_);
    if (shards_.isDedicated(*shard)) {
      watched_shards_.erase(shard->index());
    } else {
      watched_shards_.insert(shard->index());
    }
    if (seen_shards_.insert(shard->index()).second)
      watchdog_->watch(shard->index(), &shard->slot());
  }
  return {};
}

Result<std::shared_ptr<const LoadedModule>> LocalModuleHost::library(const ModuleSpec& spec) {
  if (const auto at = libraries_.find(spec.digest); at != libraries_.end()) return at->second;
  if (libraries_.size() >= options_.loads_max && !change_->target.beyond_loads_max) {
    return fail(
        Errc::kLimit,
        fmt::format("module {}: {} libraries were loaded in this life of the host, which is its "
                    "limit; restart the host, or raise [runtime] in_process_loads_max",
                    spec.name, libraries_.size()));
  }
  auto loaded = options_.load(spec.digest, spec.id);
  if (loaded.has_error()) return within("module " + spec.name, loaded.error());
  libraries_[spec.digest] = *loaded;
  return *loaded;
}

Status LocalModuleHost::prepareRoutes() {
  Change& now = *change_;
  KANTE_CHECK(addSlots());
  std::vector<RouteTable::Place> places;
  for (const ModuleSpec& spec : now.target.modules) {
    places.push_back({&spec, slots_[spec.name].lane});
  }
  KANTE_TRY(table, RouteTable::make(now.target.routes, places,
                                    {options_.gateway_id, sources_, options_.upstream,
                                     inputs_ ? &*inputs_ : nullptr, table_.get(), topics_.get(),
                                     options_.elsewhere ? &options_.elsewhere : nullptr}));
  now.table = std::move(table);
  return {};
}

// It runs no more, or is to be tried again later: an unchanged one does not hold up a change.
bool LocalModuleHost::gaveUp(const ModuleSpec& spec) const {
  const auto at = slots_.find(spec.name);
  if (at == slots_.end()) return false;
  const ModuleSlot& slot = at->second;
  return (slot.state == ModuleState::kFailed || slot.state == ModuleState::kBackoff) &&
         spec.sameInstance(slot.spec);
}

bool LocalModuleHost::mayBackOff(const std::string& module) const {
  return change_->target.on_start_failure == OnStartFailure::kBackOff ||
         change_->target.may_back_off.contains(module);
}

Status LocalModuleHost::prepare(const std::set<std::string>& forced) {
  KANTE_CHECK(prepareRoutes());
  Change& now = *change_;
  for (const ModuleSpec& spec : now.target.modules) {
    ModuleSlot& slot = slots_[spec.name];
    const bool lives = slot.instance || slot.coming;
    const bool keeps = lives && spec.sameInstance(slot.spec) && !forced.contains(spec.name);
    if (keeps) {
      now.report.untouched.push_back(spec.name);
      continue;
    }
    if (slot.coming) {
      dropComing(spec.name, slot);
      now.interrupted.insert(spec.name);
    }
    if (spec.desire == Desire::kStopped) continue;
    if (gaveUp(spec) && !forced.contains(spec.name)) continue;
    if (spec.placement == Placement::kInProcess && isBlamed(spec) && !forced.contains(spec.name) &&
        now.made_slots.contains(spec.name)) {
      slot.last_exit = "brought the host down: " + options_.crash_page->blame()->reason;
      slot.override_reason = "it " + slot.last_exit;
      now.backed_off.emplace(spec.name, Error{Errc::kState, slot.last_exit});
      continue;
    }
    Result<std::shared_ptr<const LoadedModule>> loaded(nullptr);
    if (spec.placement == Placement::kInProcess) {
      loaded = library(spec);
    } else if (const Status possible = supported(spec); possible.has_error()) {
      loaded = possible.error();
    }
    if (loaded.has_error()) {
      if (!mayBackOff(spec.name)) return loaded.error();
      now.backed_off.emplace(spec.name, loaded.error());
      continue;
    }
    Fresh& fresh = now.fresh[spec.name];
    fresh.spec = spec;
    fresh.library = *loaded;
    fresh.carry = forced.contains(spec.name) ? CarryState::kNo : CarryState::kYes;
  }
  return {};
}

// ---- starting
// --------------------------------------------------------------------------------------------

bool LocalModuleHost::mayStart(const ModuleSpec& spec) const {
  return std::all_of(
      spec.start_after.begin(), spec.start_after.end(), [&](const std::string& other) {
        if (const auto fresh = change_->fresh.find(other); fresh != change_->fresh.end()) {
          return fresh->second.ready;
        }
        const auto slot = slots_.find(other);
        if (slot == slots_.end() || slot->second.instance) return true;
        // What a person stopped is not waited for; what fails to start is.
        return std::none_of(change_->target.modules.begin(), change_->target.modules.end(),
                            [&](const ModuleSpec& wanted) {
                              return wanted.name == other && wanted.desire == Desire::kRunning;
                            });
      });
}

void LocalModuleHost::startWhatCan() {
  const std::uint64_t id = change_->id;
  auto& fresh = change_->fresh;
  for (;;) {
    const auto next = std::find_if(fresh.begin(), fresh.end(), [this](const auto& entry) {
      return !entry.second.began && mayStart(entry.second.spec);
    });
    if (next == fresh.end()) break;
    startFresh(next->first);
    if (!change_ || change_->id != id) return;  // It failed at once, and all of it with it.
  }
  const auto unready = std::find_if(fresh.begin(), fresh.end(),
                                    [](const auto& entry) { return !entry.second.ready; });
  if (unready == fresh.end()) return switchOver();
  const bool under_way = std::any_of(fresh.begin(), fresh.end(), [](const auto& entry) {
    return entry.second.began && !entry.second.ready;
  });
  if (under_way) return;
  const std::string waiting = unready->first;
  freshFailed(waiting,
              {Errc::kState, "waits for what its start_after names, which does not get ready"}, id);
}

void LocalModuleHost::startFresh(const std::string& fresh_name) {
  Fresh& fresh = change_->fresh.at(fresh_name);
  fresh.began = true;
  ModuleSlot& slot = slots_.at(fresh_name);
  Instance::Callbacks callbacks;
  callbacks.ready = [this, fresh_name, id = change_->id] { freshReady(fresh_name, id); };
  callbacks.failed = [this, fresh_name, id = change_->id](const Error& error) {
    freshFailed(fresh_name, error, id);
  };
  auto made = makeInstance(fresh.spec, fresh.library, std::move(callbacks));
  if (made.has_error()) return freshFailed(fresh_name, made.error(), change_->id);
  fresh.instance = std::move(*made);
  fresh.before = slot.state;
  if (!slot.instance) slot.state = ModuleState::kStarting;
  fresh.deadline = std::make_unique<boost::asio::steady_timer>(*options_.control);
  fresh.deadline->expires_after(std::chrono::milliseconds(fresh.spec.start_ms));
  fresh.deadline->async_wait([this, alive = alive_, fresh_name, id = change_->id,
                              ms = fresh.spec.start_ms](const boost::system::error_code& error) {
    if (error || *alive == nullptr) return;
    freshFailed(fresh_name, {Errc::kTimeout, fmt::format("was not ready after {} ms", ms)}, id);
  });
  const auto given = change_->target.states.find(fresh_name);
  const auto kept = given == change_->target.states.end() ? nullptr : given->second;
  if (!slot.instance) return beginFresh(fresh_name, kept);
  if (!slot.instance->isHere()) {
    fresh.patience = std::make_shared<boost::asio::steady_timer>(*options_.control);
    waitForRest(fresh.patience, slot.instance, slot.spec.stop_ms);
  }
  // The running one keeps its state until the new one is ready; its inputs wait in the lane.
  change_->paused.insert(fresh_name);
  const auto saved = [this, fresh_name,
                      id = change_->id](std::shared_ptr<const Instance::State> state) {
    if (!change_ || change_->id != id || !change_->fresh.contains(fresh_name)) return;
    if (state) change_->report.states[fresh_name] = state;
    beginFresh(fresh_name, std::move(state));
  };
  if (change_->target.goes_back) {
    slot.instance->hold([saved, kept] { saved(kept); });
  } else if (fresh.carry == CarryState::kYes) {
    slot.instance->save(saved);
  } else {
    slot.instance->hold([saved] { saved(nullptr); });
  }
}

// Half of its time for itself; then nothing holds it up but itself.
void LocalModuleHost::waitForRest(const std::shared_ptr<boost::asio::steady_timer>& timer,
                                  const std::weak_ptr<Instance>& weak, std::uint32_t ms) {
  timer->expires_after(std::chrono::milliseconds(ms / 2));
  timer->async_wait(
      [weak, ms, again = std::weak_ptr(timer)](const boost::system::error_code& error) {
        const auto instance = weak.lock();
        const auto still = again.lock();
        if (error || !instance || !still) return;
        instance->letOut();
        still->expires_after(std::chrono::milliseconds(ms - ms / 2));
        still->async_wait([weak, ms, again](const boost::system::error_code& over) {
          const auto hung = weak.lock();
          if (!over && hung && again.lock())
            hung->kill(fmt::format("did not come to rest in {} ms", ms));
        });
      });
}

void LocalModuleHost::beginFresh(const std::string& fresh_name,
                                 std::shared_ptr<const Instance::State> state) {
  auto [desired, version] = options_.services->desiredAtStart(fresh_name);
  Fresh& fresh = change_->fresh.at(fresh_name);
  fresh.patience.reset();
  fresh.instance->begin(std::move(state), std::move(desired), version);
}

// Of now: what a running instance is granted may change, and one that is being started is judged by
// what it will be.
const ModuleSpec* LocalModuleHost::specOf(const std::string& module, const Instance* who) {
  if (change_) {
    const auto fresh = change_->fresh.find(module);
    if (fresh != change_->fresh.end() && fresh->second.instance.get() == who)
      return &fresh->second.spec;
  }
  const ModuleSlot* slot = find(module);
  return slot == nullptr ? nullptr : &slot->spec;
}

// `who` is known by the time that it asks.
void LocalModuleHost::addGrants(Instance::Parts& parts,
                                const std::shared_ptr<const Instance*>& who) {
  const std::string module = parts.spec.name;
  parts.granted = [this, module, who](const std::string& target, const std::string& method) {
    const ModuleSpec* spec = specOf(module, *who);
    return spec != nullptr && methodGranted(spec->method_grants, target, method);
  };
  if (options_.devices == nullptr) return;
  const std::shared_ptr<DeviceOpener::Session> session = options_.devices->session(module);
  parts.close_opened = [session] { DeviceOpener::end(*session); };
  parts.open = [this, module, who, session](const std::string& what, DeviceOpener::Answer answer) {
    const ModuleSpec* spec = specOf(module, *who);
    options_.devices->open(session,
                           spec != nullptr ? spec->device_grants : std::vector<DeviceGrant>(), what,
                           std::move(answer));
  };
}

Result<std::shared_ptr<Instance>> LocalModuleHost::makeInstance(
    const ModuleSpec& spec, std::shared_ptr<const LoadedModule> library,
    Instance::Callbacks callbacks) {
  const std::string module = spec.name;
  const std::shared_ptr<Lane>& lane = slots_.at(module).lane;
  std::shared_ptr<ModuleLife> life;
  std::uint32_t crash_index = 0;
  if (library) {
    KANTE_TRY(index, options_.crash_page->addModule(module, spec.digest));
    crash_index = index;
    life = std::make_shared<LoadedLife>(std::move(library), lane->shard().slot(), index);
  } else {
    KANTE_TRY(runner, options_.sandbox(spec, lane->shard()));
    life = std::move(runner);
  }
  Instance::Parts parts{
      spec,
      std::move(life),
      lane,
      crash_index,
      *options_.log,
      *options_.services,
      sources_,
      [this](std::function<void()> task) { control(std::move(task)); },
      {},
      {},
      {},
      [this, module](const std::string& kind, const std::string& text) {
        event(kind, module, text);
      },
      [this, module](const MessageRef& message, const Hop& hop, const std::string& why) {
        setAside(module, message, hop, why);
      }};
  const auto who = std::make_shared<const Instance*>(nullptr);
  addGrants(parts, who);
  callbacks.died = [this, module](const Instance* dead, const LifeEnd& end) {
    lifeDied(module, dead, end);
  };
  auto instance = std::make_shared<Instance>(std::move(parts), std::move(callbacks));
  *who = instance.get();
  return instance;
}

void LocalModuleHost::freshReady(const std::string& fresh_name, std::uint64_t change_id) {
  if (!change_ || change_->id != change_id) return;
  const auto at = change_->fresh.find(fresh_name);
  if (at == change_->fresh.end() || at->second.ready) return;
  at->second.ready = true;
  at->second.deadline.reset();
  startWhatCan();
}

void LocalModuleHost::freshFailed(const std::string& fresh_name, const Error& error,
                                  std::uint64_t change_id) {
  if (!change_ || change_->id != change_id) return;
  const auto at = change_->fresh.find(fresh_name);
  if (at == change_->fresh.end()) return;
  options_.log->error("module/" + fresh_name, "does not start: " + error.text);
  event("module.failed", fresh_name, error.text);
  if (!mayBackOff(fresh_name)) {
    return giveUp(within("module " + fresh_name, error));
  }
  change_->backed_off.emplace(fresh_name, error);
  if (at->second.instance) endNow(std::move(at->second.instance), fresh_name);
  if (ModuleSlot& slot = slots_.at(fresh_name);
      slot.instance && change_->paused.erase(fresh_name)) {
    slot.instance->resumeEvents();
  }
  change_->fresh.erase(at);
  startWhatCan();
}

// Everything new is taken back; what ran before goes on.
void LocalModuleHost::giveUp(const Error& error) {
  std::unique_ptr<Change> failed = std::move(change_);
  for (auto& [fresh_name, fresh] : failed->fresh) {
    if (!fresh.instance) continue;
    endNow(std::move(fresh.instance), fresh_name);
    ModuleSlot& slot = slots_.at(fresh_name);
    if (!slot.instance) slot.state = fresh.before;
  }
  for (const std::string& paused : failed->paused) {
    if (const auto& instance = slots_.at(paused).instance) {
      instance->resumeEvents();
    } else {
      beginAgain(paused);  // It died meanwhile.
    }
  }
  for (const std::string& interrupted : failed->interrupted) beginAgain(interrupted);
  tidySlots();
  detachQueues();
  failed->applied(error);
}

// ---- the switch
// ------------------------------------------------------------------------------------------

void LocalModuleHost::switchOver() {
  Change& now = *change_;
  if (table_) retired_.push_back(table_);
  table_ = now.table;
  if (topics_) topics_->activate(table_);
  {
    const std::lock_guard lock(table_mutex_);
    watched_table_ = table_;
  }
  std::set<std::string> wanted;
  for (const ModuleSpec& spec : now.target.modules) {
    wanted.insert(spec.name);
    ModuleSlot& slot = slots_.at(spec.name);
    slot.spec = spec;
    if (const auto fresh = now.fresh.find(spec.name); fresh != now.fresh.end()) {
      adopt(spec.name, fresh->second);
    } else if (spec.desire == Desire::kStopped) {
      stopSlot(spec.name, slot, Instance::Queued::kLeave);
    } else if (slot.instance) {
      slot.instance->activate(table_);
    }
  }
  for (const auto& [failed, error] : now.backed_off) backOff(failed, slots_.at(failed), error);
  for (auto& [slot_name, slot] : slots_) {
    if (!wanted.contains(slot_name)) stopSlot(slot_name, slot, Instance::Queued::kTake);
  }
  releaseTables();
  finish(now.report);
}

// What the deployment no longer runs: its queue waits for a start (kLeave), or is handled first
// (kTake).
void LocalModuleHost::stopSlot(const std::string& slot_name, ModuleSlot& slot,
                               Instance::Queued queued) {
  slot.desired_subscription.reset();
  slot.retry.reset();
  dropComing(slot_name, slot);
  if (slot.instance) {
    change_->report.stopped.push_back(slot_name);
    retire(slot_name, slot, std::exchange(slot.instance, nullptr), queued, std::move(slot.methods));
  }
  slot.methods.reset();
  slot.state = isRetiring(slot_name) ? ModuleState::kDraining : ModuleState::kStopped;
}

void LocalModuleHost::adopt(const std::string& module, Fresh& fresh) {
  ModuleSlot& slot = slots_.at(module);
  auto old = std::exchange(slot.instance, nullptr);
  std::shared_ptr<void> old_methods = slot.methods;
  if (old) old->flushForeign();
  putToWork(module, slot, fresh.instance);
  slot.override_reason.clear();
  if (!retrying_) slot.short_lives = 0;
  if (!old) {
    change_->report.started.push_back(module);
    return;
  }
  change_->report.replaced.push_back(module);
  retire(module, slot, std::move(old), Instance::Queued::kLeave, std::move(old_methods));
}

void LocalModuleHost::putToWork(const std::string& module, ModuleSlot& slot,
                                std::shared_ptr<Instance> instance) {
  slot.instance = std::move(instance);
  const std::weak_ptr weak(slot.instance);
  slot.desired_subscription = options_.services->subscribeDesired(
      module, [weak](MessageRef document, std::uint64_t version) {
        if (const auto alive = weak.lock()) alive->desired(std::move(document), version);
      });
  slot.methods = options_.services->serveMethods(
      module, [weak](std::uint64_t call, std::string method, MessageRef arguments) {
        if (const auto alive = weak.lock())
          alive->method(call, std::move(method), std::move(arguments));
      });
  slot.instance->activate(table_);
  slot.state = ModuleState::kRunning;
  slot.complaint.clear();
  slot.started_wall_ns = SystemClock().wallNs();
  slot.started_boot_ns = SystemClock().bootNs();
  slot.retry.reset();
  const std::string text = slot.spec.id + " " + slot.spec.version;
  options_.log->info("module/" + module, "runs",
                     {{"module", text}, {"placement", kante::name(slot.spec.placement)}});
  event("module.started", module, text);
}

void LocalModuleHost::finish(Result<ApplyReport> result) {
  std::unique_ptr<Change> finished = std::move(change_);
  current_ = std::move(finished->target);
  current_.states.clear();
  current_.goes_back = false;
  current_.may_back_off.clear();
  current_.beyond_loads_max = false;
  tidySlots();
  detachQueues();
  finished->applied(std::move(result));
}

}  // namespace kante
