#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"

namespace kante {
namespace {

constexpr std::uint64_t kChecksBytesMax = 256 * 1024;

}  // namespace

void addSupportEndpoint(Router& router, MakeSupport make) {
  const auto serve = [make = std::move(make)](const ExchangePtr& exchange) {
    make(exchange->request().body, [exchange](Result<std::string> bundle) {
      if (!bundle) return exchange->respond(errorReply(bundle.error()));
      HttpResponse response;
      response.content_type = "application/zstd";
      response.body = std::move(*bundle);
      exchange->respond(std::move(response));
    });
  };
  router.add(HttpMethod::kGet, "/v1/support-bundle", Audience::kOperators, BodyRule::none(), serve);
  router.add(HttpMethod::kPost, "/v1/support-bundle", Audience::kOperators,
             BodyRule::text(kChecksBytesMax), serve);
}

}  // namespace kante
