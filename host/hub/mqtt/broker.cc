#include "host/hub/mqtt/broker.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/metrics.h"
#include "host/hub/http/web_shard.h"
#include "host/hub/mqtt/engine_shard.h"
#include "host/hub/mqtt/session.h"
#include "host/hub/mqtt/session_store.h"
#include "host/hub/mqtt/socket_transport.h"

namespace kante::hub {
namespace {

using Speaks = Broker::Address::Speaks;

// Where the configuration names such an address.
const char* keyOf(const Broker::Address& address) {
  if (address.speaks == Speaks::kHttp)
    return address.tls ? "[hub.https] listen" : "[hub.http] listen";
  return address.tls ? "[hub.mqtt] tls_listen" : "[hub.mqtt] listen";
}

constexpr std::uint32_t kReportsPerS = 10;

}  // namespace

Broker::Broker(Parts parts)
    : parts_(std::move(parts)),
      homes_(std::make_shared<Homes>(static_cast<std::uint32_t>(parts_.shards.size()),
                                     parts_.limits.sessions)),
      rate_(parts_.limits.connections_per_s),
      began_ns_(parts_.clock.bootNs()),
      reports_(kReportsPerS) {
  const auto count = static_cast<std::uint32_t>(parts_.shards.size());
  if (parts_.store != nullptr)
    store_ = std::make_shared<SessionStore>(*parts_.store, parts_.log,
                                            SessionStore::Options{parts_.stored_bytes_max});
  for (std::uint32_t i = 0; i < count; ++i) {
    EngineShard::Options options{
        parts_.limits,
        parts_.access,
        *homes_,
        i,
        [this](Refusal refusal, const std::string& who, const std::string& text) {
          reportLine(refusal, who, text);
        },
        [this] { connections_.fetch_sub(1, std::memory_order_relaxed); }};
    options.desk = parts_.desk;
    if (i < parts_.routings.size()) options.routing = parts_.routings[i];
    options.store = store_.get();
    if (i == Engine::kRetainedKeeper) options.system = [this] { return aboutItself(); };
    engines_.push_back(std::make_unique<EngineShard>(parts_.shards[i], options, count));
  }
  for (const auto& engine : engines_) engine->meet(engines_);
  const bool web = std::any_of(parts_.addresses.begin(), parts_.addresses.end(),
                               [](const Address& one) { return one.speaks == Speaks::kHttp; });
  for (std::uint32_t i = 0; web && i < count; ++i) makeWeb(i);
}

void Broker::makeWeb(std::uint32_t index) {
  WebShard::Options options;
  options.times.head_ms = options.times.body_ms = parts_.limits.connect_timeout_ms;
  options.handler = parts_.web;
  options.upgraded = [engine = engines_[index].get()](std::unique_ptr<Transport> transport,
                                                      Peer peer) {
    engine->accept(std::move(transport), std::move(peer));
  };
  options.closed = [this] { connections_.fetch_sub(1, std::memory_order_relaxed); };
  options.report = [this](Refusal refusal, const std::string& who, const std::string& text) {
    reportLine(refusal, who, text);
  };
  webs_.push_back(std::make_unique<WebShard>(parts_.shards[index], std::move(options)));
}

Broker::~Broker() = default;

Status Broker::restore() {
  if (!store_) return {};
  KANTE_TRY(stored, store_->load(parts_.clock.bootNs()));
  for (const auto& engine : engines_) engine->engine().beginIds(stored.ids);
  for (StoredSession& session : stored.sessions) {
    const std::string key = Session::keyOf(session.row.principal, session.row.client_id);
    const Homes::Claim claim = homes_->claim(key);
    engines_[claim.home()]->engine().restore(std::move(session), stored.clock_ns);
  }
  for (const PublicationRef& one : stored.retained)
    engines_[Engine::kRetainedKeeper]->engine().restore(one);
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& engine : engines_) moved |= engine->passMail();
  }
  if (!stored.sessions.empty() || !stored.retained.empty())
    parts_.log.info("hub", "sessions and retained messages of before are here again",
                    {{"sessions", std::to_string(stored.sessions.size())},
                     {"retained", std::to_string(stored.retained.size())}});
  return {};
}

