// Bringing all modules to rest, so that their states and nothing else stands for them: in waves,
// senders before receivers, so that what one still sends finds the next one at work.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "host/placement/local_module_host_impl.h"

namespace kante {

namespace {
using std::chrono::milliseconds;
// How long a module may wait for room in its outputs before its state is taken with what it has not
// sent: a sender that is faster than its receivers always waits.
constexpr milliseconds kRoomPatience{250};
constexpr milliseconds kRestMin{1000};  // For a module to come to rest, whatever its stop_ms.
// Rounds through modules that send to each other in a ring: a message passes 16 hops, and of a
// module elsewhere a round may bring but one.
constexpr std::uint32_t kAgainMax = 32;
}  // namespace

// ---- beforehand
// ----------------------------------------------------------------------------------------

ModuleHost::Room LocalModuleHost::roomFor(const RuntimeTarget& target) const {
  std::set<std::string> all;
  std::set<std::string> more;
  for (const ModuleSpec& spec : target.modules) {
    if (spec.desire == Desire::kStopped || spec.placement != Placement::kInProcess || gaveUp(spec))
      continue;
    all.insert(spec.digest);
    if (!libraries_.contains(spec.digest)) more.insert(spec.digest);
  }
  if (more.empty() || libraries_.size() + more.size() <= options_.loads_max) return Room::kEnough;
  return all.size() <= options_.loads_max ? Room::kNextLife : Room::kNever;
}

Status LocalModuleHost::check(const RuntimeTarget& target) {
  if (shutting_down_) return fail(Errc::kState, "the host is shutting down");
  if (change_ || rest_) return fail(Errc::kState, "another change is under way");
  change_ = std::make_unique<Change>();
  change_->target = target;
  Status checked = prepareRoutes();
  for (const ModuleSpec& spec : target.modules) {
    if (checked.has_value() && spec.desire == Desire::kRunning) checked = supported(spec);
  }
  change_.reset();
  tidySlots();
  return checked;
}

// ---- waves
// ---------------------------------------------------------------------------------------------

std::map<std::string, std::set<std::string>> LocalModuleHost::sendersOf() const {
  std::map<std::string, std::set<std::string>> senders;
  for (const auto& [slot_name, slot] : slots_) {
    const std::vector<OutputRoutes>* outputs = table_ ? table_->outputsOf(slot_name) : nullptr;
    if (outputs == nullptr) continue;
    const auto add = [&senders, &sender = slot_name](const Target& target) {
      if (target.link != nullptr) senders[target.link->lane->name()].insert(sender);
    };
    for (const OutputRoutes& output : *outputs) {
      for (const Target& target : output.always) add(target);
      for (const Target* target : output.by_route) {
        if (target != nullptr) add(*target);
      }
    }
  }
  for (auto& [receiver, of] : senders) of.erase(receiver);
  return senders;
}

void LocalModuleHost::saveAll(SavedAll saved) {
  if (retrying_) return afterRetry([this, saved = std::move(saved)] { saveAll(saved); });
  if (shutting_down_) return saved(fail(Errc::kState, "the host is shutting down"));
  if (change_ || rest_) return saved(fail(Errc::kState, "another change is under way"));
  rest_ = std::make_unique<Rest>();
  rest_->id = next_change_++;
  rest_->saved = std::move(saved);
  afterDeferrals([](const ModuleSlot&) { return true; },
                 [this, id = rest_->id] {
                   if (rest_ && rest_->id == id) beginRest();
                 });
}

void LocalModuleHost::beginRest() {
  rest_->senders = sendersOf();
  for (auto& [slot_name, slot] : slots_) {
    if (slot.coming) {
      dropComing(slot_name, slot);
      slot.state = ModuleState::kBackoff;
      armRetry(slot_name, slot);  // If all goes on.
    }
    if (slot.instance) {
      rest_->open.insert(slot_name);
    } else if (slot.state == ModuleState::kBackoff || slot.state == ModuleState::kFailed) {
      rest_->all.down.insert(slot_name);
    }
  }
  nextWave();
}

// Whatever was sent up to now has arrived in its lane: once round for senders to let go of their
// batches, once for receivers to take them.
void LocalModuleHost::afterTransit(std::function<void()> done) {
  const auto to_control = [this](std::function<void()> task) { control(std::move(task)); };
  shards_.afterAll(to_control, [this, to_control, id = rest_->id, done = std::move(done)] {
    shards_.afterAll(to_control, [this, id, done] {
      if (rest_ && rest_->id == id) done();
    });
  });
}

void LocalModuleHost::nextWave() {
  afterTransit([this] {
    Rest& rest = *rest_;
    if (rest.open.empty()) return lookAgain();
    for (const std::string& name : rest.open) {
      const auto& senders = rest.senders[name];
      const bool waits = std::any_of(senders.begin(), senders.end(), [&](const std::string& other) {
        return rest.open.contains(other);
      });
      if (!waits) rest.wave.insert(name);
    }
    if (rest.wave.empty()) rest.wave.insert(*rest.open.begin());  // A ring: it begins anywhere.
    milliseconds patience = kRestMin;
    for (const std::string& name : rest.wave) {
      patience = std::max(patience, milliseconds(slots_.at(name).spec.stop_ms));
    }
    rest.timer = std::make_unique<boost::asio::steady_timer>(*options_.control, kRoomPatience);
    rest.timer->async_wait(
        [this, alive = alive_, id = rest.id, patience](const boost::system::error_code& error) {
          if (error || *alive == nullptr || !rest_ || rest_->id != id) return;
          for (const std::string& name : rest_->wave) {
            if (const auto& instance = slots_.at(name).instance) instance->saveWithoutRoom();
          }
          rest_->timer->expires_after(patience);
          rest_->timer->async_wait([this, alive, id](const boost::system::error_code& over) {
            if (!over && *alive != nullptr && rest_ && rest_->id == id) restless();
          });
        });
    for (const std::string& name : rest.wave) bringToRest(name);
  });
}

void LocalModuleHost::bringToRest(const std::string& name) {
  slots_.at(name).instance->saveWhenQuiet(
      [this, name, id = rest_->id](std::shared_ptr<const SavedState> state) {
        if (rest_ && rest_->id == id && rest_->wave.contains(name)) atRest(name, std::move(state));
      });
}

void LocalModuleHost::atRest(const std::string& name, std::shared_ptr<const SavedState> state) {
  Rest& rest = *rest_;
  if (state) {
    rest.all.states[name] = std::move(state);
    rest.wave.erase(name);
    return waveEnded();
  }
  // It has nothing to come back with, so its life ends here as with any stop, and its last words
  // find their receivers at work.
  ModuleSlot& slot = slots_.at(name);
  rest.ended.insert(name);
  slot.instance->resumeEvents();
  slot.desired_subscription.reset();
  slot.state = ModuleState::kDraining;
  retire(name, slot, std::exchange(slot.instance, nullptr), Instance::Queued::kTake,
         std::move(slot.methods));
}

void LocalModuleHost::waveEnded() {
  Rest& rest = *rest_;
  if (!rest.wave.empty()) return;
  rest.timer->cancel();
  std::erase_if(rest.open, [&](const std::string& name) {
    return rest.all.states.contains(name) || rest.ended.contains(name);
  });
  nextWave();
}

// In a ring one that rests may have been sent something since: it is asked again.
void LocalModuleHost::lookAgain() {
  Rest& rest = *rest_;
  std::size_t left = 0;
  for (auto& [name, slot] : slots_) {
    const std::size_t waiting = slot.lane ? slot.lane->waiting() : 0;
    if (waiting == 0) continue;
    if (!slot.instance) {
      left += waiting;
      continue;
    }
    rest.all.states.erase(name);
    rest.open.insert(name);
    slot.instance->resumeEvents();
  }
  if (rest.open.empty()) {
    if (left > 0) {
      options_.log->warn("host", "messages wait in memory for modules that do not run, and go",
                         {{"messages", std::to_string(left)}});
    }
    return std::exchange(rest.saved, nullptr)(std::move(rest.all));
  }
  if (++rest.again > kAgainMax) {
    return endRest(fail(
        Errc::kState,
        "module " + *rest.open.begin() + " is sent messages in a ring that does not come to rest"));
  }
  nextWave();
}

void LocalModuleHost::restless() {
  for (const std::string& name : rest_->wave) {
    const ModuleSlot& slot = slots_.at(name);
    if (!slot.instance) continue;  // Being ended, which has a deadline of its own.
    const std::size_t waiting = slot.lane->waiting() + slot.instance->underWay();
    return endRest(fail(
        Errc::kTimeout,
        waiting > 0
            ? fmt::format("module {}: {} messages wait in memory and are not handled in time; try "
                          "again when there are fewer, or stop what sends them",
                          name, waiting)
            : fmt::format("module {}: its state was not saved in time", name)));
  }
}

// All goes on as before; those that were ended begin anew.
void LocalModuleHost::endRest(Result<Saved> result) {
  const std::unique_ptr<Rest> over = std::move(rest_);
  for (auto& [name, slot] : slots_) {
    if (slot.instance) slot.instance->resumeEvents();
  }
  if (!over->ended.empty() && !shutting_down_) {
    RuntimeTarget target = current_;
    target.on_start_failure = OnStartFailure::kBackOff;
    change(std::move(target), over->ended, Pace::kAtOnce, [](const Result<ApplyReport>&) {});
  }
  if (over->saved) over->saved(std::move(result));
}

void LocalModuleHost::resume() {
  if (rest_) endRest(fail(Errc::kState, "taken back"));
}

}  // namespace kante
