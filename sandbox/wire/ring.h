// One direction between host and runner: a byte ring with one writer and one reader, each trusting
// nothing of what the other says.
//
// A ring lies in the writer's file (shared_pages.h), its head in the writer's page and its tail in
// the reader's.  No record wraps: a PAD record fills the end.  No record is longer than a quarter
// of the ring.  Neither class locks, and none of them blocks or rings a doorbell: they say when the
// caller has to.  A breach of the rules by the other side is final: broken() says which, and
// nothing is read or written any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "sandbox/wire/frames.h"
#include "sandbox/wire/shared_pages.h"

namespace kante {

// Whether the caller has to wake the other side.
enum class Wake : std::uint8_t { kNo, kYes };

// The other side's sleep word, as one who may have to wake it sees it.  Shared by the writer and
// the reader of one side; any thread.
class PeerSleep {
 public:
  explicit PeerSleep(const RingEnd& peer) : word_(peer.sleep) {}
  // After a full fence behind what was published.  One doorbell a sleep: the epoch is remembered.
  Wake wakeFor(std::uint64_t wants) {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    const std::uint64_t epoch = word >> kWantsBits;
    if ((word & wants) == 0 || epoch == rung_.load(std::memory_order_relaxed)) return Wake::kNo;
    return rung_.exchange(epoch, std::memory_order_relaxed) == epoch ? Wake::kNo : Wake::kYes;
  }

 private:
  const std::atomic<std::uint64_t>& word_;
  std::atomic<std::uint64_t> rung_{0};
};

// This side's own sleep word; the thread that sleeps.
class OwnSleep {
 public:
  explicit OwnSleep(RingEnd& own) : word_(own.sleep) {}
  // Then look at everything once more, and only then block.
  void announce(std::uint64_t wants) {
    word_.store(++epoch_ << kWantsBits | wants, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void awake() { word_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t>& word_;
  std::uint64_t epoch_ = 0;
};

// What both ends of a ring know of it.
struct RingShape {
  explicit RingShape(std::uint32_t ring_bytes) : bytes(ring_bytes) {}
  // A power of two between kRingBytesMin and kRingBytesMax.
  static bool isValid(std::uint32_t ring_bytes);
  std::uint32_t recordWordsMax() const { return static_cast<std::uint32_t>(bytes / 4 / 8); }
  std::uint64_t toEnd(std::uint64_t position) const { return bytes - (position & (bytes - 1)); }

  std::uint64_t bytes;
};

class RingWriter {
 public:
  static constexpr std::uint32_t kPublishEvery = 32;  // Records; a fence and an index line each.

  // `ring` is mapped writable; `own` and `peer` are the ends of this side and of the other.
  RingWriter(std::byte* ring, std::uint32_t ring_bytes, RingEnd& own, const RingEnd& peer,
             PeerSleep& sleep);

  // Room for one record of `words` (at most recordWordsMax(), its header among them), or null: the
  // ring is full, and stays so until half of it is free; or it is broken.  What stands there is
  // undefined.
  std::uint64_t* reserve(std::uint32_t words);
  // What was reserved has been written.
  void commit() {
    head_ += reserved_bytes_;
    ++unpublished_;
  }
  // Shows the reader what was committed.
  Wake publish();
  std::uint32_t unpublished() const { return unpublished_; }

  // reserve() said no for want of room and would say so again.  Looks at the reader's tail.
  bool isFull();
  const RingShape& shape() const { return shape_; }
  const std::optional<std::string>& broken() const { return broken_; }

 private:
  void lookAtTail();

  std::uint64_t* words_;
  RingShape shape_;
  RingEnd& own_;
  const RingEnd& peer_;
  PeerSleep& sleep_;
  std::uint64_t head_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t tail_ = 0;  // As last seen.
  std::uint64_t reserved_bytes_ = 0;
  std::uint32_t unpublished_ = 0;
  bool full_ = false;
  std::optional<std::string> broken_;
};

// A record that is still in the ring.  `body` is memory that the writer may change at any moment:
// copy each word once, and look only at the copy.
struct RingRecord {
  RecordHead head;  // A copy.
  const std::uint64_t* body;
  std::uint32_t body_words;
};

class RingReader {
 public:
  RingReader(const std::byte* ring, std::uint32_t ring_bytes, RingEnd& own, const RingEnd& peer,
             PeerSleep& sleep);

  // The next record (never a PAD), or nothing: there is none, or the ring is broken.
  std::optional<RingRecord> next();
  // The record that next() gave has been copied.
  void take(const RingRecord& record) { at_ += std::uint64_t{record.head.words} * 8; }
  // Gives back the room of what was taken, if it is worth telling (an eighth of the ring) or
  // `everything`: before sleeping.
  enum class Returning : std::uint8_t { kEighth, kEverything };
  Wake giveBack(Returning how);
  // Whether there is something to read; before sleeping, after the sleep word's fence.
  bool isEmpty() { return at_ == head_ && !lookAtHead(); }

  const RingShape& shape() const { return shape_; }
  const std::optional<std::string>& broken() const { return broken_; }

 private:
  bool lookAtHead();
  std::optional<RingRecord> fail(std::string why);

  const std::uint64_t* words_;
  RingShape shape_;
  RingEnd& own_;
  const RingEnd& peer_;
  PeerSleep& sleep_;
  std::uint64_t head_ = 0;  // As last seen.
  std::uint64_t at_ = 0;
  std::uint64_t tail_ = 0;  // As last given back.
  std::optional<std::string> broken_;
};

}  // namespace kante
