// The topics of a broker as the end of a route.
#pragma once

#include <cstdint>
#include <string>

#include "host/message/hop.h"
#include "host/message/message.h"

namespace kante {

class Shard;

class TopicSink {
 public:
  virtual ~TopicSink() = default;
  struct Onward {
    std::string topic;
    MessageRef message;
    const Source* source = nullptr;
    std::uint8_t hops = 1;
    std::uint32_t ttl_s = 0;          // The route's; 0: none.
    std::uint64_t origin_number = 0;  // As the hop had it.
  };
  // To those who subscribed, and on by the routes that take from this topic.  Never waits: what has
  // no room there is dropped and counted.  On the thread of `from`.
  virtual void publish(Shard& from, Onward what) = 0;
};

}  // namespace kante
