// A real mosquitto on a free port, and a client that stands for the cloud: it collects and
// publishes.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

struct mosquitto;

namespace kante::testing {

struct BrokerOptions {
  // Where it listens.  A broker of another network namespace is started on a thread of that.
  std::string address = "127.0.0.1";
  // All three or none: TLS, with client certificates demanded when client_ca is set.
  std::string cert = {};
  std::string key = {};
  std::string client_ca = {};
  std::string extra = {};  // More lines of mosquitto.conf.
};

// Keeps its sessions and port over stop() and start(), as a broker with persistence does.
class Mosquitto {
 public:
  explicit Mosquitto(BrokerOptions options = {});
  ~Mosquitto();
  Mosquitto(const Mosquitto&) = delete;
  Mosquitto& operator=(const Mosquitto&) = delete;

  void start();  // Returns when it accepts connections; ends the test program when it never does.
  void stop();   // SIGTERM: it writes its sessions down.
  void kill();   // SIGKILL.
  void pause();  // SIGSTOP: connections stay, and nobody answers.
  void resume();
  bool running() const { return pid_ > 0; }
  std::uint16_t port() const { return port_; }
  // mqtt://127.0.0.1:PORT or mqtts://localhost:PORT
  std::string url() const;
  std::string host() const;
  const BrokerOptions& options() const { return options_; }
  const std::string& directory() const { return directory_; }

 private:
  bool tryStart();
  void end(int signal);

  const BrokerOptions options_;
  std::string directory_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

struct Received {
  std::string topic;
  std::string payload;
  std::string content_type;
  bool retained = false;
  std::vector<std::pair<std::string, std::string>> properties;

  // Empty when there is none.
  std::string property(const std::string& name) const;
};

struct PeerOptions {
  std::string client_id = "cloud";
  std::vector<std::string> filters = {};  // Subscribed with QoS 1.
  std::string ca = {};                    // As the broker's material; for TLS.
  std::string cert = {};
  std::string key = {};
};

// MQTT 5, with a session that outlives connections: nothing that the broker kept is missed.
class MqttPeer {
 public:
  MqttPeer(const Mosquitto& broker, PeerOptions options);
  ~MqttPeer();
  MqttPeer(const MqttPeer&) = delete;
  MqttPeer& operator=(const MqttPeer&) = delete;

  using Properties = std::vector<std::pair<std::string, std::string>>;
  void publish(const std::string& topic, const std::string& payload, bool retain = false,
               const Properties& properties = {});

  std::vector<Received> messages();
  // Of these topics only ('+' and '#' as usual).
  std::vector<Received> messages(const std::string& filter);
  // Waits until `done` is true of what came; false after 30 s.
  bool waitUntil(const std::function<bool(const std::vector<Received>&)>& done);
  bool waitForCount(std::size_t count);
  bool waitFor(const std::string& topic, const std::string& payload);
  void clear();
  // Waits until it has subscribed again after the broker lost its session.
  bool resubscribed();

 private:
  void subscribed();
  friend struct PeerCallbacks;

  PeerOptions options_;
  struct mosquitto* client_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Received> received_;
  std::size_t subscriptions_ = 0;  // SUBACKs.
};

// A port that was free a moment ago, on 127.0.0.1.
std::uint16_t freePort();

}  // namespace kante::testing
