// Twins and methods over the broker, where the operator leaves them to its access control ([uplink]
// commands = "broker").  Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
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

  // Below "kante/v1/GATEWAY/".
  static std::vector<std::string> filters();

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
  };
  static Result<std::unique_ptr<BrokerCommands>> make(Host host);
  ~BrokerCommands();

  // The link is up (again): every reported section is said once more.
  void linkUp();
  // `rest` of a topic under the gateway's; what is not ours is logged and left.
  void arrived(const std::string& rest, const std::string& payload, bool retained);

 private:
  explicit BrokerCommands(Host host) : host_(std::move(host)), alive_(std::make_shared<int>(0)) {}
  Status desired(const DownTopic& topic, const std::string& payload);
  Status method(const DownTopic& topic, const std::string& payload);
  void respond(const std::string& request_id, int status, const std::string& payload);

  const Host host_;
  const std::shared_ptr<int> alive_;  // Watched by method answers on their way.
  Twins::Subscription reported_;
  std::map<std::string, std::uint64_t> versions_;  // $version that was applied last, by principal.
  std::deque<std::string> requests_;               // Seen lately: QoS 1 may repeat.
};

}  // namespace kante
