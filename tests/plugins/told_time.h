// How a module over told_time.cc and the host of its test speak of time.  Numbers are decimal, with
// one blank between them; times are nanoseconds.
#pragma once

#include <cstdint>

namespace kante::told_time {

inline constexpr std::uint64_t kBeginNs = 1'000'000'000;  // As kante::TestHost.

// Storage keys.
inline constexpr const char* kSet = "\1set ";        // ID FIRST PERIOD
inline constexpr const char* kCancel = "\1cancel ";  // ID
// Methods; the first number is the time that it is.
inline constexpr const char* kNow = "\1now  ";
inline constexpr const char* kFire = "\1fire ";  // NOW ID TIMES

}  // namespace kante::told_time
