// One message on its way into one sink.
#pragma once

#include <cstdint>
#include <utility>

#include "host/message/hop.h"
#include "host/message/message.h"

namespace kante {

class Link;

struct Delivery {
  MessageRef message;
  Hop hop;
  std::int64_t queued_boot_ns = 0;  // When the route took it: what a route's TTL counts from.
  Link* link = nullptr;             // Which route brings it, and whose credit it holds.
};

}  // namespace kante
