// Documents of kind "trust": who is trusted from now on.
#include <boost/json.hpp>

#include "host/agent/anchors.h"
#include "host/agent/documents.h"
#include "host/base/events.h"
#include "host/base/json.h"
#include "host/base/log.h"

namespace kante {
namespace {

DocumentOutcome refusal(const char* reason, Error error) {
  DocumentOutcome out;
  out.reason = reason;
  out.error = std::move(error);
  return out;
}

std::string changedKinds(const TrustChange& change) {
  std::string text;
  for (std::size_t i = 0; i < kAnchorKinds; ++i)
    if (change[i])
      text += (text.empty() ? "" : ", ") + std::string(name(static_cast<AnchorKind>(i)));
  return text;
}

}  // namespace

void Documents::replaceTrust(const Judged& judged, const Done& finished) {
  const JudgementTime now = parts_.now();
  const auto content =
      parseJsonObject(judged.document.content, {kDocumentPayloadBytesMax, kDocumentDepthMax});
  const auto change =
      content ? parseTrust(*content, "/content") : Result<TrustChange>(content.error());
  if (!change) return finished(refusal("malformed", change.error()));
  auto next = parts_.anchors.with(*change, {judged.mark, judged.who, now.at_s}, now);
  if (!next) return finished(refusal("invalid", next.error()));
  // Its counter is in the same record.
  if (const Status put = parts_.anchors.write(next->held); !put)
    return finished(refusal("failed", put.error()));
  const auto shared = std::make_shared<Anchors::Next>(std::move(*next));
  rememberOnDisk(judged.mark, [this, shared, who = judged.who, what = changedKinds(*change),
                               finished](const Status& written) {
    if (!written) {
      (void)parts_.anchors.write(parts_.anchors.held());
      return finished(refusal("failed", written.error()));
    }
    parts_.anchors.adopt(std::move(*shared));
    trustChanged("Others are trusted from now on: " + what, who);
    DocumentOutcome taken;
    taken.kind = DocumentOutcome::Kind::kTaken;
    finished(std::move(taken));
  });
}

void Documents::resetTrust(const std::string& who, std::function<void(Status)> done) {
  if (others_.busy)
    return done(fail(Errc::kState, "a document is being taken; try again in a second"));
  auto next = parts_.anchors.fromFiles();
  if (!next) return done(next.error());
  if (const Status put = parts_.anchors.write(next->held); !put) return done(put);
  const auto shared = std::make_shared<Anchors::Next>(std::move(*next));
  others_.busy = true;  // No document meanwhile.
  parts_.taken.sync([this, shared, who, done = std::move(done),
                     alive = std::weak_ptr(alive_)](const Status& written) {
    if (alive.expired()) return;
    others_.busy = false;
    if (written) {
      parts_.anchors.adopt(std::move(*shared));
      trustChanged("Whom the files of [trust] name is trusted again, and nobody else", who);
    } else {
      (void)parts_.anchors.write(parts_.anchors.held());
    }
    done(written);
    nextLater();
  });
}

void Documents::trustChanged(const std::string& text, const std::string& who) {
  parts_.log.info(kLogName, text, {{"who", who}});
  Event event;
  event.kind = "trust.changed";
  event.subject = "trust";
  event.text = text + " (" + who + ")";
  parts_.events.add(std::move(event));
  // What waits is judged when its turn comes; this was judged before its bundles were asked for.
  if (const auto current = changes_.current; current && current->judged) {
    Judged again;
    DocumentOutcome refused;
    if (!open(current->arrival, again, refused))
      parts_.agent.giveUpFetching("its deployer is not trusted any more");
  }
  if (parts_.trust_changed) parts_.trust_changed();
}

}  // namespace kante
