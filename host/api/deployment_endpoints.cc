#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>

#include "host/agent/agent.h"
#include "host/agent/deployment.h"
#include "host/agent/documents.h"
#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/views.h"
#include "host/base/json.h"
#include "host/bundle/bundle_store.h"
#include "host/bundle/document_file.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kBundleFileBytesMax =
    (std::uint64_t{1} << 30) + (1 << 20);  // P, S and head.
constexpr JsonBounds kRollbackBounds{4096, 4};

json::array texts(const std::vector<std::string>& from) {
  return json::array(from.begin(), from.end());
}

const char* name(ApplyOutcome::Kind kind) {
  static constexpr const char* kNames[] = {"committed", "unchanged", "dry-run", "handover"};
  return kNames[static_cast<int>(kind)];
}

json::object toJson(const ApplyOutcome& outcome) {
  json::object out{{"result", name(outcome.kind)},
                   {"n", outcome.n},
                   {"id", outcome.id},
                   {"version", outcome.version},
                   {"plan", texts(outcome.plan)},
                   {"warnings", texts(outcome.warnings)},
                   {"changed", texts(outcome.changed)}};
  if (outcome.kind == ApplyOutcome::Kind::kHandover)
    out["poll"] = "/v1/deployment/history/" + std::to_string(outcome.n);
  return out;
}

json::object toJson(const HistoryEntry& entry) {
  return {{"n", entry.n},
          {"id", entry.id},
          {"version", entry.version},
          {"who", entry.who},
          {"when", timeJson(entry.when_wall_ns)},
          {"state", entry.state},
          {"reason", textOrNull(entry.reason)},
          {"changed", texts(entry.changed)},
          {"layer", textOrNull(entry.layers.empty() ? "" : entry.layers.front())},
          {"layers", texts(entry.layers)}};
}

