// From bytes to packets, as a server hears them.
//
// Strict: what the specification calls malformed or a protocol error is refused with the reason
// that it names, before anything of the packet is used.  Nothing is copied; a packet lives as long
// as its bytes.  Statements of the specification are cited by their numbers ([MQTT-3.1.0-1]).
#pragma once

#include <cstdint>
#include <string_view>

#include "host/mqtt/packet.h"

namespace kante::mqtt {

// The fixed header and the body behind it.
struct Frame {
  PacketType type = PacketType::kConnect;
  std::uint8_t flags = 0;
  std::string_view body;
  std::size_t size = 0;  // Of the whole packet.
};

enum class Framing : std::uint8_t {
  kPacket,
  kMore,    // More bytes are needed: at least `frame.size` in all where that is not 0.
  kRefused  // `fault` says why; the stream cannot be followed any more.
};
// Looks at the beginning of what has arrived.  packet_max: the largest packet that is taken.
Framing frameOf(std::string_view arrived, std::size_t packet_max, Frame& frame, Fault& fault);

// Bounds beyond the specification's.
struct ParseLimits {
  std::size_t subscriptions_max = 1024;     // Of one packet.
  std::uint32_t user_properties_max = 256;  // The same.
};

// Each takes the frame of its type and answers false with a fault.  `out` is undefined then.
// CONNECT of another protocol or version is refused with kUnsupportedVersion.
bool parseConnect(const Frame& frame, Connect& out, Fault& fault, const ParseLimits& limits = {});
bool parsePublish(const Frame& frame, Version version, Publish& out, Fault& fault,
                  const ParseLimits& limits = {});
bool parseAck(const Frame& frame, Version version, Ack& out, Fault& fault);
bool parseSubscribe(const Frame& frame, Version version, Subscribe& out, Fault& fault,
                    const ParseLimits& limits = {});
bool parseUnsubscribe(const Frame& frame, Version version, Unsubscribe& out, Fault& fault,
                      const ParseLimits& limits = {});
// PINGREQ.
bool parseEmpty(const Frame& frame, Fault& fault);
bool parseDisconnect(const Frame& frame, Version version, Notice& out, Fault& fault);
bool parseAuth(const Frame& frame, Version version, Notice& out, Fault& fault);

}  // namespace kante::mqtt
