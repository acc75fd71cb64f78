// /v1/secrets: names and times of secrets; values come in and never go out.
#include <boost/json/value.hpp>

#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/views.h"
#include "host/base/encoding.h"
#include "host/identity/secret_store.h"

namespace kante {
namespace {

namespace json = boost::json;

void list(const ExchangePtr& exchange, const SecretStore& secrets) {
  json::array out;
  for (const auto& [name, kept] : secrets.all())
    out.push_back(json::object{
        {"name", name}, {"set", timeJson(kept.set_s * 1'000'000'000)}, {"who", kept.who}});
  exchange->respond(jsonReply(out));
}

void change(const ExchangePtr& exchange, const SecretApi& api, std::optional<std::string> value) {
  const HttpRequest& request = exchange->request();
  const std::string& name = request.params.at("name");
  if (!isName(name))
    return exchange->respond(errorReply(
        fail(Errc::kInvalid, "\"" + name +
                                 "\" is no name: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a "
                                 "letter or digit")));
  if (value && !isUtf8(*value))
    return exchange->respond(errorReply(fail(Errc::kInvalid, "a secret is a text in UTF-8")));
  if (!value && api.secrets.find(name) == nullptr)
    return exchange->respond(errorReply(fail(Errc::kNotFound, "there is no secret " + name)));
  api.change({{name, std::move(value)}}, request.caller, [exchange, name](const Status& done) {
    exchange->respond(done ? jsonReply(json::object{{"name", name}}) : errorReply(done.error()));
  });
}

}  // namespace

void addSecretEndpoints(Router& router, const SecretApi& api) {
  router.add(HttpMethod::kGet, "/v1/secrets", Audience::kOperators, BodyRule::none(),
             [api](const ExchangePtr& exchange) { list(exchange, api.secrets); });
  router.add(HttpMethod::kPut, "/v1/secrets/{name}", Audience::kOperators,
             BodyRule::text(SecretStore::kValueBytesMax), [api](const ExchangePtr& exchange) {
               change(exchange, api, std::move(exchange->request().body));
             });
  router.add(HttpMethod::kDelete, "/v1/secrets/{name}", Audience::kOperators, BodyRule::none(),
             [api](const ExchangePtr& exchange) { change(exchange, api, {}); });
}

}  // namespace kante
