// The bundles and images of a deployment that are not here: fetched one after the other, and
// bundles admitted, before anything else of it is done.
#include <algorithm>

#include "host/agent/agent_state.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/bundle/bundle_store.h"

namespace kante {

Agent::State::Missing Agent::State::missingOf(const Deployment& base, const Layers& layers,
                                              const ApplyRequest& request) const {
  Missing missing;
  if (request.mode == ApplyRequest::Mode::kDryRun) return missing;
  const auto look = [&](const Deployment& deployment) {
    if (parts.fetcher != nullptr) addBundles(deployment, missing);
    if (parts.get_image) addImages(deployment, missing);
  };
  look(base);
  // What is wrong with the layers, proceed() says.
  if (const auto composed = compose(base.json, layers, place())) {
    if (const auto effective = parseDeployment(*composed)) look(*effective);
  }
  std::reverse(missing.bundles.begin(), missing.bundles.end());
  std::reverse(missing.images.begin(), missing.images.end());
  return missing;
}

void Agent::State::addBundles(const Deployment& deployment, Missing& missing) const {
  for (const auto& [name, entry] : deployment.modules) {
    const std::string& digest = entry.bundle;
    if (entry.from.empty() || !isDigest(digest)) continue;
    const bool known = std::any_of(missing.bundles.begin(), missing.bundles.end(),
                                   [&](const auto& one) { return one.first.digest == digest; });
    const auto here = parts.bundles.find(digest);
    if (known || here || here.error().code != Errc::kNotFound) continue;
    missing.bundles.emplace_back(WantedBundle{digest, entry.from},
                                 jsonPointer("/modules", name) + "/bundle");
  }
}

// Whether the engine has it, only the engine knows; what runs now is not asked for, so that no
// engine is needed for the rest.
void Agent::State::addImages(const Deployment& deployment, Missing& missing) const {
  for (const auto& [name, entry] : deployment.modules) {
    const std::string& image = entry.container.image;
    if (image.empty() || entry.container.pull == ContainerSpec::Pull::kNever ||
        entry.desire == Desire::kStopped)
      continue;
    const bool is_known =
        std::any_of(missing.images.begin(), missing.images.end(),
                    [&](const auto& one) { return one.first == image; }) ||
        (current &&
         std::binary_search(current->digests.begin(), current->digests.end(), kImageMark + image));
    if (!is_known) missing.images.emplace_back(image, jsonPointer("/modules", name) + "/image");
  }
}

void Agent::State::fetchNext() {
  if (fetching->missing.bundles.empty()) return getNextImage();
  WantedBundle wanted = fetching->missing.bundles.back().first;
  wanted.bases = basesOf(wanted);
  fetching->running =
      parts.fetcher->fetch(std::move(wanted), fetching->request.patience,
                           [weak = weak_from_this()](Result<FetchedBundle> bundle) {
                             if (const auto self = weak.lock(); self && self->fetching)
                               self->fetched(std::move(bundle));
                           });
}

void Agent::State::getNextImage() {
  if (fetching->missing.images.empty()) {
    const std::unique_ptr<Fetching> ready = std::move(fetching);
    changing = false;
    status = ready->before;
    return proceed(ready->base, std::move(ready->layers), ready->request,
                   std::move(ready->applied));
  }
  fetching->running =
      parts.get_image(fetching->missing.images.back().first, fetching->request.patience,
                      [weak = weak_from_this()](const Status& got) {
                        const auto self = weak.lock();
                        if (!self || !self->fetching) return;
                        if (!got)
                          return self->endFetching(
                              within(self->fetching->missing.images.back().second, got.error()));
                        self->fetching->missing.images.pop_back();
                        self->getNextImage();
                      });
}

std::map<std::string, std::shared_ptr<const BaseForm>> Agent::State::basesOf(
    const WantedBundle& wanted) const {
  std::map<std::string, std::shared_ptr<const BaseForm>> bases;
  for (const FetchSource& source : wanted.from) {
    if (source.base.empty() || bases.contains(source.base)) continue;
    if (auto base = parts.bundles.base(source.base))
      bases.emplace(source.base, std::make_shared<const BaseForm>(std::move(*base)));
  }
  return bases;
}

void Agent::State::fetched(Result<FetchedBundle> bundle) {
  const auto [wanted, pointer] = fetching->missing.bundles.back();
  if (!bundle) return endFetching(within(pointer, bundle.error()));
  AdmissionPolicy policy = parts.policy();
  if (fetching->request.rebind == ApplyRequest::Rebind::kYes)
    policy.rebind = AdmissionPolicy::Rebind::kYes;
  const auto admitted = parts.bundles.admit(bundle->file.get(), policy);
  if (!admitted) return endFetching(within(pointer, within(wanted.digest, admitted.error())));
  parts.fetcher->forget(wanted.digest);
  parts.log.info(kAgentLog, "fetched " + admitted->manifest.id + " " + admitted->manifest.version,
                 {{"bundle", wanted.digest},
                  {"bytes", std::to_string(bundle->report.bytes)},
                  {"base", bundle->report.base},
                  {"saved", std::to_string(bundle->report.saved)}});
  reports.push_back(std::move(bundle->report));
  std::erase(fresh, wanted.digest);
  fresh.push_back(wanted.digest);
  if (fresh.size() > kFreshMax + kModulesMax) fresh.erase(fresh.begin());
  fetching->missing.bundles.pop_back();
  fetchNext();
}

void Agent::State::endFetching(const Error& why) {
  const std::unique_ptr<Fetching> ended = std::move(fetching);
  changing = false;
  parts.log.error(kAgentLog,
                  "not applied: " + titleOf(status.id, status.version) + ": " + why.text);
  status = ended->before;
  tell();
  ended->applied(why);
}

void Agent::State::stopFetching(const std::string& who, Applied applied) {
  const Journal::Entry* now = journal.current();
  ApplyOutcome outcome;
  outcome.kind = ApplyOutcome::Kind::kUnchanged;
  if (now != nullptr) {
    outcome.n = now->said.n;
    outcome.id = now->said.id;
    outcome.version = now->said.version;
  }
  endFetching(fail(Errc::kCancelled, who + " gave it up"));
  applied(std::move(outcome));
}

void Agent::giveUpFetching(const std::string& why) {
  if (state_->fetching) state_->endFetching(fail(Errc::kCancelled, why));
}

}  // namespace kante
