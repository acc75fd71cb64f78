// UplinkClient by libmosquitto: MQTT 5 on a thread of its own.
//
// The thread resolves names and polls the socket itself.  mosquitto_loop() is not used: it
// select()s, which breaks above 1,024 descriptors; nor are its connects by name, which try one
// address only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "host/base/fd.h"
#include "host/uplink/client.h"
#include "host/uplink/tls_context.h"

struct mosquitto;
struct mqtt5__property;

namespace kante {

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
};

class MosquittoClient final : public UplinkClient {
 public:
  static constexpr int kKeepAliveS = 15;
  static constexpr unsigned kUserTimeoutMs = 20'000;
  // From the first packet to CONNACK.
  static constexpr std::int64_t kConnectMs = 20'000;
  static constexpr std::int64_t kBackoffFirstMs = 250;
  static constexpr std::int64_t kBackoffMaxMs = 30'000;
  // A connection that lived this long resets the back-off.
  static constexpr std::int64_t kSteadyMs = 5'000;
  // For what is queued when stop() is called.
  static constexpr std::int64_t kGoodbyeMs = 2'000;

  static Result<std::unique_ptr<MosquittoClient>> make(MosquittoOptions options);
  ~MosquittoClient() override;

  Status start(ClientHandler& handler) override;
  void stop() override;
  void post(std::function<void()> work) override;
  Status publish(const Publication& publication, std::uint64_t token) override;
  Status subscribe(const std::string& filter) override;
  LinkState state() const override { return state_.load(std::memory_order_relaxed); }
  std::uint64_t connects() const override { return connects_.load(std::memory_order_relaxed); }

 private:
  friend struct MosquittoCallbacks;
  struct Address {
    std::string text;
    int family = 0;
  };
  explicit MosquittoClient(MosquittoOptions options);
  Status prepare();
  void run();
  void runPosted();
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  Result<std::vector<Address>> resolve() const;
  // One connection from its attempt to its end; the sentence that says why it ended.
  std::string serve(const Address& address);
  Status begin(const Address& address);
  Status credentials();
  bool pollOnce(int timeout_ms);
  void connected();
  std::string reason(int rc);
  void goodbye();
  void waitBackoff();

  MosquittoOptions options_;
  struct mosquitto* client_ = nullptr;
  ClientHandler* handler_ = nullptr;
  FileDescriptor wake_;
  std::thread thread_;
  std::atomic<LinkState> state_{LinkState::kStopped};
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<bool> stopping_{false};

  std::mutex mutex_;  // Around posted_ and closed_.
  std::vector<std::function<void()>> posted_;
  bool closed_ = false;

  // The client's thread.
  std::unordered_map<int, std::uint64_t> tokens_;  // Of what waits for its PUBACK, by packet id.
  std::vector<std::string> filters_;
  std::int64_t backoff_ms_ = kBackoffFirstMs;
  std::minstd_rand jitter_;
  bool connack_ = false;  // CONNACK came, connected() is still to be called.
  bool reached_ = false;  // TCP is connected.
  bool lost_ = false;
  int lost_rc_ = 0;
  std::string said_;  // What the library or the broker said last about a failure.
};

}  // namespace kante
