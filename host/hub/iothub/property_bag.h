// The property bag of IoT Hub: what a topic's last level says of a message, `name=value` joined by
// `&`, each percent-encoded.  Names that begin with "$." are the system properties.
#pragma once

#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/hub/device_api.h"

namespace kante {
struct Source;
}

namespace kante::hub {

// Between a system property's internal name, as messages have it, and the wire's; empty: none. Only
// those that an author may set and that have no place of their own in a message.
std::string_view wireName(std::string_view internal_name);
std::string_view internalName(std::string_view wire_name);

// Adds what the bag says; a "?" in front is left out.  System properties that nobody knows, and
// those that say who sent it, are left out too.  kInvalid names the pair that is wrong.
Status readBag(std::string_view bag, DeviceMessage& out);

// Appends the bag of a message that goes to a client: its properties, the system properties, and
// who sent it, unless `from` is null.
void writeBag(const MessageView& message, const Source* from, std::string& out);

}  // namespace kante::hub
