// The memory of messages: one pool a shard, so that taking and giving back is a few plain
// instructions.
//
// A pool belongs to the thread that made it.  Blocks freed by other threads gather in a chain of up
// to kChainMax and go home with one compare-exchange.  A pool whose thread is gone frees itself
// with its last block.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "host/message/message.h"

namespace kante {

class MessagePool {
 public:
  // Four size classes an octave from 32 words to 4,096 words; larger blocks are loose.
  static constexpr std::uint32_t kSmallestWords = 32;
  static constexpr std::uint8_t kClasses = 29;
  static constexpr std::uint8_t kLoose = 0xff;
  static constexpr std::uint32_t kChainMax = 64;
  // Free memory that a pool keeps; beyond it blocks go back to the allocator.
  static constexpr std::size_t kKeptBytesMax = 2u << 20;

  // Makes a pool and binds it to the calling thread; unbind() on that same thread ends it.
  static MessagePool* bind();
  static void unbind();
  static MessagePool* ofThisThread() { return current_; }

  kante_msg* allocate(std::uint32_t words);
  void freeLocal(kante_msg* block);
  // From another thread.
  void freeRemote(kante_msg* block);
  // Sends the calling thread's gathered chain home.
  static void flushChain();
  // That, and takes back what others sent; a shard calls it at the end of each turn, so that
  // neither waits for the next message.
  static void endTurn();

  std::size_t keptBytes() const { return kept_bytes_; }

  // Blocks that were allocated and not freed, as far as the owner knows: of this pool, and, of all
  // pools and threads of this process, the loose ones.
  std::int64_t outstanding() {
    takeReturned();
    return outstanding_;
  }
  static std::int64_t looseOutstanding();

  // The class whose blocks hold `words`, and its size; kLoose above the largest.
  static std::uint8_t classOf(std::uint32_t words);
  static std::uint32_t classWords(std::uint8_t size_class);

 private:
  MessagePool() = default;
  ~MessagePool() = default;
  void takeReturned();
  void giveBack(kante_msg* first, kante_msg* last, std::int64_t count);
  static kante_msg* closed();

  static thread_local constinit MessagePool* current_;

  std::array<kante_msg*, kClasses> free_{};
  std::size_t kept_bytes_ = 0;
  std::int64_t outstanding_ = 0;  // Blocks out in the world, as the owner knows it.
  alignas(64) std::atomic<kante_msg*> returned_{nullptr};
  std::atomic<std::int64_t> orphans_{0};  // After unbind(): blocks still out.
};

}  // namespace kante
