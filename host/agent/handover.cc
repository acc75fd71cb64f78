// A deployment for which this process may not load enough libraries any more: its life ends, with
// what its modules saved on disk, and the next one begins with the deployment, or goes back.
#include "host/agent/agent_state.h"
#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/hub/twins.h"

namespace kante {
namespace {

// Those that had failed before, and whose bundle and configuration stay: that they fail again is no
// fault of the deployment.
std::set<std::string> mayFailAgain(const Journal::Handover& handed, const Journal::Entry* before,
                                   const Deployment& next) {
  std::set<std::string> names;
  const auto old =
      before == nullptr ? Result<Deployment>(Deployment()) : parseDeployment(before->document);
  if (!old) return names;
  for (const std::string& name : handed.down) {
    const auto was = old->modules.find(name);
    const auto is = next.modules.find(name);
    if (was == old->modules.end() || is == next.modules.end()) continue;
    if (was->second.bundle == is->second.bundle && was->second.config == is->second.config &&
        was->second.container == is->second.container)
      names.insert(name);
  }
  return names;
}

}  // namespace

Status Agent::State::checkSection(const Deployment& next) const {
  if (!changesSection(next)) return {};
  if (parts.check_section && parts.handover.leave) return parts.check_section(next.gateway);
  return fail(Errc::kUnsupported,
              "/gateway: this host cannot begin a new life by itself, which another configuration "
              "needs");
}

Result<bool> Agent::State::needsNextLife(const ResolvedDeployment& next) {
  KANTE_CHECK(checkSection(next.deployment));
  const std::string most = std::to_string(parts.modules.loadsMax());
  switch (parts.modules.roomFor(next.target)) {
    case ModuleHost::Room::kEnough:
      if (!changesSection(next.deployment)) return false;
      if (next.deployment.handover) break;
      return fail(
          Errc::kLimit,
          "/gateway: another configuration needs a new life of the host, and the deployment "
          "says \"handover\": false");
    case ModuleHost::Room::kNever:
      return fail(
          Errc::kLimit,
          "/modules: they need more libraries than the host may load in one life, which is " +
              most + "; raise [runtime] in_process_loads_max");
    case ModuleHost::Room::kNextLife: break;
  }
  if (parts.modules.roomFor(next.target) == ModuleHost::Room::kEnough) {
    KANTE_CHECK(parts.modules.check(next.target));
    return true;
  }
  if (!next.deployment.handover || !parts.handover.leave)
    return fail(
        Errc::kLimit,
        "/modules: " + std::to_string(parts.modules.loadsUsed()) +
            " libraries were loaded in this life of the host, and " + most + " is its limit" +
            (next.deployment.handover ? "" : " and the deployment says \"handover\": false") +
            "; restart the host, or raise [runtime] in_process_loads_max");
  KANTE_CHECK(parts.modules.check(next.target));
  return true;
}

// ---- the life that ends
// --------------------------------------------------------------------------------

void Agent::State::handOver(const std::shared_ptr<Change>& change) {
  const Deployment& deployment = change->resolved.deployment;
  parts.log.info(kAgentLog, titleOf(deployment.id, deployment.version) +
                                " needs a new life of the host: modules come to rest");
  if (parts.handover.begins) parts.handover.begins();
  const Applied applied = std::exchange(change->applied, [](const Result<ApplyOutcome>&) {});
  applied(ApplyOutcome{ApplyOutcome::Kind::kHandover, change->n, deployment.id, deployment.version,
                       change->plan.lines, change->resolved.warnings, change->plan.changed});
  parts.modules.saveAll([weak = weak_from_this(), change, taken = hostIsTaken(),
                         began = parts.clock.bootNs()](Result<ModuleHost::Saved> saved) {
    const auto self = weak.lock();
    if (!self) return;
    if (!saved && (taken || self->hostIsOver())) blameless(change);
    if (!saved) return self->stay(change, saved.error());
    Journal::Handover handover{change->n, 0, began, std::move(saved->states),
                               std::move(saved->down)};
    handover.window_s = change->window_s;
    handover.uplink_was_up = change->uplink_was_up;
    self->journal.handOver(std::move(handover), [weak, change](const Status& written) {
      const auto alive = weak.lock();
      if (!alive) return;
      if (written) return alive->parts.handover.leave();
      alive->journal.takenOver();
      alive->parts.modules.resume();
      alive->stay(blameless(change), written.error());
    });
  });
}

void Agent::State::stay(const std::shared_ptr<Change>& change, const Error& why) {
  if (parts.handover.resumes) parts.handover.resumes();
  failed(change, why);
}

// Not a change: what runs stays, and so does the journal.
void Agent::State::handOverToUpdate(std::function<void(Status)> done) {
  if (changing) return done(underWay());
  changing = true;
  if (parts.handover.begins) parts.handover.begins();
  const auto stays = [weak = weak_from_this(), done](const Error& why) {
    const auto self = weak.lock();
    if (!self) return;
    self->changing = false;
    if (self->parts.handover.resumes) self->parts.handover.resumes();
    self->tell();  // What waited for the end of this may go on.
    done(why);
  };
  parts.modules.saveAll([weak = weak_from_this(), stays, done,
                         began = parts.clock.bootNs()](Result<ModuleHost::Saved> saved) {
    const auto self = weak.lock();
    if (!self) return;
    if (!saved) return stays(saved.error());
    Journal::Handover handover{0, 0, began, std::move(saved->states), std::move(saved->down), true};
    self->journal.handOver(std::move(handover), [weak, stays, done](const Status& written) {
      const auto alive = weak.lock();
      if (!alive) return;
      if (written) return done({});
      alive->journal.takenOver();
      alive->parts.modules.resume();
      stays(written.error());
    });
  });
}

// ---- the life that begins
// ------------------------------------------------------------------------------

void Agent::State::beginAgain(Applied applied) {
  auto change = std::make_shared<Change>();
  change->handed = *journal.handover();
  change->n = change->handed->n;
  change->window_s = change->handed->window_s;
  change->uplink_was_up = change->handed->uplink_was_up;
  change->applied = std::move(applied);
  const HistoryEntry& said = journal.find(change->n)->said;
  changing = true;
  status = {said.id, said.version, DeploymentState::kApplying, {}};
  const bool was_tried = change->handed->tried && !parts.section.is_trial;
  if (!change->handed->reason.empty())
    return goBack(change, fail(Errc::kState, change->handed->reason));
  if (change->handed->lives > 0 || was_tried) {
    const std::string& culprit = parts.last_end;  // Empty: a power cut, say.
    if (culprit.empty()) blameless(change);
    return goBack(change, fail(Errc::kState, "the host ended while it was being started" +
                                                 (culprit.empty() ? "" : ": " + culprit)));
  }
  // Noted first: if this life does not survive it, the next one goes back.
  journal.countLife([weak = weak_from_this(), change](const Status& counted) {
    const auto self = weak.lock();
    if (!self) return;
    if (!counted) return self->goBack(blameless(change), counted.error());
    self->tryNext(change);
  });
}

// The same deployment in another version of the host, or again in the one before it.
void Agent::State::beginUpdated(Applied applied) {
  changing = true;
  const auto handed = std::make_shared<Journal::Handover>(*journal.handover());
  journal.countLife(
      [weak = weak_from_this(), handed, applied = std::move(applied)](const Status& counted) {
        const auto self = weak.lock();
        if (!self) return;
        self->changing = false;
        if (!counted) self->parts.log.error(kAgentLog, counted.error().text);
        const std::int64_t began = handed->began_boot_ns;
        self->startCommitted(
            handed.get(), "", [weak, began, applied](const Result<ApplyOutcome>& outcome) {
              const auto alive = weak.lock();
              if (!alive) return;
              const std::int64_t took_ns = alive->parts.clock.bootNs() - began;
              if (outcome && took_ns > 0)
                alive->parts.log.info(kAgentLog, "modules stood still for " +
                                                     std::to_string(took_ns / 1'000'000) + " ms");
              applied(outcome);
            });
      });
}

void Agent::State::tryNext(const std::shared_ptr<Change>& change) {
  const Journal::Entry& entry = *journal.find(change->n);
  const auto deployment = parseDeployment(entry.document);
  if (!deployment) return goBack(change, deployment.error());
  auto resolved = resolve(*deployment, nullptr);
  if (!resolved) return goBack(change, resolved.error());
  if (Status staged = parts.twins.stage(resolved->bases); !staged)
    return goBack(change, staged.error());
  change->resolved = std::move(*resolved);
  change->plan.changed = entry.said.changed;
  RuntimeTarget target = change->resolved.target;
  target.states = change->handed->states;
  target.may_back_off = mayFailAgain(*change->handed, journal.current(), *deployment);
  parts.log.info(kAgentLog, "a new life of the host begins with " +
                                titleOf(entry.said.id, entry.said.version));
  parts.modules.apply(
      std::move(target), [weak = weak_from_this(), change](const Result<ApplyReport>& report) {
        const auto self = weak.lock();
        if (!self) return;
        if (!report && self->hostIsOver()) blameless(change);
        if (!report) return self->goBack(change, report.error());
        const std::int64_t took_ns = self->parts.clock.bootNs() - change->handed->began_boot_ns;
        if (took_ns > 0)
          self->parts.log.info(
              kAgentLog, "modules stood still for " + std::to_string(took_ns / 1'000'000) + " ms");
        change->answer = ApplyRequest::Answer::kWhenItRuns;
        self->watch(change, *report);
      });
}

// This life was made with the configuration that is taken back.
void Agent::State::goBackInNextLife(const std::shared_ptr<Change>& change, const Error& why) {
  parts.log.error(kAgentLog, "going back in a new life of the host: " + why.text);
  parts.twins.discardStaged();
  if (parts.handover.begins) parts.handover.begins();
  const Journal::Entry* before = journal.current();
  ApplyOutcome outcome;
  outcome.kind = ApplyOutcome::Kind::kHandover;
  if (before != nullptr) {
    outcome.n = before->said.n;
    outcome.id = before->said.id;
    outcome.version = before->said.version;
  }
  if (const auto asked = std::exchange(change->cut_short, nullptr)) asked(outcome);
  // If it does not get there, the next life goes back all the same and knows no reason.
  journal.noteGoingBack(why.text, [weak = weak_from_this()](const Status&) {
    if (const auto self = weak.lock()) self->parts.handover.leave();
  });
}

// The deployment before it runs again, its modules from what they saved.
void Agent::State::goBack(const std::shared_ptr<Change>& change, const Error& why) {
  if (parts.section.is_trial && journal.handover()) return goBackInNextLife(change, why);
  const HistoryEntry said = journal.find(change->n)->said;
  const std::string reason = titleOf(said.id, said.version) + ": " + why.text;
  parts.log.error(kAgentLog, "rolled back " + reason);
  parts.twins.discardStaged();
  // It held if only the writing of that was not confirmed.
  if (journal.current() != nullptr && journal.current()->said.n == change->n)
    journal.fail(change->n, why.text, change->again);
  const auto start = [weak = weak_from_this(), change, reason, why = why.text](const Status&) {
    const auto self = weak.lock();
    if (!self) return;
    self->changing = false;
    const Journal::Entry* now = self->journal.current();
    self->status = {now == nullptr ? "" : now->said.id, now == nullptr ? 0 : now->said.version,
                    DeploymentState::kRolledBack, reason};
    self->startCommitted(&*change->handed, reason,
                         [weak, change, why](const Result<ApplyOutcome>& outcome) {
                           const auto alive = weak.lock();
                           if (!alive) return;
                           // Now, so that who reads it finds the modules at work.
                           alive->journal.fail(change->n, why, change->again);
                           alive->journal.takenOver();
                           alive->tell();
                           if (change->cut_short) change->cut_short(outcome);
                           change->applied(outcome);
                         });
  };
  // Noted as well, but a disk that fails is no reason not to go back.
  if (!journal.handover()) return start({});
  journal.countLife(start);
}

}  // namespace kante
