// Uplinks of kind "mqtt" and "kante": any MQTT broker, or a gateway, by the topics of CONTRACTS.md
// section 8.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "host/base/result.h"
#include "host/uplink/client.h"
#include "host/uplink/commands.h"
#include "host/uplink/document_topics.h"
#include "host/uplink/forwarder.h"
#include "host/uplink/mosquitto_client.h"
#include "host/uplink/uplink.h"

namespace kante {

class Clock;
class Log;
class Methods;
class Store;
class TrustedClock;
class Twins;

enum class PlainText { kLoopbackOnly, kAnywhere };

struct MqttUplinkOptions {
  std::string gateway_id;
  std::string version;  // In the state message.
  std::string url;      // mqtt://HOST[:PORT] or mqtts://HOST[:PORT]
  std::string ca;       // PEM file; mqtts needs it.
  std::string cert;     // PEM file with the client's chain; with `key`, or both empty.
  std::string key;
  std::string username;
  std::string password_file;  // Its first line; read at each connect.
  std::string topic = "kante/v1/{gateway}/telemetry/{source}";
  std::uint32_t window = 64;        // Messages in flight, 1 … 4096.
  std::uint32_t backlog_per_s = 0;  // Of what waited when the link came up; 0: no limit.
  BudgetLimits budget;
  ForwarderOptions::AtBudget at_budget = ForwarderOptions::AtBudget::kHold;
  PackRules pack;
  enum class Order { kLiveFirst, kFifo } order = Order::kLiveFirst;
  MqttProtocol protocol = MqttProtocol::kAuto;
  CommandTrust commands = CommandTrust::kSigned;
  // kGateway: what is on the other side is a gateway that this one is below: it routes what it is
  // told, and what it refuses to hear of somebody is given up.
  enum class Peer { kBroker, kGateway } peer = Peer::kBroker;
  LinkTimes times;
  PlainText plain_text = PlainText::kLoopbackOnly;
};

class MqttUplink final : public Uplink {
 public:
  // Runs a function later on the control thread; may be called from any thread.
  using Post = std::function<void(std::function<void()>)>;
  struct Host {
    Store& store;
    const Clock& clock;
    Log& log;
    Post post;
    Twins* twins = nullptr;  // Needed, with methods, for CommandTrust::kBroker.
    Methods* methods = nullptr;
    std::unique_ptr<UplinkClient> client = nullptr;  // Null: libmosquitto's, to options.url.
    TrustedClock* wall = nullptr;                    // Null: the wall clock is believed.
    // What an operator should know, as a sentence; empty: it is over.  The client's thread.
    std::function<void(const std::string& alarm)> alarm = nullptr;
    // Signed documents as they come, on the control thread; null: none is taken.
    TakeDocument document = nullptr;
    // A message for a device from the gateway above; kNotFound: nobody knows the device.
    BrokerCommands::SendTo send_to = nullptr;
  };

  // Checks the options and reads the certificates; makes the queue "upstream".  Errors name the
  // option.
  static Result<std::unique_ptr<MqttUplink>> make(MqttUplinkOptions options, Host host);
  ~MqttUplink() override;

  Status start() override;
  void stop() override;
  // What `deployment/reported` says from now on, retained; control thread.
  void report(const std::string& json);
  // As BundleChunks::get().
  Result<std::string> bundleChunk(const std::string& digest, const std::string& base,
                                  std::uint32_t n, const std::function<bool()>& goes_on);
  UplinkStatus status() const override;
  void collect(MetricWriter& metrics) const override;

 private:
  struct State;
  explicit MqttUplink(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // Watched by what was posted to the control thread.
};

}  // namespace kante