json::object toJson(const AdmittedBundle& bundle) {
  return {{"digest", bundle.digest},
          {"id", bundle.manifest.id},
          {"version", bundle.manifest.version},
          {"counter", bundle.manifest.counter},
          {"signer", bundle.signer.subject},
          {"bytes", bundle.payload_bytes},
          {"admitted", timeJson(bundle.admitted_s * 1'000'000'000)},
          {"inputs", texts(bundle.manifest.inputs)},
          {"outputs", texts(bundle.manifest.outputs)},
          {"methods", texts(bundle.manifest.methods)}};
}

bool asked(const HttpRequest& request, const char* what) {
  const std::string& value = request.queryValue(what);
  return value == "1" || value == "true";
}

// Answers when the change is committed, refused or handed over to the next life of the host, or,
// with wait=0, as soon as it is under way.
Agent::Applied answerTo(const ExchangePtr& exchange, const std::function<void()>& changed) {
  return [exchange, changed](Result<ApplyOutcome> outcome) {
    changed();
    if (!outcome) return exchange->respond(errorReply(outcome.error()));
    const bool goes_on = outcome->kind == ApplyOutcome::Kind::kHandover;
    exchange->respond(jsonReply(toJson(*outcome), goes_on ? 202 : 200));
  };
}

void underWay(const ExchangePtr& exchange, const Agent& agent) {
  if (exchange->request().queryValue("wait") != "0") return;
  const DeploymentStatus status = agent.status();
  // A second answer is not heard; whoever refused at once has answered already.
  exchange->respond(jsonReply(
      json::object{{"result", name(status.state)}, {"id", status.id}, {"version", status.version}},
      202));
}

// `?base=12`, or If-Match with what ETag said: the version that must be deployed.
Result<std::optional<std::uint64_t>> baseOf(const HttpRequest& request) {
  std::string_view text = request.queryValue("base");
  if (text.empty()) text = request.if_match;
  if (text.empty() || text == "*") return std::optional<std::uint64_t>();
  if (text.size() > 1 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Errc::kInvalid, "base: the version that must be deployed, a whole number");
  return std::optional(version);
}

Result<ApplyRequest> requestOf(HttpRequest& request) {
  ApplyRequest out;
  KANTE_TRY(base, baseOf(request));
  out.base = base;
  out.document = std::move(request.body);
  out.who = request.caller;
  if (asked(request, "dry_run")) out.mode = ApplyRequest::Mode::kDryRun;
  if (asked(request, "rebind")) out.rebind = ApplyRequest::Rebind::kYes;
  return out;
}

bool isSigned(const HttpRequest& request) {
  return request.content_type == "application/vnd.kante.document" ||
         request.body.starts_with("KANTEDC1");
}

HttpResponse replyTo(const DocumentOutcome& outcome, const Agent& agent) {
  using Kind = DocumentOutcome::Kind;
  if (outcome.kind == Kind::kRefused) {
    Error error = outcome.error;
    error.text = outcome.reason + ": " + error.text;
    return errorReply(error);
  }
  if (outcome.applied) {
    const bool goes_on = outcome.applied->kind == ApplyOutcome::Kind::kHandover;
    return jsonReply(toJson(*outcome.applied), goes_on ? 202 : 200);
  }
  const DeploymentStatus now = agent.status();
  json::object out{{"result", outcome.kind == Kind::kIgnored ? "unchanged" : "taken"},
                   {"id", now.id},
                   {"version", now.version}};
  if (outcome.status != 0) {
    out["status"] = outcome.status;
    boost::system::error_code failed;
    out["payload"] = json::parse(outcome.payload, failed);
  }
  return jsonReply(out);
}

void takeDocument(const ExchangePtr& exchange, Agent& agent, Documents& documents,
                  const std::function<void()>& changed) {
  HttpRequest& request = exchange->request();
  if (!request.queryValue("base").empty() || !request.if_match.empty())
    return exchange->respond(errorReply(
        fail(Errc::kInvalid,
             "base: a signed document says itself which version it is for; sign it with --base")));
  if (asked(request, "rebind"))
    return exchange->respond(errorReply(
        fail(Errc::kInvalid,
             "rebind: a signed document names bundles that are in the store already; admit the "
             "bundle with rebind")));
  Documents::Arrival arrival;
  arrival.file = std::move(request.body);
  arrival.source = "local";
  arrival.patience = Fetcher::Patience::kFewTries;  // Somebody stands by.
  if (asked(request, "dry_run")) arrival.mode = ApplyRequest::Mode::kDryRun;
  const bool waits = documents.take(std::move(arrival),
                                    [exchange, &agent, changed](const DocumentOutcome& outcome) {
                                      changed();
                                      exchange->respond(replyTo(outcome, agent));
                                    });
  if (waits && request.queryValue("wait") == "0")
    return exchange->respond(jsonReply(json::object{{"result", "waiting"}}, 202));
  underWay(exchange, agent);
}

void put(const ExchangePtr& exchange, Agent& agent, const std::function<void()>& changed) {
  auto request = requestOf(exchange->request());
  if (!request) return exchange->respond(errorReply(request.error()));
  agent.apply(std::move(*request), answerTo(exchange, changed));
  underWay(exchange, agent);
}

void patch(const ExchangePtr& exchange, Agent& agent, const std::function<void()>& changed) {
  HttpRequest& request = exchange->request();
  Agent::PatchKind kind = Agent::PatchKind::kMerge;
  if (request.content_type == "application/json-patch+json") {
    kind = Agent::PatchKind::kJson;
  } else if (request.content_type != "application/merge-patch+json") {
    return exchange->respond(errorReply(415, fail(Errc::kUnsupported,
                                                  "A patch is application/merge-patch+json or "
                                                  "application/json-patch+json")));
  }
  auto asks = requestOf(request);
  if (!asks) return exchange->respond(errorReply(asks.error()));
  agent.patch(kind, std::move(*asks), answerTo(exchange, changed));
  underWay(exchange, agent);
}

// {"n": 3}, or nothing for the one before.
void rollback(const ExchangePtr& exchange, Agent& agent, const std::function<void()>& changed) {
  const HttpRequest& request = exchange->request();
  std::uint64_t n = 0;
  if (!request.body.empty()) {
    const auto body = parseJsonObject(request.body, kRollbackBounds);
    if (!body) return exchange->respond(errorReply(body.error()));
    const json::value* given = body->if_contains("n");
    boost::system::error_code failed;
    if (given != nullptr) n = given->is_number() ? given->to_number<std::uint64_t>(failed) : 0;
    if (body->size() > 1 || (given == nullptr && !body->empty()) || failed ||
        (given != nullptr && n == 0)) {
      return exchange->respond(
          errorReply(fail(Errc::kInvalid, "/n: is the number of an entry of the history, from 1")));
    }
  }
  agent.rollback(n, request.caller, answerTo(exchange, changed));
  underWay(exchange, agent);
}

// The base, which patches change; what runs, with the layers on it; or those layers.
void show(const ExchangePtr& exchange, const Agent& agent) {
  const std::string& view = exchange->request().queryValue("view");
  if (view == "layers") {
    json::array out;
    const std::vector<std::string> in_force = agent.layersInForce();
    for (const auto& [name, layer] : agent.layers()) {
      json::object one = toJson(layer);
      one["name"] = name;
      one["who"] = layer.who;
      one["document"] = textOrNull(layer.document);
      const auto at = std::find(in_force.begin(), in_force.end(), name);
      one["order"] = at == in_force.end() ? json::value() : json::value(at - in_force.begin() + 1);
      out.push_back(std::move(one));
    }
    return exchange->respond(jsonReply(out));
  }
  if (!view.empty() && view != "base" && view != "effective")
    return exchange->respond(
        errorReply(fail(Errc::kInvalid, "view: is \"base\", \"effective\" or \"layers\"")));
  HttpResponse response;
  response.body = (view == "effective" ? agent.effectiveDocument() : agent.document()) + "\n";
  response.headers.emplace_back("ETag", "\"" + std::to_string(agent.status().version) + "\"");
  exchange->respond(std::move(response));
}

void historyEntry(const ExchangePtr& exchange, const Agent& agent) {
  const std::string& wanted = exchange->request().params.at("n");
  for (const HistoryEntry& entry : agent.history()) {
    if (std::to_string(entry.n) == wanted) return exchange->respond(jsonReply(toJson(entry)));
  }
  exchange->respond(errorReply(fail(Errc::kNotFound, "the history has no entry " + wanted)));
}

void addBundleEndpoints(Router& router, Agent& agent, BundleStore& bundles) {
  router.add(HttpMethod::kGet, "/v1/bundles", Audience::kOperators, BodyRule::none(),
             [&bundles](const ExchangePtr& exchange) {
               json::array out;
               for (const std::string& digest : bundles.list()) {
                 if (const auto bundle = bundles.find(digest)) out.push_back(toJson(*bundle));
               }
               exchange->respond(jsonReply(out));
             });
  router.add(HttpMethod::kPost, "/v1/bundles", Audience::kOperators,
             BodyRule::file(kBundleFileBytesMax), [&agent](const ExchangePtr& exchange) {
               const HttpRequest& request = exchange->request();
               const auto admitted = agent.admit(
                   request.file.get(), asked(request, "rebind") ? ApplyRequest::Rebind::kYes
                                                                : ApplyRequest::Rebind::kNo);
               exchange->respond(admitted ? jsonReply(toJson(*admitted), 201)
                                          : errorReply(admitted.error()));
             });
}

}  // namespace

void addDeploymentEndpoints(Router& router, Agent& agent, BundleStore& bundles,
                            Documents& documents, std::function<void()> changed) {
  router.add(HttpMethod::kGet, "/v1/deployment", Audience::kOperators, BodyRule::none(),
             [&agent](const ExchangePtr& exchange) { show(exchange, agent); });
  for (const HttpMethod method : {HttpMethod::kPut, HttpMethod::kPatch})
    router.add(method, "/v1/deployment", Audience::kOperators,
               BodyRule::text(kDocumentFileBytesMax),
               [&agent, &documents, changed, method](const ExchangePtr& exchange) {
                 if (isSigned(exchange->request()))
                   return takeDocument(exchange, agent, documents, changed);
                 (method == HttpMethod::kPut ? put : patch)(exchange, agent, changed);
               });
  router.add(HttpMethod::kGet, "/v1/deployment/history", Audience::kReaders, BodyRule::none(),
             [&agent](const ExchangePtr& exchange) {
               json::array out;
               for (const HistoryEntry& entry : agent.history()) out.push_back(toJson(entry));
               exchange->respond(jsonReply(out));
             });
  router.add(HttpMethod::kGet, "/v1/deployment/history/{n}", Audience::kReaders, BodyRule::none(),
             [&agent](const ExchangePtr& exchange) { historyEntry(exchange, agent); });
  router.add(
      HttpMethod::kPost, "/v1/deployment/rollback", Audience::kOperators,
      BodyRule::text(kRollbackBounds.bytes_max),
      [&agent, changed](const ExchangePtr& exchange) { rollback(exchange, agent, changed); });
  addBundleEndpoints(router, agent, bundles);
}

}  // namespace kante
