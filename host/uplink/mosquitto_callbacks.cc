#include "host/uplink/mosquitto_callbacks.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include <cstdlib>
#include <utility>

#include "host/uplink/library_guard.h"
#include "host/uplink/link_text.h"
#include "host/uplink/mosquitto_client.h"

namespace kante {
namespace {

std::string_view readText(char* text, std::string& keep) {
  if (text == nullptr) return {};
  keep = text;
  ::free(text);
  return keep;
}

std::string property(const mosquitto_property* properties, int id) {
  std::string keep;
  char* text = nullptr;
  mosquitto_property_read_string(properties, id, &text, false);
  readText(text, keep);
  return keep;
}

}  // namespace

void MosquittoCallbacks::install(struct mosquitto* client) {
  mosquitto_connect_v5_callback_set(client, connect);
  mosquitto_disconnect_v5_callback_set(client, disconnect);
  mosquitto_publish_v5_callback_set(client, published);
  mosquitto_message_v5_callback_set(client, message);
  mosquitto_log_callback_set(client, log);
}

MosquittoClient& MosquittoCallbacks::of(void* self) { return *static_cast<MosquittoClient*>(self); }

void MosquittoCallbacks::connect(struct mosquitto*, void* self, int code, int,
                                 const mosquitto_property* properties) {
  const LibraryGuard::Pause pause;
  MosquittoClient& client = of(self);
  client.attempt_.answered = true;
  if (code != 0) return refused(client, code, properties);
  client.attempt_.connack = true;
  limits(client, properties);
}

void MosquittoCallbacks::refused(MosquittoClient& client, int code,
                                 const mosquitto_property* properties) {
  MosquittoClient::Attempt& attempt = client.attempt_;
  const auto byte = static_cast<std::uint8_t>(code);
  // A broker of the older form says in its own way that it does not know the newer one.
  const bool unknown_form = client.form() == MqttForm::k5 && (byte == 0x84 || byte == 0x01);
  attempt.other_form = unknown_form;
  attempt.busy = isBusy(client.form(), byte);
  const bool by_certificate = client.options_.tls && client.options_.password_file.empty();
  attempt.said = refusedText(client.form(), unknown_form ? 0x84 : byte,
                             property(properties, MQTT_PROP_REASON_STRING),
                             by_certificate ? client.options_.tls->ownText() : "");
  if (client.form() != MqttForm::k5) return;
  if (byte == MQTT_RC_USE_ANOTHER_SERVER || byte == MQTT_RC_SERVER_MOVED) {
    attempt.server_reference = property(properties, MQTT_PROP_SERVER_REFERENCE);
    attempt.moved_for_good = byte == MQTT_RC_SERVER_MOVED;
  }
}

void MosquittoCallbacks::limits(MosquittoClient& client, const mosquitto_property* properties) {
  std::uint16_t keep_alive_s = 0;
  mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &client.packet_max_,
                                false);
  if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &keep_alive_s,
                                    false) != nullptr) {
    const LinkTimes& times = client.options_.times;
    client.attempt_.silence_ms =
        keep_alive_s == 0 ? 0 : keep_alive_s * std::int64_t{1000} + times.answer_ms;
  }
}

void MosquittoCallbacks::disconnect(struct mosquitto*, void* self, int code,
                                    const mosquitto_property*) {
  const LibraryGuard::Pause pause;
  MosquittoClient::Attempt& attempt = of(self).attempt_;
  if (attempt.lost) return;  // The first reason is the true one.
  attempt.lost = true;
  attempt.lost_rc = code;
  attempt.taken_over = code == MQTT_RC_SESSION_TAKEN_OVER;
}

void MosquittoCallbacks::published(struct mosquitto*, void* self, int packet, int code,
                                   const mosquitto_property*) {
  const LibraryGuard::Pause pause;
  of(self).acknowledged(packet, static_cast<std::uint8_t>(code));
}

void MosquittoCallbacks::message(struct mosquitto*, void* self, const mosquitto_message* message,
                                 const mosquitto_property* properties) {
  const LibraryGuard::Pause pause;
  Arrival arrival;
  const std::string content_type = property(properties, MQTT_PROP_CONTENT_TYPE);
  const std::string response_topic = property(properties, MQTT_PROP_RESPONSE_TOPIC);
  arrival.content_type = content_type;
  arrival.response_topic = response_topic;
  std::vector<std::pair<std::string, std::string>> pairs;
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

void MosquittoCallbacks::log(struct mosquitto*, void* self, int level, const char* text) {
  const LibraryGuard::Pause pause;
  std::string_view said = text;
  MosquittoClient::Attempt& attempt = of(self).attempt_;
  if (level == MOSQ_LOG_DEBUG) {
    // The library says nowhere else whether a ping is on its way.
    if (said.ends_with(" sending PINGREQ")) attempt.pinged = true;
    if (said.ends_with(" received PINGRESP")) attempt.pinged = false;
    return;
  }
  if (level != MOSQ_LOG_ERR || !said.starts_with("OpenSSL Error")) return;
  said.remove_prefix(std::min(said.size(), said.find(": ") + 2));
  // "error:0A000412:SSL routines::sslv3 alert bad certificate": the last part is for people.
  const std::size_t last = said.rfind(':');
  attempt.said = "TLS: ";
  attempt.said += last == std::string_view::npos ? said : said.substr(last + 1);
}

}  // namespace kante
