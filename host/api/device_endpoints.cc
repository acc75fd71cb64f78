// /v1/devices: who may connect, and what each one may do.
#include <algorithm>
#include <array>
#include <boost/json/value.hpp>
#include <charconv>

#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/views.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/identity/connection_string.h"
#include "host/identity/registry.h"
#include "host/identity/sas_token.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyBytesMax = 128 * 1024;
constexpr JsonBounds kBounds{kBodyBytesMax, 4};
constexpr std::size_t kPageDefault = 1000, kPageMax = 10'000;
constexpr std::int64_t kTtlDefaultS = 3600, kTtlMaxS = 10LL * 365 * 86'400;

enum class Secrets { kHidden, kShown };

json::object authenticationOf(const Verifier& verifier, Secrets secrets) {
  json::object out{{"type", name(verifier.kind)}};
  if (verifier.kind == Verifier::Kind::kSas && secrets == Secrets::kShown) {
    out["symmetricKey"] = {{"primaryKey", toBase64(verifier.primary.view())},
                           {"secondaryKey", toBase64(verifier.secondary.view())}};
  } else if (verifier.kind == Verifier::Kind::kThumbprint) {
    out["x509Thumbprint"] = {{"primaryThumbprint", toHex(verifier.primary.view())},
                             {"secondaryThumbprint", textOrNull(toHex(verifier.secondary.view()))}};
  }
  return out;
}

