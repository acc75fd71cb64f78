// From scratch that a module filled to a message that may travel: checked, stamped, counted.
#pragma once

#include <atomic>
#include <cstdint>

#include "host/message/layout.h"
#include "host/message/message.h"

namespace kante {

// What the host writes where the author left zero.  One a shard, on its thread; now_ns is the wall
// time of the turn, so that no message costs a look at the clock.
struct Stamp {
  std::uint64_t id_high = 0;  // Random for each shard's life.
  std::uint64_t id_low = 0;   // Counts; 0 is never used.
  std::int64_t now_ns = 0;
};

// Counted by one thread at a time, read by any.
class SealCount {
 public:
  SealCount& operator++() {
    count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return *this;
  }
  std::uint64_t value() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> count_{0};
};

// Which check decided.  `general` should stay 0 for modules that use the SDK, and `walk` at one a
// layout.
struct SealCounters {
  SealCount same;
  SealCount walk;
  SealCount general;
  SealCount refused;
};

// On KANTE_OK *out is the message, with one reference: `block` itself, or, for an odd layout, a
// canonical copy; `block` then is still the caller's, to give back once the copy is on its way.
// KANTE_E_INVALID: used_words is 0 or above the capacity.  KANTE_E_CORRUPT: no message.
// KANTE_E_DENIED: a property name is the host's.  KANTE_E_LIMIT: over a bound.  After an error the
// block is still the caller's scratch.
kante_status sealSlow(kante_msg* block, std::uint32_t used_words, Layout& layout,
                      SealCounters& counters, kante_msg** out);

inline kante_status seal(kante_msg* block, std::uint32_t used_words, Layout& layout, Stamp& stamp,
                         SealCounters& counters, kante_msg** out) {
  if (used_words == 0 || used_words > block->capacity_words || block->words != 0) {
    ++counters.refused;
    return KANTE_E_INVALID;
  }
  if (layout.same(block->data(), used_words)) {
    ++counters.same;
    block->words = used_words;
    *out = block;
  } else if (const kante_status status = sealSlow(block, used_words, layout, counters, out);
             status != KANTE_OK) {
    return status;
  }
  std::uint64_t* words = (*out)->data();
  if ((words[KANTE_WORD_ID_HIGH] | words[KANTE_WORD_ID_LOW]) == 0) {
    words[KANTE_WORD_ID_HIGH] = stamp.id_high;
    words[KANTE_WORD_ID_LOW] = ++stamp.id_low;
  }
  if (words[KANTE_WORD_CREATED] == 0) {
    words[KANTE_WORD_CREATED] = static_cast<std::uint64_t>(stamp.now_ns);
  }
  return KANTE_OK;
}

}  // namespace kante
