// The workload API that modules of IoT Edge expect (IOTHUB.md, section 5.2), for one module: its
// socket is its credential, and it speaks of itself alone.
#include <boost/json.hpp>
#include <ctime>
#include <optional>
#include <set>

#include "host/api/endpoints.h"
#include "host/api/router.h"
#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/placement/module_host.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyBytesMax = 1u << 20;
constexpr JsonBounds kBounds{kBodyBytesMax, 4};

unsigned statusFor(Errc code) {
  switch (code) {
    case Errc::kInvalid:
    case Errc::kLimit: return 400;
    case Errc::kDenied: return 403;
    case Errc::kNotFound: return 404;
    case Errc::kUnavailable: return 503;  // SDKs try again.
    default: return 500;
  }
}

void answer(const ExchangePtr& exchange, const Result<json::object>& result,
            unsigned status = 200) {
  HttpResponse response;
  response.status = result ? status : statusFor(result.error().code);
  response.body =
      json::serialize(result ? *result : json::object{{"message", result.error().text}});
  exchange->respond(std::move(response));
}

Status checkVersion(const HttpRequest& request) {
  static const std::set<std::string> kVersions = {"2018-06-28", "2019-01-30", "2019-10-22",
                                                  "2019-11-05", "2020-07-07", "2021-12-07",
                                                  "2022-08-03"};
  const std::string& version = request.queryValue("api-version");
  if (kVersions.contains(version)) return {};
  return fail(Errc::kInvalid, version.empty() ? "api-version is missing"
                                              : "api-version " + version + " is not known");
}

Result<std::string> textOf(const json::object& body, const char* member) {
  const json::value* value = body.if_contains(member);
  if (value == nullptr || !value->is_string())
    return fail(Errc::kInvalid, std::string(member) + ": a text is expected");
  return std::string(value->get_string());
}

Result<std::string> bytesOf(const json::object& body, const char* member) {
  KANTE_TRY(text, textOf(body, member));
  auto bytes = fromBase64(text);
  if (!bytes) return fail(Errc::kInvalid, std::string(member) + ": base64 is expected");
  return bytes;
}

class Endpoints {
 public:
  Endpoints(Router& router, std::shared_ptr<const Workload> workload)
      : router_(router), workload_(std::move(workload)) {}

  using Handler = Result<json::object> (*)(const Workload& workload, const json::object& body);

  // Below /modules/NAME, which is the caller's own.
  void addOwn(const char* path, Handler handler, unsigned status = 200) {
    add(HttpMethod::kPost, std::string("/modules/{name}") + path, handler, status);
  }
  void add(HttpMethod method, const std::string& pattern, Handler handler, unsigned status = 200) {
    const bool has_body = method == HttpMethod::kPost;
    router_.add(method, pattern, Audience::kOperators,
                has_body ? BodyRule::text(kBodyBytesMax) : BodyRule::none(),
                [workload = workload_, handler, status](const ExchangePtr& exchange) {
                  answer(exchange, handle(*workload, handler, exchange->request()), status);
                });
  }

 private:
  static Result<json::object> handle(const Workload& workload, Handler handler,
                                     const HttpRequest& request) {
    if (!workload.admit())
      return fail(Errc::kUnavailable, "too many requests of " + workload.module + "; try again");
    KANTE_CHECK(checkVersion(request));
    const auto named = request.params.find("name");
    if (named != request.params.end() && named->second != workload.module)
      return fail(Errc::kDenied,
                  "this socket is " + workload.module + "'s; " + named->second + " has its own");
    json::object body;
    if (!request.body.empty()) {
      KANTE_TRY(parsed, parseJsonObject(request.body, kBounds));
      body = std::move(parsed);
    }
    return handler(workload, body);
  }

  Router& router_;
  std::shared_ptr<const Workload> workload_;
};

Result<json::object> sign(const Workload& workload, const json::object& body) {
  KANTE_TRY(data, bytesOf(body, "data"));
  KANTE_TRY(digest, workload.sign(data));
  return json::object{{"digest", toBase64(digest)}};
}

