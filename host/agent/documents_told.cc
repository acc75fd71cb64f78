// What is told of documents: outcomes in log and events, and what deployment/reported says.
#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "host/agent/anchors.h"
#include "host/agent/documents.h"
#include "host/base/encoding.h"
#include "host/base/events.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/bundle/document_file.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::size_t kFetchedToldMax = 16;

json::object toJson(const DocumentError& said) {
  return {{"document", said.document},
          {"kind", said.kind},
          {"name", said.name},
          {"counter", said.counter}};
}

std::string titleOf(const Document& document) {
  return std::string(name(document.kind)) + (document.name.empty() ? "" : " " + document.name);
}

// Links may be metered, so no more than what somebody would ask for.
json::array fetchedJson(const std::vector<FetchReport>& all) {
  json::array out;
  for (const FetchReport& one : all) {
    if (out.size() == kFetchedToldMax) break;
    json::object said{{"bundle", one.digest}, {"source", one.source}, {"bytes", one.bytes}};
    if (!one.base.empty()) {
      said["base"] = one.base;
      said["saved"] = one.saved;
    }
    if (!one.problem.empty()) said["problem"] = one.problem;
    out.push_back(std::move(said));
  }
  return out;
}

// In tens, as far as it is told to a broker.
std::uint64_t percentOf(const FetchProgress& now) {
  return now.of == 0 ? 0 : now.bytes * 10 / now.of * 10;
}

}  // namespace

DocumentError Documents::saidOf(const DocumentMark& mark) {
  DocumentError said;
  const std::size_t kind = mark.series.find('\n') + 1;
  const std::size_t name = mark.series.find('\n', kind) + 1;
  said.document = mark.digest;
  said.kind = mark.series.substr(kind, name - 1 - kind);
  said.name = mark.series.substr(name);
  said.counter = mark.counter;
  return said;
}

void Documents::note(const Waiting& waiting, const DocumentOutcome& outcome) {
  const Arrival& arrival = waiting.arrival;
  if (outcome.kind == DocumentOutcome::Kind::kRefused) {
    noteRefusal(waiting, outcome);
  } else {
    std::erase_if(errors_, [&](const DocumentError& one) { return one.source == arrival.source; });
    if (outcome.kind == DocumentOutcome::Kind::kTaken && waiting.judged) {
      const Document& document = waiting.judged->document;
      const DocumentError taken = saidOf(waiting.judged->mark);
      const bool is_told = std::any_of(last_.begin(), last_.end(), [&taken](const auto& one) {
        return one.document == taken.document;
      });
      if (!is_told) last_ = {taken};
      Event event;
      event.kind = "document.taken";
      event.subject = "deployment";
      event.text = "A document was taken from " + waiting.judged->who + ": " + titleOf(document);
      event.fields = {{"document", waiting.judged->mark.digest}, {"source", arrival.source}};
      parts_.events.add(std::move(event));
    }
  }
  // Who waits for what becomes of it reads only what is reported after it came.
  if (outcome.kind != DocumentOutcome::Kind::kTaken) reported_.clear();
  tell();
}

// Whoever may publish to the gateway writes neither its log nor its events full.
bool Documents::mayTell() {
  const std::int64_t now_s = parts_.now().at_s;
  may_tell_ =
      std::min(kToldAtOnceMax,
               may_tell_ + std::max<std::int64_t>(0, now_s - std::exchange(told_at_s_, now_s)));
  if (may_tell_ == 0) return false;
  --may_tell_;
  return true;
}

