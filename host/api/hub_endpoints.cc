#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <functional>

#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/views.h"
#include "host/base/json.h"
#include "host/hub/methods.h"
#include "host/hub/twins.h"
#include "host/placement/module_host.h"

namespace kante {
namespace {

namespace json = boost::json;

using Registered = std::function<bool(const std::string& principal)>;

bool isPrincipal(const std::string& principal, const Twins& twins, const ModuleHost& modules,
                 const Registered& registered) {
  if (registered(principal)) return true;
  const auto known = twins.principals();
  if (std::find(known.begin(), known.end(), principal) != known.end()) return true;
  const auto all = modules.modules();
  return std::any_of(all.begin(), all.end(),
                     [&](const auto& each) { return "module/" + each.name == principal; });
}

HttpResponse unknown(const std::string& principal) {
  return errorReply(fail(
      Errc::kNotFound, "There is no " + principal + "; principals are module/NAME and device/ID"));
}

std::string twinText(const Twins& twins, const std::string& principal) {
  return "{\"principal\":" + writeJson(json::string(principal)) +
         ",\"desired\":" + withVersion(twins.desired(principal)) +
         ",\"reported\":" + withVersion(twins.reported(principal)) + "}\n";
}

HttpResponse twinReply(const Twins& twins, const std::string& principal) {
  HttpResponse response;
  response.body = twinText(twins, principal);
  return response;
}

void patchTwin(const ExchangePtr& exchange, Twins& twins, const ModuleHost& modules,
               const Registered& registered) {
  const std::string principal = exchange->request().param("principal");
  if (!isPrincipal(principal, twins, modules, registered))
    return exchange->respond(unknown(principal));
  const auto version = twins.patchDesired(principal, exchange->request().body);
  if (!version) return exchange->respond(errorReply(version.error()));
  twins.sync([exchange, principal, &twins](Status synced) {
    exchange->respond(synced ? twinReply(twins, principal) : errorReply(synced.error()));
  });
}

void invoke(const ExchangePtr& exchange, Methods& methods) {
  const HttpRequest& request = exchange->request();
  MethodRequest call;
  call.target = request.param("principal");
  call.name = request.param("name");
  call.caller = request.caller;
  if (!request.body.empty()) call.payload = request.body;
  if (const std::string& timeout = request.queryValue("timeout_ms"); !timeout.empty()) {
    std::uint32_t ms = 0;
    const auto read = std::from_chars(timeout.data(), timeout.data() + timeout.size(), ms);
    if (read.ec != std::errc() || read.ptr != timeout.data() + timeout.size() || ms == 0 ||
        ms > Methods::kTimeoutMax.count()) {
      return exchange->respond(
          errorReply(fail(Errc::kInvalid, "timeout_ms is a number from 1 to 300000")));
    }
    call.timeout = std::chrono::milliseconds(ms);
  }
  if (!methods.answersFor(call.target)) {
    return exchange->respond(
        errorReply(fail(Errc::kNotFound, call.target + " is not here, or serves no methods now")));
  }
  methods.invoke(std::move(call), [exchange](int status, const std::string& payload) {
    HttpResponse response;
    response.body = "{\"status\":" + std::to_string(status) +
                    ",\"payload\":" + (payload.empty() ? "null" : payload) + "}\n";
    exchange->respond(std::move(response));
  });
}

}  // namespace

void addHubEndpoints(Router& router, Twins& twins, Methods& methods, const ModuleHost& modules,
                     std::function<bool(const std::string& principal)> registered) {
  router.add(HttpMethod::kGet, "/v1/twins", Audience::kOperators, BodyRule::none(),
             [&twins](const ExchangePtr& exchange) {
               const auto known = twins.principals();
               exchange->respond(jsonReply(json::array(known.begin(), known.end())));
             });
  router.add(HttpMethod::kGet, "/v1/twins/{principal...}", Audience::kOperators, BodyRule::none(),
             [&twins, &modules, registered](const ExchangePtr& exchange) {
               const std::string& principal = exchange->request().param("principal");
               exchange->respond(isPrincipal(principal, twins, modules, registered)
                                     ? twinReply(twins, principal)
                                     : unknown(principal));
             });
  router.add(HttpMethod::kPatch, "/v1/twins/{principal...}", Audience::kOperators,
             BodyRule::text(2 * Twins::kSectionBytesMax),
             [&twins, &modules, registered](const ExchangePtr& exchange) {
               patchTwin(exchange, twins, modules, registered);
             });
  router.add(HttpMethod::kPost, "/v1/methods/{principal...}/{name}", Audience::kOperators,
             BodyRule::text(Methods::kPayloadBytesMax),
             [&methods](const ExchangePtr& exchange) { invoke(exchange, methods); });
}

}  // namespace kante
