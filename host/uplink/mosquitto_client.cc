#include "host/uplink/mosquitto_client.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "host/uplink/mosquitto_callbacks.h"

namespace kante {
namespace {

class PropertyList {
 public:
  ~PropertyList() { mosquitto_property_free_all(&list_); }
  void note(int rc) {
    if (rc_ == MOSQ_ERR_SUCCESS) rc_ = rc;
  }
  void add(int id, std::string_view value) {
    note(mosquitto_property_add_string(&list_, id, std::string(value).c_str()));
  }
  void add(std::string_view name, std::string_view value) {
    note(mosquitto_property_add_string_pair(&list_, MQTT_PROP_USER_PROPERTY,
                                            std::string(name).c_str(), std::string(value).c_str()));
  }
  void add(int id, std::uint32_t value) { note(mosquitto_property_add_int32(&list_, id, value)); }
  int error() const { return rc_; }
  const mosquitto_property* get() const { return list_; }

 private:
  mosquitto_property* list_ = nullptr;
  int rc_ = MOSQ_ERR_SUCCESS;
};

std::size_t varintBytes(std::size_t value) {
  return value < 1u << 7 ? 1 : value < 1u << 14 ? 2 : value < 1u << 21 ? 3 : 4;
}

// Of a PUBLISH with QoS 1 in MQTT 5, with its header.
std::size_t packetBytes(const Publication& publication) {
  std::size_t properties = 0;
  if (!publication.content_type.empty()) properties += 3 + publication.content_type.size();
  if (publication.expiry_s != 0) properties += 5;
  for (const auto& [name, value] : publication.properties)
    properties += 5 + name.size() + value.size();
  const std::size_t rest = 2 + publication.topic.size() + 2 + varintBytes(properties) + properties +
                           publication.payload.size();
  return 1 + varintBytes(rest) + rest;
}

}  // namespace

const char* name(LinkState state) {
  switch (state) {
    case LinkState::kStopped: return "stopped";
    case LinkState::kConnecting: return "connecting";
    case LinkState::kConnected: return "connected";
    case LinkState::kWaiting: return "disconnected";
  }
  return "unknown";
}

Result<std::unique_ptr<MosquittoClient>> MosquittoClient::make(MosquittoOptions options) {
  static const int once = mosquitto_lib_init();
  if (once != MOSQ_ERR_SUCCESS) return fail(Errc::kIo, "libmosquitto does not start");
  std::unique_ptr<MosquittoClient> client(new MosquittoClient(std::move(options)));
  client->wake_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!client->wake_) return failErrno("eventfd");
  KANTE_TRY(library, client->open(client->form()));
  client->client_ = library;
  KANTE_CHECK(client->credentials());
  return client;
}

MosquittoClient::MosquittoClient(MosquittoOptions options)
    : options_(std::move(options)),
      home_{options_.host, options_.port},
      form_(options_.protocol == MqttProtocol::k311 ? MqttForm::k311 : MqttForm::k5),
      target_(home_),
      resolver_(options_.lookup),
      backoff_(options_.times, std::random_device{}()),
      puback_ms_(options_.times.puback_ms) {}

MosquittoClient::~MosquittoClient() {
  stop();
  if (client_ != nullptr) mosquitto_destroy(client_);
}

Result<struct mosquitto*> MosquittoClient::open(MqttForm form) {
  struct mosquitto* client = mosquitto_new(options_.client_id.c_str(), true, this);
  if (client == nullptr) return failErrno("libmosquitto");
  const int version = form == MqttForm::k5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311;
  int rc = mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, version);
  const auto in_flight = static_cast<int>(options_.in_flight_max);
  if (rc == 0) rc = mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, in_flight);
  if (rc == 0) rc = mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  if (rc == 0 && options_.tls) {
    rc = mosquitto_void_option(client, MOSQ_OPT_SSL_CTX, options_.tls->raw());
    if (rc == 0) rc = mosquitto_int_option(client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
  }
  if (rc == 0 && !options_.will_topic.empty()) {
    rc = mosquitto_will_set_v5(client, options_.will_topic.c_str(),
                               static_cast<int>(options_.will_payload.size()),
                               options_.will_payload.data(), 1, true, nullptr);
  }
  if (rc != 0) {
    mosquitto_destroy(client);
    return fail(Errc::kInvalid, std::string("[uplink]: ") + mosquitto_strerror(rc));
  }
  MosquittoCallbacks::install(client);
  return client;
}

Status MosquittoClient::credentials() {
  if (options_.username.empty()) return {};
  std::string password;
  if (!options_.password_file.empty()) {
    KANTE_TRY(text, readFile(options_.password_file, 4096));
    password = text.substr(0, text.find_first_of("\r\n"));
  }
  mosquitto_username_pw_set(client_, options_.username.c_str(),
                            options_.password_file.empty() ? nullptr : password.c_str());
  return {};
}

