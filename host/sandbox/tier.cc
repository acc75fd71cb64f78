#include "host/sandbox/tier.h"

#include <string>

namespace kante {

Result<std::uint32_t> tierToUse(const Can& can, std::uint32_t minimum) {
  if (can.tier != 0 && can.tier >= minimum) return can.tier;
  const std::string better = can.better;
  const std::string has = can.tier == 0
                              ? "this machine has no sandbox"
                              : "this machine's sandbox is of tier " + std::to_string(can.tier);
  const std::string lower =
      can.tier == 0 ? "" : "; or lower [sandbox] minimum_tier to " + std::to_string(can.tier);
  return fail(Errc::kUnsupported, has + ", and [sandbox] minimum_tier asks for " +
                                      std::to_string(minimum) +
                                      (better.empty() ? "" : ": " + better) + lower);
}

}  // namespace kante
