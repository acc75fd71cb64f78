// What goes to the cloud, by source, over the last hour at most: how much, what a meter counts of
// it, and what it would be packed.  The basis of the price report.
//
// Lives on the client's thread; report() is for any.  Bounded: kSourcesMax sources, the rest
// together.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "host/uplink/price.h"

namespace kante {

struct TrafficSource {
  std::string source;
  double messages_per_day = 0;
  double blocks_per_day = 0;  // Of 4096 bytes, sent alone.
  double share = 0;           // Of all blocks, 0 … 1.
};

struct TrafficReport {
  double basis_s = 0;           // How long was measured, at most an hour; 0: nothing yet.
  double messages_per_day = 0;  // That arrive, whether or not they could be sent.
  double bytes_per_day = 0;     // As metered.
  double sent_per_s = 0;        // Acknowledged, over the last minutes.
  BlocksPerDay blocks;          // As it is sent now.
  BlocksPerDay alone;           // Were each message sent by itself.
  BlocksPerDay packed;          // Were they packed.
  std::vector<TrafficSource> top;
  // Seconds until `waiting` messages are sent at this rate; below 0: never, or not known.
  double drainSeconds(std::uint64_t waiting) const;
};

class Traffic {
 public:
  static constexpr std::size_t kSourcesMax = 64;
  static constexpr std::size_t kTopMax = 5;
  static constexpr std::int64_t kSliceNs = 300'000'000'000;
  static constexpr std::size_t kSlices = 12;
  // Packing is judged as it would be with these.
  static constexpr std::uint32_t kPackBytes = 4096;
  static constexpr double kPackSeconds = 1;

  // A message for the first time: what it takes alone, and as one of a pack.
  struct Message {
    std::string_view source;
    std::uint64_t alone_bytes = 0;
    std::uint64_t packed_bytes = 0;
  };
  void sent(const Message& message, std::int64_t now_ns);
  // One MQTT message, alone or packed, as it was metered.
  void published(std::uint64_t metered_bytes, std::int64_t now_ns);
  // Counters that only rise: messages that came to the queue, and that the broker acknowledged.
  void count(std::uint64_t arrived, std::uint64_t acknowledged, std::int64_t now_ns);

  TrafficReport report(std::int64_t now_ns) const;

 private:
  struct Sum {
    std::uint64_t messages = 0, blocks = 0, free_blocks = 0, bytes = 0, packed_bytes = 0;
    void add(const Sum& more);
  };
  struct Slice {
    std::int64_t from_ns = 0;
    std::uint64_t arrived_from = 0, acknowledged_from = 0;
    std::map<std::string, Sum, std::less<>> sources;
    Sum published;
  };
  Slice& slice(std::int64_t now_ns);
  struct Totals {
    std::map<std::string, Sum> sources;
    Sum all, published;
  };
  Totals totals() const;
  static BlocksPerDay packedPerSecond(const Totals& totals, double rate);

  mutable std::mutex mutex_;  // Around all below.
  std::deque<Slice> slices_;
  std::uint64_t arrived_ = 0;
  std::uint64_t acknowledged_ = 0;
};

}  // namespace kante
