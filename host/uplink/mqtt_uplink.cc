#include "host/uplink/mqtt_uplink.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <mutex>
#include <utility>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/log.h"
#include "host/base/metrics.h"
#include "host/store/store.h"
#include "host/uplink/broker_url.h"
#include "host/uplink/bundle_chunks.h"
#include "host/uplink/commands.h"
#include "host/uplink/forwarder.h"
#include "host/uplink/lost_reports.h"
#include "host/uplink/mosquitto_client.h"

namespace kante {
namespace {

constexpr std::uint32_t kWindowMax = 4096;
// Beside the window: state, reported sections, method answers.  More of them wait in the library.
constexpr std::uint32_t kControlInFlight = 16;
// Tokens of publications that are no telemetry; they need no answer.
constexpr std::uint64_t kControlToken = std::uint64_t{1} << 63;
// With the number that is reported lost.
constexpr std::uint64_t kLostToken = std::uint64_t{1} << 62;
constexpr char kArea[] = "uplink";
constexpr char kBudgetKey[] = "budget";
constexpr std::int64_t kLookNs = 1'000'000'000;

std::string stateJson(const char* state, const std::string& version) {
  boost::json::object object{{"state", state}, {"version", version}};
  return boost::json::serialize(object);
}

std::vector<std::string> commandFilters(const MqttUplinkOptions& options) {
  if (options.commands != CommandTrust::kBroker) return {};
  return BrokerCommands::filters(options.peer == MqttUplinkOptions::Peer::kGateway
                                     ? BrokerCommands::From::kGateway
                                     : BrokerCommands::From::kBroker);
}

// How old the oldest message is, as the store said last.
struct Oldest {
  std::atomic<std::int64_t> since_ns{0};  // BOOTTIME; 0: not known.
  std::atomic<std::int64_t> asked_ns{0};
};

}  // namespace

// Handler of the client's events (its thread) and bridge to the control thread.
struct MqttUplink::State final : ClientHandler, std::enable_shared_from_this<MqttUplink::State> {
  State(MqttUplinkOptions given, Host given_host)
      : options(std::move(given)),
        host(std::move(given_host)),
        prefix(gatewayTopic(options.gateway_id, "")) {}

  void onConnected() override;
  void onForgotten() override {
    lost->forgotten();
    forwarder->forgotten();
  }
  void onDisconnected(const std::string& why) override;
  void onAlarm(const std::string& text) override;
  void onArrival(const Arrival& arrival) override;
  void onPublished(std::uint64_t token, std::uint8_t reason_code) override;
  void onTurn() override {
    lost->turn();
    forwarder->turn();
  }
  std::int64_t patienceMs() const override { return forwarder->patienceMs(); }
  void publish(const BrokerCommands::Outgoing& outgoing);
  void onDocument(std::string_view rest, const Arrival& arrival);
  // From the control thread.
  void takeDocument(ArrivedDocument document);
  void linkUp();
  void publishLater(std::vector<BrokerCommands::Outgoing> outgoing);
  std::string lostReport(std::uint64_t number, const std::string& why) const;
  Status publishLost(std::uint64_t number, const std::string& report);
  Status makeBudget();
  void makeForwarder(TelemetryTopic topic);
  std::int64_t oldestSeconds() const;

  const MqttUplinkOptions options;
  const Host host;
  const std::string prefix;  // "kante/v1/GATEWAY/"
  DurableQueue* queue = nullptr;
  std::unique_ptr<UplinkClient> client;
  std::unique_ptr<BundleChunks> chunks;
  DocumentRoom document_room;
  Traffic traffic;
  const std::shared_ptr<Oldest> oldest =
      std::make_shared<Oldest>();     // Shared with the store's answer.
  std::shared_ptr<Budget> budget;     // Shared with batches that are being taken.
  std::unique_ptr<LostReports> lost;  // The client's thread, as is the next.
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<BrokerCommands> commands;  // Control thread, as is the next.
  std::string deployment_reported;           // Empty: nothing yet.
  std::uint64_t control_count = 0;
  bool warned = false;  // Of this loss of the link.
  std::atomic<bool> stopped{false};
  mutable std::mutex mutex;  // Around reason and alarm.
  std::string reason;
  std::string alarm;  // The client's.
};

// ---- the client's thread ----

void MqttUplink::State::publish(const BrokerCommands::Outgoing& outgoing) {
  Publication publication;
  publication.topic = prefix + outgoing.topic;
  publication.payload = outgoing.payload;
  publication.content_type = "application/json";
  publication.retain = outgoing.retained ? Retain::kYes : Retain::kNo;
  if (!outgoing.part.empty()) publication.properties.emplace_back("part", outgoing.part);
  const Status status = client->publish(publication, kControlToken | ++control_count);
  if (status.has_error() && status.error().code != Errc::kUnavailable) {
    host.log.warn("uplink", "not published",
                  {{"topic", publication.topic}, {"why", status.error().text}});
  }
}

void MqttUplink::State::onConnected() {
  {
    const std::lock_guard lock(mutex);
    reason.clear();
  }
  warned = false;
  const char* form = client->form() == MqttForm::k5 ? "MQTT 5" : "MQTT 3.1.1";
  host.log.info("uplink", "connected", {{"url", options.url}, {"protocol", form}});
  publish({"state", stateJson("online", options.version), true, {}});
  forwarder->setForm(client->form());
  lost->linkUp();
  forwarder->linkUp();
  host.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->linkUp();
  });
}

