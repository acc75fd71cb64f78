#include "host/agent/documents.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "host/agent/anchors.h"
#include "host/base/encoding.h"
#include "host/base/events.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/bundle/document_file.h"
#include "host/hub/methods.h"
#include "host/hub/twins.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kTakenPrefix[] = "taken/";
constexpr JsonBounds kTakenBounds{8192, 4};
constexpr char kAndOthers[] = " and others";
// What the agent says in its text; here a word says it.
constexpr std::string_view kRolledBack = "rolled back: ";

// Series hold a subject, which may be longer than a key.
std::string keyOf(const std::string& series) { return kTakenPrefix + toHex(sha256(series)); }

const char* reasonOf(Errc code) {
  switch (code) {
    case Errc::kUntrusted:
    case Errc::kRevoked: return "untrusted";
    case Errc::kExpired: return "expired";
    case Errc::kConflict: return "conflict";
    case Errc::kDowngrade: return "downgrade";
    case Errc::kNotFound: return "not-found";
    case Errc::kInvalid: return "invalid";
    case Errc::kLimit: return "limit";
    case Errc::kState: return "busy";
    case Errc::kCancelled: return "given-up";
    case Errc::kUnsupported: return "unsupported";
    default: return "failed";
  }
}

bool refuse(DocumentOutcome& out, const char* reason, Error error) {
  out.kind = DocumentOutcome::Kind::kRefused;
  out.reason = reason;
  out.error = std::move(error);
  return false;
}

DocumentOutcome refusal(const char* reason, Error error) {
  DocumentOutcome out;
  refuse(out, reason, std::move(error));
  return out;
}

DocumentOutcome done(DocumentOutcome::Kind kind) {
  DocumentOutcome out;
  out.kind = kind;
  return out;
}

bool changesDeployment(DocumentKind kind) {
  return kind == DocumentKind::kDeployment || kind == DocumentKind::kLayer ||
         kind == DocumentKind::kMergePatch || kind == DocumentKind::kJsonPatch;
}

// Before it is judged; what cannot be read changes nothing.
bool changesDeployment(const Documents::Arrival& arrival) {
  if (!arrival.kinds.empty()) return changesDeployment(arrival.kinds.front());
  const auto file = lookAtDocument(arrival.file);
  if (!file) return false;
  const auto document = parseDocument(file->payload);
  return document && changesDeployment(document->kind);
}

}  // namespace

Result<std::unique_ptr<Documents>> Documents::open(Parts parts) {
  KANTE_TRY(all, parts.taken.readAll());
  std::unique_ptr<Documents> documents(new Documents(std::move(parts)));
  for (const auto& [key, value] : all) {
    if (!key.starts_with(kTakenPrefix)) continue;
    const auto object = parseJsonObject(value, kTakenBounds);
    const auto* series = object ? object->if_contains("series") : nullptr;
    const auto* counter = object ? object->if_contains("counter") : nullptr;
    const auto* digest = object ? object->if_contains("digest") : nullptr;
    if (series == nullptr || !series->is_string() || counter == nullptr || !counter->is_number() ||
        digest == nullptr || !digest->is_string()) {
      documents->parts_.log.error(kLogName, "which document was taken last cannot be read: " + key);
      continue;
    }
    documents->taken_[series->get_string().c_str()] = {counter->to_number<std::uint64_t>(),
                                                       digest->get_string().c_str()};
  }
  for (const DocumentMark& mark : documents->parts_.anchors.marks())
    documents->rememberBehind(mark);
  documents->followJournal();
  return documents;
}

Documents::~Documents() = default;

Status Documents::remember(const DocumentMark& mark) {
  Taken& taken = taken_[mark.series];
  if (mark.counter <= taken.counter) return {};
  taken = {mark.counter, mark.digest};
  return write(mark.series, taken);
}

Status Documents::write(const std::string& series, const Taken& taken) {
  return parts_.taken.put(keyOf(series), writeJson(json::object{{"series", series},
                                                                {"counter", taken.counter},
                                                                {"digest", taken.digest}}));
}

