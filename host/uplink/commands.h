// Twins and methods over the broker, where the operator leaves them to its access control ([uplink]
// commands = "broker").  Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/hub/device_api.h"
#include "host/hub/methods.h"
#include "host/hub/twins.h"
#include "host/uplink/topics.h"

namespace kante {

class KeyValue;
class Log;

class BrokerCommands {
 public:
  static constexpr std::size_t kPayloadBytesMax = 256 * 1024;
  static constexpr std::size_t kPartBytes = 128 * 1024;
  static constexpr std::size_t kRequestsRemembered = 256;

  static constexpr std::size_t kCloudRemembered = 1024;
  static constexpr std::uint32_t kCloudWaitingMax = 1024;  // Messages on their way to the disk.

  enum class From { kBroker, kGateway };
  // Below "kante/v1/GATEWAY/".
  static std::vector<std::string> filters(From from = From::kBroker);

  struct Incoming {
    std::string topic;  // Below "kante/v1/GATEWAY/".
    std::string payload;
    bool retained = false;
    std::uint32_t timeout_ms = 0;  // Of a method; 0: not said.
    std::string bag = {};          // Of a message for a device: its properties.
  };
  // To "device/ID"; done when it is on disk.  kNotFound: nobody knows it.
  using SendTo = std::function<void(const std::string& device, hub::DeviceMessage message,
                                    std::function<void(Status)> done)>;

  struct Outgoing {
    std::string topic;  // Below "kante/v1/GATEWAY/".
    std::string payload;
    bool retained = false;
    std::string part;  // "i/n", or empty.
  };
  // The answer to a method, in parts where it is long.
  static std::vector<Outgoing> response(const std::string& request_id, int status,
                                        const std::string& payload);
  using Publish = std::function<void(std::vector<Outgoing>)>;
  struct Host {
    Twins& twins;
    Methods& methods;
    KeyValue& store;  // Remembers the versions that were applied.
    Log& log;
    Publish publish;
    SendTo send_to = {};  // From a gateway above, whose word counts as it stands; empty: no one.
  };
  static Result<std::unique_ptr<BrokerCommands>> make(Host host);
  ~BrokerCommands();

  // The link is up (again): every reported section is said once more.
  void linkUp();
  // `rest` of a topic under the gateway's; what is not ours is logged and left.
  void arrived(const Incoming& incoming);

 private:
  explicit BrokerCommands(Host host) : host_(std::move(host)), alive_(std::make_shared<int>(0)) {}
  Status desired(const DownTopic& topic, const std::string& payload);
  Status method(const DownTopic& topic, const Incoming& incoming);
  Status cloud(const DownTopic& topic, const Incoming& incoming);
  void cloudDone(const std::string& id, const Status& status);
  void respond(const std::string& request_id, int status, const std::string& payload);

  const Host host_;
  const std::shared_ptr<int> alive_;  // Watched by method answers on their way.
  Twins::Subscription reported_;
  std::map<std::string, std::uint64_t> versions_;  // $version that was applied last, by principal.
  std::deque<std::string> requests_;               // Seen lately: QoS 1 may repeat.
  std::deque<std::string> stored_;                 // Messages for devices, lately.
  std::set<std::string> storing_;
};

}  // namespace kante
