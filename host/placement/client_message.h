// What clients publish, as messages of the bus, and messages as what clients get.
#pragma once

#include <cstdint>
#include <string_view>

#include "host/base/result.h"
#include "host/hub/mqtt/publication.h"
#include "host/message/message.h"
#include "host/message/seal.h"

namespace kante {

// Of an ordinary topic: MQTT 5's user properties are its properties, and the system property
// `topic` says where it was published.  kDenied: a name that is the host's own.
Result<MessageRef> messageOf(const mqtt::Publish& publish, Stamp& stamp);
// QoS 1, with content type and properties; the payload stays the message's.
hub::PublicationRef publicationOf(const MessageRef& message, std::string_view topic,
                                  std::uint32_t ttl_s, std::int64_t wall_ns, std::int64_t boot_ns);

}  // namespace kante