void Documents::rememberBehind(const DocumentMark& mark) {
  if (const Status put = remember(mark); !put) parts_.log.error(kLogName, put.error().text);
}

void Documents::rememberOnDisk(const DocumentMark& mark, const std::function<void(Status)>& done) {
  const auto found = taken_.find(mark.series);
  const auto before = found == taken_.end() ? std::optional<Taken>() : found->second;
  const auto written = [this, mark, before, done,
                        alive = std::weak_ptr(alive_)](const Status& status) {
    if (alive.expired()) return;
    if (!status && before) {
      taken_[mark.series] = *before;
      (void)write(mark.series, *before);
    } else if (!status) {
      taken_.erase(mark.series);
      (void)parts_.taken.erase(keyOf(mark.series));
    }
    done(status);
  };
  if (const Status put = remember(mark); !put) return written(put);
  parts_.taken.sync(written);
}

void Documents::followJournal() {
  std::uint64_t newest = 0;
  const auto all = parts_.agent.ended();
  for (const Agent::Ended& ended : all) {
    rememberBehind(ended.mark);
    if (ended.committed) newest = ended.n;
  }
  if (newest == followed_) return;
  followed_ = newest;
  last_.clear();
  for (const Agent::Ended& ended : all)
    if (ended.n == newest) last_.push_back(saidOf(ended.mark));
}

bool Documents::wasTaken(const std::string& digest) const {
  return std::any_of(taken_.begin(), taken_.end(),
                     [&digest](const auto& one) { return one.second.digest == digest; });
}

// ---- one after the other -----------------------------------------------------------------------

bool Documents::hasRoom(const Lane& lane, const Arrival& arrival) {
  return lane.waiting.size() < kWaitingMax && lane.bytes + arrival.file.size() <= kWaitingBytesMax;
}

bool Documents::take(Arrival arrival, Done done) {
  Lane& lane = changesDeployment(arrival) ? changes_ : others_;
  if (!hasRoom(lane, arrival)) {
    refuseBusy(std::move(arrival), done);
    return false;
  }
  const auto waiting = std::make_shared<Waiting>(Waiting{std::move(arrival), std::move(done), {}});
  enqueue(lane, waiting);
  if (&lane == &changes_) awaitMore(waiting->arrival);
  next();
  return std::find(lane.waiting.begin(), lane.waiting.end(), waiting) != lane.waiting.end();
}

void Documents::enqueue(Lane& lane, std::shared_ptr<Waiting> waiting) {
  lane.bytes += waiting->arrival.file.size();
  lane.waiting.push_back(std::move(waiting));
}

void Documents::refuseBusy(Arrival arrival, const Done& done) {
  const DocumentOutcome full = refusal(
      "busy", fail(Errc::kLimit, "too many documents wait; send it again when they are done"));
  note({std::move(arrival), {}, {}}, full);
  done(full);
}

void Documents::start() {
  started_ = true;
  followJournal();
  tell();
  next();
}

void Documents::agentChanged() {
  followJournal();
  tell();
  nextLater();
}

void Documents::nextLater() {
  parts_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) next();
  });
}

void Documents::next() {
  if (!started_) return;
  unpark();
  next(others_);
  if (!parts_.agent.changing()) return nextChange();
  supersede();
}

// A newer one does not wait until the bundles and images of an older one are here: they may never
// be.
void Documents::supersede() {
  const auto current = changes_.current;
  if (!current || !current->judged || parts_.agent.status().state != DeploymentState::kFetching)
    return;
  const DocumentMark& mark = current->judged->mark;
  for (const auto& waiting : changes_.waiting) {
    if (std::exchange(waiting->compared_with, mark.digest) == mark.digest) continue;
    Judged judged;
    DocumentOutcome refused;
    if (!open(waiting->arrival, judged, refused) || !check(waiting->arrival, judged, refused) ||
        judged.mark.series != mark.series || judged.mark.counter <= mark.counter)
      continue;
    return parts_.agent.giveUpFetching("a newer one came before its bundles and images");
  }
}

