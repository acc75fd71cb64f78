#include "host/message/pool.h"

#include <bit>
#include <cstdlib>
#include <new>

namespace kante {

namespace {

struct Chain {
  MessagePool* home = nullptr;
  kante_msg* first = nullptr;
  kante_msg* last = nullptr;
  std::uint32_t count = 0;
};
thread_local constinit Chain t_chain;

std::atomic<std::int64_t> loose_blocks{0};

kante_msg* newBlock(std::uint32_t words, std::uint8_t size_class, MessagePool* home) {
  const std::size_t bytes = (sizeof(kante_msg) + std::size_t{words} * 8 + 63) / 64 * 64;
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) return nullptr;
  auto* block = new (memory) kante_msg;
  block->capacity_words = words;
  block->size_class = size_class;
  block->home = home;
  if (size_class == MessagePool::kLoose) loose_blocks.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void deleteBlock(kante_msg* block) {
  if (block->size_class == MessagePool::kLoose)
    loose_blocks.fetch_sub(1, std::memory_order_relaxed);
  std::free(block);
}

}  // namespace

thread_local constinit MessagePool* MessagePool::current_ = nullptr;

std::int64_t MessagePool::looseOutstanding() { return loose_blocks.load(); }

std::uint8_t MessagePool::classOf(std::uint32_t words) {
  if (words <= kSmallestWords) return 0;
  // 32·2^octave·(4+quarter)/4 words: find the first that holds them.
  const std::uint32_t up = words - 1;
  const auto octave = static_cast<std::uint32_t>(std::bit_width(up)) - 6;  // up in [32·2^o, 64·2^o)
  const std::uint32_t quarter = (up >> (octave + 3)) & 3;
  const std::uint32_t size_class = octave * 4 + quarter + 1;
  return size_class >= kClasses ? kLoose : static_cast<std::uint8_t>(size_class);
}

std::uint32_t MessagePool::classWords(std::uint8_t size_class) {
  return (kSmallestWords << (size_class / 4)) / 4 * (4 + size_class % 4u);
}

kante_msg* MessagePool::closed() {
  alignas(64) static kante_msg mark;
  return &mark;
}

MessagePool* MessagePool::bind() {
  KANTE_ASSERT(current_ == nullptr);
  current_ = new MessagePool();
  return current_;
}

void MessagePool::unbind() {
  flushChain();
  MessagePool* pool = current_;
  KANTE_ASSERT(pool != nullptr);
  current_ = nullptr;
  kante_msg* returned = pool->returned_.exchange(closed(), std::memory_order_acq_rel);
  while (returned != nullptr) {
    kante_msg* next = returned->next;
    deleteBlock(returned);
    --pool->outstanding_;
    returned = next;
  }
  for (kante_msg*& head : pool->free_) {
    while (head != nullptr) deleteBlock(std::exchange(head, head->next));
  }
  const std::int64_t out = pool->outstanding_;
  if (pool->orphans_.fetch_add(out, std::memory_order_acq_rel) + out == 0) delete pool;
}

kante_msg* MessagePool::allocate(std::uint32_t words) {
  const std::uint8_t size_class = classOf(words);
  if (size_class == kLoose) return newBlock(words, kLoose, nullptr);
  kante_msg*& head = free_[size_class];
  if (head == nullptr) [[unlikely]] {
    takeReturned();
    if (head == nullptr) {
      kante_msg* block = newBlock(classWords(size_class), size_class, this);
      if (block != nullptr) ++outstanding_;
      return block;
    }
  }
  kante_msg* block = head;
  head = block->next;
  __builtin_prefetch(head, 1);  // The next one to go: it may have left the caches.
  kept_bytes_ -= std::size_t{block->capacity_words} * 8;
  ++outstanding_;
  return block;
}

void MessagePool::freeLocal(kante_msg* block) {
  --outstanding_;
  const std::size_t bytes = std::size_t{block->capacity_words} * 8;
  if (kept_bytes_ + bytes > kKeptBytesMax) [[unlikely]] {
    deleteBlock(block);
    return;
  }
  kept_bytes_ += bytes;
  block->next = free_[block->size_class];
  free_[block->size_class] = block;
}

void MessagePool::takeReturned() {
  kante_msg* block = returned_.exchange(nullptr, std::memory_order_acquire);
  while (block != nullptr) freeLocal(std::exchange(block, block->next));
}

void MessagePool::freeRemote(kante_msg* block) {
  if (current_ == nullptr) {  // A thread without turns has nobody to flush its chain.
    giveBack(block, block, 1);
    return;
  }
  if (t_chain.home != this) flushChain();
  if (t_chain.count == 0) {
    t_chain = {this, block, block, 1};
    block->next = nullptr;
    return;
  }
  block->next = t_chain.first;
  t_chain.first = block;
  if (++t_chain.count == kChainMax) flushChain();
}

void MessagePool::endTurn() {
  flushChain();
  if (current_ != nullptr && current_->returned_.load(std::memory_order_relaxed) != nullptr) {
    current_->takeReturned();
  }
}

void MessagePool::flushChain() {
  if (t_chain.count == 0) return;
  const Chain chain = std::exchange(t_chain, Chain{});
  chain.home->giveBack(chain.first, chain.last, chain.count);
}

void MessagePool::giveBack(kante_msg* first, kante_msg* last, std::int64_t count) {
  kante_msg* head = returned_.load(std::memory_order_relaxed);
  do {
    if (head == closed()) {
      last->next = nullptr;
      for (kante_msg* block = first; block != nullptr;)
        deleteBlock(std::exchange(block, block->next));
      if (orphans_.fetch_sub(count, std::memory_order_acq_rel) == count) delete this;
      return;
    }
    last->next = head;
  } while (!returned_.compare_exchange_weak(head, first, std::memory_order_acq_rel,
                                            std::memory_order_relaxed));
}

void freeBlock(kante_msg* block) {
  MessagePool* home = block->home;
  if (home == nullptr) {
    deleteBlock(block);
  } else if (home == MessagePool::ofThisThread()) {
    home->freeLocal(block);
  } else {
    home->freeRemote(block);
  }
}

kante_msg* allocateBlock(std::uint32_t words) {
  if (words == 0 || words > KANTE_MESSAGE_WORDS_MAX) return nullptr;
  MessagePool* pool = MessagePool::ofThisThread();
  kante_msg* block =
      pool != nullptr ? pool->allocate(words) : newBlock(words, MessagePool::kLoose, nullptr);
  if (block == nullptr) return nullptr;
  block->references.store(1, std::memory_order_relaxed);
  block->words = 0;
  block->ways.clear();
  return block;
}

}  // namespace kante
