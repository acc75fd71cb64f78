// A message inside the host: words that were checked once, immutable and shared by count.
//
// Holding a MessageRef proves that the words have the canonical layout of kante/message.h, so every
// reader of MessageView is safe on them.  Copying a reference counts, never copies words.
#pragma once

#include <kante/message.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

#include "host/base/result.h"
#include "host/message/ways.h"

namespace kante {
class MessagePool;
}

// The block behind the ABI's opaque pointer: this header, then the words.
struct alignas(64) kante_msg {
  std::atomic<std::uint32_t> references{0};
  std::uint32_t words = 0;  // In use; 0 while it is scratch.
  std::uint32_t capacity_words = 0;
  std::uint8_t size_class = 0;         // Of its pool; kLoose: returns to the allocator.
  kante::Ways ways;                    // For those who keep it and send it on later.
  kante::MessagePool* home = nullptr;  // Null: from no pool.
  kante_msg* next = nullptr;           // In a free list.

  std::uint64_t* data() { return reinterpret_cast<std::uint64_t*>(this + 1); }
  const std::uint64_t* data() const { return reinterpret_cast<const std::uint64_t*>(this + 1); }
  static kante_msg* ofData(void* words) { return reinterpret_cast<kante_msg*>(words) - 1; }
};
static_assert(sizeof(kante_msg) == 64);

namespace kante {

// Back to the pool it came from, from whatever thread.
void freeBlock(kante_msg* block);

class MessageRef {
 public:
  MessageRef() = default;
  // Takes over one reference that the caller holds.
  static MessageRef adopt(kante_msg* block) {
    MessageRef message;
    message.block_ = block;
    return message;
  }
  static MessageRef retain(kante_msg* block) {
    if (block != nullptr) block->references.fetch_add(1, std::memory_order_relaxed);
    return adopt(block);
  }
  MessageRef(const MessageRef& other) : block_(other.block_) {
    if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  MessageRef(MessageRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  MessageRef& operator=(MessageRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~MessageRef() {
    if (block_ != nullptr) release(block_);
  }

  explicit operator bool() const { return block_ != nullptr; }
  kante_msg* get() const { return block_; }
  kante_msg* detach() { return std::exchange(block_, nullptr); }
  MessageView view() const { return {block_->data(), block_->words}; }
  const std::uint64_t* words() const { return block_->data(); }
  std::uint32_t wordCount() const { return block_->words; }
  std::size_t bytes() const { return std::size_t{block_->words} * 8; }

  static void release(kante_msg* block) {
    // The only holder may skip the locked instruction: nobody else can add a reference meanwhile.
    if (block->references.load(std::memory_order_acquire) == 1 ||
        block->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      freeBlock(block);
    }
  }

 private:
  kante_msg* block_ = nullptr;
};

// Scratch of at least `words` words from this thread's pool (from the allocator on threads without
// one); null when words is 0 or above KANTE_MESSAGE_WORDS_MAX, or memory is out.  Contents
// undefined.
kante_msg* allocateBlock(std::uint32_t words);

// A message of the host's own making.  kInvalid names the limit that it breaks.
Result<MessageRef> buildMessage(const kante_message& message);
// A message whose body is JSON text; empty content type otherwise as given.
Result<MessageRef> jsonMessage(std::string_view json);

// Bytes from outside (store, uplink, sandbox), already copied into memory that is ours: the general
// reader decides where the bounded walk does not.
Result<MessageRef> messageFromWords(const std::uint64_t* words, std::uint32_t word_count);

// 32 hexadecimal digits.
std::string formatId(MessageId id);

}  // namespace kante