void Documents::next(Lane& lane) {
  if (lane.busy || lane.waiting.empty()) return;
  lane.busy = true;
  const auto waiting = std::move(lane.waiting.front());
  lane.current = waiting;
  lane.waiting.pop_front();
  lane.bytes -= waiting->arrival.file.size();
  process(*waiting,
          [this, &lane, waiting, alive = std::weak_ptr(alive_)](const DocumentOutcome& outcome) {
            if (alive.expired()) return;
            note(*waiting, outcome);
            lane.busy = false;
            lane.current = nullptr;
            nextLater();
            if (!outcome.call) return waiting->done(outcome);
            // Its answer may take minutes; others need not wait for it.
            outcome.call([waiting](int status, std::string payload) {
              DocumentOutcome answered = done(DocumentOutcome::Kind::kTaken);
              answered.status = status;
              answered.payload = std::move(payload);
              waiting->done(std::move(answered));
            });
          });
}

void Documents::process(Waiting& waiting, const Done& finished) {
  const Arrival& arrival = waiting.arrival;
  followJournal();
  const std::string digest = documentDigest(arrival.file);
  if (wasTaken(digest)) return finished(done(DocumentOutcome::Kind::kIgnored));
  // Nobody shall read of this time what became of it the last time.
  std::erase_if(errors_,
                [&](const auto& one) { return !digest.empty() && one.document == digest; });
  Judged judged;
  DocumentOutcome refused;
  const bool good = open(arrival, judged, refused) && check(arrival, judged, refused);
  if (!judged.mark.digest.empty()) waiting.judged = judged;
  if (!good) return finished(refused);
  perform(arrival, judged, finished);
}

// ---- judging -----------------------------------------------------------------------------------

// By whom it was signed decides what it may be: roots say who is trusted, deployers all else.
Result<DocumentFile> Documents::openFile(const Arrival& arrival, bool& by_root) const {
  const TrustStore& deployers = parts_.anchors.deployers();
  const TrustStore& roots = parts_.anchors.roots();
  const JudgementTime now = parts_.now();
  by_root = !arrival.kinds.empty() && arrival.kinds.front() == DocumentKind::kTrust;
  if (by_root && roots.anchors() == 0)
    return fail(Errc::kUntrusted,
                "no root is trusted, so nobody changes from afar who is; name certificates in "
                "[trust] roots");
  if (by_root) return openDocument(arrival.file, roots, now);
  auto file =
      deployers.anchors() != 0
          ? openDocument(arrival.file, deployers, now)
          : fail(Errc::kUntrusted,
                 "no deployer is trusted, so nothing from afar is obeyed; name certificates "
                 "in [trust] deployers");
  if (file || roots.anchors() == 0) return file;
  auto of_root = openDocument(arrival.file, roots, now);
  by_root = of_root.has_value();
  const bool is_roots = by_root || of_root.error().code == Errc::kDenied;
  return is_roots ? std::move(of_root) : std::move(file);
}

bool Documents::open(const Arrival& arrival, Judged& judged, DocumentOutcome& refused) const {
  bool by_root = false;
  auto file = openFile(arrival, by_root);
  auto document = file ? parseDocument(file->payload) : Result<Document>(file.error());
  const bool changes_trust = document && document->kind == DocumentKind::kTrust;
  if (changes_trust && !by_root)  // Its deployer may be a root as well.
    file = openDocument(arrival.file, parts_.anchors.roots(), parts_.now());
  if (document && !changes_trust && by_root)
    file = fail(Errc::kUntrusted,
                "its signer is no deployer: a root changes who is trusted, and "
                "nothing else");
  if (!file) {
    const Errc code = file.error().code;
    const char* reason = code == Errc::kCorrupt || code == Errc::kLimit ? "malformed"
                         : code == Errc::kDenied                        ? "tampered"
                                                                        : reasonOf(code);
    return refuse(refused, reason, file.error());
  }
  if (parts_.accepted) parts_.accepted(file->signer);
  if (!document) return refuse(refused, "malformed", document.error());
  judged.document = std::move(*document);
  judged.who = (changes_trust ? "root/" : "deployer/") + file->signer.subject;
  // There is one trust, and who of the roots changed it last has changed it.
  const std::string deployer =
      changes_trust ? "" : file->signer.ca_fingerprint + " " + file->signer.subject;
  judged.mark = {deployer + "\n" + name(judged.document.kind) + "\n" + judged.document.name,
                 judged.document.counter, file->digest};
  return true;
}