void MqttUplink::State::onDisconnected(const std::string& why) {
  forwarder->linkDown();
  bool changed = false;
  {
    const std::lock_guard lock(mutex);
    changed = std::exchange(reason, why) != why;
  }
  if (changed || !std::exchange(warned, true)) {
    host.log.warn("uplink", "not connected", {{"url", options.url}, {"why", why}});
  }
}

void MqttUplink::State::onAlarm(const std::string& text) {
  {
    const std::lock_guard lock(mutex);
    alarm = text;
  }
  if (!text.empty()) host.log.warn("uplink", text, {{"url", options.url}});
  if (host.alarm) host.alarm(text);
}

void MqttUplink::State::onArrival(const Arrival& arrival) {
  if (chunks->arrived(arrival)) return;
  if (!arrival.topic.starts_with(prefix)) return;
  const std::string_view rest = arrival.topic.substr(prefix.size());
  if (isDeploymentTopic(rest) || options.commands != CommandTrust::kBroker)
    return onDocument(rest, arrival);
  if (arrival.payload.size() > BrokerCommands::kPayloadBytesMax) {
    host.log.warn("uplink", "a command is not obeyed: longer than 256 KiB",
                  {{"topic", arrival.topic}});
    return;
  }
  BrokerCommands::Incoming incoming;
  incoming.topic = rest;
  incoming.payload = arrival.payload;
  incoming.retained = arrival.retain == Retain::kYes;
  for (const auto& [name, value] : arrival.properties) {
    if (name == "kante-bag") incoming.bag = value;
    if (name == "kante-timeout-ms")
      std::from_chars(value.data(), value.data() + value.size(), incoming.timeout_ms);
  }
  host.post([weak = weak_from_this(), incoming = std::move(incoming)] {
    const auto self = weak.lock();
    if (self != nullptr && self->commands != nullptr) self->commands->arrived(incoming);
  });
}

void MqttUplink::State::onDocument(std::string_view rest, const Arrival& arrival) {
  if (!host.document || arrival.payload.empty()) return;  // Retained no more: what it did stays.
  auto document = parseDocumentTopic(rest);
  if (document.has_value() && arrival.payload.size() > kDocumentArrivalBytesMax)
    document = fail(Errc::kLimit, "longer than a document can be");
  if (document.has_error()) {
    host.log.warn("uplink", "a document is not taken",
                  {{"topic", arrival.topic}, {"why", document.error().text}});
    return;
  }
  document->file = arrival.payload;
  document->is_retained = arrival.retain == Retain::kYes;
  const auto admitted = document_room.admit(*document);
  if (admitted == DocumentRoom::Admission::kNo) return;
  if (admitted == DocumentRoom::Admission::kWithoutFile) document->file.clear();
  host.post(
      [weak = weak_from_this(), arrived = std::make_shared<ArrivedDocument>(std::move(*document))] {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->document_room.arrived(*arrived);
        self->takeDocument(std::move(*arrived));
      });
}

void MqttUplink::State::onPublished(std::uint64_t token, std::uint8_t reason_code) {
  if ((token & kLostToken) != 0) return lost->answered(token & ~kLostToken, reason_code);
  if ((token & kControlToken) == 0) return forwarder->answered(token, reason_code);
  if (reason_code >= 0x80) {
    host.log.warn("uplink", "the broker refuses a message of the gateway itself",
                  {{"reason", std::to_string(reason_code)}});
  }
}

std::string MqttUplink::State::lostReport(std::uint64_t number, const std::string& why) const {
  return boost::json::serialize(
      boost::json::object{{"epoch", host.store.epoch()}, {"seq", number}, {"reason", why}});
}

