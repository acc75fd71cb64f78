// Lives elsewhere that end alone: what is told of it, and the life that comes after.  Only the
// module itself takes part in that; the others, the routes and the lane go on as they are.
#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <chrono>

#include "host/base/clock.h"
#include "host/hub/methods.h"
#include "host/placement/local_module_host_impl.h"
#include "host/runtime/event_name.h"

namespace kante {

namespace {
using std::chrono::milliseconds;
}  // namespace

void LocalModuleHost::setAside(const std::string& name, const MessageRef& message, const Hop& hop,
                               const std::string& why) {
  if (options_.store == nullptr) return;
  const Status kept = options_.store->quarantine(Entry{message, hop}, why, "");
  if (kept.has_error()) {
    options_.log->warn("module/" + name, "the message that it ended with is not in quarantine",
                       {{"why", kept.error().text}});
  }
}

// ---- the end
// ------------------------------------------------------------------------------------------------

void LocalModuleHost::lifeDied(const std::string& name, const Instance* instance,
                               const LifeEnd& end) {
  options_.log->error("module/" + name, "ended: " + end.reason);
  event("module.crashed", name, end.reason);
  if (change_) {
    const auto fresh = change_->fresh.find(name);
    if (fresh != change_->fresh.end() && fresh->second.instance.get() == instance)
      return freshFailed(name, {Errc::kState, end.reason}, change_->id);
  }
  ModuleSlot* slot = find(name);
  if (slot == nullptr || slot->instance.get() != instance) return;
  slot->last_exit = end.reason;
  ++slot->deaths;
  slot->desired_subscription.reset();
  answerMeanwhile(name, *slot);
  endNow(std::exchange(slot->instance, nullptr), name);
  if (rest_) {
    rest_->open.erase(name);
    rest_->all.down.insert(name);
    slot->state = ModuleState::kBackoff;
    armRetry(name, *slot);  // If all goes on.
    if (rest_->wave.erase(name) > 0) waveEnded();
    return;
  }
  slot->state = ModuleState::kStarting;
  if (change_ && change_->fresh.contains(name)) return;  // Its successor is on its way.
  const bool long_life = SystemClock().bootNs() - slot->started_boot_ns >= ModuleSlot::kLongLifeNs;
  if (long_life) slot->short_lives = 0;
  if (slot->spec.restart != Restart::kNever && (long_life || end.by == LifeEnd::By::kOutside))
    return beginAgain(name);
  backOff(name, *slot, {Errc::kState, end.reason});
}

// It is there, only not now: whoever calls may try again, which a 404 would not tell.
void LocalModuleHost::answerMeanwhile(const std::string& name, ModuleSlot& slot) {
  slot.methods = options_.services->serveMethods(
      name, [this, name](std::uint64_t call, const std::string&, const MessageRef&) {
        const ModuleSlot* now = find(name);
        const std::string why = now == nullptr ? "" : now->last_exit;
        const auto body = jsonMessage(boost::json::serialize(boost::json::object(
            {{"message", "module/" + name + " is being started again; it ended: " + why}})));
        options_.services->reply(call, kMethodUnavailable, body.has_value() ? *body : MessageRef());
      });
}

// ---- the life after
// -----------------------------------------------------------------------------------------

void LocalModuleHost::beginAgain(const std::string& name) {
  ModuleSlot* slot = find(name);
  if (shutting_down_ || slot == nullptr || slot->instance || slot->coming) return;
  if (change_ && change_->fresh.contains(name)) return;
  ++slot->restarts;
  slot->state = ModuleState::kStarting;
  slot->retry.reset();
  // Known by its address, which stays its own as long as it is here.
  const auto self = std::make_shared<const Instance*>(nullptr);
  Instance::Callbacks callbacks;
  callbacks.ready = [this, name, self] { cameBack(name, *self); };
  callbacks.failed = [this, name, self](const Error& error) { didNotComeBack(name, *self, error); };
  auto made = makeInstance(slot->spec, nullptr, std::move(callbacks));
  if (made.has_error()) return backOff(name, *slot, made.error());
  slot->coming = std::move(*made);
  *self = slot->coming.get();
  slot->coming_deadline = std::make_unique<boost::asio::steady_timer>(
      *options_.control, milliseconds(slot->spec.start_ms));
  slot->coming_deadline->async_wait([this, alive = alive_, name, self, ms = slot->spec.start_ms](
                                        const boost::system::error_code& error) {
    if (error || *alive == nullptr) return;
    didNotComeBack(name, *self, {Errc::kTimeout, fmt::format("was not ready after {} ms", ms)});
  });
  auto [desired, version] = options_.services->desiredAtStart(name);
  slot->coming->begin(nullptr, std::move(desired), version);
}

void LocalModuleHost::cameBack(const std::string& name, const Instance* instance) {
  ModuleSlot* slot = find(name);
  if (slot == nullptr || slot->coming.get() != instance) return;
  slot->coming_deadline.reset();
  putToWork(name, *slot, std::exchange(slot->coming, nullptr));
}

void LocalModuleHost::didNotComeBack(const std::string& name, const Instance* instance,
                                     const Error& error) {
  ModuleSlot* slot = find(name);
  if (slot == nullptr || slot->coming.get() != instance) return;
  options_.log->error("module/" + name, "does not start again: " + error.text);
  dropComing(name, *slot);
  backOff(name, *slot, error);
}

void LocalModuleHost::dropComing(const std::string& name, ModuleSlot& slot) {
  slot.coming_deadline.reset();
  if (slot.coming) endNow(std::exchange(slot.coming, nullptr), name);
}

}  // namespace kante
