#include "host/cli/gateway_identity.h"

#include <strings.h>

#include <algorithm>
#include <utility>

#include "host/base/encoding.h"
#include "host/base/events.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/config/config.h"
#include "host/hub/twins.h"
#include "host/store/key_value.h"

namespace kante::cli {
namespace {

constexpr const char* kArea = "devices";

// What the hub is called: in certificates, and by tokens.  The host name first.
std::vector<std::string> namesOf(const Config& config) {
  std::vector<std::string> out = {config.hub.hostname};
  const auto add = [&](const std::string& name) {
    const bool any = name == "0.0.0.0" || name == "::";
    if (!any && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  };
  for (const auto* listen : {&config.hub.mqtt.listen, &config.hub.mqtt.tls_listen,
                             &config.hub.http.listen, &config.hub.https.listen}) {
    for (const std::string& text : *listen) {
      if (const auto endpoint = parseEndpoint(text)) add(endpoint->host);
    }
  }
  for (const char* local : {"localhost", "127.0.0.1", "::1"}) add(local);
  return out;
}

const char* saying(Registry::What what) {
  switch (what) {
    case Registry::What::kAdded: return " was registered";
    case Registry::What::kRemoved: return " was removed";
    case Registry::What::kEnabled: return " is let in again";
    case Registry::What::kDisabled: return " is not let in any more";
    case Registry::What::kGrants: return " has other grants";
    case Registry::What::kVerifier: return " has other keys or certificates";
  }
  return "";
}

// What a gateway below connects to.
std::string parentUrl(const Config& config) {
  const auto at = [](const char* scheme, const std::string& host,
                     const std::vector<std::string>& listen) -> std::string {
    const auto first = parseEndpoint(listen.front());
    return first ? scheme + host + ":" + std::to_string(first->port) : std::string();
  };
  const HubMqttConfig& mqtt = config.hub.mqtt;
  if (config.set_at.contains("hub.mqtt.tls_listen") && !mqtt.tls_listen.empty())
    return at("mqtts://", config.hub.hostname, mqtt.tls_listen);
  if (config.set_at.contains("hub.mqtt.listen") && !mqtt.listen.empty())
    return at("mqtt://", "127.0.0.1", mqtt.listen);
  return {};
}

}  // namespace

GatewayIdentity::GatewayIdentity(const Config& config, Parts parts, Seal seal)
    : config_(config), parts_(std::move(parts)), seal_(std::move(seal)), names_(namesOf(config)) {}

GatewayIdentity::~GatewayIdentity() = default;

Result<std::unique_ptr<GatewayIdentity>> GatewayIdentity::open(const Config& config, Parts parts) {
  const std::string path = config.gateway.data_dir + "/identity";
  KANTE_TRY(directory, makeDirectory(path));
  auto seal = Seal::open(directory.get());
  if (!seal) return within(config.gateway.data_dir, seal.error());
  std::unique_ptr<GatewayIdentity> out(new GatewayIdentity(config, std::move(parts), *seal));
  out->directory_ = std::move(directory);
  out->map_ = std::make_unique<StoreMap>(out->parts_.store, kArea, out->parts_.post);
  KANTE_TRY(registry, Registry::open(*out->map_, out->seal_, out->parts_.clock.clock()));
  out->registry_ = std::move(registry);
  out->access_ = std::make_unique<RegisteredAccess>(*out->registry_, out->parts_.clock, out->names_,
                                                    config.gateway.id);
  GatewayIdentity* self = out.get();
  out->observation_ =
      out->registry_->observe([self](const Registry::Change& change) { self->report(change); });
  out->reportDamaged();
  return out;
}

void GatewayIdentity::reportDamaged() {
  const auto& damaged = registry_->damaged();
  if (damaged.empty()) return;
  const std::string text = std::to_string(damaged.size()) +
                           " registrations cannot be read and count as removed, the first is " +
                           damaged.begin()->first + ": " + damaged.begin()->second;
  parts_.log.error("identity", text);
  Event event;
  event.level = EventLevel::kError;
  event.kind = "device.damaged";
  event.subject = damaged.begin()->first;
  event.text = text;
  parts_.events.add(std::move(event));
}

void GatewayIdentity::report(const Registry::Change& change) {
  const std::string who = change.principal.name();
  Event event;
  event.kind = std::string("device.") + name(change.what);
  event.subject = who;
  event.text = who + saying(change.what);
  if (change.sessions == Registry::Sessions::kEnd) event.text += ", its sessions end";
  parts_.events.add(std::move(event));
  if (change.what == Registry::What::kRemoved) (void)parts_.twins.remove(who);
}

bool GatewayIdentity::isRegistered(const std::string& principal) const {
  const auto name = PrincipalName::parse(principal);
  return name && name->name() == principal && registry_->find(*name) != nullptr;
}

Result<GatewayCa*> GatewayIdentity::ca() {
  if (!ca_) {
    KANTE_TRY(opened, GatewayCa::open(directory_.get(), seal_, config_.gateway.id,
                                      parts_.clock.judgement().at_s));
    ca_ = std::move(opened);
  }
  return ca_.get();
}

Result<HubCertificate*> GatewayIdentity::certificate() {
  if (certificate_) return certificate_.get();
  const HubTlsConfig& files = config_.hub.tls;
  if (!files.cert.empty()) {
    auto read = HubCertificate::fromFiles({files.cert, files.key}, parts_.clock);
    if (!read) return within("[hub.tls]", read.error());
    certificate_ = std::move(*read);
    return certificate_.get();
  }
  KANTE_TRY(authority, ca());
  auto issued = HubCertificate::issued(*authority, parts_.clock, names_);
  if (!issued) return within("[hub]", issued.error());
  certificate_ = std::move(*issued);
  return certificate_.get();
}

// Its own CA, or of a file whatever is above the first certificate; of one that nobody signed,
// itself.
Result<std::string> GatewayIdentity::trustBundle() {
  KANTE_TRY(own, ca());
  if (config_.hub.tls.cert.empty()) return own->pem();
  KANTE_TRY(shown, certificate());
  const std::string& chain = shown->current().chain;
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  const auto second = chain.find(kBegin, chain.find(kBegin) + 1);
  return own->pem() + (second == std::string::npos ? chain : chain.substr(second));
}

Result<Workload::Certificate> GatewayIdentity::moduleCertificate(const PrincipalName& module,
                                                                 const std::string& name,
                                                                 std::int64_t until_s) {
  const bool is_client = name.empty();
  const bool is_hub = std::any_of(names_.begin(), names_.end(), [&name](const std::string& one) {
    return ::strcasecmp(one.c_str(), name.c_str()) == 0;
  });
  if (is_hub)
    return fail(Errc::kDenied, "commonName: " + name + " is the hub; choose another name");
  KANTE_TRY(authority, ca());
  const std::int64_t now_s = parts_.clock.judgement().at_s;
  GatewayCa::Order order;
  order.purpose = is_client ? GatewayCa::Order::For::kClient : GatewayCa::Order::For::kServer;
  order.common_name = is_client ? module.commonName() : name;
  if (!is_client) order.names = {name};
  if (!is_client && name != module.module()) order.names.push_back(module.module());
  if (is_client)
    order.uri = "azureiot://" + config_.hub.hostname + "/devices/" + percentEncode(module.id()) +
                "/modules/" + percentEncode(module.module());
  if (until_s > now_s) order.life_s = std::min(order.life_s, until_s - now_s);
  KANTE_TRY(made, authority->issueFor(order, now_s));
  return Workload::Certificate{made.chain, made.key, made.not_after_s};
}

void GatewayIdentity::tick() {
  if (!certificate_) return;
  if (const Status done = certificate_->tick(); !done)
    parts_.log.error("identity", done.error().text);
}

Result<IdentityView> GatewayIdentity::view() {
  KANTE_TRY(authority, ca());
  IdentityView out;
  out.gateway = config_.gateway.id;
  out.names = names_;
  out.ca = {authority->pem(), authority->fingerprint(), authority->notAfterS()};
  if (certificate_) {
    const ServerCredential& shown = certificate_->current();
    out.hub = {shown.chain, shown.fingerprint, shown.not_after_s};
  }
  out.secrets = secrets_;
  return out;
}

void GatewayIdentity::addEndpoints(Router& router) {
  addDeviceEndpoints(
      router, {*registry_, parts_.clock, parts_.log, config_.hub.hostname, parentUrl(config_)});
  addIdentityEndpoint(router, [this] { return view(); });
}

}  // namespace kante::cli
