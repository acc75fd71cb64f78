// The time between the switch and the commit: the new deployment runs, the old one is what holds.
#include "host/agent/observe.h"

#include <algorithm>
#include <utility>

#include "host/agent/agent_state.h"
#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/hub/twins.h"

namespace kante {
namespace {

constexpr std::chrono::milliseconds kLookEvery{200};
constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kAsksAWindow = 4;  // How often modules are asked how they are, at least.

bool isDown(const ModuleStatus& module) {
  return module.state == ModuleState::kBackoff || module.state == ModuleState::kFailed;
}

}  // namespace

Observation::Observation(const std::vector<ModuleStatus>& at_switch,
                         const std::vector<std::string>& changed) {
  for (const ModuleStatus& module : at_switch) {
    const bool is_new = std::find(changed.begin(), changed.end(), module.name) != changed.end();
    if (isDown(module) && !is_new) continue;
    watched_[module.name] = {module.deaths, !is_new && !module.complaint.empty()};
  }
}

std::optional<std::string> Observation::judge(const std::vector<ModuleStatus>& now) const {
  for (const ModuleStatus& module : now) {
    const auto before = watched_.find(module.name);
    if (before == watched_.end()) continue;
    if (module.deaths != before->second.deaths || isDown(module))
      return "module " + module.name + " ended: " +
             (module.last_exit.empty() ? std::string("it is ") + name(module.state)
                                       : module.last_exit);
    if (!module.complaint.empty() && !before->second.may_complain)
      return "module " + module.name + " is not well: " + module.complaint;
  }
  return std::nullopt;
}

// ---- the agent -------------------------------------------------------------------------------

void Agent::State::watch(const std::shared_ptr<Change>& change, const ApplyReport& report) {
  if (change->window_s == 0 || !parts.later) return commit(change);
  std::vector<std::string> changed = report.started;
  changed.insert(changed.end(), report.replaced.begin(), report.replaced.end());
  change->states = report.states;
  parts.twins.tryStaged();
  const std::int64_t now_ns = parts.clock.bootNs();
  status.state = DeploymentState::kWatching;
  status.watched_until_boot_ns = now_ns + change->window_s * kSecondNs;
  watched = std::make_unique<Watched>(
      Watched{change, Observation(parts.modules.modules(), changed), now_ns, {}, nullptr});
  parts.log.info(kAgentLog, "watching " + titleOf(status.id, status.version) + " for " +
                                std::to_string(change->window_s) + " s");
  tell();
  if (change->answer == ApplyRequest::Answer::kWhenItRuns) {
    const Deployment& next = change->resolved.deployment;
    std::exchange(change->applied, [](const Result<ApplyOutcome>&) {})(
        ApplyOutcome{ApplyOutcome::Kind::kUnchanged, change->n, next.id, next.version, {}, {}, {}});
  }
  if (watched) lookAgain();
}

void Agent::State::lookAgain() {
  const std::int64_t now_ns = parts.clock.bootNs();
  const std::int64_t window_ns = watched->change->window_s * kSecondNs;
  if (parts.uplink_connected && parts.uplink_connected()) watched->uplink_seen_ns = now_ns;
  if (now_ns >= watched->ask_at_ns) {
    parts.modules.askHealth();
    watched->ask_at_ns = now_ns + window_ns / kAsksAWindow;
  }
  if (const auto wrong = watched->judge.judge(parts.modules.modules())) return endWatch(*wrong);
  if (now_ns >= status.watched_until_boot_ns) return endWatch(linkIsWrong(window_ns));
  watched->timer = parts.later(kLookEvery, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->watched) self->lookAgain();
  });
}

// A link comes and goes: what counts is whether it was there late in the window.
std::string Agent::State::linkIsWrong(std::int64_t window_ns) const {
  const Change& change = *watched->change;
  if (!change.resolved.deployment.health.uplink || !change.uplink_was_up) return {};
  const std::int64_t late_ns = status.watched_until_boot_ns - window_ns / 3;
  if (watched->uplink_seen_ns.value_or(INT64_MIN) >= late_ns) return {};
  return "the uplink was connected before and is not any more";
}

// With what is wrong; empty: nothing.
void Agent::State::endWatch(const std::string& wrong) {
  const std::unique_ptr<Watched> ended = std::move(watched);
  status.watched_until_boot_ns = 0;
  if (wrong.empty()) return commit(ended->change);
  status.state = DeploymentState::kApplying;
  revert(ended->change, {Errc::kState, wrong});
}

// Whoever asks is told once the one before runs.
void Agent::State::cutShort(const std::string& who, Applied applied) {
  parts.log.info(kAgentLog, "the watch is cut short", {{"who", who}});
  watched->change->cut_short = std::move(applied);
  watched->change->again = Journal::Again::kNo;  // Nor any of its documents alone.
  endWatch(who + " rolled it back while it was watched");
}

}  // namespace kante