bool Documents::check(const Arrival& arrival, const Judged& judged,
                      DocumentOutcome& refused) const {
  const Document& document = judged.document;
  const auto wrong = [&refused](const std::string& text) {
    return refuse(refused, "wrong-target", fail(Errc::kInvalid, text));
  };
  if (!isFor(document, parts_.gateway, parts_.tags))
    return wrong(
        "it is for " +
        (document.gateway.empty() ? "tag " + document.tag : "gateway " + document.gateway) +
        ", and this is " + parts_.gateway);
  const auto& kinds = arrival.kinds;
  if (!kinds.empty() && std::find(kinds.begin(), kinds.end(), document.kind) == kinds.end())
    return wrong("a document of kind " + std::string(name(document.kind)) + " does not belong on " +
                 arrival.source);
  if (!arrival.name.empty() && arrival.name != document.name)
    return wrong("it is for \"" + document.name + "\" and came on " + arrival.source);
  const JudgementTime now = parts_.now();
  if (document.not_after_s && *document.not_after_s < now.at_s)
    return refuse(
        refused, "expired",
        fail(Errc::kExpired, "it was good until " + formatUtcSeconds(*document.not_after_s)));
  if (document.kind == DocumentKind::kCommand) {
    if (now.clock == JudgementTime::Clock::kUntrusted)
      return refuse(refused, "expired",
                    fail(Errc::kExpired,
                         "nobody knows whether it is still good: the clock of this "
                         "gateway is not trusted"));
    if (*document.not_after_s > now.at_s + kCommandSecondsMax)
      return refuse(refused, "invalid",
                    fail(Errc::kInvalid, "/not_after: a command is good for at most 5 minutes"));
  }
  const auto taken = taken_.find(judged.mark.series);
  if (taken != taken_.end() && document.counter <= taken->second.counter)
    return refuse(
        refused, "replayed",
        fail(Errc::kConflict, "/counter: " + std::to_string(document.counter) + " is not above " +
                                  std::to_string(taken->second.counter) +
                                  ", which was taken from this deployer"));
  if (taken == taken_.end() && taken_.size() >= kSeriesMax)
    return refuse(refused, "limit",
                  fail(Errc::kLimit,
                       "/name: 10000 names are remembered, which "
                       "is as many as there may be"));
  return true;
}

// ---- doing -------------------------------------------------------------------------------------

void Documents::perform(const Arrival& arrival, const Judged& judged, const Done& finished) {
  switch (judged.document.kind) {
    case DocumentKind::kDeployment:
    case DocumentKind::kLayer:
    case DocumentKind::kMergePatch:
    case DocumentKind::kJsonPatch: return changeDeployment(arrival, judged, finished);
    case DocumentKind::kDesired:
    case DocumentKind::kCommand:
    case DocumentKind::kSecrets:
    case DocumentKind::kTrust:
      if (arrival.mode == ApplyRequest::Mode::kDryRun)
        return finished(refusal("unsupported", fail(Errc::kUnsupported,
                                                    "there is no dry run of what changes no "
                                                    "deployment")));
      if (judged.document.kind == DocumentKind::kTrust) return replaceTrust(judged, finished);
      if (judged.document.kind == DocumentKind::kSecrets) return setSecrets(judged, finished);
      return judged.document.kind == DocumentKind::kDesired ? setDesired(judged, finished)
                                                            : command(judged, finished);
  }
}

