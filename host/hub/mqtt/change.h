// One thing that becomes different on disk.  Made on a shard, written on the store's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/hub/mqtt/ack_wait.h"
#include "host/hub/mqtt/publication.h"

namespace kante::hub {

struct Change {
  enum class Kind : std::uint8_t {
    kNothing,   // Only its share waits for the others.
    kSession,   // `row`
    kFilter,    // `place`: its number; `row`
    kEntry,     // `place`, `publication`, and how it is sent.
    kPacket,    // An identifier of QoS 2, not released; `place`.
    kWill,      // `row`
    kRetain,    // `publication` instead of `before`; either may be null.
    kReceived,  // The client has the entry's message, `publication`; PUBREL is owed.
    // From here on nothing is put, only erased.
    kDone,      // The entry; `publication` was its message, or null.
    kUnfilter,  // `place`
    kReleased,  // The identifier; `place`.
    kNoWill,
    kEnd,  // Everything of the session but its entries.
  };

  Kind kind = Kind::kNothing;
  mqtt::Qos qos = mqtt::Qos::k1;
  bool retain = false;
  std::uint32_t engine = 0;  // Which is told that an entry of QoS 2 is kept.
  std::uint64_t session = 0;
  std::uint64_t place = 0;
  PublicationRef publication = {};
  PublicationRef before = {};
  std::vector<std::uint32_t> ids = {};
  std::string row = {};
  AckShare share = {};

  // Without room it is refused; all others are tried until they are done.
  bool isRefusable() const {
    return kind < Kind::kReceived && !(kind == Kind::kRetain && !publication);
  }
  // What it takes on disk, about.
  std::uint64_t bytes() const {
    constexpr std::uint64_t kRowBytes = 96;
    return kRowBytes + row.size() + (publication ? publication->size() : 0);
  }
};

}  // namespace kante::hub