json::object toJson(const PrincipalName& principal, const Identity& identity,
                    const std::string& hostname, Secrets secrets) {
  const bool is_gateway = principal.kind() == PrincipalName::Kind::kGateway;
  const auto& grants = identity.grants->texts();
  const auto defaults = Grants::defaults(principal.kind());
  json::object out{{"principal", principal.name()},
                   {"deviceId", textOrNull(is_gateway ? "" : principal.id())},
                   {"moduleId", textOrNull(principal.module())},
                   {"generationId", std::to_string(identity.generation)},
                   {"status", name(identity.state)},
                   {"authentication", authenticationOf(identity.verifier, secrets)},
                   {"grants", json::array(grants.begin(), grants.end())},
                   {"default_grants", json::array(defaults.begin(), defaults.end())},
                   {"created", timeJson(identity.created_s * 1'000'000'000)},
                   {"updated", timeJson(identity.updated_s * 1'000'000'000)}};
  if (!identity.parent.empty()) out["parent"] = "gateway/" + identity.parent;
  if (secrets == Secrets::kHidden) return out;
  const Secret& key = identity.verifier.primary;
  const bool is_sas = identity.verifier.kind == Verifier::Kind::kSas;
  const auto text = ConnectionString{hostname, principal, is_sas ? key : Secret(), {}}.text();
  out["connection_string"] = text ? json::value(*text) : json::value();
  return out;
}

Result<const json::object*> objectIn(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_object())
    return fail(Errc::kInvalid, std::string("/") + key + ": is an object");
  return &value->get_object();
}

// The text of that member; empty when it is absent.
Result<std::string> textIn(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return fail(Errc::kInvalid, std::string("/") + key + ": is a text");
  return std::string(value->get_string());
}

template <typename Known>
Status onlyKnown(const json::object& object, const Known& known) {
  for (const auto& [key, value] : object) {
    if (std::find(known.begin(), known.end(), std::string_view(key)) != known.end()) continue;
    const std::string near = nearest(std::string_view(key), known);
    return fail(Errc::kInvalid, jsonPointer("", key) + ": unknown member" +
                                    (near.empty() ? "" : "; did you mean " + near + "?"));
  }
  return {};
}

Result<Secret> secretIn(const json::object& object, const char* key,
                        Result<std::string> (*decode)(std::string_view)) {
  KANTE_TRY(text, textIn(object, key));
  const auto bytes = decode(text);
  auto secret = bytes ? Secret::of(*bytes) : Result<Secret>(bytes.error());
  if (!secret) return within(std::string("/authentication: ") + key, secret.error());
  return secret;
}

Result<std::string> lowerHex(std::string_view text) {
  std::string digits;  // As OpenSSL and Azure's portal write it.
  for (const char c : text) {
    if (c != ':') digits += c >= 'A' && c <= 'F' ? static_cast<char>(c | 32) : c;
  }
  return fromHex(digits);
}

Result<Verifier> readVerifier(const json::object& object) {
  KANTE_CHECK(onlyKnown(object, std::array{"type", "symmetricKey", "x509Thumbprint"}));
  KANTE_TRY(type, textIn(object, "type"));
  KANTE_TRY(kind, parseVerifierKind(type.empty() ? "sas" : type));
  if (kind == Verifier::Kind::kAuthority) return Verifier::authority();
  const bool is_sas = kind == Verifier::Kind::kSas;
  const char* const member = is_sas ? "symmetricKey" : "x509Thumbprint";
  if (is_sas && !object.contains(member)) return Verifier::randomKeys();
  KANTE_TRY(values, objectIn(object, member));
  KANTE_CHECK(onlyKnown(*values, is_sas ? std::array{"primaryKey", "secondaryKey"}
                                        : std::array{"primaryThumbprint", "secondaryThumbprint"}));
  const auto decode = is_sas ? fromBase64 : lowerHex;
  KANTE_TRY(primary, secretIn(*values, is_sas ? "primaryKey" : "primaryThumbprint", decode));
  KANTE_TRY(secondary, secretIn(*values, is_sas ? "secondaryKey" : "secondaryThumbprint", decode));
  Verifier out;
  out.kind = kind;
  out.primary = primary;
  out.secondary = secondary;
  if (is_sas && secondary.empty()) out.secondary = Verifier::randomKeys().secondary;
  if (const Status checked = out.check(); !checked)
    return within("/authentication", checked.error());
  return out;
}

Result<std::vector<std::string>> readGrants(const json::value& value) {
  std::vector<std::string> out;
  if (!value.is_array()) return fail(Errc::kInvalid, "/grants: is a list of texts");
  for (const json::value& each : value.get_array()) {
    if (!each.is_string()) return fail(Errc::kInvalid, "/grants: is a list of texts");
    out.emplace_back(each.get_string());
  }
  return out;
}

Result<Identity::State> readState(const json::object& object) {
  KANTE_TRY(text, textIn(object, "status"));
  if (text == name(Identity::State::kEnabled)) return Identity::State::kEnabled;
  if (text == name(Identity::State::kDisabled)) return Identity::State::kDisabled;
  return fail(Errc::kInvalid, "/status: is \"enabled\" or \"disabled\"");
}

Result<Registry::Sessions> readSessions(const json::object& object) {
  KANTE_TRY(text, textIn(object, "sessions"));
  if (text.empty() || text == "keep") return Registry::Sessions::kKeep;
  if (text == "end") return Registry::Sessions::kEnd;
  return fail(Errc::kInvalid, "/sessions: is \"keep\" or \"end\"");
}

Result<Registry::Keys> readKeys(const json::object& object) {
  KANTE_TRY(text, textIn(object, "which"));
  if (text.empty() || text == "primary") return Registry::Keys::kPrimary;
  if (text == "secondary") return Registry::Keys::kSecondary;
  if (text == "both") return Registry::Keys::kBoth;
  return fail(Errc::kInvalid, "/which: is \"primary\", \"secondary\" or \"both\"");
}

// An empty body is an empty object.
Result<json::object> bodyOf(const HttpRequest& request) {
  if (request.body.empty()) return json::object();
  return parseJsonObject(request.body, kBounds);
}

class DeviceApi {
 public:
  explicit DeviceApi(DeviceApiParts parts) : parts_(std::move(parts)) {}

  Result<json::value> list(const HttpRequest& request) const {
    std::size_t max = kPageDefault;
    if (const std::string& text = request.queryValue("max"); !text.empty()) {
      const auto read = std::from_chars(text.data(), text.data() + text.size(), max);
      if (read.ec != std::errc() || read.ptr != text.data() + text.size() || max == 0 ||
          max > kPageMax)
        return fail(Errc::kInvalid, "max is a number from 1 to " + std::to_string(kPageMax));
    }
    json::array out;
    for (const auto& [principal, identity] : parts_.registry.page(request.queryValue("after"), max))
      out.push_back(
          toJson(*PrincipalName::parse(principal), *identity, parts_.hostname, Secrets::kHidden));
    return json::value(std::move(out));
  }

  Result<json::value> show(const HttpRequest& request) const {
    KANTE_TRY(principal, named(request));
    KANTE_TRY(identity, known(principal));
    const bool keys = request.queryValue("keys") == "1";
    json::object out =
        toJson(principal, *identity, parts_.hostname, keys ? Secrets::kShown : Secrets::kHidden);
    if (keys) audit("keys of a device shown", principal, request);
    if (const std::string& subject = request.queryValue("explain"); !subject.empty())
      out["explained"] = explain(principal, *identity, subject);
    return json::value(std::move(out));
  }

  // The principal that is to be shown when it is on disk.
  Result<PrincipalName> add(const HttpRequest& request) {
    KANTE_TRY(body, bodyOf(request));
    KANTE_CHECK(onlyKnown(body, std::array{"id", "authentication", "grants", "status", "parent"}));
    KANTE_TRY(id, textIn(body, "id"));
    auto principal = PrincipalName::parse(id);
    if (!principal) return within("/id", principal.error());
    Registry::Registration registration;
    if (body.contains("authentication")) {
      KANTE_TRY(authentication, objectIn(body, "authentication"));
      KANTE_TRY(verifier, readVerifier(*authentication));
      registration.verifier = verifier;
    } else {
      registration.verifier = Verifier::randomKeys();
    }
    if (const json::value* grants = body.if_contains("grants")) {
      KANTE_TRY(texts, readGrants(*grants));
      registration.grants = std::move(texts);
    }
    if (body.contains("status")) {
      KANTE_TRY(state, readState(body));
      registration.state = state;
    }
    KANTE_TRY(parent, textIn(body, "parent"));
    if (!parent.empty()) {
      const auto gateway = PrincipalName::parse(parent);
      if (!gateway || gateway->kind() != PrincipalName::Kind::kGateway)
        return fail(Errc::kInvalid, "/parent: is gateway/ID");
      registration.parent = gateway->id();
    }
    KANTE_CHECK(parts_.registry.add(*principal, registration));
    audit("device added", *principal, request);
    return *principal;
  }

  Result<PrincipalName> change(const HttpRequest& request) {
    KANTE_TRY(principal, named(request));
    KANTE_TRY(body, bodyOf(request));
    KANTE_CHECK(onlyKnown(body, std::array{"status", "grants", "authentication", "sessions"}));
    const auto given = body.count("status") + body.count("grants") + body.count("authentication");
    if (given != 1)
      return fail(Errc::kInvalid, "one of status, grants and authentication is changed at a time");
    if (body.contains("status")) {
      KANTE_TRY(state, readState(body));
      KANTE_CHECK(parts_.registry.setState(principal, state));
    } else if (const json::value* grants = body.if_contains("grants")) {
      KANTE_TRY(texts, readGrants(*grants));
      KANTE_CHECK(parts_.registry.setGrants(principal, texts));
    } else {
      KANTE_TRY(authentication, objectIn(body, "authentication"));
      KANTE_TRY(verifier, readVerifier(*authentication));
      KANTE_TRY(sessions, readSessions(body));
      KANTE_CHECK(parts_.registry.setVerifier(principal, verifier, sessions));
    }
    audit("device changed", principal, request);
    return principal;
  }

  Result<PrincipalName> rotate(const HttpRequest& request) {
    KANTE_TRY(principal, named(request));
    KANTE_TRY(body, bodyOf(request));
    KANTE_CHECK(onlyKnown(body, std::array{"which", "sessions"}));
    KANTE_TRY(keys, readKeys(body));
    KANTE_TRY(sessions, readSessions(body));
    KANTE_CHECK(parts_.registry.rotate(principal, keys, sessions));
    audit("keys of a device replaced", principal, request);
    return principal;
  }

  Result<PrincipalName> remove(const HttpRequest& request) {
    KANTE_TRY(principal, named(request));
    KANTE_CHECK(parts_.registry.remove(principal));
    audit("device removed", principal, request);
    return principal;
  }

  Result<json::value> token(const HttpRequest& request) const {
    KANTE_TRY(principal, named(request));
    KANTE_TRY(identity, known(principal));
    KANTE_TRY(body, bodyOf(request));
    KANTE_CHECK(onlyKnown(body, std::array{"ttl_s"}));
    std::int64_t ttl_s = kTtlDefaultS;
    if (const json::value* value = body.if_contains("ttl_s")) {
      json::error_code wrong;
      ttl_s = value->to_number<std::int64_t>(wrong);
      if (wrong || ttl_s < 1 || ttl_s > kTtlMaxS)
        return fail(Errc::kInvalid, "/ttl_s: is a number from 1 to " + std::to_string(kTtlMaxS));
    }
    if (identity->verifier.kind != Verifier::Kind::kSas)
      return fail(Errc::kState, principal.name() +
                                    " proves itself by a certificate and has no key "
                                    "to sign a token with");
    const std::string resource = parts_.hostname + "/" + principal.resource();
    const std::int64_t expires_s = parts_.clock.judgement().at_s + ttl_s;
    audit("token for a device made", principal, request);
    return json::value{
        {"token", makeSasToken(resource, identity->verifier.primary.view(), expires_s)},
        {"resource", resource},
        {"expires", timeJson(expires_s * 1'000'000'000)}};
  }

  // Answers when the change is on disk.
  void settled(const ExchangePtr& exchange, const Result<PrincipalName>& changed, unsigned status,
               Secrets secrets) {
    if (!changed) return exchange->respond(errorReply(changed.error()));
    parts_.registry.sync(
        [this, exchange, principal = *changed, status, secrets](const Status& synced) {
          if (!synced)
            return exchange->respond(errorReply(within(principal.name(), synced.error())));
          const Identity* identity = parts_.registry.find(principal);
          if (identity == nullptr)
            return exchange->respond(jsonReply(json::object{{"removed", principal.name()}}));
          json::object out = toJson(principal, *identity, parts_.hostname, secrets);
          if (principal.kind() == PrincipalName::Kind::kGateway && secrets == Secrets::kShown)
            out["url"] = textOrNull(parts_.url);
          exchange->respond(jsonReply(out, status));
        });
  }

 private:
  static Result<PrincipalName> named(const HttpRequest& request) {
    return PrincipalName::parse(request.param("principal"));
  }
  Result<const Identity*> known(const PrincipalName& principal) const {
    const Identity* identity = parts_.registry.find(principal);
    if (identity == nullptr)
      return fail(Errc::kNotFound,
                  principal.name() + " is not registered; kante device list shows who is");
    return identity;
  }
  // "method:module/a/reset" asks for that; a topic is asked for both ways, a filter one way.
  static json::array explain(const PrincipalName& principal, const Identity& identity,
                             std::string_view subject) {
    using Action = Grants::Action;
    std::vector<Action> actions = {Action::kSubscribe};
    if (subject.find_first_of("+#") == std::string_view::npos)
      actions = {Action::kPublish, Action::kSubscribe};
    const std::string_view word = subject.substr(0, subject.find(':'));
    for (const auto action : {Action::kPublish, Action::kSubscribe, Action::kMethod, Action::kTwin,
                              Action::kOnBehalf}) {
      if (word.size() == subject.size() || word != name(action)) continue;
      actions = {action};
      subject.remove_prefix(word.size() + 1);
      break;
    }
    json::array out;
    for (const Action action : actions) {
      const auto why =
          identity.grants->explain(action, subject, {principal.id(), principal.module()});
      out.push_back({{"action", name(action)},
                     {"subject", json::string(subject)},
                     {"allowed", why.allowed},
                     {"grant", textOrNull(why.grant)},
                     {"because", why.because}});
    }
    return out;
  }
  void audit(const char* what, const PrincipalName& principal, const HttpRequest& request) const {
    parts_.log.info("api", what, {{"device", principal.name()}, {"who", request.caller}});
  }

  const DeviceApiParts parts_;
};

void answer(const ExchangePtr& exchange, const Result<json::value>& result) {
  exchange->respond(result ? jsonReply(*result) : errorReply(result.error()));
}

}  // namespace

void addDeviceEndpoints(Router& router, DeviceApiParts parts) {
  const auto api = std::make_shared<DeviceApi>(std::move(parts));  // Owned by its routes together.
  const BodyRule body = BodyRule::text(kBodyBytesMax);
  const char* const kOne = "/v1/devices/{principal...}";
  router.add(HttpMethod::kGet, "/v1/devices", Audience::kOperators, BodyRule::none(),
             [api](const ExchangePtr& it) { answer(it, api->list(it->request())); });
  router.add(HttpMethod::kPost, "/v1/devices", Audience::kOperators, body,
             [api](const ExchangePtr& it) {
               api->settled(it, api->add(it->request()), 201, Secrets::kShown);
             });
  router.add(HttpMethod::kPost, "/v1/devices/{principal...}/keys", Audience::kOperators, body,
             [api](const ExchangePtr& it) {
               api->settled(it, api->rotate(it->request()), 200, Secrets::kShown);
             });
  router.add(HttpMethod::kPost, "/v1/devices/{principal...}/sas", Audience::kOperators, body,
             [api](const ExchangePtr& it) { answer(it, api->token(it->request())); });
  router.add(HttpMethod::kGet, kOne, Audience::kOperators, BodyRule::none(),
             [api](const ExchangePtr& it) { answer(it, api->show(it->request())); });
  router.add(HttpMethod::kPatch, kOne, Audience::kOperators, body, [api](const ExchangePtr& it) {
    api->settled(it, api->change(it->request()), 200, Secrets::kHidden);
  });
  router.add(HttpMethod::kDelete, kOne, Audience::kOperators, BodyRule::none(),
             [api](const ExchangePtr& it) {
               api->settled(it, api->remove(it->request()), 200, Secrets::kHidden);
             });
}

void addIdentityEndpoint(Router& router, std::function<Result<IdentityView>()> view) {
  router.add(HttpMethod::kGet, "/v1/identity", Audience::kOperators, BodyRule::none(),
             [view = std::move(view)](const ExchangePtr& exchange) {
               const auto now = view();
               if (!now) return exchange->respond(errorReply(now.error()));
               const auto certificate = [](const IdentityView::Certificate& of) -> json::value {
                 if (of.fingerprint.empty()) return nullptr;
                 return {{"fingerprint", of.fingerprint},
                         {"not_after", timeJson(of.not_after_s * 1'000'000'000)},
                         {"pem", of.pem}};
               };
               exchange->respond(jsonReply(
                   json::object{{"gateway", now->gateway},
                                {"hostname", now->names.front()},
                                {"names", json::array(now->names.begin(), now->names.end())},
                                {"ca", certificate(now->ca)},
                                {"hub", certificate(now->hub)},
                                {"secrets", certificate(now->secrets)}}));
             });
}

}  // namespace kante