Status MosquittoClient::start(ClientHandler& handler) {
  if (handler_ != nullptr) return fail(Errc::kState, "uplink: started already");
  handler_ = &handler;
  state_ = LinkState::kConnecting;
  thread_ = std::thread([this] { run(); });
  return {};
}

void MosquittoClient::stop() {
  stopping_ = true;
  post([] {});
  if (thread_.joinable()) thread_.join();
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(posted_);
}

void MosquittoClient::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    posted_.push_back(std::move(work));
    if (posted_.size() > 1) return;  // Woken already.
  }
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) return;  // Full means awake.
}

// ---- the client's thread ----

void MosquittoClient::runPosted() {
  std::uint64_t count = 0;
  if (::read(wake_.get(), &count, sizeof count) < 0) count = 0;
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (const auto& one : work) one();
}

Status MosquittoClient::publish(const Publication& publication, std::uint64_t token) {
  if (state() != LinkState::kConnected) return fail(Errc::kUnavailable, "uplink: not connected");
  // Not left to the library: its sum is up to three bytes short, and then it ends the process.
  if (packet_max_ != 0 && packetBytes(publication) > packet_max_)
    return fail(Errc::kLimit, "larger than the broker takes");
  PropertyList properties;
  if (form() == MqttForm::k5) {
    if (!publication.content_type.empty())
      properties.add(MQTT_PROP_CONTENT_TYPE, publication.content_type);
    if (publication.expiry_s != 0)
      properties.add(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, publication.expiry_s);
    for (const auto& [name, value] : publication.properties) properties.add(name, value);
  }
  int packet = 0;
  int rc = properties.error();
  if (rc == MOSQ_ERR_SUCCESS) {
    rc = mosquitto_publish_v5(
        client_, &packet, publication.topic.c_str(), static_cast<int>(publication.payload.size()),
        publication.payload.data(), 1, publication.retain == Retain::kYes, properties.get());
  }
  switch (rc) {
    case MOSQ_ERR_SUCCESS:
    case MOSQ_ERR_NO_CONN:  // The library keeps it and sends it after the next connect.
    case MOSQ_ERR_CONN_LOST:
    case MOSQ_ERR_ERRNO:
    case MOSQ_ERR_TLS: tokens_[packet] = {token, nowMs()}; return {};
    case MOSQ_ERR_OVERSIZE_PACKET:
    case MOSQ_ERR_PAYLOAD_SIZE: return fail(Errc::kLimit, "larger than the broker takes");
    case MOSQ_ERR_NOMEM: return fail(Errc::kUnavailable, "out of memory");
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
      return fail(Errc::kUnavailable, "the broker takes QoS 0 only, and nothing is safe with that");
    default: return fail(Errc::kInvalid, mosquitto_strerror(rc));
  }
}

Status MosquittoClient::subscribe(const std::string& filter) {
  if (std::find(filters_.begin(), filters_.end(), filter) == filters_.end())
    filters_.push_back(filter);
  if (state() != LinkState::kConnected) return {};
  const int rc = mosquitto_subscribe_v5(client_, nullptr, filter.c_str(), 1, 0, nullptr);
  if (rc != MOSQ_ERR_SUCCESS) return fail(Errc::kUnavailable, mosquitto_strerror(rc));
  return {};
}

Status MosquittoClient::unsubscribe(const std::string& filter) {
  std::erase(filters_, filter);
  if (state() != LinkState::kConnected) return {};
  const int rc = mosquitto_unsubscribe(client_, nullptr, filter.c_str());
  if (rc != MOSQ_ERR_SUCCESS) return fail(Errc::kUnavailable, mosquitto_strerror(rc));
  return {};
}

// Every connection gets a library of its own.  It would repeat what is in flight by itself, but it
// ends the process over a message that is larger than what the next broker takes, and it never
// unlearns what a broker said once.
Status MosquittoClient::renew() {
  KANTE_TRY(library, open(form()));
  mosquitto_destroy(std::exchange(client_, library));
  return {};
}

void MosquittoClient::forget() {
  if (tokens_.empty()) return;
  tokens_.clear();
  handler_->onForgotten();
}

// The alarms of this client as one sentence, told when it changes.
void MosquittoClient::raise() {
  std::string alarm;
  for (const std::string* one : {&certificate_alarm_, &identity_alarm_, &silence_alarm_}) {
    if (one->empty()) continue;
    if (!alarm.empty()) alarm += "; ";
    alarm += *one;
  }
  if (alarm == alarm_) return;
  alarm_ = std::move(alarm);
  handler_->onAlarm(alarm_);
}

}  // namespace kante
