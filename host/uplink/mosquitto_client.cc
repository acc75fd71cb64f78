#include "host/uplink/mosquitto_client.h"

#include <arpa/inet.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace kante {
namespace {

std::int64_t nowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::string_view readText(char* text, std::string& keep) {
  if (text == nullptr) return {};
  keep = text;
  ::free(text);
  return keep;
}

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

// Called by the library from within our own calls to it, so on the client's thread.
struct MosquittoCallbacks {
  static MosquittoClient& of(void* self) { return *static_cast<MosquittoClient*>(self); }

  static void connect(struct mosquitto*, void* self, int code, int,
                      const mosquitto_property* properties) {
    MosquittoClient& client = of(self);
    if (code == 0) {
      client.connack_ = true;
      return;
    }
    std::string keep;
    char* text = nullptr;
    mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &text, false);
    client.said_ = "the broker refuses the connection: ";
    client.said_ += mosquitto_reason_string(code);
    if (const std::string_view more = readText(text, keep); !more.empty()) {
      client.said_ += ", " + std::string(more);
    }
  }
  static void disconnect(struct mosquitto*, void* self, int code, const mosquitto_property*) {
    MosquittoClient& client = of(self);
    client.lost_ = true;
    client.lost_rc_ = code;
  }
  static void published(struct mosquitto*, void* self, int packet, int code,
                        const mosquitto_property*) {
    MosquittoClient& client = of(self);
    const auto it = client.tokens_.find(packet);
    if (it == client.tokens_.end()) return;
    const std::uint64_t token = it->second;
    client.tokens_.erase(it);
    client.handler_->onPublished(token, static_cast<std::uint8_t>(code));
  }
  static void message(struct mosquitto*, void* self, const mosquitto_message* message,
                      const mosquitto_property* properties) {
    Arrival arrival;
    std::string content_type, response_topic;
    std::vector<std::pair<std::string, std::string>> pairs;
    char* text = nullptr;
    mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &text, false);
    arrival.content_type = readText(std::exchange(text, nullptr), content_type);
    mosquitto_property_read_string(properties, MQTT_PROP_RESPONSE_TOPIC, &text, false);
    arrival.response_topic = readText(text, response_topic);
    for (bool skip = false;; skip = true) {
      char *name = nullptr, *value = nullptr;
      properties = mosquitto_property_read_string_pair(properties, MQTT_PROP_USER_PROPERTY, &name,
                                                       &value, skip);
      if (properties == nullptr) break;
      auto& pair = pairs.emplace_back();
      readText(name, pair.first);
      readText(value, pair.second);
    }
    for (const auto& [name, value] : pairs) arrival.properties.emplace_back(name, value);
    arrival.topic = message->topic;
    arrival.payload = {static_cast<const char*>(message->payload),
                       static_cast<std::size_t>(message->payloadlen)};
    arrival.retain = message->retain ? Retain::kYes : Retain::kNo;
    of(self).handler_->onArrival(arrival);
  }
  static void log(struct mosquitto*, void* self, int level, const char* text) {
    if (level != MOSQ_LOG_ERR) return;
    std::string_view said = text;
    if (!said.starts_with("OpenSSL Error")) return;
    said.remove_prefix(std::min(said.size(), said.find(": ") + 2));
    // "error:0A000412:SSL routines::sslv3 alert bad certificate": the last part is for people.
    const std::size_t last = said.rfind(':');
    of(self).said_ = "TLS: ";
    of(self).said_ += last == std::string_view::npos ? said : said.substr(last + 1);
  }
};

Result<std::unique_ptr<MosquittoClient>> MosquittoClient::make(MosquittoOptions options) {
  std::unique_ptr<MosquittoClient> client(new MosquittoClient(std::move(options)));
  KANTE_CHECK(client->prepare());
  return client;
}

MosquittoClient::MosquittoClient(MosquittoOptions options)
    : options_(std::move(options)), jitter_(std::random_device{}()) {}

MosquittoClient::~MosquittoClient() {
  stop();
  if (client_ != nullptr) mosquitto_destroy(client_);
}

