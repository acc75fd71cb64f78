// What of the topics between gateways is no broker's, as the broker sees it: what the gateways
// below say at kante/v1/ID/…, but for telemetry, which routes take, and what they hear of.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/hub/gateways/gateway_topic.h"
#include "host/hub/iothub/desk.h"
#include "host/hub/mqtt/ack_wait.h"
#include "host/mqtt/reason.h"

namespace kante::hub {

// Called on the shards.
class GatewayDesk {
 public:
  virtual ~GatewayDesk() = default;

  struct Said {
    std::string gateway;
    GatewayTopic::Kind kind = GatewayTopic::Kind::kNone;
    std::string principal;  // Of kReported, by its name here.
    std::string id;         // Of kMethod and kCloud.
    std::string payload;
    std::string part;  // "i/n": of an answer in parts; else empty.
    // Called once, on whatever thread, when it is on disk; empty: nobody waits.
    std::function<void(Kept)> kept;
    std::shared_ptr<void> entered;  // Counts it until it is done.
  };
  // For one more of so many bytes; null: too much is said at once.
  virtual std::shared_ptr<void> enter(const std::string& gateway, std::size_t bytes) = 0;
  virtual void said(Said said) = 0;
  // Whether that gateway is where the principal is; from now on it is.
  // Any thread.
  virtual Status speaks(const std::string& gateway, std::string_view principal) = 0;
  // Rises when what speaks() said may be another now.
  virtual std::uint64_t changes() const = 0;
  // A device hears of something here itself: until it left, nothing of it is any gateway's.
  // Control thread.
  virtual void arrived(const std::string& device) = 0;
  virtual void left(const std::string& device) = 0;
  // Whenever it changes what a connected session hears of (HearsAsGateway); 0: nothing any more.
  virtual void hears(const SessionRef& session, const std::string& gateway,
                     std::uint8_t interests) = 0;
};

// What a gateway hears that may not speak: of want of room, that it may try again.
inline mqtt::Reason reasonOf(const Error& why) {
  return why.code == Errc::kLimit ? mqtt::Reason::kQuotaExceeded : mqtt::Reason::kNotAuthorized;
}

}  // namespace kante::hub
