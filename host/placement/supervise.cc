// Lives that end alone: what is told of it, and what comes after.
#include "host/placement/local_module_host_impl.h"

namespace kante {

void LocalModuleHost::setAside(const std::string& name, const MessageRef& message, const Hop& hop,
                               const std::string& why) {
  if (options_.store == nullptr) return;
  const Status kept = options_.store->quarantine(Entry{message, hop}, why, "");
  if (kept.has_error()) {
    options_.log->warn("module/" + name, "the message that it ended with is not in quarantine",
                       {{"why", kept.error().text}});
  }
}

void LocalModuleHost::lifeDied(const std::string& name, const Instance* instance,
                               const LifeEnd& end) {
  options_.log->error("module/" + name, "ended: " + end.reason);
  event("module.crashed", name, end.reason);
  ModuleSlot* slot = find(name);
  if (slot == nullptr || slot->instance.get() != instance) return;
  slot->last_exit = end.reason;
  slot->desired_subscription.reset();
  slot->methods.reset();
  endNow(std::exchange(slot->instance, nullptr), name);
  slot->state = ModuleState::kFailed;
}

}  // namespace kante
