// What one shard has counted of HTTP.  Written by its shard alone, read by anybody.
#pragma once

#include <array>
#include <cstddef>

#include "host/hub/mqtt/counters.h"

namespace kante::hub {

struct WebCounters {
  Count websockets;              // Since the start.
  std::array<Count, 6> answers;  // By the hundreds of their status.
  Count timeouts;                // Connections that ended because nothing came in time.
  Count malformed;               // Requests that were no HTTP, or too large.

  void answered(unsigned status) { answers[status / 100 % answers.size()].add(); }
};

}  // namespace kante::hub
