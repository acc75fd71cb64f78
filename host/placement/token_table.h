// The deliveries of one durable input that are not settled, by the token that the module has.
//
// Opened and closed on the module's strand; any thread may claim a token, and whoever does is the
// one who settles it.  No lock.  Bounded by kSlots; memory comes in chunks as it is needed.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "host/store/durable_queue.h"

namespace kante {

class TokenTable {
 public:
  static constexpr std::uint32_t kSlots = 16'384;
  static constexpr std::uint32_t kInputs = 1024;  // Told apart by the token.

  struct Open {
    QueueToken message;
    std::uint32_t bytes = 0;
    std::uint8_t attempts = 0;  // Before this delivery.
  };

  explicit TokenTable(std::uint32_t input) : input_(input % kInputs) {}

  // The input of a token, whatever table it is from.
  static std::uint32_t inputOf(std::uint64_t token) {
    return static_cast<std::uint32_t>(token % kInputs);
  }

  // ---- strand ----
  // 0 when every slot is taken.
  std::uint64_t open(const Open& delivery) {
    if (free_.empty() && !grow()) return 0;
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    const std::uint64_t token = (++serial_ * kSlots + slot) * kInputs + input_;
    Slot& at = this->at(slot);
    at.delivery = delivery;
    at.token.store(token, std::memory_order_release);
    return token;
  }
  // Of a claimed token; its slot is free again.
  Open close(std::uint64_t token) {
    const std::uint32_t slot = slotOf(token);
    Slot& at = this->at(slot);
    at.token.store(0, std::memory_order_relaxed);
    free_.push_back(slot);
    return at.delivery;
  }
  // Everything, claimed or not, in order of the queue.
  std::vector<QueueToken> closeAll();

  // ---- any thread ----
  // True for one caller of each open token.
  bool claim(std::uint64_t token) {
    const std::uint32_t slot = slotOf(token);
    Chunk* chunk = chunks_[slot / kChunk].load(std::memory_order_acquire);
    if (token == 0 || (token & kClaimed) != 0 || chunk == nullptr) return false;
    return (*chunk)[slot % kChunk].token.compare_exchange_strong(token, token | kClaimed,
                                                                 std::memory_order_acq_rel);
  }

  ~TokenTable() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
  }
  TokenTable(const TokenTable&) = delete;
  TokenTable& operator=(const TokenTable&) = delete;

 private:
  static constexpr std::uint32_t kChunk = 256;
  static constexpr std::uint64_t kClaimed = 1ull << 63;
  struct Slot {
    std::atomic<std::uint64_t> token{0};
    Open delivery;
  };
  using Chunk = std::array<Slot, kChunk>;

  static std::uint32_t slotOf(std::uint64_t token) {
    return static_cast<std::uint32_t>(token / kInputs % kSlots);
  }
  Slot& at(std::uint32_t slot) {
    return (*chunks_[slot / kChunk].load(std::memory_order_relaxed))[slot % kChunk];
  }
  bool grow();

  const std::uint32_t input_;
  std::uint64_t serial_ = 0;
  std::uint32_t made_ = 0;  // Chunks.
  std::vector<std::uint32_t> free_;
  std::array<std::atomic<Chunk*>, kSlots / kChunk> chunks_{};
};

}  // namespace kante
