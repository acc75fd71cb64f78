// A command's end of a broker: the last message of each topic that it reads, and what it publishes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/uplink/client.h"

namespace kante::cli {

struct BrokerOptions {
  std::string url;
  std::string ca, cert, key;  // mqtts needs the first; the others go together.
  std::string username, password_file;
};

// Its members are for one thread; what comes, comes on the client's.
class FleetLink final : public ClientHandler {
 public:
  struct Message {
    std::string payload;
    std::uint64_t number = 0;  // From 1, as they came.
  };
  using Messages = std::map<std::string, Message>;  // By topic; those that are empty are gone.
  static constexpr std::chrono::seconds kConnectMax{20};
  static constexpr std::chrono::seconds kQuiet{1};  // Nothing retained comes any more.
  static constexpr std::chrono::seconds kGatherMax{30};

  // Connects, subscribes, and waits for what the broker has retained.
  static Result<std::unique_ptr<FleetLink>> connect(const BrokerOptions& options,
                                                    const std::vector<std::string>& filters);
  ~FleetLink() override;

  // Waits until the broker has it.
  Status publish(const std::string& topic, const std::string& payload,
                 const char* content_type = "application/vnd.kante.document");
  Messages messages() const;
  std::uint64_t count() const;  // The number of the last that came.
  // True once `done` is, which is asked whenever something came.
  bool waitFor(std::chrono::steady_clock::time_point deadline,
               const std::function<bool(const Messages&)>& done) const;

  void onConnected() override;
  void onForgotten() override;
  void onDisconnected(const std::string& reason) override;
  void onAlarm(const std::string&) override {}
  void onArrival(const Arrival& arrival) override;
  void onPublished(std::uint64_t token, std::uint8_t reason_code) override;
  void onTurn() override {}

 private:
  FleetLink() = default;

  std::unique_ptr<UplinkClient> client_;
  mutable std::mutex mutex_;  // Around all below.
  mutable std::condition_variable changed_;
  Messages messages_;
  std::uint64_t count_ = 0;
  std::string reason_;  // Why there is no connection.
  std::chrono::steady_clock::time_point arrived_;
  bool connected_ = false;
  std::uint64_t token_ = 0;
  int answer_ = -1;  // Of the publication under way: an MQTT reason code; below 0: none yet.
};

}  // namespace kante::cli
