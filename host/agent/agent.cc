#include "host/agent/agent.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/agent_state.h"
#include "host/base/clock.h"
#include "host/base/json.h"
#include "host/base/json_patch.h"
#include "host/base/log.h"
#include "host/bundle/bundle_store.h"
#include "host/hub/twins.h"
#include "host/placement/module_host.h"

namespace kante {
namespace {

constexpr const char* kWho = kAgentLog;
constexpr std::chrono::milliseconds kFreeAgain{200};

std::string title(const Deployment& deployment) {
  return titleOf(deployment.id, deployment.version);
}

template <typename Digests>
void imagesOf(const Digests& digests, std::set<std::string>& images) {
  for (const std::string& one : digests)
    if (one.starts_with(kImageMark)) images.insert(one.substr(std::string_view(kImageMark).size()));
}

}  // namespace

std::string titleOf(const std::string& id, std::uint64_t version) {
  return id + " version " + std::to_string(version);
}

const char* name(DeploymentState state) {
  switch (state) {
    case DeploymentState::kNone: return "none";
    case DeploymentState::kFetching: return "fetching";
    case DeploymentState::kApplying: return "applying";
    case DeploymentState::kWatching: return "watching";
    case DeploymentState::kCommitted: return "committed";
    case DeploymentState::kRolledBack: return "rolled-back";
    case DeploymentState::kFailed: return "failed";
  }
  return "unknown";
}

Result<ResolvedDeployment> Agent::State::resolve(const Deployment& deployment,
                                                 const ApplyRequest* request) {
  ResolveFrom from{parts.bundles,   {},           {}, {}, parts.upstream, parts.topics,
                   parts.elsewhere, parts.secrets};
  if (request == nullptr) from.missing_secret = ResolveFrom::MissingSecret::kBarsTheModule;
  if (request != nullptr) {
    const auto rebind = request->rebind == ApplyRequest::Rebind::kYes
                            ? AdmissionPolicy::Rebind::kYes
                            : AdmissionPolicy::Rebind::kNo;
    from.policy = [this, rebind] {
      AdmissionPolicy policy = parts.policy();
      policy.rebind = rebind;
      return policy;
    };
    from.base_directory = request->base_directory;
    from.uploads = request->uploads;
  }
  std::vector<std::string> admitted;
  auto resolved = resolveDeployment(deployment, from, admitted);
  // A bundle of a document that is only looked at, or refused, is not kept.
  if (!resolved || (request != nullptr && request->mode == ApplyRequest::Mode::kDryRun))
    for (const std::string& digest : admitted) (void)parts.bundles.remove(digest);
  if (resolved) applyOverrides(resolved->target);
  if (resolved && parts.barred) {
    for (ModuleSpec& module : resolved->target.modules) {
      if (module.placement == Placement::kContainer) continue;  // Nobody signed it.
      if (module.barred.empty()) module.barred = parts.barred(module.digest);
      if (!module.barred.empty()) module.desire = Desire::kStopped;
    }
  }
  return resolved;
}

// A manifest of IoT Edge becomes what it means here.
Status Agent::State::translate(ApplyRequest& request) const {
  if (request.document.find("modulesContent") == std::string::npos) return {};
  const auto document = parseJson(request.document, {kDeploymentBytesMax, kDeploymentDepthMax});
  if (!document || !isIotEdgeManifest(*document)) return {};  // What is wrong, parsing says.
  const Journal::Entry* now = journal.current();
  auto translated =
      translateManifest(*document, parts.images, now == nullptr ? "null" : now->baseText());
  if (!translated) return translated.error();
  request.document = std::move(translated->document);
  request.warnings = std::move(translated->report);
  return {};
}

// Of one id, versions rise; another id is another line of deployments.
Status Agent::State::checkVersion(const Deployment& next) const {
  const Journal::Entry* now = journal.current();
  if (now == nullptr || now->said.id != next.id || next.version >= now->said.version) return {};
  return fail(Errc::kConflict, "/version: " + std::to_string(next.version) + " is not above " +
                                   std::to_string(now->said.version) + ", which is deployed");
}

bool Agent::State::isRunning(const ResolvedDeployment& next) const {
  return current && current->deployment.json == next.deployment.json &&
         status.state != DeploymentState::kFailed;
}

Error Agent::State::underWay() const {
  if (fetching)
    return fail(Errc::kState, titleOf(status.id, status.version) +
                                  (fetching->missing.bundles.empty() ? " waits for an image"
                                                                     : " waits for a bundle") +
                                  "; wait for that, or roll it back");
  if (!watched) return fail(Errc::kState, "another change is under way");
  const std::int64_t left_ns = status.watched_until_boot_ns - parts.clock.bootNs();
  return fail(Errc::kState, titleOf(status.id, status.version) + " is watched for another " +
                                std::to_string((left_ns + 999'999'999) / 1'000'000'000) +
                                " s; wait for that, or roll it back");
}

void Agent::State::begin(ResolvedDeployment resolved, Journal::Entry entry, Watching watching,
                         Applied applied) {
  auto change = std::make_shared<Change>();
  const auto next_life = needsNextLife(resolved);
  if (!next_life) return applied(next_life.error());
  change->needs_next_life = *next_life;
  change->plan = planChange(current ? &*current : nullptr, resolved, watching.window_s);
  change->resolved = std::move(resolved);
  change->applied = std::move(applied);
  change->window_s = watching.window_s;
  change->answer = watching.answer;
  change->uplink_was_up = parts.uplink_connected && parts.uplink_connected();
  if (entry.marks.size() > 1) blameless(change);  // Each of them may be.
  const Deployment& deployment = change->resolved.deployment;
  if (Status staged = parts.twins.stage(change->resolved.bases); !staged)
    return change->applied(staged.error());
  changing = true;
  status = {deployment.id, deployment.version, DeploymentState::kApplying, {}};
  const std::size_t documents = entry.marks.size();
  parts.log.info(kWho,
                 "applying " + title(deployment) +
                     (documents < 2 ? "" : ", of " + std::to_string(documents) + " documents"),
                 {{"who", entry.said.who}});
  entry.said.id = deployment.id;
  entry.said.version = deployment.version;
  entry.said.when_wall_ns = parts.clock.wallNs();
  entry.said.changed = change->plan.changed;
  entry.digests = change->resolved.digests;
  entry.document = deployment.json;
  // The number is known before anything calls back: `done` may come within begin().
  change->n = journal.next();
  tell();
  journal.begin(std::move(entry), [weak = weak_from_this(), change](const Status& staged) {
    const auto self = weak.lock();
    if (!self) return;
    if (!staged) return self->failed(blameless(change), staged.error());
    if (change->needs_next_life) return self->handOver(change);
    self->switchTo(change);
  });
}

void Agent::State::switchTo(const std::shared_ptr<Change>& change) {
  parts.modules.apply(
      change->resolved.target,
      [weak = weak_from_this(), change, taken = hostIsTaken()](const Result<ApplyReport>& report) {
        const auto self = weak.lock();
        if (!self) return;
        if (report) return self->watch(change, *report);
        if (taken || self->hostIsOver()) blameless(change);
        self->failed(change, report.error());
      });
}

void Agent::State::commit(const std::shared_ptr<Change>& change) {
  journal.commit(change->n, [weak = weak_from_this(), change](const Status& written) {
    const auto self = weak.lock();
    if (!self) return;
    if (!written) return self->revert(blameless(change), written.error());
    self->committed(change);
  });
}

// What follows from a deployment that holds; also done at each start, for a crash may come between.
void Agent::State::settle(const ResolvedDeployment& resolved) {
  if (Status stored = parts.twins.commitStaged(); !stored)
    parts.log.error(kWho, "desired properties: " + stored.error().text);
  for (const std::string& digest : resolved.digests)
    if (Status risen = isDigest(digest) ? parts.bundles.commitCounter(digest) : Status(); !risen)
      parts.log.error(kWho, digest + ": " + risen.error().text);
  dropOverrides(resolved);
  std::erase_if(fresh, [&resolved](const std::string& digest) {
    return std::binary_search(resolved.digests.begin(), resolved.digests.end(), digest);
  });
}

void Agent::State::committed(const std::shared_ptr<Change>& change) {
  const Deployment& deployment = change->resolved.deployment;
  settle(change->resolved);
  status.state = DeploymentState::kCommitted;
  changing = false;
  parts.log.info(kWho, "committed " + title(deployment));
  ApplyOutcome outcome{ApplyOutcome::Kind::kCommitted,
                       change->n,
                       deployment.id,
                       deployment.version,
                       change->plan.lines,
                       change->resolved.warnings,
                       change->plan.changed};
  current = std::move(change->resolved);
  collect();
  tell();
  change->applied(std::move(outcome));
}

// The new one runs, and cannot be remembered or does not run well: the old one must run again, from
// where it was.
void Agent::State::revert(const std::shared_ptr<Change>& change, const Error& why) {
  if (change->handed) return goBack(change, why);
  parts.twins.discardStaged();  // First: what comes back begins with what it had.
  RuntimeTarget before;
  if (current) before = current->target;
  before.states = std::move(change->states);
  before.goes_back = change->window_s != 0;
  before.on_start_failure = OnStartFailure::kBackOff;
  before.beyond_loads_max = true;
  parts.log.error(kWho, "going back from " + title(change->resolved.deployment) + ": " + why.text);
  const auto answer = [weak = weak_from_this(), change, why](const Result<ApplyReport>& report) {
    const auto self = weak.lock();
    if (!self) return;
    if (report) return self->failed(change, why);
    const Applied asked = std::exchange(change->cut_short, nullptr);
    self->failed(change, fail(why.code, why.text + "; and the one before did not come back: " +
                                            report.error().text));
    self->status.state = DeploymentState::kFailed;
    self->tell();
    if (asked) asked(report.error());
  };
  whenFree([this, before = std::move(before), answer] { parts.modules.apply(before, answer); });
}

void Agent::State::whenFree(std::function<void()> then) {
  free_timer.reset();
  if (parts.modules.turn() != ModuleHost::Turn::kTaken || !parts.later) return then();
  free_timer = parts.later(kFreeAgain, [weak = weak_from_this(), then = std::move(then)] {
    if (const auto self = weak.lock()) self->whenFree(then);
  });
}

void Agent::State::failed(const std::shared_ptr<Change>& change, const Error& why) {
  const std::string reason = title(change->resolved.deployment) + ": " + why.text;
  parts.twins.discardStaged();
  journal.fail(change->n, why.text, change->again);
  const Journal::Entry* now = journal.current();
  status = {now == nullptr ? "" : now->said.id, now == nullptr ? 0 : now->said.version,
            DeploymentState::kRolledBack, reason};
  changing = false;
  parts.log.error(kWho, "rolled back " + reason);
  collect();
  if (change->cut_short)
    change->cut_short(ApplyOutcome{ApplyOutcome::Kind::kCommitted,
                                   now == nullptr ? 0 : now->said.n,
                                   status.id,
                                   status.version,
                                   {},
                                   {},
                                   {}});
  tell();
  change->applied(fail(why.code, "rolled back: " + why.text));
}

void Agent::State::collect() {
  std::set<std::string> keep = journal.digests();
  keep.insert(fresh.begin(), fresh.end());
  if (current) keep.insert(current->digests.begin(), current->digests.end());
  if (parts.kept) keep.merge(parts.kept());
  // What deltas that come are applied to.
  if (fetching)
    for (const auto& [wanted, pointer] : fetching->missing.bundles)
      for (const FetchSource& source : wanted.from)
        if (!source.base.empty()) keep.insert(source.base);
  if (parts.images_needed) {
    // Images are large and can be pulled again, so they do not stay for all of the history.
    std::set<std::string> images;
    const bool is_open = changing || watched || journal.handover();
    imagesOf(is_open ? journal.digests() : std::set<std::string>(), images);
    if (current) imagesOf(current->digests, images);
    for (const Journal::Entry* entry : {journal.current(), journal.beforeCurrent()})
      if (entry != nullptr) imagesOf(entry->digests, images);
    parts.images_needed(images);
  }
  if (const auto removed = parts.bundles.removeAllBut(keep); !removed)
    parts.log.warn(kWho, "unused bundles: " + removed.error().text);
}

// ---- the agent -------------------------------------------------------------------------------

Result<std::unique_ptr<Agent>> Agent::open(Parts parts) {
  std::vector<std::string> damage;
  KANTE_TRY(journal, Journal::open(parts.journal, damage, parts.last_end));
  auto state = std::make_shared<State>(std::move(parts), std::move(journal));
  for (const std::string& what : damage) state->parts.log.error(kWho, what);
  if (const Journal::Entry* now = state->journal.current()) {
    state->status.id = now->said.id;
    state->status.version = now->said.version;
  } else if (!damage.empty()) {
    state->status.state = DeploymentState::kFailed;
    state->status.reason = damage.front();
  }
  return std::unique_ptr<Agent>(new Agent(std::move(state)));
}

Agent::Agent(std::shared_ptr<State> state) : state_(std::move(state)) {}
Agent::~Agent() = default;

void Agent::start(Applied applied) {
  State& state = *state_;
  if (state.changing) return applied(state.underWay());
  if (state.journal.handover())
    return state.journal.handover()->is_update ? state.beginUpdated(std::move(applied))
                                               : state.beginAgain(std::move(applied));
  std::string rolled_back;
  if (const Journal::Entry* cut_off = state.journal.interrupted()) {
    rolled_back = titleOf(cut_off->said.id, cut_off->said.version) + ": " + cut_off->said.reason;
    state.parts.log.error(kWho, "rolled back " + rolled_back);
  }
  state.startCommitted(nullptr, rolled_back, std::move(applied));
}

// rolled_back: why what this life began with is not what runs; empty: nothing was before.
void Agent::State::startCommitted(const Journal::Handover* handed, const std::string& rolled_back,
                                  Applied applied) {
  const Journal::Entry* now = journal.current();
  if (now == nullptr) {
    if (!rolled_back.empty()) status = {"", 0, DeploymentState::kRolledBack, rolled_back};
    const Error none = fail(Errc::kNotFound, "no deployment was committed yet");
    if (handed == nullptr) return applied(none);
    changing = true;
    const auto gone = [weak = weak_from_this(), none,
                       applied = std::move(applied)](const Result<ApplyReport>&) {
      const auto self = weak.lock();
      if (!self) return;
      self->changing = false;
      self->tell();
      applied(none);
    };
    // Of what was tried in this life nothing runs on.
    return whenFree([this, gone] { parts.modules.apply({}, gone); });
  }
  const auto refuse = [&](const Error& error) {
    status.state = DeploymentState::kFailed;
    status.reason = error.text;
    parts.log.error(kWho, "the committed deployment does not start: " + error.text);
    applied(error);
  };
  auto deployment = parseDeployment(now->document);
  if (!deployment) return refuse(deployment.error());
  auto resolved = resolve(*deployment, nullptr);
  if (!resolved) return refuse(resolved.error());
  if (Status staged = parts.twins.stage(resolved->bases); !staged) return refuse(staged.error());
  changing = true;
  status = {now->said.id, now->said.version, DeploymentState::kApplying, {}};
  RuntimeTarget target = resolved->target;
  target.on_start_failure = OnStartFailure::kBackOff;
  if (handed != nullptr) {
    target.states = handed->states;
    target.goes_back = true;  // Also where the one that was tried in this life still runs.
    target.beyond_loads_max = true;
  }
  const auto shared = std::make_shared<ResolvedDeployment>(std::move(*resolved));
  const auto answer = [weak = weak_from_this(), shared, n = now->said.n, rolled_back,
                       applied = std::move(applied)](const Result<ApplyReport>& report) {
    const auto self = weak.lock();
    if (!self) return;
    self->changing = false;
    if (!report) {
      self->parts.twins.discardStaged();
      self->status.state = DeploymentState::kFailed;
      self->status.reason = report.error().text;
      self->parts.log.error(kWho,
                            "the committed deployment does not start: " + report.error().text);
      self->tell();
      return applied(report.error());
    }
    self->settle(*shared);
    self->current = std::move(*shared);
    self->status.state =
        rolled_back.empty() ? DeploymentState::kCommitted : DeploymentState::kRolledBack;
    self->status.reason = rolled_back;
    self->collect();
    self->tell();
    applied(ApplyOutcome{
        ApplyOutcome::Kind::kUnchanged, n, self->status.id, self->status.version, {}, {}, {}});
  };
  whenFree([this, target = std::move(target), answer] { parts.modules.apply(target, answer); });
}

void Agent::apply(ApplyRequest request, Applied applied) {
  State& state = *state_;
  if (state.changing) return applied(state.underWay());
  auto proposal = state.read(request);
  if (!proposal) return applied(proposal.error());
  state.propose(proposal->base, std::move(proposal->layers), request, std::move(applied));
}

void Agent::patch(PatchKind kind, ApplyRequest request, Applied applied) {
  const Journal::Entry* now = state_->journal.current();
  if (now == nullptr)
    return applied(fail(Errc::kNotFound, "nothing is deployed yet that could be patched"));
  auto patch = parseJson(request.document, {kDeploymentBytesMax, kDeploymentDepthMax});
  if (!patch) return applied(within("patch", patch.error()));
  auto document = parseJson(now->baseText(), {kDeploymentBytesMax, kDeploymentDepthMax});
  if (!document) return applied(within("the committed deployment", document.error()));
  if (kind == PatchKind::kMerge) {
    if (!patch->is_object())
      return applied(fail(Errc::kInvalid,
                          patch->is_array()
                              ? "patch: a merge patch is an object; a list of operations is a JSON "
                                "patch (kante deploy patch --type json)"
                              : "patch: a merge patch is an object"));
    mergePatch(*document, *patch);
  } else if (Status patched = jsonPatch(*document, *patch); !patched) {
    return applied(within("patch", patched.error()));
  }
  if (auto* object = document->if_object()) {
    const auto* version = object->if_contains("version");
    if (version != nullptr && version->is_int64() &&
        version->get_int64() == static_cast<std::int64_t>(now->said.version))
      (*object)["version"] = now->said.version + 1;
  }
  request.document = writeJson(*document);
  apply(std::move(request), std::move(applied));
}

void Agent::rollback(std::uint64_t n, const std::string& who, Applied applied) {
  State& state = *state_;
  if (state.fetching && n == 0) return state.stopFetching(who, std::move(applied));
  if (state.watched && n == 0) return state.cutShort(who, std::move(applied));
  if (state.changing) return applied(state.underWay());
  const Journal::Entry* back = n == 0 ? state.journal.beforeCurrent() : state.journal.find(n);
  if (back == nullptr && n == 0)
    return applied(fail(Errc::kNotFound, "there is no deployment before this one"));
  if (back == nullptr)
    return applied(fail(Errc::kNotFound, "the history has no entry " + std::to_string(n)));
  if (back->said.state != Journal::kCommitted)
    return applied(fail(Errc::kInvalid, "entry " + std::to_string(n) + " was never committed"));
  const auto deployment = parseDeployment(back->document);
  if (!deployment) return applied(deployment.error());
  auto resolved = state.resolve(*deployment, nullptr);
  if (!resolved) return applied(resolved.error());
  const Journal::Entry* now = state.journal.current();
  if (state.isRunning(*resolved) && now->baseText() == back->baseText() &&
      now->layers == back->layers)
    return applied(ApplyOutcome{ApplyOutcome::Kind::kUnchanged,
                                now->said.n,
                                back->said.id,
                                back->said.version,
                                {},
                                {},
                                {}});
  Journal::Entry entry;
  entry.said.who = who;
  entry.origin = back->origin;
  entry.base = back->base;
  entry.layers = back->layers;
  // Those of its base as well, for the day when a layer goes.
  resolved->digests = back->digests;
  // It has run well before.
  state.begin(std::move(*resolved), std::move(entry), {}, std::move(applied));
}

Result<AdmittedBundle> Agent::admit(int fd, ApplyRequest::Rebind rebind) {
  AdmissionPolicy policy = state_->parts.policy();
  if (rebind == ApplyRequest::Rebind::kYes) policy.rebind = AdmissionPolicy::Rebind::kYes;
  auto admitted = state_->parts.bundles.admit(fd, policy);
  if (!admitted) return admitted;
  auto& fresh = state_->fresh;
  std::erase(fresh, admitted->digest);
  fresh.push_back(admitted->digest);
  if (fresh.size() > State::kFreshMax) {
    fresh.erase(fresh.begin());
    state_->collect();
  }
  return admitted;
}

void Agent::handOverToUpdate(std::function<void(Status)> done) {
  state_->handOverToUpdate(std::move(done));
}

std::set<std::string> Agent::downBeforeUpdate() const {
  const auto& handed = state_->journal.handover();
  return handed ? handed->down : std::set<std::string>();
}

void Agent::updateIsOver() {
  const auto& handed = state_->journal.handover();
  if (handed && handed->is_update) state_->journal.takenOver();
}

bool Agent::wasHandedOver() const { return state_->journal.handover().has_value(); }

DeploymentStatus Agent::status() const {
  DeploymentStatus status = state_->status;
  if (state_->fetching)
    status.fetching = state_->fetching->missing.bundles.empty() ? state_->parts.image_progress()
                                                                : state_->parts.fetcher->progress();
  status.fetched = state_->reports;
  return status;
}

bool Agent::changing() const { return state_->changing; }

std::vector<HistoryEntry> Agent::history() const { return state_->journal.history(); }

std::string Agent::document() const {
  const Journal::Entry* now = state_->journal.current();
  return now == nullptr ? "null" : now->baseText();
}

}  // namespace kante
