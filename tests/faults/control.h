// What the rig and the library that is preloaded share: a file that both map (faults.py writes it
// by the offsets below).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace kante::faults {

inline constexpr std::uint64_t kMagic = 0x3173746c75616621;
inline constexpr std::size_t kControlBytes = 4u << 20;
inline constexpr std::size_t kPathBytes = 256;
inline constexpr std::size_t kCallsMax = 12'000;

enum Action : std::uint32_t {
  kCount = 0,  // Nothing but that.
  kKillBefore = 1,
  kKillAfter = 2,
  kError = 3,  // The call does nothing and fails with `error`, once.
};

struct Call {
  char name[16];
  char path[kPathBytes];
};

struct Control {
  std::uint64_t magic;
  std::atomic<std::uint64_t> armed;  // 0: calls are not counted.
  std::atomic<std::uint64_t> calls;  // Counted so far.
  std::uint64_t at;                  // Which one; from 1.
  std::uint32_t action;
  std::uint32_t error;
  char root[kPathBytes];  // What is watched: files below this folder.
  char called[16];        // At which call it was done.
  Call call[kCallsMax];
};
static_assert(offsetof(Control, root) == 40 && offsetof(Control, call) == 40 + kPathBytes + 16);
static_assert(sizeof(Control) <= kControlBytes);

}  // namespace kante::faults