Status MosquittoClient::prepare() {
  static const int once = mosquitto_lib_init();
  if (once != MOSQ_ERR_SUCCESS) return fail(Errc::kIo, "libmosquitto does not start");
  wake_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return failErrno("eventfd");
  client_ = mosquitto_new(options_.client_id.c_str(), true, this);
  if (client_ == nullptr) return failErrno("libmosquitto");
  const auto in_flight = static_cast<int>(options_.in_flight_max);
  int rc = mosquitto_int_option(client_, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  if (rc == 0) rc = mosquitto_int_option(client_, MOSQ_OPT_SEND_MAXIMUM, in_flight);
  if (rc == 0) rc = mosquitto_int_option(client_, MOSQ_OPT_TCP_NODELAY, 1);
  if (rc == 0 && options_.tls) {
    rc = mosquitto_void_option(client_, MOSQ_OPT_SSL_CTX, options_.tls->raw());
    if (rc == 0) rc = mosquitto_int_option(client_, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
  }
  if (rc == 0 && !options_.will_topic.empty()) {
    rc = mosquitto_will_set_v5(client_, options_.will_topic.c_str(),
                               static_cast<int>(options_.will_payload.size()),
                               options_.will_payload.data(), 1, true, nullptr);
  }
  if (rc != 0) return fail(Errc::kInvalid, std::string("[uplink]: ") + mosquitto_strerror(rc));
  mosquitto_connect_v5_callback_set(client_, MosquittoCallbacks::connect);
  mosquitto_disconnect_v5_callback_set(client_, MosquittoCallbacks::disconnect);
  mosquitto_publish_v5_callback_set(client_, MosquittoCallbacks::published);
  mosquitto_message_v5_callback_set(client_, MosquittoCallbacks::message);
  mosquitto_log_callback_set(client_, MosquittoCallbacks::log);
  return credentials();
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

// ---- the client's thread ----

void MosquittoClient::run() {
  while (!stopping()) {
    auto addresses = resolve();
    if (addresses.has_error()) handler_->onDisconnected(addresses.error().text);
    const std::int64_t began_ms = nowMs();
    for (std::size_t i = 0; !addresses.has_error() && i < addresses->size() && !stopping(); ++i) {
      state_ = LinkState::kConnecting;
      const std::uint64_t connects = connects_;
      const std::string why = serve((*addresses)[i]);
      if (stopping()) break;
      handler_->onDisconnected(why);
      if (connects_ != connects) break;  // It was the right address.
    }
    if (nowMs() - began_ms >= kSteadyMs && lost_) backoff_ms_ = kBackoffFirstMs;
    if (!stopping()) waitBackoff();
  }
  goodbye();
  state_ = LinkState::kStopped;
}

Result<std::vector<MosquittoClient::Address>> MosquittoClient::resolve() const {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(options_.host.c_str(), nullptr, &hints, &found);
  if (rc != 0) {
    return fail(Errc::kUnavailable, options_.host + ": " + ::gai_strerror(rc));
  }
  std::vector<Address> addresses;
  for (const addrinfo* at = found; at != nullptr && addresses.size() < 8; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
        0) {
      addresses.push_back({text, at->ai_family});
    }
  }
  ::freeaddrinfo(found);
  return addresses;
}

Status MosquittoClient::begin(const Address& address) {
  connack_ = lost_ = reached_ = false;
  lost_rc_ = 0;
  said_.clear();
  if (options_.tls) options_.tls->takeRefusal();
  KANTE_CHECK(credentials());
  errno = 0;
  const int rc = mosquitto_connect_bind_async(client_, address.text.c_str(), options_.port,
                                              kKeepAliveS, nullptr);
  if (rc != MOSQ_ERR_SUCCESS && rc != MOSQ_ERR_CONN_PENDING)
    return fail(Errc::kUnavailable, reason(rc));
  const int fd = mosquitto_socket(client_);
  if (fd < 0) return fail(Errc::kUnavailable, reason(MOSQ_ERR_NO_CONN));
  const unsigned timeout_ms = kUserTimeoutMs;
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
  return {};
}

std::string MosquittoClient::serve(const Address& address) {
  const Status begun = begin(address);
  if (begun.has_error()) return begun.error().text;
  const std::int64_t began_ms = nowMs();
  while (!stopping()) {
    const bool answered = state() == LinkState::kConnected;
    if (!answered && nowMs() - began_ms > kConnectMs) {
      said_ = options_.host + ":" + std::to_string(options_.port) + ": no answer";
      break;
    }
    if (!pollOnce(1000)) break;
    if (std::exchange(connack_, false)) connected();
    if (state() == LinkState::kConnected) handler_->onTurn();
  }
  if (stopping()) return {};
  const std::string why = reason(lost_rc_);
  state_ = LinkState::kWaiting;
  return why;
}

void MosquittoClient::connected() {
  state_ = LinkState::kConnected;
  ++connects_;
  for (const std::string& filter : filters_) {
    mosquitto_subscribe_v5(client_, nullptr, filter.c_str(), 1, 0, nullptr);
  }
  handler_->onConnected();
}

// False when the connection is over.
bool MosquittoClient::pollOnce(int timeout_ms) {
  const int fd = mosquitto_socket(client_);
  if (fd < 0 || lost_) return false;
  pollfd fds[2] = {{fd, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  if (mosquitto_want_write(client_)) fds[0].events |= POLLOUT;
  if (::poll(fds, 2, timeout_ms) < 0 && errno != EINTR) return false;
  if (fds[1].revents != 0) runPosted();
  const bool broken = (fds[0].revents & (POLLERR | POLLHUP)) != 0;
  if (!broken && (fds[0].revents & POLLOUT) != 0) reached_ = true;
  if (broken && !reached_) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
      said_ = options_.host + ":" + std::to_string(options_.port) + ": " + ::strerror(error);
      return false;
    }
  }
  int rc = MOSQ_ERR_SUCCESS;
  // Reading first: a broker that refuses us says why before it resets the connection.
  if ((fds[0].revents & ~POLLOUT) != 0) rc = mosquitto_loop_read(client_, 1);
  if (rc == MOSQ_ERR_SUCCESS && (fds[0].revents & POLLOUT) != 0) {
    rc = mosquitto_loop_write(client_, 1);
  }
  if (rc == MOSQ_ERR_SUCCESS) rc = mosquitto_loop_misc(client_);
  if (rc == MOSQ_ERR_SUCCESS) return true;
  if (!lost_ || lost_rc_ == 0) lost_rc_ = rc;
  return false;
}

std::string MosquittoClient::reason(int rc) {
  const int error_number = errno;
  if (options_.tls) {
    if (std::string refusal = options_.tls->takeRefusal(); !refusal.empty()) return refusal;
  }
  if (!said_.empty()) return std::exchange(said_, {});
  const std::string where = options_.host + ":" + std::to_string(options_.port) + ": ";
  if (rc == MOSQ_ERR_ERRNO && error_number != 0) return where + ::strerror(error_number);
  if (rc >= 0x80) return where + "the broker closes the connection: " + mosquitto_reason_string(rc);
  if (rc == MOSQ_ERR_KEEPALIVE) return where + "no answer to a ping";
  return where + (rc == 0 ? "the connection is lost" : mosquitto_strerror(rc));
}

void MosquittoClient::waitBackoff() {
  state_ = LinkState::kWaiting;
  // Somewhere in the upper half, so that a fleet does not return in one moment.
  std::uniform_int_distribution<std::int64_t> spread(backoff_ms_ / 2, backoff_ms_);
  const std::int64_t until_ms = nowMs() + spread(jitter_);
  backoff_ms_ = std::min(backoff_ms_ * 2, kBackoffMaxMs);
  for (;;) {
    const std::int64_t left_ms = until_ms - nowMs();
    if (left_ms <= 0 || stopping()) return;
    pollfd wake{wake_.get(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(left_ms));
    if (wake.revents != 0) runPosted();
  }
}

void MosquittoClient::goodbye() {
  runPosted();
  if (state() != LinkState::kConnected) return;
  const std::int64_t until_ms = nowMs() + kGoodbyeMs;
  while (!tokens_.empty() && nowMs() < until_ms && pollOnce(50)) {
  }
  // The broker then publishes the last will: a gateway that stops is offline, too.
  mosquitto_disconnect_v5(client_, MQTT_RC_DISCONNECT_WITH_WILL_MSG, nullptr);
  while (mosquitto_want_write(client_) && nowMs() < until_ms && pollOnce(50)) {
  }
}

Status MosquittoClient::publish(const Publication& publication, std::uint64_t token) {
  if (state() != LinkState::kConnected) return fail(Errc::kUnavailable, "uplink: not connected");
  PropertyList properties;
  if (!publication.content_type.empty())
    properties.add(MQTT_PROP_CONTENT_TYPE, publication.content_type);
  if (publication.expiry_s != 0) {
    properties.add(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, publication.expiry_s);
  }
  for (const auto& [name, value] : publication.properties) properties.add(name, value);
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
    case MOSQ_ERR_TLS: tokens_[packet] = token; return {};
    case MOSQ_ERR_OVERSIZE_PACKET:
    case MOSQ_ERR_PAYLOAD_SIZE: return fail(Errc::kLimit, "larger than the broker takes");
    case MOSQ_ERR_NOMEM: return fail(Errc::kUnavailable, "out of memory");
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

}  // namespace kante
