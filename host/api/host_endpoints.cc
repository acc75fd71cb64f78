#include <boost/json/value.hpp>
#include <charconv>

#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/status.h"
#include "host/api/views.h"

namespace kante {
namespace {

constexpr std::uint64_t kBundleFileBytesMax =
    (std::uint64_t{1} << 30) + (1 << 20);  // P, S and head.

Result<UpdateRequest> requestOf(const HttpRequest& request) {
  UpdateRequest out;
  out.who = request.caller;
  out.rebind = request.queryValue("rebind") == "1";
  const std::string& seconds = request.queryValue("deadline_s");
  if (seconds.empty()) return out;
  const char* const end = seconds.data() + seconds.size();
  const auto [at, error] = std::from_chars(seconds.data(), end, out.seconds);
  if (error != std::errc() || at != end)
    return fail(Errc::kInvalid, "deadline_s: is a number of seconds");
  return out;
}

}  // namespace

void addHostEndpoint(Router& router, UpdateHost update) {
  router.add(HttpMethod::kPost, "/v1/host", Audience::kOperators,
             BodyRule::file(kBundleFileBytesMax),
             [update = std::move(update)](const ExchangePtr& exchange) {
               auto request = requestOf(exchange->request());
               if (!request) return exchange->respond(errorReply(request.error()));
               update(exchange->request().file.get(), std::move(*request),
                      [exchange](const Result<HostStatus>& begun) {
                        exchange->respond(begun ? jsonReply(hostJson(*begun), 202)
                                                : errorReply(begun.error()));
                      });
             });
}

}  // namespace kante
