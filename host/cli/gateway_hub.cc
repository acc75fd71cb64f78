#include "host/cli/gateway_hub.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "host/base/fd.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/cli/gateway_identity.h"
#include "host/config/config.h"
#include "host/hub/anonymous_access.h"
#include "host/hub/gateways/children.h"
#include "host/hub/http/device_endpoints.h"
#include "host/hub/iothub/contract.h"
#include "host/hub/mqtt/broker.h"
#include "host/identity/client_judge.h"
#include "host/placement/module_host.h"

namespace kante::cli {
namespace {

using hub::AnonymousAccess;

constexpr std::chrono::minutes kCertificateLook{10};  // Whether it is time for another one.

hub::Limits limitsOf(const HubLimitsConfig& from) {
  hub::Limits out;
  out.connections = from.connections;
  out.connections_per_s = from.connections_per_s;
  out.sessions = from.sessions;
  out.message_bytes = from.message_bytes;
  out.retained_messages = from.retained_messages;
  out.retained_bytes = from.retained_bytes;
  out.connect_timeout_ms = from.connect_timeout_ms;
  out.packet_bytes = from.packet_bytes;
  out.receive_maximum = static_cast<std::uint16_t>(from.inflight);
  out.inflight = static_cast<std::uint16_t>(from.inflight);
  out.keep_alive_max_s = static_cast<std::uint16_t>(from.keep_alive_s);
  out.session_expiry_max_s = from.session_expiry_s;
  out.subscriptions = from.subscriptions;
  out.queue_messages = from.queue_messages;
  out.queue_bytes = from.queue_bytes;
  return out;
}

// What nobody wished is not opened: a gateway without a word about MQTT serves no MQTT.
Result<std::vector<hub::Broker::Address>> addressesOf(const Config& config) {
  std::vector<hub::Broker::Address> out;
  using Speaks = hub::Broker::Address::Speaks;
  const auto add = [&](const char* key, const std::vector<std::string>& texts, bool tls,
                       Speaks speaks) -> Status {
    if (!config.set_at.contains(key)) return {};
    for (const std::string& text : texts) {
      KANTE_TRY(endpoint, parseEndpoint(text));
      out.push_back({endpoint.host, endpoint.port, tls, speaks});
    }
    return {};
  };
  KANTE_CHECK(add("hub.mqtt.listen", config.hub.mqtt.listen, false, Speaks::kMqtt));
  KANTE_CHECK(add("hub.mqtt.tls_listen", config.hub.mqtt.tls_listen, true, Speaks::kMqtt));
  KANTE_CHECK(add("hub.http.listen", config.hub.http.listen, false, Speaks::kHttp));
  KANTE_CHECK(add("hub.https.listen", config.hub.https.listen, true, Speaks::kHttp));
  return out;
}

AnonymousAccess::From anonymousFrom(const HubMqttConfig& mqtt) {
  if (!mqtt.anonymous) return AnonymousAccess::From::kNowhere;
  return mqtt.insecure_plain_text ? AnonymousAccess::From::kAnywhere
                                  : AnonymousAccess::From::kLoopback;
}

}  // namespace

GatewayHub::GatewayHub(const Config& config, const Parts& parts)
    : config_(config),
      parts_(parts),
      access_(std::make_unique<AnonymousAccess>(anonymousFrom(config.hub.mqtt),
                                                &parts.identity.access())),
      timer_(parts.control) {}

Result<std::unique_ptr<GatewayHub>> GatewayHub::make(const Config& config, const Parts& parts) {
  KANTE_TRY(addresses, addressesOf(config));
  if (addresses.empty()) return std::unique_ptr<GatewayHub>();
  std::unique_ptr<GatewayHub> out(new GatewayHub(config, parts));
  hub::TlsContext context;
  const bool over_tls = std::any_of(addresses.begin(), addresses.end(),
                                    [](const hub::Broker::Address& one) { return one.tls; });
  if (over_tls) {
    if (!config.hub.tls.client_ca.empty()) {
      auto text = readFile(config.hub.tls.client_ca, HubCertificate::kFileBytesMax);
      // An empty one would let nobody in, and say nothing.
      if (text && text->empty())
        text = fail(Errc::kInvalid, config.hub.tls.client_ca + ": no certificate in it");
      if (!text) return within("[hub.tls] client_ca", text.error());
      out->client_ca_ = std::move(*text);
    }
    KANTE_TRY(certificate, parts.identity.certificate());
    KANTE_TRY(made, out->tls(certificate->current()));
    context = std::move(made);
  }
  KANTE_TRY(shards, parts.modules.shards());
  GatewayHub* self = out.get();
  const auto deliver = [self](const hub::SessionRef& session,
                              const hub::PublicationRef& publication) {
    self->broker_->send(session, publication);
  };
  KANTE_TRY(children,
            hub::Children::open({parts.control, parts.log, parts.events, parts.clock.clock(),
                                 parts.twins, parts.methods, parts.store, *out->access_, deliver}));
  out->children_ = std::move(children);
  KANTE_TRY(routings, parts.modules.serveTopics(out->children_.get()));
  KANTE_TRY(contract,
            hub::Contract::open(
                {parts.control, parts.twins, parts.methods, parts.store, parts.clock.clock(),
                 *out->access_, config.gateway.id, deliver,
                 [&modules = parts.modules](const std::string& principal,
                                            hub::DeviceMessage message, hub::DeviceApi::Done done) {
                   modules.sendTelemetry(principal, std::move(message), std::move(done));
                 },
                 out->children_.get(), parts.told}));
  out->contract_ = std::move(contract);
  out->children_->serve(&out->contract_->cloud());
  out->pinDevices();
  out->reported_ =
      parts.twins.observeReported([&modules = parts.modules](const Twins::Change& change) {
        modules.twinChanged(change.principal, change.patch);
      });
  out->endpoints_ = std::make_unique<hub::DeviceEndpoints>(hub::DeviceEndpoints::Parts{
      parts.control, *out->access_, *out->contract_, config.gateway.id});
  out->broker_ = std::make_unique<hub::Broker>(hub::Broker::Parts{
      parts.control, parts.log, parts.clock.clock(), *out->access_, std::move(shards),
      limitsOf(config.hub.limits), std::move(addresses), std::move(context), out->endpoints_.get(),
      std::move(routings), out->contract_.get(), &parts.store.keyValue(),
      config.store.max_bytes / 2});
  if (over_tls) KANTE_CHECK(out->keepCertificate());
  return out;
}

Result<hub::TlsContext> GatewayHub::tls(const ServerCredential& shown) const {
  hub::TlsMaterial material;
  material.chain = shown.chain;
  material.key = shown.key;
  material.client_ca = client_ca_;
  material.judge_clients = [this](SSL_CTX* context) { judgeClientsBy(context, parts_.clock); };
  auto made = hub::makeTlsContext(material);
  if (!made) return within("[hub.tls]", made.error());
  return made;
}

// A new one is shown to those who come from then on.
Status GatewayHub::keepCertificate() {
  KANTE_TRY(certificate, parts_.identity.certificate());
  certificate->onChange([this](const ServerCredential& shown) {
    auto made = tls(shown);
    if (!made) return parts_.log.error("hub", made.error().text);
    broker_->setTls(std::move(*made));
    parts_.log.info("hub", "clients are shown a new certificate");
  });
  tickLater();
  return {};
}

void GatewayHub::tickLater() {
  timer_.expires_after(kCertificateLook);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    parts_.identity.tick();
    tickLater();
  });
}

