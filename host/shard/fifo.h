// First in first out over a power of two, grown by doubling: no allocation once it is as large as
// it gets, and room at both ends.  Whoever fills it bounds it.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace kante {

template <typename T>
class Fifo {
 public:
  bool empty() const { return head_ == tail_; }
  std::size_t size() const { return tail_ - head_; }
  T& front() { return *at(0); }
  T* at(std::size_t i) { return &slots_[(head_ + i) & (slots_.size() - 1)]; }
  void push(T&& item) {
    growIfFull();
    slots_[tail_++ & (slots_.size() - 1)] = std::move(item);
  }
  T pop() { return std::move(slots_[head_++ & (slots_.size() - 1)]); }
  void pushFront(T&& item) {
    growIfFull();
    slots_[--head_ & (slots_.size() - 1)] = std::move(item);
  }
  void erase(std::size_t i) {
    for (; i > 0; --i) *at(i) = std::move(*at(i - 1));
    (void)pop();
  }

 private:
  void growIfFull() {
    if (size() != slots_.size()) [[likely]] {
      return;
    }
    std::vector<T> larger(slots_.empty() ? 16 : slots_.size() * 2);
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) larger[i] = std::move(*at(i));
    slots_.swap(larger);
    head_ = 0;
    tail_ = count;
  }

  std::vector<T> slots_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace kante
