#include "host/shard/lane.h"

#include <bit>
#include <utility>

namespace kante {

void Lane::Ring::push(Delivery&& delivery) {
  if (size() == slots_.size()) {
    std::vector<Delivery> larger(slots_.empty() ? 16 : slots_.size() * 2);
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) larger[i] = std::move(*at(i));
    slots_.swap(larger);
    head_ = 0;
    tail_ = count;
  }
  slots_[tail_++ & (slots_.size() - 1)] = std::move(delivery);
}

Delivery Lane::Ring::pop() { return std::move(slots_[head_++ & (slots_.size() - 1)]); }

void Lane::Ring::pushFront(Delivery&& delivery) {
  slots_[--head_ & (slots_.size() - 1)] = std::move(delivery);
}

void Lane::Ring::erase(std::size_t i) {
  for (; i > 0; --i) *at(i) = std::move(*at(i - 1));
  (void)pop();
}

Lane::~Lane() { KANTE_ASSERT(size_ == 0); }

std::uint16_t Lane::inputIndex(const std::string& input) {
  for (std::size_t i = 0; i < input_names_.size(); ++i) {
    if (input_names_[i] == input) return static_cast<std::uint16_t>(i);
  }
  input_names_.push_back(input);
  return static_cast<std::uint16_t>(input_names_.size() - 1);
}

void Lane::push(Delivery&& delivery) {
  const std::uint8_t priority = delivery.link->priority;
  rings_[priority].push(std::move(delivery));
  nonempty_ |= 1u << priority;
  waiting_.store(++size_, std::memory_order_relaxed);
  if (consumer_ != nullptr && !resting_) shard_.runLater(*this);
}

bool Lane::dropOldest(Link& link) {
  Ring& ring = rings_[link.priority];
  for (std::size_t i = 0; i < ring.size(); ++i) {
    if (ring.at(i)->link != &link) continue;
    link.taken(static_cast<std::uint32_t>(ring.at(i)->message.bytes()));
    ring.erase(i);
    --size_;
    if (ring.empty()) nonempty_ &= ~(1u << link.priority);
    return true;
  }
  return false;
}

void Lane::setConsumer(Consumer* consumer) {
  Consumer* before = std::exchange(consumer_, consumer);
  if (before != nullptr && consumer != nullptr && before != consumer) before->laneTaken();
  resting_ = false;
  if (consumer_ != nullptr && size_ > 0) shard_.runLater(*this);
}

void Lane::resume() {
  if (!resting_) return;
  resting_ = false;
  if (consumer_ != nullptr && size_ > 0) shard_.runLater(*this);
}

void Lane::clear() {
  for (std::size_t priority = 0; priority < kPriorities; ++priority) {
    while (!rings_[priority].empty()) {
      const Delivery delivery = rings_[priority].pop();
      count(delivery.link->dropped, DropReason::kNoRoute);
      delivery.link->taken(static_cast<std::uint32_t>(delivery.message.bytes()));
      --size_;
    }
  }
  nonempty_ = 0;
}

bool Lane::run(Shard&) {
  for (std::uint32_t n = 0; n < kSlice && nonempty_ != 0; ++n) {
    if (consumer_ == nullptr || resting_) return false;
    const auto priority = static_cast<std::uint32_t>(std::countr_zero(nonempty_));
    Delivery delivery = rings_[priority].pop();
    if (rings_[priority].empty()) nonempty_ &= ~(1u << priority);
    --size_;
    // Credit comes back before the callback: what it frees may be used by what the callback emits.
    delivery.link->taken(static_cast<std::uint32_t>(delivery.message.bytes()));
    if (consumer_->consume(delivery) == Consumer::Outcome::kDone) continue;
    delivery.link->queued(static_cast<std::uint32_t>(delivery.message.bytes()));
    rings_[priority].pushFront(std::move(delivery));
    nonempty_ |= 1u << priority;
    ++size_;
    resting_ = true;
  }
  waiting_.store(size_, std::memory_order_relaxed);
  return nonempty_ != 0 && consumer_ != nullptr && !resting_;
}

}  // namespace kante
