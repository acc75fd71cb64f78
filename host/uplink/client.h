// What the uplink needs of an MQTT client, so that another codec can take libmosquitto's place.
//
// A client is one thread.  The handler and everything given to post() run on it; every other member
// may be called from that thread alone, except where said.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/result.h"

namespace kante {

enum class Retain { kNo, kYes };

// What a connection speaks.  MQTT 3.1.1 has no properties: content type, expiry and user properties
// of a Publication are not sent there, whoever needs them writes them into the topic.
enum class MqttForm : std::uint8_t { k5, k311 };

// A message to be published.  Borrowed for the length of the call.
struct Publication {
  std::string topic;
  std::string_view payload;
  std::string_view content_type;  // Empty: none.
  std::uint32_t expiry_s = 0;     // MQTT 5 message expiry interval; 0: none.
  std::vector<std::pair<std::string_view, std::string_view>> properties;  // MQTT 5 user properties.
  Retain retain = Retain::kNo;
};

// A message that came.  Borrowed for the length of the call.
struct Arrival {
  std::string_view topic;
  std::string_view payload;
  std::string_view content_type;
  std::string_view response_topic;
  std::string_view correlation;
  std::vector<std::pair<std::string_view, std::string_view>> properties;
  Retain retain = Retain::kNo;
};

enum class LinkState { kStopped, kConnecting, kConnected, kWaiting };
const char* name(LinkState state);  // "stopped", "connecting", "connected", "disconnected"

class ClientHandler {
 public:
  virtual ~ClientHandler() = default;
  virtual void onConnected() = 0;
  // What was published and not yet answered is no longer the client's: it will neither be repeated
  // nor answered.  Before onDisconnected(), from a client that repeats nothing by itself.
  virtual void onForgotten() = 0;
  // Also for an attempt that failed.  `reason`: a sentence for people.
  virtual void onDisconnected(const std::string& reason) = 0;
  // What somebody should look at although the link may be up, as a sentence: a certificate that
  // ends soon, a broker that acknowledges nothing.  Empty: no longer.
  virtual void onAlarm(const std::string& alarm) = 0;
  virtual void onArrival(const Arrival& arrival) = 0;
  // The broker's answer to publish() with this token: an MQTT 5 reason code, below 0x80 done. Never
  // for what a reconnect repeats by itself.
  virtual void onPublished(std::uint64_t token, std::uint8_t reason_code) = 0;
  // After each turn of the client's thread while it is connected, at least once a second.
  virtual void onTurn() = 0;
  // How long the next turn may be away when nothing happens, in ms; asked after each.
  virtual std::int64_t patienceMs() const { return 1'000; }
};

class UplinkClient {
 public:
  virtual ~UplinkClient() = default;
  // Begins to connect, and to connect again whenever the link is lost, until stop().  Once, any
  // thread.
  virtual Status start(ClientHandler& handler) = 0;
  // Says goodbye and joins the thread; afterwards the handler is not called.  Any other thread.
  virtual void stop() = 0;
  // Runs on the client's thread, soon; dropped (and destroyed) when it stopped.  Any thread.
  virtual void post(std::function<void()> work) = 0;

  // Of the present or the next connection.  Changes only while not connected.
  virtual MqttForm form() const = 0;  // Any thread.
  // QoS 1, while connected.  The client keeps a copy until the broker answered or the connection
  // ended: then onForgotten() says so, or it is repeated over the next one.  kLimit: over the
  // broker's maximum packet size; kUnavailable: not connected.
  virtual Status publish(const Publication& publication, std::uint64_t token) = 0;
  // QoS 1; renewed at each reconnect.
  virtual Status subscribe(const std::string& filter) = 0;
  virtual Status unsubscribe(const std::string& filter) = 0;

  virtual LinkState state() const = 0;         // Any thread.
  virtual std::uint64_t connects() const = 0;  // Any thread.
};

}  // namespace kante