Status Broker::start() {
  if (Status restored = restore(); !restored) return within("[hub.mqtt]", restored.error());
  for (const auto& engine : engines_) engine->start();
  for (const Address& address : parts_.addresses) {
    listeners_.push_back(std::make_unique<Listener>(
        parts_.control, [this, &address](FileDescriptor socket, Peer peer) {
          arrived(address, std::move(socket), std::move(peer));
        }));
    const Status opened = listeners_.back()->open(address.host, address.port);
    if (!opened) return within(keyOf(address), opened.error());
  }
  return {};
}

void Broker::serve() {
  for (std::size_t n = 0; n < listeners_.size(); ++n) {
    const Address& address = parts_.addresses[n];
    listeners_[n]->accept();
    const bool http = address.speaks == Speaks::kHttp;
    parts_.log.info("hub", http ? "HTTP and WebSockets are served" : "MQTT clients are served",
                    {{"address", address.host + ":" + std::to_string(port(n))},
                     {"tls", address.tls ? "yes" : "no"}});
  }
}

void Broker::stop(std::function<void()> done) {
  for (const auto& listener : listeners_) listener->close();
  const auto left = std::make_shared<std::atomic<std::size_t>>(webs_.size() + engines_.size());
  const auto all_done = std::make_shared<std::function<void()>>(std::move(done));
  const std::function<void()> one_done = [this, left, all_done] {
    if (left->fetch_sub(1) == 1) boost::asio::post(parts_.control, [all_done] { (*all_done)(); });
  };
  for (const auto& web : webs_) web->stop(one_done);  // Before what it hands WebSockets to.
  for (const auto& engine : engines_) engine->stop(one_done);
}

void Broker::refuse(const Peer& peer, const char* why) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  reportLine(Refusal::kLimit, peer.address, why);
}

void Broker::arrived(const Address& address, FileDescriptor socket, Peer peer) {
  if (connections_.load(std::memory_order_relaxed) >= parts_.limits.connections)
    return refuse(peer, "too many connections");
  if (!rate_.take(peer.address, parts_.clock.bootNs()))
    return refuse(peer, "too many connections a second");
  std::unique_ptr<Transport> transport;
  if (address.tls) {
    transport = TlsTransport::accept(parts_.tls, std::move(socket));
    if (!transport) return refuse(peer, "no memory for TLS");
  } else {
    transport = std::make_unique<SocketTransport>(std::move(socket));
  }
  connections_.fetch_add(1, std::memory_order_relaxed);
  const std::size_t shard = next_++ % engines_.size();
  if (address.speaks == Speaks::kHttp)
    webs_[shard]->accept(std::move(transport), std::move(peer));
  else
    engines_[shard]->accept(std::move(transport), std::move(peer));
}

// A flood of refusals must not become a flood of lines.
void Broker::reportLine(Refusal refusal, const std::string& who, const std::string& text) {
  std::uint64_t silenced = 0;
  {
    const std::lock_guard lock(report_mutex_);
    if (!reports_.take({}, parts_.clock.bootNs())) {
      ++silenced_;
      return;
    }
    silenced = std::exchange(silenced_, 0);
  }
  parts_.log.warn("hub", who + ": " + text,
                  {{"reason", name(refusal)}, {"unreported", std::to_string(silenced)}});
}

void Broker::reconsider(const std::string& principal, Connections connections) {
  for (const auto& engine : engines_) engine->take(Reconsider{principal, connections});
}

void Broker::send(const SessionRef& session, const PublicationRef& publication) {
  engines_[session.engine]->take(ToSession{session, publication});
}

BrokerStatus Broker::status() const {
  BrokerStatus out;
  for (const auto& engine : engines_) {
    const Counters& counters = engine->counters();
    out.connections += counters.connections.value();
    out.sessions += counters.sessions.value();
    out.subscriptions += counters.subscriptions.value();
    out.retained += counters.retained.value();
    out.received += counters.received.value();
    out.sent += counters.sent.value();
    for (const Refusal lost :
         {Refusal::kOverflow, Refusal::kTtl, Refusal::kOffline, Refusal::kTooLarge})
      out.dropped += counters.of(lost).value();
  }
  if (store_) {
    out.stored_sessions = store_->sessions();
    out.stored_messages = store_->messages();
    out.stored_bytes = store_->bytes();
  }
  return out;
}