Result<json::object> encrypt(const Workload& workload, const json::object& body) {
  KANTE_TRY(plain, bytesOf(body, "plaintext"));
  KANTE_TRY(start, bytesOf(body, "initializationVector"));
  return json::object{{"ciphertext", toBase64(workload.seal(plain, start))}};
}

Result<json::object> decrypt(const Workload& workload, const json::object& body) {
  KANTE_TRY(sealed, bytesOf(body, "ciphertext"));
  KANTE_TRY(start, bytesOf(body, "initializationVector"));
  auto plain = workload.unseal(sealed, start);
  if (!plain) return fail(Errc::kInvalid, "ciphertext: not of this module with this vector");
  return json::object{{"plaintext", toBase64(*plain)}};
}

// RFC 3339 in UTC, to seconds since 1970; a fraction is left out.
std::optional<std::int64_t> secondsOf(const std::string& text) {
  std::tm utc{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') do
      ++rest;
    while (*rest >= '0' && *rest <= '9');
  const std::string zone = rest;
  if (zone != "Z" && zone != "z" && zone != "+00:00" && zone != "-00:00") return std::nullopt;
  return ::timegm(&utc);
}

Result<json::object> certificate(const Workload& workload, const json::object& body,
                                 const std::string& name) {
  std::int64_t until_s = 0;
  if (body.contains("expiration")) {
    KANTE_TRY(text, textOf(body, "expiration"));
    const auto at = secondsOf(text);
    if (!at) return fail(Errc::kInvalid, "expiration: a time in UTC as in RFC 3339 is expected");
    until_s = *at;
  }
  KANTE_TRY(made, workload.certificate(name, until_s));
  return json::object{{"privateKey", {{"type", "key"}, {"bytes", made.key}}},
                      {"certificate", made.chain},
                      {"expiration", formatUtc(made.not_after_s * 1'000'000'000)}};
}

Result<json::object> serverCertificate(const Workload& workload, const json::object& body) {
  KANTE_TRY(name, textOf(body, "commonName"));
  if (name.empty()) return fail(Errc::kInvalid, "commonName: is empty");
  return certificate(workload, body, name);
}

Result<json::object> identityCertificate(const Workload& workload, const json::object& body) {
  return certificate(workload, body, "");
}

Result<json::object> trustBundle(const Workload& workload, const json::object&) {
  KANTE_TRY(pem, workload.trust_bundle());
  return json::object{{"certificate", pem}};
}

Result<json::object> noManifestTrust(const Workload&, const json::object&) {
  return json::object{{"certificate", ""}};
}

Result<json::object> list(const Workload& workload, const json::object&) {
  json::array modules;
  for (const ModuleStatus& module : workload.modules()) {
    const bool runs = module.state == ModuleState::kRunning;
    const bool failed =
        module.state == ModuleState::kFailed || module.state == ModuleState::kBackoff;
    modules.push_back(
        json::object{{"id", module.name},
                     {"name", module.name},
                     {"type", module.placement == Placement::kContainer ? "docker" : "kante"},
                     {"config", {{"settings", json::object()}, {"env", json::array()}}},
                     {"status",
                      {{"runtimeStatus",
                        {{"status", runs     ? "running"
                                    : failed ? "failed"
                                             : "stopped"},
                         {"description", module.last_exit}}}}}});
  }
  return json::object{{"modules", std::move(modules)}};
}

}  // namespace

void addWorkloadEndpoints(Router& router, Workload workload) {
  Endpoints endpoints(router, std::make_shared<const Workload>(std::move(workload)));
  endpoints.add(HttpMethod::kGet, "/modules", list);
  endpoints.addOwn("/genid/{generation}/sign", sign);
  endpoints.addOwn("/genid/{generation}/encrypt", encrypt);
  endpoints.addOwn("/genid/{generation}/decrypt", decrypt);
  endpoints.addOwn("/certificate/identity", identityCertificate, 201);
  endpoints.addOwn("/genid/{generation}/certificate/server", serverCertificate, 201);
  endpoints.add(HttpMethod::kGet, "/trust-bundle", trustBundle);
  endpoints.add(HttpMethod::kGet, "/manifest-trust-bundle", noManifestTrust);
}

}  // namespace kante