void Documents::changeDeployment(const Arrival& arrival, const Judged& judged,
                                 const Done& finished) {
  ApplyRequest request;
  ask(request, arrival, judged);
  const auto applied = [this, arrival, judged, finished,
                        alive = std::weak_ptr(alive_)](Result<ApplyOutcome> result) {
    if (!alive.expired()) changed(arrival, judged, std::move(result), finished);
  };
  switch (judged.document.kind) {
    case DocumentKind::kMergePatch:
      return parts_.agent.patch(Agent::PatchKind::kMerge, std::move(request), applied);
    case DocumentKind::kJsonPatch:
      return parts_.agent.patch(Agent::PatchKind::kJson, std::move(request), applied);
    default: return parts_.agent.apply(std::move(request), applied);
  }
}

// What the document asks for as well.
void Documents::ask(ApplyRequest& request, const Arrival& arrival, const Judged& judged) {
  const Document& document = judged.document;
  if (request.who.empty()) {
    request.who = judged.who;
  } else if (request.who != judged.who && !request.who.ends_with(kAndOthers)) {
    request.who += kAndOthers;
  }
  request.mode = arrival.mode;
  request.base = document.base;
  request.patience = arrival.patience;
  request.default_window_s = arrival.default_window_s;
  if (document.kind == DocumentKind::kLayer) {
    request.layers.push_back({document.name, document.content, judged.who, judged.mark.digest});
    request.marks.push_back(judged.mark);
  } else {
    request.document = document.content;
    // First: it is the one that builds which know only one of several read.
    request.marks.insert(request.marks.begin(), judged.mark);
  }
}

void Documents::changed(const Arrival& arrival, const Judged& judged, Result<ApplyOutcome> result,
                        const Done& finished) {
  if (result) {
    DocumentOutcome outcome = done(DocumentOutcome::Kind::kTaken);
    outcome.applied = std::move(*result);
    if (judged.document.kind == DocumentKind::kLayer) parked_.erase(judged.document.name);
    // Of what the next life of the host begins with, its journal says whether it was taken.
    if (outcome.applied->kind == ApplyOutcome::Kind::kCommitted ||
        outcome.applied->kind == ApplyOutcome::Kind::kUnchanged)
      rememberBehind(judged.mark);
    return finished(std::move(outcome));
  }
  followJournal();
  const bool tried = wasTaken(judged.mark.digest);
  const char* reason = tried ? "rolled-back" : reasonOf(result.error().code);
  // Not again at the next connect: somebody did not want it.
  if (result.error().code == Errc::kCancelled) rememberBehind(judged.mark);
  const bool is_layer = judged.document.kind == DocumentKind::kLayer;
  const bool no_base = parts_.agent.document() == "null";
  if (is_layer && no_base) reason = "conflict";
  const bool does_not_fit = !tried && result.error().code == Errc::kInvalid &&
                            arrival.patience == Fetcher::Patience::kUntilCancelled;
  if (is_layer && (no_base || does_not_fit)) {
    // Of what waits at the broker nobody says which comes first: it may lie on another layer.
    parked_on_ = parts_.agent.effectiveDocument();
    park(arrival, judged.document.name, parked_);
  } else if (result.error().code == Errc::kNotFound && !judged.document.base) {
    park(arrival, judged.mark.series, wanting_);
  }
  Error why = result.error();
  if (tried && why.text.starts_with(kRolledBack)) why.text.erase(0, kRolledBack.size());
  finished(refusal(reason, why));
}

void Documents::park(const Arrival& arrival, const std::string& key,
                     std::map<std::string, Arrival>& among) {
  if (arrival.mode == ApplyRequest::Mode::kDryRun) return;
  among.erase(key);
  std::size_t bytes = arrival.file.size();
  for (const auto& [name, parked] : among) bytes += parked.file.size();
  if (among.size() < kLayersMax && bytes <= kParkedBytesMax) among[key] = arrival;
}

void Documents::secretsChanged() {
  takeAgain(std::exchange(wanting_, {}));
  next();
}