// As mosquitto calls them.
std::vector<std::pair<std::string, std::string>> Broker::aboutItself() const {
  const BrokerStatus now = status();
  const auto text = [](std::uint64_t value) { return std::to_string(value); };
  const auto up = (parts_.clock.bootNs() - began_ns_) / 1'000'000'000;
  return {{"$SYS/broker/version", "kante " KANTE_VERSION},
          {"$SYS/broker/uptime", std::to_string(up) + " seconds"},
          {"$SYS/broker/clients/connected", text(now.connections)},
          {"$SYS/broker/clients/total", text(now.sessions)},
          {"$SYS/broker/subscriptions/count", text(now.subscriptions)},
          {"$SYS/broker/retained messages/count", text(now.retained)},
          {"$SYS/broker/publish/messages/received", text(now.received)},
          {"$SYS/broker/publish/messages/sent", text(now.sent)},
          {"$SYS/broker/publish/messages/dropped", text(now.dropped)}};
}

void Broker::collect(MetricWriter& metrics) const {
  const BrokerStatus now = status();
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  metrics.gauge("kante_mqtt_connections", "MQTT clients that are connected", {},
                number(now.connections));
  metrics.gauge("kante_mqtt_sessions", "MQTT sessions, connected or not", {}, number(now.sessions));
  metrics.gauge("kante_mqtt_subscriptions", "Subscriptions of all sessions", {},
                number(now.subscriptions));
  metrics.gauge("kante_mqtt_retained_messages", "Retained messages", {}, number(now.retained));
  metrics.gauge("kante_mqtt_message_bytes", "Bytes of all messages that the broker holds", {},
                static_cast<double>(Publication::bytesAlive()));
  if (store_) {
    metrics.gauge("kante_mqtt_stored_sessions", "Sessions that outlive the process", {},
                  number(now.stored_sessions));
    metrics.gauge("kante_mqtt_stored_messages", "Messages on disk, queued and retained", {},
                  number(now.stored_messages));
    metrics.gauge("kante_mqtt_stored_bytes", "Bytes of all that the broker has on disk", {},
                  number(now.stored_bytes));
    metrics.counter("kante_mqtt_stored_damaged_total", "Damaged rows that were left out", {},
                    number(store_->damaged()));
  }
  metrics.counter("kante_mqtt_received_total", "Messages from clients", {}, number(now.received));
  metrics.counter("kante_mqtt_sent_total", "Messages to clients", {}, number(now.sent));
  for (std::size_t i = 0; i < kRefusals; ++i) {
    const auto refusal = static_cast<Refusal>(i);
    std::uint64_t count = refusal == Refusal::kLimit ? refused_.load() : 0;
    for (const auto& engine : engines_) count += engine->counters().of(refusal).value();
    metrics.counter("kante_mqtt_refused_total", "Messages and connections that were refused",
                    {{"reason", name(refusal)}}, number(count));
  }
  if (!webs_.empty()) collectWeb(metrics);
}

void Broker::collectWeb(MetricWriter& metrics) const {
  std::uint64_t websockets = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t malformed = 0;
  decltype(WebCounters::answers) answers;
  for (const auto& web : webs_) {
    const WebCounters& one = web->counters();
    websockets += one.websockets.value();
    timeouts += one.timeouts.value();
    malformed += one.malformed.value();
    for (std::size_t i = 0; i < answers.size(); ++i) answers[i].add(one.answers[i].value());
  }
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  metrics.counter("kante_http_websockets_total", "WebSockets that were opened", {},
                  number(websockets));
  for (std::size_t i = 1; i < answers.size(); ++i)
    metrics.counter("kante_http_answers_total", "Answers to requests of HTTP, by status",
                    {{"status", std::to_string(i) + "xx"}}, number(answers[i].value()));
  metrics.counter("kante_http_refused_total", "Connections that spoke no HTTP, or too slowly",
                  {{"reason", "malformed"}}, number(malformed));
  metrics.counter("kante_http_refused_total", "Connections that spoke no HTTP, or too slowly",
                  {{"reason", "timeout"}}, number(timeouts));
}

}  // namespace kante::hub