Status MqttUplink::State::publishLost(std::uint64_t number, const std::string& report) {
  Publication publication;
  publication.topic = prefix + "lost";
  publication.payload = report;
  publication.content_type = "application/json";
  return client->publish(publication, kLostToken | number);
}

// ---- the control thread ----

void MqttUplink::State::takeDocument(ArrivedDocument document) {
  const bool answered = document.use == ArrivedDocument::For::kCommand;
  const std::string request_id = document.request_id;
  host.document(std::move(document), [weak = weak_from_this(), answered, request_id](
                                         int status, const std::string& payload) {
    const auto self = weak.lock();
    if (self == nullptr || !answered || self->stopped) return;
    self->publishLater(BrokerCommands::response(request_id, status, payload));
  });
}

void MqttUplink::State::linkUp() {
  if (commands != nullptr) commands->linkUp();
  if (!deployment_reported.empty())
    publishLater({{"deployment/reported", deployment_reported, true, {}}});
}

void MqttUplink::State::publishLater(std::vector<BrokerCommands::Outgoing> outgoing) {
  if (outgoing.empty() || client->state() != LinkState::kConnected)
    return;  // linkUp() says it again.
  client->post([this, outgoing = std::move(outgoing)] {
    for (const auto& one : outgoing) publish(one);
  });
}

Status MqttUplink::State::makeBudget() {
  KeyValue& store = host.store.keyValue();
  budget = std::make_shared<Budget>(
      options.budget,
      Budget::Host{host.clock, host.wall,
                   [&store](std::string text, std::function<void(Status)> done) {
                     store.apply({{kArea, kBudgetKey, std::move(text)}}, std::move(done));
                   },
                   [this] { client->post([this] { forwarder->unhold(); }); }});
  if (!budget->limited()) return {};
  KANTE_TRY(saved, store.get(kArea, kBudgetKey));
  if (!saved) return {};
  if (const Status read = budget->load(*saved); read.has_error())
    host.log.warn("uplink", read.error().text);
  return {};
}

void MqttUplink::State::makeForwarder(TelemetryTopic topic) {
  lost = std::make_unique<LostReports>(
      LostReports::Host{host.store.keyValue(), host.log,
                        [this](std::function<void()> work) { client->post(std::move(work)); },
                        [this](std::uint64_t number, const std::string& report) {
                          return publishLost(number, report);
                        }});
  Forwarder::Host parts{*client, *queue, host.clock, host.log, {}};
  parts.on_lost = [this](std::uint64_t number, const std::string& why, std::function<void()> kept) {
    lost->add(number, lostReport(number, why), std::move(kept));
  };
  parts.on_arrived = [this](std::uint64_t number) { lost->withdraw(number); };
  parts.wall = host.wall;
  parts.budget = budget;
  parts.traffic = &traffic;
  ForwarderOptions given;
  given.window = options.window;
  given.backlog_per_s = options.backlog_per_s;
  given.pack = options.pack;
  given.at_budget = options.at_budget;
  const bool to_gateway = options.peer == MqttUplinkOptions::Peer::kGateway;
  if (to_gateway) given.unauthorized = ForwarderOptions::Unauthorized::kGivenUp;
  TelemetryWriter writer(
      std::move(topic), options.gateway_id, host.store.epoch(),
      to_gateway ? TelemetryWriter::Hops::kSaid : TelemetryWriter::Hops::kUnsaid);
  forwarder = std::make_unique<Forwarder>(std::move(parts), std::move(writer), given);
}

// Asks the store for the next time and answers with what it said last.
std::int64_t MqttUplink::State::oldestSeconds() const {
  if (queue->messages() == 0) return -1;
  const std::int64_t now_ns = host.clock.bootNs();
  if (now_ns - oldest->asked_ns.load() >= kLookNs) {
    oldest->asked_ns = now_ns;
    queue->stats([oldest = oldest, now_ns](const QueueStats& stats) {
      oldest->since_ns = stats.messages == 0 ? 0 : now_ns - stats.oldest_ns;
    });
  }
  const std::int64_t since_ns = oldest->since_ns.load();
  return since_ns == 0 ? -1 : (now_ns - since_ns) / 1'000'000'000;
}

MqttUplink::MqttUplink(std::shared_ptr<State> state) : state_(std::move(state)) {}

MqttUplink::~MqttUplink() { stop(); }

