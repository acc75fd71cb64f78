// What a device or a module asks of its gateway, whatever carries it: HTTPS and AMQP call this,
// MQTT its topics' counterpart.
//
// Who asks was authenticated before and says as whom; what it may do is asked of its grants here.
// Control thread only.  Answers come there too, once each and never before the call has returned;
// a gateway that ends drops those that are open.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/base/result.h"
#include "host/hub/access.h"
#include "host/hub/methods.h"
#include "host/message/message.h"

namespace kante::hub {

// A message as its author says it, decoded from whatever form the protocol has for it.
struct DeviceMessage {
  static constexpr std::size_t kBytesMax = 262'144;  // Body and all names and values, as IoT Hub.
  using Property = std::pair<std::string, std::string>;

  std::string body;
  std::string content_type = {};
  std::string content_encoding = {};
  std::vector<Property> properties = {};
  // IoT Hub's own, by internal name: messageId, cid, userId, to, messageSchema, dt-subject,
  // operation, iothub-interface-id, ack.
  std::vector<Property> system = {};
  std::int64_t created_ns = 0;  // Wall time; 0: not said.
  std::int64_t expiry_ns = 0;
  std::string output = {};  // Of a module.
};

class DeviceApi {
 public:
  virtual ~DeviceApi() = default;
  using Done = std::function<void(Status)>;
  using Asker = std::shared_ptr<const Principal>;

  // Telemetry of the asker, or of `principal` when it may act for it.  Done when every durable sink
  // has it on disk.  kInvalid: breaks a rule, kDenied: not granted, kLimit: larger than allowed, or
  // a sink is full (then try again later).
  virtual void send(const Asker& asker, const std::string& principal, DeviceMessage message,
                    Done done) = 0;

  // request.target and the like; `caller` is set here.  A call that is not granted ends with
  // kMethodDenied.
  static constexpr int kMethodDenied = 403;
  virtual void invoke(const Asker& asker, MethodRequest request, Methods::Answer answer) = 0;

  // ---- cloud-to-device messages, stored until they are taken ----
  struct CloudMessage {
    MessageRef message;
    std::string lock_token;
    std::uint32_t delivered = 0;  // How often it came before.
    std::int64_t enqueued_ns = 0;
  };
  // The next one for the asker; none: there is nothing.  It is locked for kLock; what is not
  // settled by then comes again, as does what is abandoned.
  static constexpr std::chrono::seconds kLock{60};
  using Received = std::function<void(Result<std::optional<CloudMessage>>)>;
  virtual void receive(const Asker& asker, Received received) = 0;
  // kReject ends it without it having been done.  kNotFound: not locked by this token (any more).
  enum class Settlement { kComplete, kAbandon, kReject };
  virtual void settle(const Asker& asker, const std::string& lock_token, Settlement how,
                      Done done) = 0;
  // To "device/ID"; from an operator or the uplink, whose right it is not asked here.  Done when it
  // is on disk.  kLimit: kCloudMessagesMax wait already.
  static constexpr std::size_t kCloudMessagesMax = 50;  // A device's, as IoT Hub.
  virtual void sendTo(const std::string& device, DeviceMessage message, Done done) = 0;
};

}  // namespace kante::hub
