// What runs is held anew against what it depends on besides its deployment.
#include <algorithm>

#include "host/agent/agent_state.h"
#include "host/base/log.h"

namespace kante {
namespace {

constexpr std::chrono::milliseconds kAgain{200};

// Of the same document.
bool isSame(const RuntimeTarget& a, const RuntimeTarget& b) {
  return std::equal(a.modules.begin(), a.modules.end(), b.modules.begin(), b.modules.end(),
                    [](const ModuleSpec& one, const ModuleSpec& other) {
                      return one.sameInstance(other) && one.barred == other.barred;
                    });
}

}  // namespace

void Agent::reconsider() { state_->reconsider(); }

void Agent::State::reconsiderLater() {
  if (!parts.later) return;
  reconsider_timer = parts.later(kAgain, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->reconsider();
  });
}

void Agent::State::reconsider() {
  reconsider_timer.reset();
  const Journal::Entry* now = journal.current();
  if (hostIsOver()) return;
  if (changing || hostIsTaken()) return reconsiderLater();
  if (now == nullptr || !current) return;
  const auto deployment = parseDeployment(now->document);
  auto resolved =
      deployment ? resolve(*deployment, nullptr) : Result<ResolvedDeployment>(deployment.error());
  if (!resolved) return parts.log.error(kAgentLog, "what runs stays: " + resolved.error().text);
  if (isSame(current->target, resolved->target)) return;
  RuntimeTarget target = resolved->target;
  target.on_start_failure = OnStartFailure::kBackOff;
  changing = true;
  const auto shared = std::make_shared<ResolvedDeployment>(std::move(*resolved));
  parts.modules.apply(
      std::move(target), [weak = weak_from_this(), shared](const Result<ApplyReport>& report) {
        const auto self = weak.lock();
        if (!self) return;
        self->changing = false;
        if (report) {
          self->current = std::move(*shared);
        } else {
          self->parts.log.error(kAgentLog, "what runs stays: " + report.error().text);
        }
        self->tell();
      });
}

}  // namespace kante
