// Both ends of one ring in the memory of a test, which plays the writer or the reader as it likes.
#pragma once

#include <cstring>
#include <memory>

#include "sandbox/wire/ring.h"

namespace kante {

struct RingPair {
  explicit RingPair(std::uint32_t ring_bytes = kRingBytesMin) : bytes(ring_bytes) {}

  std::uint32_t bytes;
  // Exactly as long as the ring, so that AddressSanitizer sees a look beyond it.
  std::unique_ptr<std::uint64_t[]> memory{new std::uint64_t[bytes / 8]()};
  std::byte* ring = reinterpret_cast<std::byte*>(memory.get());
  // On the heap: AddressSanitizer's stack does not keep their alignment.
  std::unique_ptr<RingEnd[]> ends{new RingEnd[2]};
  RingEnd& writers = ends[0];
  RingEnd& readers = ends[1];
  PeerSleep readers_sleep{readers};
  PeerSleep writers_sleep{writers};
  RingWriter writer{ring, bytes, writers, readers, readers_sleep};
  RingReader reader{ring, bytes, readers, writers, writers_sleep};

  // A record of so many words that holds `mark`; false when there is no room.
  bool put(std::uint32_t words, std::uint64_t mark) {
    std::uint64_t* to = writer.reserve(words);
    if (to == nullptr) return false;
    const RecordHead head{words, static_cast<std::uint16_t>(Frame::kLog), 0};
    std::memcpy(to, &head, sizeof head);
    for (std::uint32_t i = 1; i < words; ++i) to[i] = mark + i;
    writer.commit();
    return true;
  }
  // Takes one; its words, or 0 when there is none.  Fails the test when it holds something else.
  std::uint32_t get(std::uint64_t mark) {
    const auto record = reader.next();
    if (!record) return 0;
    for (std::uint32_t i = 0; i < record->body_words; ++i) {
      if (record->body[i] != mark + i + 1) return UINT32_MAX;
    }
    reader.take(*record);
    return record->head.words;
  }
};

}  // namespace kante
