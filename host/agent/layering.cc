// A base and the layers on it: how they become one deployment, and how that changes.
#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/agent_state.h"
#include "host/agent/iotedge_layer.h"
#include "host/base/log.h"

namespace kante {
namespace {

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Status Agent::State::checkBase(const ApplyRequest& request) const {
  if (!request.base) return {};
  const Journal::Entry* now = journal.current();
  if (now != nullptr && now->said.version == *request.base) return {};
  return fail(Errc::kConflict,
              "it is for version " + std::to_string(*request.base) + ", and " +
                  (now == nullptr ? "nothing" : "version " + std::to_string(now->said.version)) +
                  " is deployed");
}

// The base has to be whole without its layers, because they may go.
Result<Agent::State::Resolution> Agent::State::resolveWith(const Deployment& base,
                                                           const Layers& layers,
                                                           const ApplyRequest& request) {
  KANTE_TRY(alone, resolve(base, &request));
  if (layers.empty()) return Resolution{std::move(alone), {}};
  const std::string text = alone.deployment.json;
  KANTE_TRY(composed, compose(text, layers, place()));
  const std::string where = "with layers " + listed(kante::layersInForce(layers, place()));
  const auto effective = parseDeployment(composed);
  if (!effective) return within(where, effective.error());
  auto resolved = resolve(*effective, &request);
  if (!resolved) return within(where, resolved.error());
  // Bundles of the base stay, too.
  resolved->digests.insert(resolved->digests.end(), alone.digests.begin(), alone.digests.end());
  std::sort(resolved->digests.begin(), resolved->digests.end());
  resolved->digests.erase(std::unique(resolved->digests.begin(), resolved->digests.end()),
                          resolved->digests.end());
  return Resolution{std::move(*resolved), text};
}

void Agent::State::propose(const Deployment& base, Layers layers, const std::string& layer,
                           const ApplyRequest& request, Applied applied) {
  auto missing = missingOf(base, layers, request);
  if (missing.empty()) return proceed(base, std::move(layers), layer, request, std::move(applied));
  fetching =
      std::make_unique<Fetching>(Fetching{base, std::move(layers), layer, request,
                                          std::move(applied), std::move(missing), status, nullptr});
  changing = true;
  reports.clear();
  status = {base.id, base.version, DeploymentState::kFetching, {}};
  parts.log.info(kAgentLog, "fetching " + titleOf(base.id, base.version), {{"who", request.who}});
  tell();
  fetchNext();
}

void Agent::State::proceed(const Deployment& base, Layers layers, const std::string& layer,
                           const ApplyRequest& request, Applied applied) {
  auto resolution = resolveWith(base, layers, request);
  if (!resolution) return applied(resolution.error());
  ResolvedDeployment& next = resolution->resolved;
  next.warnings.insert(next.warnings.begin(), request.warnings.begin(), request.warnings.end());
  const std::string& base_text = layers.empty() ? next.deployment.json : resolution->base;
  const std::string& id = next.deployment.id;
  const std::uint64_t version = next.deployment.version;
  const Journal::Entry* now = journal.current();
  if (isRunning(next) && now->baseText() == base_text && now->layers == layers)
    return applied(ApplyOutcome{
        ApplyOutcome::Kind::kUnchanged, now->said.n, id, version, {}, next.warnings, {}});
  if (now != nullptr && now->said.id == id && now->said.version == version &&
      now->baseText() != base_text)
    return applied(fail(Errc::kConflict, "/version: " + std::to_string(version) +
                                             " is deployed already with other content; raise it"));
  if (request.mode == ApplyRequest::Mode::kDryRun) {
    const auto next_life = needsNextLife(next);
    if (!next_life) return applied(next_life.error());
    Plan plan = planChange(current ? &*current : nullptr, next);
    if (*next_life)
      plan.lines.insert(
          plan.lines.begin(),
          std::string("begin a new life of the host, ") +
              (changesSection(next.deployment) ? "whose own configuration changes"
                                               : "which has loaded as many libraries as it may") +
              ": all modules stop for a moment and go on from their states");
    return applied(ApplyOutcome{ApplyOutcome::Kind::kDryRun, 0, id, version, std::move(plan.lines),
                                next.warnings, std::move(plan.changed)});
  }
  Journal::Entry entry;
  entry.said.who = request.who;
  entry.said.layer = layer;
  entry.base = resolution->base;
  entry.layers = std::move(layers);
  entry.mark = request.mark;
  const std::uint32_t unsaid_s = changesSection(next.deployment) ? Agent::kSectionWindowS
                                 : now != nullptr                ? request.default_window_s
                                                                 : 0;
  const std::uint32_t window_s = next.deployment.health.window_s.value_or(unsaid_s);
  begin(std::move(next), std::move(entry), {window_s, request.answer}, std::move(applied));
}

Result<Layer> Agent::readLayer(const std::string& name, const boost::json::value& content,
                               std::vector<std::string>& report) const {
  if (!isIotEdgeManifest(content)) return parseLayer(content, "");
  // What it will lie on, as far as that is there already.
  std::string below = document();
  Layers others = layers();
  others.erase(name);
  if (const auto composed = compose(below, others, state_->place())) below = *composed;
  KANTE_TRY(translated, translateLayer(content, state_->parts.images, below));
  report = std::move(translated.report);
  return std::move(translated.layer);
}

void Agent::layer(const std::string& name, std::optional<Layer> layer, ApplyRequest request,
                  Applied applied) {
  State& state = *state_;
  if (state.changing) return applied(state.underWay());
  const Journal::Entry* now = state.journal.current();
  if (now == nullptr)
    return applied(fail(Errc::kNotFound, "nothing is deployed that a layer could lie on"));
  if (Status fits = state.checkBase(request); !fits) return applied(fits.error());
  const auto base = parseDeployment(now->baseText());
  if (!base) return applied(within("the committed deployment", base.error()));
  Layers layers = now->layers;
  if (layer) {
    layers[name] = std::move(*layer);
  } else {
    layers.erase(name);
  }
  if (Status bounded = checkLayers(layers); !bounded) return applied(bounded.error());
  state.propose(*base, std::move(layers), name, request, std::move(applied));
}

void Agent::recompose(Applied applied) {
  State& state = *state_;
  const Journal::Entry* now = state.journal.current();
  const auto unchanged = [now] {
    ApplyOutcome outcome;
    outcome.kind = ApplyOutcome::Kind::kUnchanged;
    outcome.n = now == nullptr ? 0 : now->said.n;
    return outcome;
  };
  if (state.changing || now == nullptr || now->layers.empty()) return applied(unchanged());
  const auto composed = compose(now->baseText(), now->layers, state.place());
  if (!composed) return applied(composed.error());
  if (*composed == now->document) return applied(unchanged());
  const auto base = parseDeployment(now->baseText());
  if (!base) return applied(base.error());
  ApplyRequest request;
  request.who = "gateway";
  state.propose(*base, now->layers, "", request, std::move(applied));
}

std::string Agent::effectiveDocument() const {
  const Journal::Entry* now = state_->journal.current();
  return now == nullptr ? "null" : now->document;
}

const Layers& Agent::layers() const {
  static const Layers kNone;
  const Journal::Entry* now = state_->journal.current();
  return now == nullptr ? kNone : now->layers;
}

std::vector<std::string> Agent::layersInForce() const {
  return kante::layersInForce(layers(), state_->place());
}

std::vector<Agent::Ended> Agent::ended() const {
  std::vector<Ended> ended;
  std::map<std::string, std::size_t> cut_off;
  const auto& entries = state_->journal.entries();
  for (const auto& [n, entry] : entries) {
    if (!entry.mark || entry.said.state == Journal::kApplying) continue;
    if (entry.cut_off && ++cut_off[entry.mark->digest] < kCutOffMax) continue;
    ended.push_back(
        {*entry.mark, entry.said.state == Journal::kCommitted, n == entries.rbegin()->first});
  }
  return ended;
}

}  // namespace kante
