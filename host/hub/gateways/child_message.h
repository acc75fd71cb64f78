// What a gateway below forwards, as a message of this one: the properties of docs/uplink.md read
// back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"
#include "host/message/message.h"
#include "host/message/seal.h"
#include "host/mqtt/packet.h"

namespace kante::hub {

// Where it is kept which numbers of a gateway were taken: its id, and the epoch as the series.
inline constexpr char kTakenArea[] = "hub/taken";

struct ChildMessage {
  MessageRef message;  // With the id that it had.
  // As the gateway below numbered it.
  std::string epoch;
  std::uint64_t number = 0;
  // Who numbered it first.
  std::string origin_gateway;
  std::string origin_epoch;
  std::uint64_t origin_number = 0;
  std::uint8_t hops = 1;  // Of those that lie behind it.
};

// kInvalid: not numbered by `gateway`, or not as an uplink writes it.
Result<ChildMessage> readChildMessage(const mqtt::Publish& publish, std::string_view gateway,
                                      Stamp& stamp);

}  // namespace kante::hub
