// Documents that wait at the same moment and become one change, which is applied and watched once.
//
// What comes of it is what would come of one after the other: those that cannot be judged to be as
// good together go alone, in their turn, and so do all of a change of several that came to nothing.
// Then the one that was wrong is found, and the others hold.
#include <algorithm>
#include <utility>

#include "host/agent/documents.h"

namespace kante {

// Only for what comes from afar: who stands by waits for it.  A patch goes alone in any case.
void Documents::awaitMore(const Arrival& arrival) {
  const bool is_patch =
      !arrival.kinds.empty() && arrival.kinds.front() == DocumentKind::kMergePatch;
  gathering_.reset();
  if (!parts_.later || is_patch || arrival.patience != Fetcher::Patience::kUntilCancelled) return;
  gathering_ = parts_.later(arrival.is_retained ? kGatherTime : kGatherLiveTime, [this] {
    gathering_.reset();
    next();
  });
}

void Documents::nextChange() {
  if (gathering_ || changes_.busy) return;
  ApplyRequest request;
  const Together together = gather(request);
  if (together.size() < 2) return next(changes_);
  applyTogether(together, std::move(request));
}

// Whether it is a whole base or a layer, from afar, and none like it is among those before it.
bool Documents::fits(const Together& before, const Waiting& waiting) const {
  const Arrival& arrival = waiting.arrival;
  const Document& document = waiting.judged->document;
  if (waiting.is_alone || document.base || arrival.mode != ApplyRequest::Mode::kApply ||
      arrival.patience != Fetcher::Patience::kUntilCancelled ||
      (document.kind != DocumentKind::kDeployment && document.kind != DocumentKind::kLayer))
    return false;
  return std::none_of(before.begin(), before.end(), [&](const auto& other) {
    const Document& its = other->judged->document;
    const bool is_like_it =
        its.kind == document.kind &&
        (document.kind == DocumentKind::kDeployment || its.name == document.name);
    return is_like_it || other->arrival.default_window_s != arrival.default_window_s;
  });
}

// The first that wait, up to one that has to go alone.  What will be ignored or refused is passed
// over, for it changes nothing.
Documents::Together Documents::candidates() {
  Together found;
  // The first base has nothing to go back to, and is not watched as what lies on it is.
  if (changes_.waiting.size() < 2 || parts_.agent.document() == "null") return found;
  followJournal();
  const std::set<std::string> apart = parts_.agent.apart();
  for (const auto& waiting : changes_.waiting) {
    Judged judged;
    DocumentOutcome refused;
    if (wasTaken(documentDigest(waiting->arrival.file)) ||
        !open(waiting->arrival, judged, refused) || !check(waiting->arrival, judged, refused))
      continue;
    waiting->is_alone = waiting->is_alone || apart.contains(judged.mark.digest);
    waiting->judged = std::move(judged);
    if (found.size() == kTogetherMax || !fits(found, *waiting)) break;
    found.push_back(waiting);
  }
  return found;
}

ApplyRequest Documents::requestOf(const Together& together) {
  ApplyRequest request;
  for (const auto& waiting : together) ask(request, waiting->arrival, *waiting->judged);
  return request;
}

// Those that go together now; `request` asks for all of them.
Documents::Together Documents::gather(ApplyRequest& request) {
  const Together all = candidates();
  if (all.size() < 2) return all;
  request = requestOf(all);
  const auto is_whole = parts_.agent.isReady(request);
  if (is_whole && *is_whole) return all;
  // One of them does not fit, or needs what is not here.
  Together together;
  for (const auto& waiting : all) {
    together.push_back(waiting);
    const auto is_ready = parts_.agent.isReady(requestOf(together));
    if (is_ready && *is_ready) continue;
    together.pop_back();
    if (is_ready) break;  // It waits for its bundles, and who came after it for it.
  }
  request = requestOf(together);
  return together;
}

void Documents::applyTogether(const Together& together, ApplyRequest request) {
  changes_.busy = true;
  for (const auto& waiting : together) {
    std::erase(changes_.waiting, waiting);
    changes_.bytes -= waiting->arrival.file.size();
    // Nobody shall read of this time what became of it the last time.
    std::erase_if(errors_, [&](const DocumentError& one) {
      return one.document == waiting->judged->mark.digest;
    });
  }
  parts_.agent.apply(std::move(request), [this, together, alive = std::weak_ptr(alive_)](
                                             const Result<ApplyOutcome>& result) {
    if (!alive.expired()) endedTogether(together, result);
  });
}

void Documents::endedTogether(const Together& together, const Result<ApplyOutcome>& result) {
  followJournal();
  changes_.busy = false;
  nextLater();
  // Somebody who took it back meant all of it.
  const bool is_over = result || wasTaken(together.front()->judged->mark.digest);
  if (!is_over) {
    for (auto waiting = together.rbegin(); waiting != together.rend(); ++waiting) {
      (*waiting)->is_alone = true;
      changes_.bytes += (*waiting)->arrival.file.size();
      changes_.waiting.push_front(*waiting);
    }
    return;
  }
  if (result) {
    last_.clear();
    for (const DocumentMark& mark : requestOf(together).marks) last_.push_back(saidOf(mark));
  }
  for (const auto& waiting : together)
    changed(waiting->arrival, *waiting->judged, result,
            [this, waiting](const DocumentOutcome& outcome) {
              note(*waiting, outcome);
              waiting->done(outcome);
            });
}

}  // namespace kante
