// Bytes as differences from other bytes: small where a program was linked again and thousands of
// addresses in it moved by the same distance, of which no two runs of bytes stay equal for long.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

// Steps of at most so many; what needs more is better written without.
inline constexpr std::size_t kDifferenceStepsMax = 65'536;
inline constexpr std::size_t kDifferenceStepBytes = 12;

// How long the text for `made_bytes` can be.
constexpr std::size_t differencesBytesMax(std::size_t made_bytes) {
  return 4 + kDifferenceStepsMax * kDifferenceStepBytes + made_bytes;
}

// Compresses well; empty when it would need too many steps.
std::string makeDifferences(std::string_view base, std::string_view made);

// kCorrupt unless the text makes exactly made.size() bytes of this base.  Nothing is allocated.
Status applyDifferences(std::string_view base, std::string_view text, std::span<char> made);

}  // namespace kante
