#include "tests/durability/receiver.h"

#include <arpa/inet.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "tests/durability/checker.h"

namespace kante::durability {
namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "durability: receiver: %s\n", what.c_str());
  std::exit(1);
}

}  // namespace

struct Receiver::Client {
  mosquitto* handle = nullptr;
  std::string filter;
  std::string lost_topic;
  Checker* checker = nullptr;
  std::mutex mutex;
  std::condition_variable changed;
  bool subscribed = false;

  void message(const mosquitto_message& message, const mosquitto_property* properties);
};

void Receiver::Client::message(const mosquitto_message& message,
                               const mosquitto_property* properties) {
  std::string epoch, id, seq, dropped;
  const mosquitto_property* at = properties;
  for (bool skip = false;; skip = true) {
    char *name = nullptr, *value = nullptr;
    at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY, &name, &value, skip);
    if (at == nullptr) break;
    const std::string_view key(name);
    if (key == "kante-epoch") epoch = value;
    if (key == "kante-seq") seq = value;
    if (key == "kante-id") id = value;
    if (key == "kante-dropped") dropped = value;
    ::free(name);
    ::free(value);
  }
  const std::string_view body(static_cast<const char*>(message.payload),
                              static_cast<std::size_t>(message.payloadlen));
  if (lost_topic == message.topic) {
    checker->lost("?", 0, body);
    return;
  }
  Arrival arrival;
  arrival.epoch = epoch;
  arrival.seq = std::strtoull(seq.c_str(), nullptr, 10);
  arrival.dropped = std::strtoull(dropped.c_str(), nullptr, 10);
  arrival.id = id;
  arrival.body = body;
  checker->arrived(arrival);
}

Receiver::Receiver(std::uint16_t port, const std::string& gateway, Checker& checker)
    : client_(std::make_unique<Client>()) {
  mosquitto_lib_init();
  Client& client = *client_;
  client.checker = &checker;
  client.filter = "kante/v1/" + gateway + "/telemetry/#";
  client.lost_topic = "kante/v1/" + gateway + "/lost";
  client.handle = mosquitto_new("durability-receiver", false, &client);
  mosquitto_int_option(client.handle, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_int_option(client.handle, MOSQ_OPT_RECEIVE_MAXIMUM, 1000);
  mosquitto_reconnect_delay_set(client.handle, 1, 1, false);
  mosquitto_connect_v5_callback_set(
      client.handle, [](mosquitto* handle, void* obj, int reason, int, const mosquitto_property*) {
        if (reason != 0) return;
        auto* self = static_cast<Client*>(obj);
        mosquitto_subscribe_v5(handle, nullptr, self->lost_topic.c_str(), 1, 0, nullptr);
        mosquitto_subscribe_v5(handle, nullptr, self->filter.c_str(), 1, 0, nullptr);
      });
  mosquitto_subscribe_v5_callback_set(
      client.handle, [](mosquitto*, void* obj, int, int, const int*, const mosquitto_property*) {
        auto* self = static_cast<Client*>(obj);
        const std::lock_guard lock(self->mutex);
        self->subscribed = true;
        self->changed.notify_all();
      });
  mosquitto_message_v5_callback_set(client.handle,
                                    [](mosquitto*, void* obj, const mosquitto_message* message,
                                       const mosquitto_property* properties) {
                                      static_cast<Client*>(obj)->message(*message, properties);
                                    });
  mosquitto_property* properties = nullptr;
  mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 86'400);
  const int rc =
      mosquitto_connect_bind_v5(client.handle, "127.0.0.1", port, 30, nullptr, properties);
  mosquitto_property_free_all(&properties);
  if (rc != MOSQ_ERR_SUCCESS) die(mosquitto_strerror(rc));
  mosquitto_loop_start(client.handle);
  std::unique_lock lock(client.mutex);
  if (!client.changed.wait_for(lock, std::chrono::seconds(30), [&] { return client.subscribed; })) {
    die("no answer from the broker");
  }
}

Receiver::~Receiver() {
  mosquitto_disconnect(client_->handle);
  mosquitto_loop_stop(client_->handle, true);
  mosquitto_destroy(client_->handle);
}

void takeOver(std::uint16_t port, const std::string& client_id) {
  std::string packet("\x10\0\0\4MQTT\5\2\0\x3c\0\0", 14);  // CONNECT, MQTT 5, clean start.
  packet += static_cast<char>(client_id.size());
  packet += client_id;
  packet[1] = static_cast<char>(packet.size() - 2);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval wait{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  char answer[64];
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 &&
      ::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) > 0) {
    (void)!::recv(fd, answer, sizeof answer, 0);
  }
  ::close(fd);
}

}  // namespace kante::durability
