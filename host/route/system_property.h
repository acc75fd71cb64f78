// The $system properties: what the host and the message's own fields answer to a name.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "host/route/route_input.h"

namespace kante::route_detail {

enum class SystemProperty : std::uint8_t {
  kMessageId,
  kContentType,
  kContentEncoding,
  kConnectionDeviceId,
  kConnectionModuleId,
  kOutputName,
  kEnqueuedTime,
  kCreationTime,
  kExpiryTime,
  kEdgeMessageId,
  kOriginInterface,
  kMessageType,  // This and the two below: said by the host of a twin change, by nobody else.
  kSenderDeviceId,
  kSenderModuleId,
  kFromAuthor,  // Any other name: what the message's `system` list says.
};

// Texts that are made when asked for; as long as the values read with it are used.
struct SystemText {
  std::array<char, 32> message_id;
  std::array<char, 32> edge_message_id;
  std::array<char, 32> created;
  std::array<char, 32> arrived;
  std::array<char, 32> expiry;
};

// name: without the dollar sign, any letter case.
SystemProperty findSystemProperty(std::string_view name);
// All names that can have a value, for hints.
std::span<const std::string_view> systemPropertyNames();

// Null data: undefined.  No name that says who sent a message is ever read from the message itself.
std::string_view readSystemProperty(SystemProperty property, std::string_view name,
                                    const RouteInput& input, SystemText& text);

// "2026-01-31T12:00:00.000Z", 24 characters: as texts they compare like the times, between years 0
// and 9999.
std::string_view isoTime(std::int64_t ns, std::array<char, 32>& out);

}  // namespace kante::route_detail
