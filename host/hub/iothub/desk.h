// What of IoT Hub's contract is no broker's, as the broker sees it: what clients ask below
// $iothub/, and what their sessions hear of.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "host/hub/access.h"
#include "host/hub/iothub/contract_topic.h"

namespace kante::hub {

// Names a client and its session, also after it is gone.
struct SessionRef {
  std::uint32_t engine = 0;
  std::uint64_t number = 0;
  std::string key;
  bool operator==(const SessionRef& other) const { return key == other.key; }
};

class GatewayDesk;

// Called on the shards; answers go to sessions (Broker::send).
class Desk {
 public:
  virtual ~Desk() = default;
  // A kTwinGet, kReported or kMethodAnswer that was taken: called once, or dropped undone.
  using Request = std::function<void()>;
  // Empty: too much is asked at once.
  virtual Request take(const SessionRef& from, const std::shared_ptr<const Principal>& principal,
                       const ContractTopic& topic, std::string_view payload) = 0;
  // Whenever it changes what a connected session hears of (HearsOf); 0: nothing any more.
  virtual void interested(const SessionRef& session, const std::string& principal,
                          std::uint8_t interests) = 0;
  // For the gateways below this one; null: there are none.
  virtual GatewayDesk* gateways() { return nullptr; }
};

}  // namespace kante::hub
