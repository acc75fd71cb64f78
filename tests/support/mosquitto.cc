#include "tests/support/mosquitto.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace kante::testing {
namespace {

constexpr auto kDeadline = std::chrono::seconds(30);

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "test broker: %s\n", what.c_str());
  std::abort();
}

sockaddr_in at(const std::string& host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  return address;
}

bool accepts(const std::string& host, std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = at(host, port);
  const bool ok = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

void initOnce() {
  static const int once = mosquitto_lib_init();
  (void)once;
}

}  // namespace

std::uint16_t freePort() {
  int lowest = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> lowest;
  std::random_device random;
  std::uniform_int_distribution<int> any(std::min(10000, lowest / 2), lowest - 1);
  for (int attempts = 0; attempts < 1000; ++attempts) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = at("127.0.0.1", static_cast<std::uint16_t>(any(random)));
    const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    if (free) return ntohs(address.sin_port);
  }
  die("no free port");
}

// ---- Mosquitto ----

Mosquitto::Mosquitto(BrokerOptions options) : options_(std::move(options)) {
  char name[] = "/tmp/kante-broker-XXXXXX";
  directory_ = ::mkdtemp(name);
  start();
}

Mosquitto::~Mosquitto() {
  if (running()) kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string Mosquitto::url() const {
  return (options_.cert.empty() ? "mqtt://" : "mqtts://") + host() + ":" + std::to_string(port_);
}

std::string Mosquitto::host() const {
  return options_.cert.empty() || options_.address != "127.0.0.1" ? options_.address : "localhost";
}

void Mosquitto::start() {
  // Somebody else may have taken a free port before mosquitto could; a port once had is kept.
  const int attempts = port_ == 0 ? 5 : 1;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (attempts > 1) port_ = freePort();
    if (tryStart()) return;
  }
  std::ifstream output(directory_ + "/output");
  die("mosquitto does not start:\n" +
      std::string(std::istreambuf_iterator<char>(output), std::istreambuf_iterator<char>()));
}

bool Mosquitto::tryStart() {
  const std::string config = directory_ + "/mosquitto.conf";
  {
    std::ofstream out(config);
    out << "listener " << port_ << " " << options_.address << "\n"
        << "allow_anonymous true\npersistence true\npersistence_location " << directory_ << "/\n"
        << "max_queued_messages 0\nmax_keepalive 600\nlog_dest file " << directory_ << "/log\n";
    if (::geteuid() == 0) out << "user root\n";
    if (!options_.cert.empty()) {
      out << "certfile " << options_.cert << "\nkeyfile " << options_.key << "\n";
    }
    if (!options_.client_ca.empty()) {
      out << "cafile " << options_.client_ca << "\nrequire_certificate true\n";
    }
    out << options_.extra << "\n";
  }
  std::string program = "mosquitto";
  if (std::filesystem::exists("/usr/sbin/mosquitto")) program = "/usr/sbin/mosquitto";
  std::string flag = "-c", path = config;
  char* arguments[] = {program.data(), flag.data(), path.data(), nullptr};
  // A broker that outlives a test program which was cut off must not hold the pipe that somebody
  // reads this program's output from.
  const std::string output = directory_ + "/output";
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_CREAT | O_WRONLY | O_TRUNC,
                                     0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int spawned = ::posix_spawnp(&pid_, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) die("cannot run mosquitto; install the package mosquitto");
  const auto end_at = std::chrono::steady_clock::now() + kDeadline;
  while (std::chrono::steady_clock::now() < end_at) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return false;
    }
    if (accepts(options_.address, port_)) return true;
    ::poll(nullptr, 0, 2);
  }
  return false;
}

void Mosquitto::end(int signal) {
  if (!running()) return;
  ::kill(pid_, signal);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Mosquitto::stop() { end(SIGTERM); }
void Mosquitto::kill() { end(SIGKILL); }
void Mosquitto::pause() { ::kill(pid_, SIGSTOP); }
void Mosquitto::resume() { ::kill(pid_, SIGCONT); }

// ---- MqttPeer ----

struct PeerCallbacks {
  static void connected(struct mosquitto* client, void* obj, int reason, int,
                        const mosquitto_property*) {
    auto* self = static_cast<MqttPeer*>(obj);
    if (reason != 0) return;
    for (const std::string& filter : self->options_.filters) {
      mosquitto_subscribe_v5(client, nullptr, filter.c_str(), 1, 0, nullptr);
    }
    if (self->options_.filters.empty()) self->subscribed();
  }
  static void subscribed(struct mosquitto*, void* obj, int, int, const int*,
                         const mosquitto_property*) {
    static_cast<MqttPeer*>(obj)->subscribed();
  }
  static void message(struct mosquitto*, void* obj, const mosquitto_message* message,
                      const mosquitto_property* properties) {
    auto* self = static_cast<MqttPeer*>(obj);
    Received received;
    received.topic = message->topic;
    received.payload.assign(static_cast<const char*>(message->payload),
                            static_cast<std::size_t>(message->payloadlen));
    received.retained = message->retain;
    char* text = nullptr;
    if (mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &text, false) !=
        nullptr) {
      received.content_type = text;
      ::free(text);
    }
    const mosquitto_property* at = properties;
    for (bool skip = false;; skip = true) {
      char *name = nullptr, *value = nullptr;
      at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY, &name, &value, skip);
      if (at == nullptr) break;
      received.properties.emplace_back(name, value);
      ::free(name);
      ::free(value);
    }
    {
      const std::lock_guard lock(self->mutex_);
      self->received_.push_back(std::move(received));
    }
    self->changed_.notify_all();
  }
};

