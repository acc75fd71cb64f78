// Where a broker is: mqtt://HOST[:PORT] or mqtts://HOST[:PORT].
#pragma once

#include <cstdint>
#include <string>

#include "host/base/result.h"

namespace kante {

struct BrokerUrl {
  std::string host;
  std::uint16_t port = 0;
  bool tls = false;
  bool isLoopback() const;
};

// Errors begin with `what`: the option that it was.
Result<BrokerUrl> parseBrokerUrl(const std::string& what, const std::string& url);

}  // namespace kante