GatewayHub::~GatewayHub() {
  if (children_) children_->serve(nullptr);
}

void GatewayHub::pinDevices() {
  constexpr std::size_t kPage = 1000;
  const Registry& registry = parts_.identity.registry();
  for (std::string after;;) {
    const auto page = registry.page(after, kPage);
    for (const auto& [name, identity] : page)
      if (!identity->parent.empty())
        children_->whereabouts().pin(std::string(name), identity->parent);
    if (page.size() < kPage) return;
    after = page.back().first;
  }
}

// What is known of gateways below and of what is behind them follows the registry.
void GatewayHub::follow(const Registry::Change& change) {
  const PrincipalName& who = change.principal;
  if (change.what == Registry::What::kAdded) {
    const Identity* identity = parts_.identity.registry().find(who);
    if (identity != nullptr && !identity->parent.empty())
      children_->whereabouts().pin(who.name(), identity->parent);
  } else if (change.what == Registry::What::kRemoved) {
    if (who.kind() == PrincipalName::Kind::kGateway) children_->forget(who.id());
    if (who.kind() == PrincipalName::Kind::kDevice) children_->whereabouts().forget(who.name());
  } else if (who.kind() == PrincipalName::Kind::kGateway) {
    children_->reconsider(who.id());
  }
}

hub::DeviceApi& GatewayHub::deviceApi() { return *contract_; }

Status GatewayHub::start() {
  observation_ = parts_.identity.registry().observe([this](const Registry::Change& change) {
    follow(change);
    const std::string who = change.principal.nameAt(config_.gateway.id);
    broker_->reconsider(who, change.sessions == Registry::Sessions::kEnd ? hub::Connections::kEnd
                                                                         : hub::Connections::kKeep);
    if (change.what == Registry::What::kRemoved) contract_->removed(who);
  });
  return broker_->start();
}

void GatewayHub::serve() { broker_->serve(); }

void GatewayHub::stop(std::function<void()> done) {
  observation_.reset();
  reported_.reset();
  timer_.cancel();
  broker_->stop(std::move(done));
}

}  // namespace kante::cli
