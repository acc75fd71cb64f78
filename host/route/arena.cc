#include "host/route/arena.h"

#include <algorithm>

namespace kante::route_detail {

char* Arena::allocateBlock(std::size_t size) {
  if (size > bytes_max_ - std::min(bytes_max_, block_bytes_)) return nullptr;
  const std::size_t block = std::min(std::max(size, 2 * std::max(block_bytes_, inline_.size())),
                                     bytes_max_ - block_bytes_);
  blocks_.push_back({std::make_unique<char[]>(block), block});
  block_bytes_ += block;
  at_ = blocks_.back().bytes.get();
  end_ = at_ + block;
  char* const here = at_;
  at_ += size;
  return here;
}

// Keeps the last block, which is the largest, unless that would pin more than a shard should hold.
void Arena::resetBlocks() {
  constexpr std::size_t kKeepBytes = 64 * 1024;
  Block last = std::move(blocks_.back());
  blocks_.clear();
  block_bytes_ = 0;
  at_ = inline_.data();
  end_ = inline_.data() + inline_.size();
  if (last.size > kKeepBytes) return;
  at_ = last.bytes.get();
  end_ = at_ + last.size;
  block_bytes_ = last.size;
  blocks_.push_back(std::move(last));
}

}  // namespace kante::route_detail
