// Asking running modules now and then how they are, and saying so when one is not well.
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "host/placement/local_module_host_impl.h"

namespace kante {

void Instance::askHealth(std::function<void(const std::string& complaint)> answer) {
  onShard([this, answer = std::move(answer)]() mutable {
    if (phase_ != Phase::kActive || holding_ || drain_ != Drain::kNo) return;
    if (std::exchange(health_asked_, true)) return;
    Event event;
    event.event.type = KANTE_EVENT_HEALTH;
    event.after = [this, answer = std::move(answer)](kante_status status, const std::string& text) {
      health_asked_ = false;
      if (status == KANTE_E_CANCELED) return;
      const bool well = status >= KANTE_OK || status == KANTE_E_UNSUPPORTED;
      std::string complaint = text.empty() ? "it answered " + std::to_string(status) : text;
      if (well) complaint.clear();
      parts_.control([answer, complaint = std::move(complaint)] { answer(complaint); });
    };
    postEvent(std::move(event));
  });
}

void LocalModuleHost::askHealth() {
  for (auto& [slot_name, slot] : slots_) {
    if (!slot.instance || slot.state != ModuleState::kRunning) continue;
    slot.instance->askHealth([this, name = slot_name, who = slot.instance.get()](
                                 const std::string& complaint) { heard(name, who, complaint); });
  }
  askHealthLater();
}

void LocalModuleHost::askHealthLater() {
  health_ = std::make_unique<boost::asio::steady_timer>(
      *options_.control, std::chrono::milliseconds(options_.health_ms));
  health_->async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (!error && *alive != nullptr && !shutting_down_) askHealth();
  });
}

void LocalModuleHost::heard(const std::string& name, const Instance* who,
                            const std::string& complaint) {
  ModuleSlot* slot = find(name);
  if (slot == nullptr || slot->instance.get() != who || slot->complaint == complaint) return;
  slot->complaint = complaint;
  if (complaint.empty()) {
    options_.log->info("module/" + name, "is well again");
    return event("module.healthy", name, "it is well again");
  }
  options_.log->warn("module/" + name, "is not well: " + complaint);
  event("module.unhealthy", name, complaint);
}

}  // namespace kante
