// A device's message, decoded, as a message of the bus.
#pragma once

#include <string_view>

#include "host/base/result.h"
#include "host/hub/device_api.h"
#include "host/message/message.h"
#include "host/message/seal.h"

namespace kante::hub {

// `body` is not `said.body`, so that it need not be copied before.  kLimit: above
// DeviceMessage::kBytesMax; kDenied: a property's name is the host's own; kInvalid: no text, too
// many properties.
Result<MessageRef> messageOf(const DeviceMessage& said, std::string_view body, Stamp& stamp);

// "property "NAME": names that begin with $ or kante- are the host's own".
Error reservedName(std::string_view name);

}  // namespace kante::hub
