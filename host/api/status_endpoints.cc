#include <algorithm>
#include <boost/json/value.hpp>

#include "host/api/endpoints.h"
#include "host/api/metrics_text.h"
#include "host/api/router.h"
#include "host/api/status.h"
#include "host/api/views.h"

namespace kante {

namespace json = boost::json;

// `parts` is copied; what it points to is borrowed.
void addStatusEndpoints(Router& router, const StatusParts& parts) {
  router.add(
      HttpMethod::kGet, "/v1/status", Audience::kReaders, BodyRule::none(),
      [parts](const ExchangePtr& exchange) { exchange->respond(jsonReply(statusJson(parts))); });
  router.add(HttpMethod::kGet, "/v1/health", Audience::kReaders, BodyRule::none(),
             [parts](const ExchangePtr& exchange) {
               bool healthy = true;
               json::array texts;
               for (const Problem& problem : problems(parts)) {
                 healthy = healthy && problem.severity != Severity::kFail;
                 texts.emplace_back(problem.text);
               }
               exchange->respond(jsonReply(json::object{{"status", healthy ? "ok" : "failing"},
                                                        {"problems", std::move(texts)}},
                                           healthy ? 200 : 503));
             });
  router.add(HttpMethod::kGet, "/metrics", Audience::kReaders, BodyRule::none(),
             [parts](const ExchangePtr& exchange) {
               HttpResponse response;
               response.content_type = MetricsText::kContentType;
               response.body = metricsText(parts);
               exchange->respond(std::move(response));
             });
}

}  // namespace kante