MqttPeer::MqttPeer(const Mosquitto& broker, PeerOptions options) : options_(std::move(options)) {
  initOnce();
  client_ = mosquitto_new(options_.client_id.c_str(), false, this);
  mosquitto_int_option(client_, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_int_option(client_, MOSQ_OPT_RECEIVE_MAXIMUM, 1000);
  mosquitto_connect_v5_callback_set(client_, PeerCallbacks::connected);
  mosquitto_subscribe_v5_callback_set(client_, PeerCallbacks::subscribed);
  mosquitto_message_v5_callback_set(client_, PeerCallbacks::message);
  if (!options_.ca.empty()) {
    mosquitto_tls_set(client_, options_.ca.c_str(), nullptr,
                      options_.cert.empty() ? nullptr : options_.cert.c_str(),
                      options_.key.empty() ? nullptr : options_.key.c_str(), nullptr);
  }
  mosquitto_property* properties = nullptr;
  mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3600);
  const std::string host = broker.host();
  const int rc =
      mosquitto_connect_bind_v5(client_, host.c_str(), broker.port(), 30, nullptr, properties);
  mosquitto_property_free_all(&properties);
  if (rc != MOSQ_ERR_SUCCESS) die(std::string("peer cannot connect: ") + mosquitto_strerror(rc));
  mosquitto_loop_start(client_);
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kDeadline, [this] { return subscriptions_ != 0; }))
    die("peer: no answer");
}

MqttPeer::~MqttPeer() {
  mosquitto_disconnect(client_);
  // Not by force: that is pthread_cancel(), which leaves the library's mutexes locked.
  mosquitto_loop_stop(client_, false);
  mosquitto_destroy(client_);
}

void MqttPeer::subscribed() {
  {
    const std::lock_guard lock(mutex_);
    ++subscriptions_;
  }
  changed_.notify_all();
}

void MqttPeer::publish(const std::string& topic, const std::string& payload, bool retain,
                       const Properties& properties) {
  mosquitto_property* list = nullptr;
  for (const auto& [name, value] : properties) {
    mosquitto_property_add_string_pair(&list, MQTT_PROP_USER_PROPERTY, name.c_str(), value.c_str());
  }
  mosquitto_publish_v5(client_, nullptr, topic.c_str(), static_cast<int>(payload.size()),
                       payload.data(), 1, retain, list);
  mosquitto_property_free_all(&list);
}

std::vector<Received> MqttPeer::messages() {
  const std::lock_guard lock(mutex_);
  return received_;
}

std::vector<Received> MqttPeer::messages(const std::string& filter) {
  std::vector<Received> matching;
  for (Received& message : messages()) {
    bool matches = false;
    mosquitto_topic_matches_sub(filter.c_str(), message.topic.c_str(), &matches);
    if (matches) matching.push_back(std::move(message));
  }
  return matching;
}

bool MqttPeer::waitUntil(const std::function<bool(const std::vector<Received>&)>& done) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kDeadline, [&] { return done(received_); });
}

bool MqttPeer::waitForCount(std::size_t count) {
  return waitUntil([count](const auto& received) { return received.size() >= count; });
}

bool MqttPeer::waitFor(const std::string& topic, const std::string& payload) {
  return waitUntil([&](const std::vector<Received>& received) {
    return std::any_of(received.begin(), received.end(), [&](const Received& message) {
      return message.topic == topic && message.payload.find(payload) != std::string::npos;
    });
  });
}

bool MqttPeer::resubscribed() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kDeadline,
                           [this] { return subscriptions_ > options_.filters.size(); });
}

void MqttPeer::clear() {
  const std::lock_guard lock(mutex_);
  received_.clear();
}

std::string Received::property(const std::string& name) const {
  for (const auto& [key, value] : properties) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace kante::testing
