// Modules in the middle of something (a machine in motion) that asked a deployment to wait, as long
// as it lets them.
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "host/base/clock.h"
#include "host/placement/local_module_host_impl.h"

namespace kante {
namespace {

constexpr std::chrono::milliseconds kLookAgain{50};  // One may be done before it said.
constexpr std::int64_t kSecondNs = 1'000'000'000;

}  // namespace

// Whether the change ends this life of it.
bool LocalModuleHost::isTouched(const ModuleSlot& slot) const {
  const auto& modules = change_->target.modules;
  const auto found = std::find_if(modules.begin(), modules.end(), [&slot](const ModuleSpec& spec) {
    return spec.name == slot.spec.name;
  });
  return found == modules.end() || !found->sameInstance(slot.spec);
}

const ModuleSlot* LocalModuleHost::whoDefers(const std::function<bool(const ModuleSlot&)>& touches,
                                             std::int64_t since_ns) const {
  const std::int64_t now_ns = SystemClock().bootNs();
  for (const auto& [name, slot] : slots_) {
    if (!slot.instance) continue;
    const std::int64_t last_ns = since_ns + std::int64_t{slot.spec.defer_max_s} * kSecondNs;
    if (std::min(slot.instance->deferredUntilNs(), last_ns) > now_ns && touches(slot)) return &slot;
  }
  return nullptr;
}

// Goes on at once where nobody asked.
void LocalModuleHost::afterDeferrals(std::function<bool(const ModuleSlot&)> touches,
                                     std::function<void()> then) {
  const std::int64_t since_ns = SystemClock().bootNs();
  const ModuleSlot* first = whoDefers(touches, since_ns);
  if (first == nullptr) return then();
  options_.log->info("module/" + first->spec.name, "asked the deployment to wait for it",
                     {{"at_most_s", std::to_string(first->spec.defer_max_s)}});
  event("module.deferred", first->spec.name,
        "the deployment waits until it is ready to be replaced");
  deferral_ = std::make_unique<boost::asio::steady_timer>(*options_.control);
  const auto look = std::make_shared<std::function<void()>>();
  *look = [this, touches = std::move(touches), then = std::move(then), since_ns,
           weak = std::weak_ptr(look)] {
    if (whoDefers(touches, since_ns) == nullptr) return then();
    deferral_->expires_after(kLookAgain);
    deferral_->async_wait(
        [alive = alive_, again = weak.lock()](const boost::system::error_code& stopped) {
          if (!stopped && *alive != nullptr) (*again)();
        });
  };
  (*look)();
}

}  // namespace kante
