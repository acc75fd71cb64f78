// /v1/trust: whom this gateway believes, and by which document.
#include <boost/json/value.hpp>

#include "host/agent/anchors.h"
#include "host/agent/documents.h"
#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/views.h"

namespace kante {
namespace {

namespace json = boost::json;

json::object originJson(const Anchors& anchors, AnchorKind kind) {
  const auto& from = anchors.origin(kind);
  if (!from) return {{"from", "file"}};
  return {{"from", "document"},
          {"document", from->mark.digest},
          {"counter", from->mark.counter},
          {"who", from->who},
          {"taken", timeJson(from->taken_s * 1'000'000'000)}};
}

json::object kindJson(const Anchors& anchors, AnchorKind kind) {
  json::object out = originJson(anchors, kind);
  json::array all;
  for (const Anchors::Shown& one : anchors.shown(kind)) {
    json::object shown{{"subject", one.subject}};
    if (!one.fingerprint.empty()) {
      shown["sha256"] = one.fingerprint;
      shown["not_after"] = timeJson(one.not_after_s * 1'000'000'000);
    }
    all.push_back(std::move(shown));
  }
  out["certificates"] = std::move(all);
  return out;
}

json::object trustJson(const Anchors& anchors) {
  json::object out;
  for (const AnchorKind kind :
       {AnchorKind::kSigners, AnchorKind::kDeployers, AnchorKind::kRoots, AnchorKind::kRevoked})
    out[name(kind)] = kindJson(anchors, kind);
  json::object heirs = originJson(anchors, AnchorKind::kHeirs);
  json::object all;
  for (const auto& [owner, heir] : anchors.heirs()) all[owner] = heir;
  heirs["of"] = std::move(all);
  out["heirs"] = std::move(heirs);
  return out;
}

}  // namespace

void addTrustEndpoints(Router& router, const Anchors& anchors, Documents& documents) {
  router.add(HttpMethod::kGet, "/v1/trust", Audience::kOperators, BodyRule::none(),
             [&anchors](const ExchangePtr& exchange) {
               exchange->respond(jsonReply(trustJson(anchors)));
             });
  router.add(
      HttpMethod::kPost, "/v1/trust/reset", Audience::kOperators, BodyRule::none(),
      [&anchors, &documents](const ExchangePtr& exchange) {
        documents.resetTrust(exchange->request().caller, [exchange, &anchors](const Status& done) {
          exchange->respond(done ? jsonReply(trustJson(anchors)) : errorReply(done.error()));
        });
      });
}

}  // namespace kante
