#include "host/shard/lane.h"

#include <bit>
#include <utility>

namespace kante {

void Lane::Ring::growIfFull() {
  if (size() != slots_.size()) [[likely]] {
    return;
  }
  std::vector<Delivery> larger(slots_.empty() ? 16 : slots_.size() * 2);
  const std::size_t count = size();
  for (std::size_t i = 0; i < count; ++i) larger[i] = std::move(*at(i));
  slots_.swap(larger);
  head_ = 0;
  tail_ = count;
}

void Lane::Ring::push(Delivery&& delivery) {
  growIfFull();
  slots_[tail_++ & (slots_.size() - 1)] = std::move(delivery);
}

Delivery Lane::Ring::pop() { return std::move(slots_[head_++ & (slots_.size() - 1)]); }

void Lane::Ring::pushFront(Delivery&& delivery) {
  growIfFull();
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
  Link& link = *delivery.link;
  if (closed_) [[unlikely]] {
    drop(delivery, DropReason::kNoRoute);
    return;
  }
  const std::uint8_t priority = link.priority;
  rings_[priority].push(std::move(delivery));
  nonempty_ |= 1u << priority;
  ++size_;
  if (link.when_full == WhenFull::kDropOldest) [[unlikely]] {
    while (link.isOver() && dropOldest(link)) {
    }
  }
  noteWaiting();
  if (consumer_ != nullptr && !resting_) shard_.runLater(*this);
}

void Lane::drop(const Delivery& delivery, DropReason reason) {
  count(delivery.link->dropped, reason);
  delivery.link->taken(static_cast<std::uint32_t>(delivery.message.bytes()));
}

bool Lane::dropOldest(Link& link) {
  Ring& ring = rings_[link.priority];
  for (std::size_t i = 0; i < ring.size(); ++i) {
    if (ring.at(i)->link != &link) continue;
    drop(*ring.at(i), DropReason::kOverflow);
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

void Lane::close() {
  closed_ = true;
  setConsumer(nullptr);
  for (Ring& ring : rings_) {
    while (!ring.empty()) drop(ring.pop(), DropReason::kNoRoute);
  }
  nonempty_ = 0;
  size_ = 0;
  noteWaiting();
  shard_.deschedule(*this);
}

bool Lane::run(Shard&) {
  for (std::uint32_t n = 0; n < kSlice && nonempty_ != 0; ++n) {
    if (consumer_ == nullptr || resting_) break;
    const auto priority = static_cast<std::uint32_t>(std::countr_zero(nonempty_));
    Delivery delivery = rings_[priority].pop();
    if (rings_[priority].empty()) nonempty_ &= ~(1u << priority);
    --size_;
    // Credit comes back before the callback: what it frees may be used by what the callback emits.
    delivery.link->taken(static_cast<std::uint32_t>(delivery.message.bytes()));
    if (consumer_->consume(delivery) == Consumer::Outcome::kDone) continue;
    delivery.link->returned(static_cast<std::uint32_t>(delivery.message.bytes()));
    rings_[priority].pushFront(std::move(delivery));
    nonempty_ |= 1u << priority;
    ++size_;
    resting_ = true;
  }
  noteWaiting();
  return nonempty_ != 0 && consumer_ != nullptr && !resting_;
}

}  // namespace kante
