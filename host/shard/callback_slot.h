// What a shard is calling at this instant, in shared memory that outlives the process.
//
// The shard writes it around every callback (four plain stores).  A watchdog samples it to find
// callbacks that last too long without reading a clock for each; a signal handler marks it when the
// thread dies in one, so that the next start can name the module.  What was being delivered from a
// durable queue is named there as well, whatever ended the process.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace kante {

inline constexpr std::uint32_t kCrashMessageWordsMax = 8192;  // 64 KiB of the message it died on.

struct alignas(64) CallbackSlot {
  // Odd while a callback runs; counts callbacks.  Written by its shard alone.
  std::atomic<std::uint64_t> sequence{0};
  std::atomic<std::uint32_t> module{0};  // Index into the page's names, 0: none.
  std::atomic<std::uint32_t> event{0};   // KANTE_EVENT_*, 0: create or destroy.
  std::atomic<const std::uint64_t*> words{nullptr};
  std::atomic<std::uint32_t> word_count{0};

  // The message of a durable queue that is being delivered; queue 0: none is.
  std::atomic<std::uint32_t> queue{0};
  std::atomic<std::uint32_t> priority{0};
  std::atomic<std::uint64_t> position{0};
  std::atomic<std::uint64_t> id_high{0};
  std::atomic<std::uint64_t> id_low{0};

  // Written by the handler of a deadly signal in the dying thread, or by the watchdog.
  std::atomic<std::uint32_t> mark{0};  // 0: none; 1: signal; 2: over the hard limit.
  std::uint32_t signal = 0;
  std::uint64_t address = 0;
  std::uint32_t dead_module = 0;
  std::uint32_t dead_event = 0;
  std::uint32_t dead_words = 0;
  std::array<std::uint64_t, kCrashMessageWordsMax> message{};

  void enter(std::uint32_t module_index, std::uint32_t event_type,
             const std::uint64_t* message_words, std::uint32_t count) {
    module.store(module_index, std::memory_order_relaxed);
    event.store(event_type, std::memory_order_relaxed);
    words.store(message_words, std::memory_order_relaxed);
    word_count.store(count, std::memory_order_relaxed);
    sequence.store(sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  void leave() {
    sequence.store(sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
};

}  // namespace kante
