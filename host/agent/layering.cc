// A base and the layers on it: how they become one deployment, and how that changes.
#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/agent_state.h"
#include "host/agent/document.h"
#include "host/agent/iotedge_layer.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/bundle/document_file.h"

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

// What a layer's document says.  `others`: those on the base beside it.
Result<Layer> Agent::State::readLayer(const LayerChange& change, const std::string& base,
                                      Layers others, std::vector<std::string>& report) const {
  KANTE_TRY(content, parseJson(change.content, {kDocumentPayloadBytesMax, kDocumentDepthMax}));
  if (!isIotEdgeManifest(content)) return parseLayer(content, "");
  // What it will lie on, as far as that is there already.
  others.erase(change.name);
  const auto composed = compose(base, others, place());
  KANTE_TRY(translated, translateLayer(content, parts.images, composed ? *composed : base));
  report.insert(report.end(), translated.report.begin(), translated.report.end());
  return std::move(translated.layer);
}

// All that is to lie on the base.
Result<Layers> Agent::State::layersWith(const std::string& base, ApplyRequest& request) const {
  const Journal::Entry* now = journal.current();
  Layers layers = now == nullptr ? Layers() : now->layers;
  // Twice: what one of them brings decides what another one means, a layered manifest, whichever
  // of them came first.
  for (const bool is_last : {request.layers.size() < 2, true}) {
    std::vector<std::string> report;
    for (const LayerChange& change : request.layers) {
      if (change.content == "null") {
        layers.erase(change.name);
        continue;
      }
      auto layer = readLayer(change, base, layers, report);
      if (!layer && is_last) return layer.error();
      if (!layer) continue;
      layer->who = change.who;
      layer->document = change.document;
      layers[change.name] = std::move(*layer);
    }
    if (!is_last) continue;
    request.warnings.insert(request.warnings.end(), report.begin(), report.end());
    break;
  }
  KANTE_CHECK(checkLayers(layers));
  return layers;
}

Result<Agent::State::Proposal> Agent::State::read(ApplyRequest& request) const {
  const Journal::Entry* now = journal.current();
  const bool base_stays = request.document.empty() && !request.layers.empty();
  if (base_stays && now == nullptr)
    return fail(Errc::kNotFound, "nothing is deployed that a layer could lie on");
  if (!base_stays) KANTE_CHECK(translate(request));
  auto base = parseDeployment(base_stays ? now->baseText() : request.document);
  if (!base) return base_stays ? within("the committed deployment", base.error()) : base.error();
  KANTE_CHECK(checkBase(request));
  if (!base_stays) KANTE_CHECK(checkVersion(*base));
  KANTE_TRY(layers, layersWith(base->json, request));
  return Proposal{std::move(*base), std::move(layers)};
}

void Agent::State::propose(const Deployment& base, Layers layers, const ApplyRequest& request,
                           Applied applied) {
  auto missing = missingOf(base, layers, request);
  if (missing.empty()) return proceed(base, std::move(layers), request, std::move(applied));
  fetching = std::make_unique<Fetching>(Fetching{
      base, std::move(layers), request, std::move(applied), std::move(missing), status, nullptr});
  changing = true;
  reports.clear();
  status = {base.id, base.version, DeploymentState::kFetching, {}};
  parts.log.info(kAgentLog, "fetching " + titleOf(base.id, base.version), {{"who", request.who}});
  tell();
  fetchNext();
}

// A version has one content.
Status Agent::State::checkContent(const Deployment& next, const std::string& base) const {
  const Journal::Entry* now = journal.current();
  if (now == nullptr || now->said.id != next.id || now->said.version != next.version ||
      now->baseText() == base)
    return {};
  return fail(Errc::kConflict, "/version: " + std::to_string(next.version) +
                                   " is deployed already with other content; raise it");
}

void Agent::State::proceed(const Deployment& base, Layers layers, const ApplyRequest& request,
                           Applied applied) {
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
  if (Status same = checkContent(next.deployment, base_text); !same) return applied(same.error());
  const std::uint32_t unsaid_s = changesSection(next.deployment) ? Agent::kSectionWindowS
                                 : now != nullptr                ? request.default_window_s
                                                                 : 0;
  const std::uint32_t window_s = next.deployment.health.window_s.value_or(unsaid_s);
  if (request.mode == ApplyRequest::Mode::kDryRun) {
    const auto next_life = needsNextLife(next);
    if (!next_life) return applied(next_life.error());
    Plan plan = planChange(current ? &*current : nullptr, next, window_s);
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
  for (const LayerChange& change : request.layers) entry.said.layers.push_back(change.name);
  entry.base = resolution->base;
  entry.layers = std::move(layers);
  entry.marks = request.marks;
  begin(std::move(next), std::move(entry), {window_s, request.answer}, std::move(applied));
}

Result<bool> Agent::isReady(ApplyRequest request) {
  State& state = *state_;
  if (state.changing) return state.underWay();
  KANTE_TRY(proposal, state.read(request));
  if (!state.missingOf(proposal.base, proposal.layers, request).empty()) return false;
  request.mode = ApplyRequest::Mode::kDryRun;  // What it would admit is not kept for it.
  KANTE_TRY(resolution, state.resolveWith(proposal.base, proposal.layers, request));
  const ResolvedDeployment& next = resolution.resolved;
  KANTE_CHECK(state.checkContent(next.deployment,
                                 proposal.layers.empty() ? next.deployment.json : resolution.base));
  KANTE_TRY(next_life, state.needsNextLife(next));
  return !next_life;
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
  state.propose(*base, now->layers, request, std::move(applied));
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
    if (entry.said.state == Journal::kApplying || entry.isApart()) continue;
    const bool committed = entry.said.state == Journal::kCommitted;
    for (const DocumentMark& mark : entry.marks) {
      if (entry.cut_off && ++cut_off[mark.digest] < kCutOffMax) continue;
      ended.push_back({mark, n, committed, n == entries.rbegin()->first});
    }
  }
  return ended;
}

std::set<std::string> Agent::apart() const {
  std::set<std::string> digests;
  for (const auto& [n, entry] : state_->journal.entries()) {
    if (!entry.isApart()) continue;
    for (const DocumentMark& mark : entry.marks) digests.insert(mark.digest);
  }
  return digests;
}

}  // namespace kante
