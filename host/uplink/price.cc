#include "host/uplink/price.h"

#include <algorithm>
#include <cmath>

namespace kante {

HubPrice cheapest(BlocksPerDay blocks) {
  HubPrice best;
  for (const HubTier& tier : kHubTiers) {
    const bool free = tier.usd_per_month == 0;
    const double demand = free ? blocks.free : blocks.paid;
    const double units =
        std::max(1.0, std::ceil(demand / static_cast<double>(tier.blocks_per_day)));
    if (free && units > 1) continue;
    const double usd = units * tier.usd_per_month;
    const auto count = static_cast<std::uint64_t>(units);
    const bool cheaper = best.tier.empty() || usd < best.usd_per_month ||
                         (usd == best.usd_per_month && count < best.units);
    if (cheaper) best = {tier.name, count, usd};
  }
  return best;
}

}  // namespace kante
