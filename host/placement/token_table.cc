#include "host/placement/token_table.h"

#include <algorithm>

namespace kante {

bool TokenTable::grow() {
  if (made_ == chunks_.size()) return false;
  chunks_[made_].store(new Chunk, std::memory_order_release);
  for (std::uint32_t i = kChunk; i > 0; --i) free_.push_back(made_ * kChunk + i - 1);
  ++made_;
  return true;
}

std::vector<QueueToken> TokenTable::closeAll() {
  std::vector<QueueToken> messages;
  for (std::uint32_t slot = 0; slot < made_ * kChunk; ++slot) {
    if (at(slot).token.exchange(0, std::memory_order_acq_rel) == 0) continue;
    messages.push_back(at(slot).delivery.message);
    free_.push_back(slot);
  }
  std::sort(messages.begin(), messages.end());
  return messages;
}

}  // namespace kante
