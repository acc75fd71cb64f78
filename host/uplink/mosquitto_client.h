// UplinkClient by libmosquitto: MQTT 5, or 3.1.1, on a thread of its own.
//
// The thread polls the socket itself.  mosquitto_loop() is not used: it select()s, which breaks
// above 1,024 descriptors; nor are its connects by name, which block and try one address only; nor
// is its keep-alive once a ping is on its way, which takes a large message on a slow link for
// silence.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "host/base/fd.h"
#include "host/uplink/backoff.h"
#include "host/uplink/client.h"
#include "host/uplink/link_times.h"
#include "host/uplink/network_watch.h"
#include "host/uplink/resolver.h"
#include "host/uplink/server_reference.h"
#include "host/uplink/tls_context.h"

struct mosquitto;
struct mqtt5__property;
struct ssl_st;

namespace kante {

// kAuto: 5, and 3.1.1 from the moment on when the broker says that it does not speak 5.
enum class MqttProtocol { kAuto, k5, k311 };

struct MosquittoOptions {
  std::string host;
  std::uint16_t port = 8883;
  std::string client_id;
  std::string username;
  std::string password_file;  // First line; read at each connect.
  std::string will_topic;     // Retained, QoS 1.
  std::string will_payload;
  std::uint32_t in_flight_max =
      80;  // What may wait for its PUBACK; publish() beyond it only queues.
  std::unique_ptr<TlsContext> tls;  // Null: plain text.
  MqttProtocol protocol = MqttProtocol::kAuto;
  LinkTimes times;
  Resolver::Lookup lookup = Resolver::ofThisMachine();
};

class MosquittoClient final : public UplinkClient {
 public:
  // "Use another server", one after the other, before it waits.
  static constexpr int kRedirectsMax = 3;
  // Hosts whose addresses are kept for the day when the name server does not answer.
  static constexpr std::size_t kKnownHostsMax = 4;
  // What the kernel may hold that was never sent: more would only be late on a slow link.
  static constexpr int kUnsentBytesMax = 16 << 10;
  // How long a second client of our name is worth an alarm.
  static constexpr std::int64_t kIdentityAlarmMs = 600'000;

  static Result<std::unique_ptr<MosquittoClient>> make(MosquittoOptions options);
  ~MosquittoClient() override;

  Status start(ClientHandler& handler) override;
  void stop() override;
  void post(std::function<void()> work) override;
  MqttForm form() const override { return form_.load(std::memory_order_relaxed); }
  Status publish(const Publication& publication, std::uint64_t token) override;
  Status subscribe(const std::string& filter) override;
  Status unsubscribe(const std::string& filter) override;
  LinkState state() const override { return state_.load(std::memory_order_relaxed); }
  std::uint64_t connects() const override { return connects_.load(std::memory_order_relaxed); }

 private:
  friend struct MosquittoCallbacks;
  // One connection, from its attempt on.
  struct Attempt {
    std::int64_t began_ms = 0;
    std::int64_t up_since_ms = 0;     // CONNACK; 0: none.
    std::int64_t heard_ms = 0;        // The last sign of life.
    std::int64_t silence_ms = 0;      // How long there may be none; 0: for ever.
    std::int64_t handed_over_ms = 0;  // Since when all is handed over and unanswered; 0: not so.
    std::int64_t slowest_ms = 0;      // As long as one waited for its acknowledgement, at most.
    std::int64_t looked_at_ms = 0;    // At the certificates on disk.
    bool reached = false;             // TCP is connected.
    bool read = false;                // Something came.
    bool connack = false;             // CONNACK came, connected() is still to be called.
    bool answered = false;            // A broker answered, whatever it said.
    bool busy = false;                // It asks to come back later.
    bool other_form = false;          // It does not speak this form of MQTT.
    bool renewing = false;            // Over on purpose, for the new certificate.
    bool taken_over = false;
    bool network_changed = false;
    bool pinged = false;  // A ping is on its way.
    bool lost = false;
    int lost_rc = 0;
    int unsent = 0;  // In the kernel, when that was looked at last.
    std::optional<std::string> server_reference;
    bool moved_for_good = false;
    std::string said;  // What the library or the broker said last about a failure.
  };
  enum class Next { kWait, kAtOnce };

  explicit MosquittoClient(MosquittoOptions options);
  Result<struct mosquitto*> open(MqttForm form);
  Status credentials();
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  void runPosted();

  // ---- where to ----
  void run();
  void visit();
  Next afterVisit();
  Next follow(const std::string& reference);
  Result<Addresses> resolve(const std::string& host);
  void waitBackoff();
  AttemptEnd end() const;

  // ---- one connection ----
  static std::int64_t nowMs();  // Since boot.
  void acknowledged(int packet, std::uint8_t code);
  void learnPatience(std::int64_t now_ms);
  std::string serve(const std::string& address);
  Status begin(const std::string& address);
  void tune(int fd);
  void connected();
  bool pollOnce(std::int64_t timeout_ms);
  // A turn of the library; MOSQ_ERR_PROTOCOL where it would have ended the process.
  int guarded(int (*loop)(struct mosquitto*, int));
  bool readAndWrite(int fd, short happened);
  bool seemsForeign(int fd);
  bool healthy();
  int unsentBytes() const;
  bool acknowledging(std::int64_t now_ms);
  void lookAtCertificates(std::int64_t now_ms);
  std::string reason(int rc);
  ssl_st* handshake() const;
  Status renew();
  void forget();
  void goodbye();

  void raise();

  MosquittoOptions options_;
  const BrokerAddress home_;
  struct mosquitto* client_ = nullptr;
  ClientHandler* handler_ = nullptr;
  FileDescriptor wake_;
  std::thread thread_;
  std::atomic<LinkState> state_{LinkState::kStopped};
  std::atomic<MqttForm> form_{MqttForm::k5};
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<bool> stopping_{false};

  std::mutex mutex_;  // Around posted_ and closed_.
  std::vector<std::function<void()>> posted_;
  bool closed_ = false;

  // The client's thread.
  Attempt attempt_;
  BrokerAddress target_;
  std::optional<BrokerAddress> moved_;  // The broker is there now, for good.
  int redirects_ = 0;
  Resolver resolver_;
  std::map<std::string, Addresses> known_;
  NetworkWatch network_;
  std::int64_t network_changed_ms_ = 0;
  Backoff backoff_;
  struct Sent {
    std::uint64_t token = 0;
    std::int64_t at_ms = 0;
  };
  std::unordered_map<int, Sent> tokens_;  // Of what waits for its PUBACK, by packet id.
  std::vector<std::string> filters_;
  std::uint32_t packet_max_ = 0;  // The broker's maximum packet size; 0: it named none.
  std::int64_t puback_ms_ = 0;    // How long it may acknowledge nothing.
  bool had_no_patience_ = false;  // Another connection was given up for that, and none held since.
  Validity in_use_;               // Of the certificate that this connection was made with.
  std::string certificate_alarm_;
  std::string silence_alarm_;
  std::string identity_alarm_;
  std::int64_t identity_alarm_until_ms_ = 0;
  std::string alarm_;  // The last that the handler was told.
};

}  // namespace kante
