// How far a message had come when it reached each of those who may have kept it.
//
// A module may keep a message and send it on later, again and again.  Counting from how far *it*
// got the message, a loop ends after kHopsMax rounds and a repeated message never does; the author
// of a message is in no list and always begins at one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace kante {

// Part of a message's block.  Any thread, as long as it holds a reference.
class Ways {
 public:
  // Receivers are told apart by a number that is not 0 and fits in 24 bits.
  static constexpr std::uint32_t kReceiverMax = (1u << 24) - 1;

  enum class Holders : std::uint8_t { kOne, kSeveral };
  // holders: whether the delivery of now holds the only reference; then nobody else can send it on,
  // and what was noted for others is forgotten.
  void arrived(std::uint32_t receiver, std::uint8_t hops, Holders holders) {
    const std::uint32_t way = receiver << 8 | hops;
    if (holders == Holders::kOne) {
      if (ways_[1].load(std::memory_order_relaxed) != 0) [[unlikely]]
        clear();
      ways_[0].store(way, std::memory_order_relaxed);
    } else {
      note(way);
    }
  }

  // Hops at which `receiver` got it; 0 when it did not.
  std::uint8_t hopsOf(std::uint32_t receiver) const {
    for (const auto& way : ways_) {
      const std::uint32_t noted = way.load(std::memory_order_relaxed);
      if (noted >> 8 == receiver) return static_cast<std::uint8_t>(noted);
      if (noted == 0) return 0;
    }
    return farthest_.load(std::memory_order_relaxed);
  }

  void clear() {
    for (auto& way : ways_) way.store(0, std::memory_order_relaxed);
    farthest_.store(0, std::memory_order_relaxed);
  }

 private:
  // Where more receivers than these share a message, the rest share one number: the farthest.
  static constexpr std::size_t kNoted = 4;

  void note(std::uint32_t way) {
    for (auto& slot : ways_) {
      std::uint32_t noted = slot.load(std::memory_order_relaxed);
      if (noted == 0 && slot.compare_exchange_strong(noted, way, std::memory_order_relaxed)) return;
      if (noted >> 8 != way >> 8) continue;
      // One receiver is called by one thread at a time: nobody else writes this slot.
      if (noted < way) slot.store(way, std::memory_order_relaxed);
      return;
    }
    const auto hops = static_cast<std::uint8_t>(way);
    std::uint8_t before = farthest_.load(std::memory_order_relaxed);
    while (before < hops &&
           !farthest_.compare_exchange_weak(before, hops, std::memory_order_relaxed)) {
    }
  }

  std::array<std::atomic<std::uint32_t>, kNoted> ways_{};  // Receiver and hops; 0 ends the list.
  std::atomic<std::uint8_t> farthest_{0};
};

}  // namespace kante