void Documents::noteRefusal(const Waiting& waiting, const DocumentOutcome& outcome) {
  const Arrival& arrival = waiting.arrival;
  DocumentError error;
  error.source = arrival.source;
  error.document = documentDigest(arrival.file);
  if (waiting.judged) {
    error.kind = name(waiting.judged->document.kind);
    error.name = waiting.judged->document.name;
    error.counter = waiting.judged->document.counter;
  }
  error.reason = outcome.reason;
  error.text = outcome.error.text;
  std::erase_if(errors_, [&](const DocumentError& one) { return one.source == arrival.source; });
  errors_.push_back(error);
  if (errors_.size() > kErrorsMax) errors_.pop_front();
  const std::string mark = error.source + "\n" + error.document + "\n" + error.reason;
  if (std::find(said_.begin(), said_.end(), mark) != said_.end()) return;
  said_.push_back(mark);
  if (said_.size() > kSaidMax) said_.pop_front();
  if (!mayTell()) {
    ++untold_;
    return;
  }
  parts_.log.warn(kLogName, "a document is refused: " + error.reason + ": " + error.text,
                  {{"source", error.source}, {"document", error.document}});
  Event event;
  event.level = EventLevel::kWarn;
  event.kind = "document.refused";
  event.subject = "deployment";
  event.text =
      "A document from " + error.source + " is refused, " + error.reason + ": " + error.text;
  event.fields = {{"reason", error.reason},
                  {"document", error.document},
                  {"source", error.source},
                  {"kind", error.kind},
                  {"name", error.name}};
  if (untold_ != 0) event.fields.emplace_back("untold", std::to_string(std::exchange(untold_, 0)));
  parts_.events.add(std::move(event));
}

// What is wrong with what runs, and what was refused.
json::array Documents::errorsJson(const DeploymentStatus& status) const {
  json::array errors;
  const auto add = [&](json::object error) {
    error["reason"] = name(status.state);
    error["text"] = status.reason;
    errors.push_back(std::move(error));
  };
  // Also of those that an earlier life of the host began.
  if (status.state == DeploymentState::kRolledBack && !status.reason.empty())
    for (const Agent::Ended& ended : parts_.agent.ended())
      if (ended.is_last && !ended.committed) add(toJson(saidOf(ended.mark)));
  if (errors.empty() && !status.reason.empty()) add({});
  for (const DocumentError& one : errors_) {
    json::object error = toJson(one);
    error["reason"] = one.reason;
    error["text"] = one.text;
    error["source"] = one.source;
    errors.push_back(std::move(error));
  }
  return errors;
}

// Of several that were taken together the base, or the first; "with": the others.
json::value Documents::takenJson() const {
  if (last_.empty()) return {};
  json::object taken = toJson(last_.front());
  json::array with;
  for (std::size_t i = 1; i < last_.size(); ++i) with.push_back(toJson(last_[i]));
  if (!with.empty()) taken["with"] = std::move(with);
  return taken;
}

std::string Documents::report() const {
  const DeploymentStatus status = parts_.agent.status();
  json::object layers;
  for (const auto& [name, layer] : parts_.agent.layers()) layers[name] = layer.document;
  json::object tags;
  for (const auto& [key, value] : parts_.tags) tags[key] = value;
  const std::string document = parts_.agent.effectiveDocument();
  json::object out{{"id", status.id.empty() ? json::value() : json::value(status.id)},
                   {"version", status.version},
                   {"digest", document == "null" ? "" : "sha256:" + toHex(sha256(document))},
                   {"state", name(status.state)},
                   {"progress", parts_.progress ? parts_.progress() : 0},
                   {"errors", errorsJson(status)},
                   {"tags", std::move(tags)},
                   {"layers", std::move(layers)}};
  if (status.state == DeploymentState::kFetching)
    out["fetching"] = json::object{{"bundle", status.fetching.digest},
                                   {"source", status.fetching.source},
                                   {"percent", percentOf(status.fetching)},
                                   {"problem", status.fetching.problem}};
  if (status.state == DeploymentState::kFetching && !status.fetching.base.empty())
    out["fetching"].get_object()["base"] = status.fetching.base;
  if (!status.fetched.empty()) out["fetched"] = fetchedJson(status.fetched);
  if (!parts_.recipient.empty()) out["recipient"] = parts_.recipient;
  const DocumentMark* trust = nullptr;
  const auto marks = parts_.anchors.marks();
  for (const DocumentMark& mark : marks)
    if (trust == nullptr || mark.counter > trust->counter) trust = &mark;
  out["trust"] = trust == nullptr ? json::value() : json::value(toJson(saidOf(*trust)));
  out["taken"] = takenJson();
  return writeJson(out);
}

void Documents::tell() {
  if (!started_ || !parts_.report) return;
  std::string now = report();
  if (now == reported_) return;
  reported_ = std::move(now);
  parts_.report(reported_);
}

}  // namespace kante
