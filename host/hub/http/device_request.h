// What a request of a device means: its path as an action on a principal, its fields as a message.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/hub/device_api.h"
#include "host/hub/http/request.h"
#include "host/hub/http/web_handler.h"

namespace kante::hub {

struct DeviceRoute {
  enum class Action { kSend, kReceive, kComplete, kReject, kAbandon, kInvoke };
  Action action = Action::kSend;
  std::string device;
  std::string module;      // Empty: the device itself.
  std::string lock_token;  // Of what is settled.

  std::string principal() const;  // "device/ID", "device/ID/module/NAME".
  // As a token has to name it, or a part of it: "devices/ID/messages/events".
  std::string resource() const;
};

struct RouteFault {  // `code`: IoT Hub's word for it.
  unsigned status = 404;
  const char* code = "";
  std::string text;
};
std::optional<DeviceRoute> routeOf(const WebRequest& request, RouteFault& fault);

// The messages of a request to send, at least one.  kLimit: larger than a message may be.
Result<std::vector<DeviceMessage>> messagesOf(const WebRequest& request, std::size_t batch_max);

// The call that a body of a method's request describes, but for its target.
Result<MethodRequest> callOf(const WebRequest& request);

// A cloud-to-device message as the answer to whoever asked for one.
WebResponse answerOf(const DeviceApi::CloudMessage& message);

}  // namespace kante::hub
