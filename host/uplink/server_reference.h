// Where a broker sends a client that should use another one (MQTT 5, 4.11).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

struct BrokerAddress {
  std::string host;  // A name or a numeric address, without brackets.
  std::uint16_t port = 0;

  bool operator==(const BrokerAddress&) const = default;
  bool isLoopback() const;
  std::string text() const;  // "host:port", "[v6]:port".
};

// The first of the servers that the reference names ("host", "host:port", "[v6]:port", separated by
// spaces).  `port`: when it says none.  kInvalid: it names none that could be one.
Result<BrokerAddress> parseServerReference(std::string_view reference, std::uint16_t port);

}  // namespace kante