// Whoever brought the base, or what lies below.
void Documents::unpark() {
  if (parked_.empty() || parts_.agent.changing() || parts_.agent.document() == "null") return;
  std::string now = parts_.agent.effectiveDocument();
  if (now == parked_on_) return;
  parked_on_ = std::move(now);
  takeAgain(std::exchange(parked_, {}));
}

// All of them wait before the first one is looked at, so that they go together.
void Documents::takeAgain(std::map<std::string, Arrival> parked) {
  const auto nobody = [](const DocumentOutcome&) {};
  for (auto& [name, arrival] : parked) {
    if (hasRoom(changes_, arrival)) {
      enqueue(changes_, std::make_shared<Waiting>(Waiting{std::move(arrival), nobody}));
    } else {
      refuseBusy(std::move(arrival), nobody);
    }
  }
}

void Documents::setDesired(const Judged& judged, const Done& finished) {
  const std::string& principal = judged.document.name;
  const std::string before = parts_.twins.desired(principal).json;
  const auto replaced = parts_.twins.replaceDesired(principal, judged.document.content);
  if (!replaced) return finished(refusal(reasonOf(replaced.error().code), replaced.error()));
  // Before its counter: what comes again after a crash replaces by the same.
  parts_.twins.sync([this, judged, finished, before, version = *replaced,
                     alive = std::weak_ptr(alive_)](const Status& written) {
    if (alive.expired()) return;
    if (!written) {
      // So that the same is written when it comes again.
      if (parts_.twins.desired(judged.document.name).version == version)
        (void)parts_.twins.replaceDesired(judged.document.name, before);
      return finished(refusal("failed", written.error()));
    }
    rememberOnDisk(judged.mark, [finished](const Status& remembered) {
      finished(remembered ? done(DocumentOutcome::Kind::kTaken)
                          : refusal("failed", remembered.error()));
    });
  });
}

// On disk before their counter, as desired properties are.
void Documents::setSecrets(const Judged& judged, const Done& finished) {
  if (!parts_.set_secrets)
    return finished(refusal("unsupported", fail(Errc::kUnsupported, "/kind: no secrets are kept")));
  const auto content =
      parseJsonObject(judged.document.content, {kDocumentPayloadBytesMax, kDocumentDepthMax});
  const auto cms = content ? fromBase64(content->at("cms").as_string().c_str())
                           : Result<std::string>(content.error());
  if (!cms) return finished(refusal("malformed", cms.error()));
  parts_.set_secrets(*cms, judged.who,
                     [this, judged, finished, alive = std::weak_ptr(alive_)](const Status& set) {
                       if (alive.expired()) return;
                       if (!set) {
                         const Errc code = set.error().code;
                         const bool malformed = code == Errc::kCorrupt || code == Errc::kInvalid;
                         return finished(refusal(malformed               ? "malformed"
                                                 : code == Errc::kDenied ? "wrong-target"
                                                                         : reasonOf(code),
                                                 set.error()));
                       }
                       rememberOnDisk(judged.mark, [finished](const Status& remembered) {
                         finished(remembered ? done(DocumentOutcome::Kind::kTaken)
                                             : refusal("failed", remembered.error()));
                       });
                     });
}

// Before it is done, on disk: it happens once or never.
void Documents::command(const Judged& judged, const Done& finished) {
  rememberOnDisk(judged.mark, [this, judged, finished](const Status& written) {
    if (!written) return finished(refusal("failed", written.error()));
    const std::string& whole = judged.document.name;
    const std::size_t slash = whole.rfind('/');
    MethodRequest request;
    request.target = whole.substr(0, slash);
    request.name = whole.substr(slash + 1);
    request.payload = judged.document.content;
    request.caller = judged.who;
    DocumentOutcome outcome = done(DocumentOutcome::Kind::kTaken);
    outcome.call = [this, request = std::move(request)](auto answer) {
      parts_.methods.invoke(request, std::move(answer));
    };
    finished(std::move(outcome));
  });
}

}  // namespace kante