Result<std::unique_ptr<MqttUplink>> MqttUplink::make(MqttUplinkOptions options, Host host) {
  if (!isName(options.gateway_id)) return fail(Errc::kInvalid, "[gateway] id is no name");
  if (options.window == 0 || options.window > kWindowMax) {
    return fail(Errc::kInvalid, "[uplink] window: from 1 to 4096");
  }
  KANTE_TRY(endpoint, parseBrokerUrl("[uplink] url", options.url));
  KANTE_TRY(topic, TelemetryTopic::parse(options.topic, options.gateway_id));
  MosquittoOptions client;
  if (endpoint.tls) {
    KANTE_TRY(tls,
              TlsContext::make({options.ca, options.cert, options.key}, endpoint.host, host.wall));
    client.tls = std::move(tls);
  } else if (options.plain_text != PlainText::kAnywhere && !endpoint.isLoopback()) {
    return fail(Errc::kDenied,
                "[uplink] url \"" + options.url +
                    "\": plain text leaves this machine only with insecure_plain_text = true");
  }
  std::unique_ptr<UplinkClient> brought = std::move(host.client);
  const auto state = std::make_shared<State>(std::move(options), std::move(host));
  const MqttUplinkOptions& given = state->options;
  QueueSpec spec;
  if (given.order == MqttUplinkOptions::Order::kLiveFirst)
    spec.order = QueueSpec::Order::kLiveFirst;
  KANTE_TRY(queue, state->host.store.queue("upstream", spec));
  state->queue = queue;
  client.host = endpoint.host;
  client.port = endpoint.port;
  client.client_id = "kante-" + given.gateway_id;
  client.username = given.username;
  client.password_file = given.password_file;
  client.will_topic = state->prefix + "state";
  client.will_payload = stateJson("offline", given.version);
  client.in_flight_max = given.window + kControlInFlight;
  client.protocol = given.protocol;
  client.times = given.times;
  if (brought != nullptr) {
    state->client = std::move(brought);
  } else {
    KANTE_TRY(made, MosquittoClient::make(std::move(client)));
    state->client = std::move(made);
  }
  state->chunks = std::make_unique<BundleChunks>(*state->client);
  KANTE_CHECK(state->makeBudget());
  state->makeForwarder(std::move(topic));
  KANTE_CHECK(state->lost->load());
  const bool by_broker = given.commands == CommandTrust::kBroker;
  const bool controlled = state->host.twins != nullptr && state->host.methods != nullptr;
  if (by_broker && !controlled)
    return fail(Errc::kInvalid, "[uplink] commands = \"broker\": there are no twins and methods");
  if (state->host.document) {
    for (const std::string& filter : documentFilters(given.commands))
      KANTE_CHECK(state->client->subscribe(state->prefix + filter));
  }
  if (controlled) {
    const auto publish = [raw = state.get()](std::vector<BrokerCommands::Outgoing> outgoing) {
      raw->publishLater(std::move(outgoing));
    };
    const bool from_gateway = given.peer == MqttUplinkOptions::Peer::kGateway;
    KANTE_TRY(commands, BrokerCommands::make(
                            {*state->host.twins, *state->host.methods, state->host.store.keyValue(),
                             state->host.log, publish,
                             from_gateway ? state->host.send_to : BrokerCommands::SendTo()}));
    state->commands = std::move(commands);
    for (const std::string& filter : commandFilters(given))
      KANTE_CHECK(state->client->subscribe(state->prefix + filter));
  }
  return std::unique_ptr<MqttUplink>(new MqttUplink(state));
}

Status MqttUplink::start() { return state_->client->start(*state_); }

void MqttUplink::stop() {
  if (state_->stopped.exchange(true)) return;
  state_->client->stop();
  state_->commands.reset();
  state_->budget->close();
  state_->lost->close();
  state_->forwarder->close();
}

void MqttUplink::report(const std::string& json) {
  state_->deployment_reported = json;
  if (!state_->stopped) state_->publishLater({{"deployment/reported", json, true, {}}});
}

Result<std::string> MqttUplink::bundleChunk(const std::string& digest, const std::string& base,
                                            std::uint32_t n, const std::function<bool()>& goes_on) {
  return state_->chunks->get(digest, base, n, goes_on);
}

