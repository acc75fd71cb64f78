// Where texts live that are made while a message is matched.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "host/route/match_scratch.h"

namespace kante::route_detail {

// Bump allocation with a bound; reset() keeps what was allocated last, so a steady load allocates
// nothing.
class Arena {
 public:
  explicit Arena(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // Null when the bound is reached.  size 0 gives a pointer too.
  char* allocate(std::size_t size) {
    if (size <= static_cast<std::size_t>(end_ - at_)) {
      char* const here = at_;
      at_ += size;
      return here;
    }
    return allocateBlock(size);
  }
  void reset() {
    if (blocks_.empty()) {
      at_ = inline_.data();
      return;
    }
    resetBlocks();
  }

 private:
  char* allocateBlock(std::size_t size);
  void resetBlocks();

  struct Block {
    std::unique_ptr<char[]> bytes;
    std::size_t size;
  };

  std::array<char, kEvaluationBytesInline> inline_;
  char* at_ = inline_.data();
  char* end_ = inline_.data() + inline_.size();
  std::vector<Block> blocks_;
  std::size_t block_bytes_ = 0;
  std::size_t bytes_max_;
};

}  // namespace kante::route_detail
