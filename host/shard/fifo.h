// First in first out over a power of two, grown by doubling: no allocation once it is as large as
// it gets, and room at both ends.  Whoever fills it bounds it.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace kante {

template <typename T>
class Fifo {
 public:
  bool empty() const { return head_ == tail_; }
  std::size_t size() const { return tail_ - head_; }
  T& front() { return *at(0); }
  T* at(std::size_t i) { return &slots_[(head_ + i) & mask_]; }
  void push(T&& item) { add() = std::move(item); }
  // The new last one, for the caller to fill; what stands there was moved from, or is as made.
  T& add() {
    growIfFull();
    return slots_[tail_++ & mask_];
  }
  T pop() { return std::move(slots_[head_++ & mask_]); }
  void pushFront(T&& item) {
    growIfFull();
    slots_[--head_ & mask_] = std::move(item);
  }
  // Gives its memory back; only when it is empty.
  void release() {
    slots_.reset();
    mask_ = head_ = tail_ = 0;
  }
  std::size_t capacity() const { return slots_ == nullptr ? 0 : mask_ + 1; }
  void erase(std::size_t i) {
    for (; i > 0; --i) *at(i) = std::move(*at(i - 1));
    (void)pop();
  }

 private:
  void growIfFull() {
    if (size() <= mask_ && slots_ != nullptr) [[likely]] {
      return;
    }
    grow();
  }

  void grow() {
    const std::size_t count = size();
    const std::size_t slots = slots_ == nullptr ? 16 : count * 2;
    auto larger = std::make_unique<T[]>(slots);
    for (std::size_t i = 0; i < count; ++i) larger[i] = std::move(*at(i));
    slots_ = std::move(larger);
    mask_ = slots - 1;
    head_ = 0;
    tail_ = count;
  }

  std::unique_ptr<T[]> slots_;
  std::size_t mask_ = 0;  // Slots less one; a vector's size would be a division by that of T.
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace kante
