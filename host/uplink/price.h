// What a day of messages costs at IoT Hub: pure arithmetic over its tiers (prices of a unit and
// month in US dollars, as published).
#pragma once

#include <cstdint>
#include <string>

namespace kante {

struct HubTier {
  const char* name;
  std::uint64_t blocks_per_day;  // A unit's.
  std::uint32_t block_bytes;     // A message is counted in blocks of this.
  std::uint32_t usd_per_month;   // A unit's.
};

inline constexpr HubTier kHubTiers[] = {
    {"Free", 8'000, 512, 0},  // One unit at most.
    {"S1", 400'000, 4096, 25},
    {"S2", 6'000'000, 4096, 250},
    {"S3", 300'000'000, 4096, 2500},
};
inline constexpr std::uint32_t kFreeBlockBytes = 512;
inline constexpr std::uint32_t kPaidBlockBytes = 4096;

// Blocks that the meter counts for a message of so many bytes; at least 1.
constexpr std::uint64_t meteredBlocks(std::uint64_t bytes, std::uint32_t block_bytes) {
  return bytes <= block_bytes ? 1 : (bytes + block_bytes - 1) / block_bytes;
}

struct BlocksPerDay {
  double free = 0;  // Of 512 bytes.
  double paid = 0;  // Of 4096 bytes.
};

struct HubPrice {
  std::string tier;  // "Free", "S1", "S2", "S3"
  std::uint64_t units = 0;
  double usd_per_month = 0;
};

// The cheapest that carries it; of two at one price the one of fewer units.
HubPrice cheapest(BlocksPerDay blocks);

}  // namespace kante