UplinkStatus MqttUplink::status() const {
  const State& state = *state_;
  UplinkStatus status;
  status.kind = state.options.peer == MqttUplinkOptions::Peer::kGateway ? "kante" : "mqtt";
  status.state = name(state.client->state());
  {
    const std::lock_guard lock(state.mutex);
    status.reason = state.reason;
    status.alarm = state.alarm;
  }
  status.epoch = state.host.store.epoch();
  status.seq = state.queue->nextNumber() - 1;
  status.backlog_messages = state.queue->messages();
  status.backlog_bytes = state.queue->bytes();
  status.connects = state.client->connects();
  status.in_flight = state.forwarder->inFlight();
  status.acknowledged = state.forwarder->acknowledged();
  status.refused = state.forwarder->refused();
  status.dropped_documents = state.document_room.dropped();
  if (std::string alarm = state.forwarder->alarm(); !alarm.empty()) status.alarm = std::move(alarm);
  status.protocol = state.client->form() == MqttForm::k5 ? "5" : "3.1.1";
  state.forwarder->count();
  status.traffic = state.traffic.report(state.host.clock.bootNs());
  status.oldest_s = state.oldestSeconds();
  status.drain_s =
      static_cast<std::int64_t>(std::ceil(status.traffic.drainSeconds(status.backlog_messages)));
  status.budget = state.budget->status();
  return status;
}

namespace {

void collectCost(const UplinkStatus& status, MetricWriter& metrics) {
  const TrafficReport& traffic = status.traffic;
  metrics.gauge("kante_uplink_oldest_seconds", "Age of the oldest message that waits", {},
                static_cast<double>(std::max<std::int64_t>(0, status.oldest_s)));
  metrics.gauge("kante_uplink_drain_seconds",
                "Until nothing waits, at the present rate; below 0: never", {},
                static_cast<double>(status.drain_s));
  metrics.gauge("kante_uplink_basis_seconds", "How long was measured for what a day costs", {},
                traffic.basis_s);
  metrics.gauge("kante_uplink_messages_per_day", "Messages that a day brings at this rate", {},
                traffic.messages_per_day);
  metrics.gauge("kante_uplink_bytes_per_day", "Metered bytes of a day at this rate", {},
                traffic.bytes_per_day);
  const auto cost = [&metrics](const char* form, BlocksPerDay blocks) {
    const HubPrice price = cheapest(blocks);
    metrics.gauge("kante_uplink_blocks_per_day", "Blocks of 4096 bytes that IoT Hub would meter",
                  {{"form", form}}, blocks.paid);
    metrics.gauge("kante_uplink_usd_per_month", "What the cheapest IoT Hub tier for it costs",
                  {{"form", form}, {"tier", price.tier}}, price.usd_per_month);
  };
  if (traffic.blocks.paid > 0) {
    cost("sent", traffic.blocks);
    cost("packed", traffic.packed);
  }
  const BudgetStatus& budget = status.budget;
  if (budget.limits.messages_per_day != 0) {
    metrics.gauge("kante_uplink_budget_messages", "Of the day's message budget", {{"is", "limit"}},
                  static_cast<double>(budget.limits.messages_per_day));
    metrics.gauge("kante_uplink_budget_messages", "Of the day's message budget", {{"is", "used"}},
                  static_cast<double>(budget.messages_used));
  }
  if (budget.limits.bytes_per_day != 0) {
    metrics.gauge("kante_uplink_budget_bytes", "Of the day's byte budget", {{"is", "limit"}},
                  static_cast<double>(budget.limits.bytes_per_day));
    metrics.gauge("kante_uplink_budget_bytes", "Of the day's byte budget", {{"is", "used"}},
                  static_cast<double>(budget.bytes_used));
  }
}

}  // namespace

void MqttUplink::collect(MetricWriter& metrics) const {
  const UplinkStatus status = this->status();
  metrics.gauge("kante_uplink_connected", "1 while the uplink is connected", {},
                status.state == "connected" ? 1 : 0);
  metrics.counter("kante_uplink_connects_total", "Connections made", {},
                  static_cast<double>(status.connects));
  metrics.gauge("kante_uplink_in_flight", "Messages sent and not acknowledged", {},
                static_cast<double>(status.in_flight));
  metrics.gauge("kante_uplink_window_bytes", "Bytes that may be sent and not yet acknowledged", {},
                static_cast<double>(state_->forwarder->flightWindow()));
  metrics.counter("kante_uplink_acknowledged_total", "Messages that the broker acknowledged", {},
                  static_cast<double>(status.acknowledged));
  metrics.counter("kante_uplink_lost_total", "Messages given up after they had a number", {},
                  static_cast<double>(status.refused));
  metrics.counter("kante_uplink_dropped_documents_total",
                  "Signed documents that came while too many waited", {},
                  static_cast<double>(status.dropped_documents));
  collectCost(status, metrics);
  metrics.gauge("kante_uplink_seq", "The last number given", {}, static_cast<double>(status.seq));
}

}  // namespace kante
