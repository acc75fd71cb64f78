#include "sandbox/wire/ring.h"

#include <bit>
#include <cstring>

#include "host/base/result.h"

namespace kante {

bool RingShape::isValid(std::uint32_t ring_bytes) {
  return ring_bytes >= kRingBytesMin && ring_bytes <= kRingBytesMax &&
         std::has_single_bit(ring_bytes);
}

// ---- writer

RingWriter::RingWriter(std::byte* ring, std::uint32_t ring_bytes, RingEnd& own, const RingEnd& peer,
                       PeerSleep& sleep)
    : words_(reinterpret_cast<std::uint64_t*>(ring)),
      shape_(ring_bytes),
      own_(own),
      peer_(peer),
      sleep_(sleep) {
  KANTE_ASSERT(RingShape::isValid(ring_bytes));
}

// The reader's tail lies between where it was and what was published, whatever the reader says.
void RingWriter::lookAtTail() {
  const std::uint64_t tail = peer_.tail.load(std::memory_order_acquire);
  if (tail < tail_ || tail > published_ || tail % 8 != 0) {
    broken_ = "the ring's reader says that it is at byte " + std::to_string(tail) + ", after " +
              std::to_string(tail_) + " of " + std::to_string(published_);
    return;
  }
  tail_ = tail;
}

bool RingWriter::isFull() {
  if (!full_ || broken_) return full_;
  lookAtTail();
  if (head_ - tail_ <= shape_.bytes / 2) full_ = false;
  return full_;
}

std::uint64_t* RingWriter::reserve(std::uint32_t words) {
  KANTE_ASSERT(words >= 1 && words <= shape_.recordWordsMax());
  if (broken_) [[unlikely]]
    return nullptr;
  if (full_ && isFull()) [[unlikely]]
    return nullptr;
  const std::uint64_t bytes = std::uint64_t{words} * 8;
  const std::uint64_t to_end = shape_.toEnd(head_);
  const std::uint64_t pad = bytes <= to_end ? 0 : to_end;
  if (head_ + pad + bytes - tail_ > shape_.bytes) {
    lookAtTail();
    if (broken_) return nullptr;
    if (head_ + pad + bytes - tail_ > shape_.bytes) {
      full_ = true;
      return nullptr;
    }
  }
  if (pad != 0) {
    const RecordHead head{static_cast<std::uint32_t>(pad / 8),
                          static_cast<std::uint16_t>(Frame::kPad), 0};
    std::memcpy(words_ + (head_ & (shape_.bytes - 1)) / 8, &head, sizeof head);
    head_ += pad;
  }
  reserved_bytes_ = bytes;
  return words_ + (head_ & (shape_.bytes - 1)) / 8;
}

Wake RingWriter::publish() {
  if (unpublished_ == 0) return Wake::kNo;
  unpublished_ = 0;
  published_ = head_;
  own_.head.store(head_, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return sleep_.wakeFor(kWantsData);
}

// ---- reader

RingReader::RingReader(const std::byte* ring, std::uint32_t ring_bytes, RingEnd& own,
                       const RingEnd& peer, PeerSleep& sleep)
    : words_(reinterpret_cast<const std::uint64_t*>(ring)),
      shape_(ring_bytes),
      own_(own),
      peer_(peer),
      sleep_(sleep) {
  KANTE_ASSERT(RingShape::isValid(ring_bytes));
}

std::optional<RingRecord> RingReader::fail(std::string why) {
  broken_ = std::move(why);
  return std::nullopt;
}

// True when there is more than before.
bool RingReader::lookAtHead() {
  if (broken_) return false;
  const std::uint64_t head = peer_.head.load(std::memory_order_acquire);
  if (head == head_) return false;
  if (head > head_ && head - tail_ <= shape_.bytes && head % 8 == 0) {
    head_ = head;
    return true;
  }
  const std::string said = "the ring's writer says that it is at byte " + std::to_string(head);
  if (head < head_) {
    fail(said + ", and was at " + std::to_string(head_));
  } else if (head % 8 != 0) {
    fail(said + ", which is no multiple of 8");
  } else {
    fail(said + ", a whole ring and more before the reader, who is at " + std::to_string(tail_));
  }
  return false;
}

std::optional<RingRecord> RingReader::next() {
  if (broken_ || isEmpty()) return std::nullopt;
  for (int pads = 0;; ++pads) {
    const std::uint64_t index = (at_ & (shape_.bytes - 1)) / 8;
    // Once: the writer can change it between two looks.
    const auto head = std::bit_cast<RecordHead>(__atomic_load_n(words_ + index, __ATOMIC_RELAXED));
    const std::uint64_t bytes = std::uint64_t{head.words} * 8;
    const std::uint64_t to_end = shape_.toEnd(at_);
    if (head.words == 0) return fail("a record of no words");
    if (head.words > shape_.recordWordsMax()) {
      return fail("a record of " + std::to_string(head.words) + " words, of at most " +
                  std::to_string(shape_.recordWordsMax()));
    }
    if (bytes > head_ - at_) return fail("a record that goes beyond what was published");
    if (bytes > to_end) return fail("a record that goes beyond the end of the ring");
    if (head.kind != static_cast<std::uint16_t>(Frame::kPad)) {
      return RingRecord{head, words_ + index + 1, head.words - 1};
    }
    if (bytes != to_end || head.flags != 0) return fail("a PAD that does not fill the end");
    at_ += bytes;
    if (pads > 0 || at_ == head_) return fail("a PAD with no record behind it");
  }
}

Wake RingReader::giveBack(Returning how) {
  if (at_ == tail_ || broken_) return Wake::kNo;
  if (how == Returning::kEighth && at_ - tail_ < shape_.bytes / 8) return Wake::kNo;
  tail_ = at_;
  own_.tail.store(tail_, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // A writer that waits does so for half of the ring: less is no reason to wake it.
  const std::uint64_t used = peer_.head.load(std::memory_order_relaxed) - tail_;
  return used <= shape_.bytes / 2 ? sleep_.wakeFor(kWantsSpace) : Wake::kNo;
}

}  // namespace kante
